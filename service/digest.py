"""Digests: the report of the last week or month, put into the outbox once, also over a restart.

1. What is due is told by the wall clock alone: the last moment of the schedule, and the period before it.
2. The table `digests` says which periods were posted. A digest that is seen for the first time leaves out what was due
   before it was asked for.
3. A missing row is written in the same transaction as its message, so that it is posted once and never twice: also
   where the service was down when it was due, then at the next start. Of several that were missed the last is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from alerts.message import MAX_VALUE, body
from dashboards.desk import open_desk
from dashboards.report import period_text
from dashboards.report_data import Many, many, span_of
from dashboards.request import parse
from dashboards.slo_parts import change_text
from dashboards.slo_rows import report_href, subject
from dashboards.source import DataSource
from dashboards.text import percent, shown
from service.digest_times import Due, Schedule, last_due
from service.report_models import exact, number
from service.settings import Settings
from service.store_db import Cursor, Database
from slo.history import Change
from slo.report import Report
from slo.report_spans import Span
from slo.text import counted as of
from slo.wording import units

MOST_OBJECTIVES: Final = 100
MOST_CHANGES: Final = 50
MOST_LINES: Final = 12
"""Objectives and changes that the text tells."""


class Digest(NamedTuple):
    """Who gets it, and when."""

    receiver: str
    schedule: Schedule


class Digests:
    """Puts what is due into the outbox; `look` may be called as often as one likes."""

    def __init__(
        self,
        digests: Sequence[Digest],
        database: Database,
        source: DataSource,
        base_url: str,
        clock: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._digests, self._database, self._source = tuple(digests), database, source
        self._base_url, self._clock, self._wake = base_url, clock, wake
        self._done: dict[Digest, str] = {}
        """The last period of each that is known to be posted."""

    def look(self) -> list[Digest]:
        """Post what is due; those that were posted. Waits where objectives have not been judged yet."""
        now_ms = self._clock()
        posted = []
        for it in self._digests:
            due = last_due(it.schedule, now_ms)
            if self._done.get(it) == due.span.name or not self._source.judgements():
                continue
            if self._wanted(it, due) and self._post(it, due, now_ms):
                posted.append(it)
            self._done[it] = due.span.name
        if posted:
            self._wake()
        return posted

    def _wanted(self, it: Digest, due: Due) -> bool:
        """False where it was posted already, or was due before anyone asked for it: that is then noted."""
        return self._database.write(lambda cursor: _asked_before(cursor, it, due))

    def _post(self, it: Digest, due: Due, now_ms: int) -> bool:
        """Posted, unless someone else has meanwhile."""
        span = due.span
        asked = parse("reports", {"period": span.name, "zone": span.zone}, now_ms)
        desk = open_desk(self._source, asked, now_ms)
        message = payload(it, many(desk), span_of(desk), self._base_url)
        text = body(message).decode("ascii")
        return self._database.write(lambda cursor: _posted(cursor, it, due, text, now_ms))


def digests_of(
    settings: Settings, database: Database, source: DataSource, clock: Callable[[], int], wake: Callable[[], None]
) -> Digests:
    """Those of the settings."""
    asked = [Digest(it.receiver, it.schedule()) for it in settings.digests]
    return Digests(asked, database, source, settings.base_url, clock, wake)


def _asked_before(cursor: Cursor, it: Digest, due: Due) -> bool:
    who = [it.receiver, it.schedule.every]
    rows = cursor.execute("SELECT period FROM digests WHERE receiver = ? AND every = ?", who).fetchall()
    if not rows:
        cursor.execute("INSERT INTO digests VALUES (?, ?, ?, NULL)", [*who, due.span.name])
    return bool(rows) and (due.span.name,) not in rows


def _posted(cursor: Cursor, it: Digest, due: Due, text: str, now_ms: int) -> bool:
    if not _asked_before(cursor, it, due):
        return False
    number = f"digest-{it.schedule.every}-{due.span.name}-{it.receiver}"
    ((last,),) = cursor.execute("SELECT coalesce(max(position), 0) FROM outbox").fetchall()
    cursor.execute(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, 0, ?, NULL, NULL, NULL)",
        [number, last + 1, number, it.receiver, text, now_ms, now_ms],
    )
    cursor.execute("INSERT INTO digests VALUES (?, ?, ?, ?)", [it.receiver, it.schedule.every, due.span.name, now_ms])
    return True


def payload(it: Digest, found: Many, span: Span, base_url: str) -> dict[str, Any]:
    """The message; `text` is what chat receivers show, all else is for programs."""
    kept = [one.attained for one in found.reports]
    query = {"period": span.name} | ({"zone": span.zone} if span.zone != "UTC" else {})
    url = f"{base_url}/reports?{urlencode(query)}"
    summary = {
        "objectives": len(kept) + found.left_out, "kept": kept.count(True), "missed": kept.count(False),
        "unknown": kept.count(None), "in_part": sum(bool(one.attained) and one.in_part for one in found.reports),
        "incidents": len(found.incidents), "changes": len(found.changes),
    }  # fmt: skip
    return {
        "version": "1",
        "kind": "digest",
        "receiver": it.receiver,
        "every": it.schedule.every,
        "period": span.name,
        "since_ms": span.since_ms,
        "until_ms": span.until_ms,
        "zone": span.zone,
        "report_url": url,
        "text": _text(found, span, summary, url),
        "summary": summary,
        "truncated": max(0, len(kept) - MOST_OBJECTIVES) + found.left_out,
        "objectives": [_objective(one, base_url, query) for one in found.reports[:MOST_OBJECTIVES]],
        "changes": [_change(one) for one in found.changes[:MOST_CHANGES]],
    }


def _objective(told: Report, base_url: str, query: dict[str, str]) -> dict[str, Any]:
    it, whole, unit = told.objective, told.whole, units(told.objective)
    return {
        "slo": _cut(it.slo), "service": _cut(it.service), "scope": {name: _cut(value) for name, value in it.scope},
        "title": _cut(it.title), "target": _cut(it.target_text), "attained": told.attained,
        "in_part": told.in_part,
        "sli": number(whole.sli), "sli_exact": exact(whole.sli), "budget_spent": number(whole.spent),
        "bad": whole.counts.bad, "total": whole.counts.total,
        "bad_unit": unit.bad, "total_unit": unit.total, "parts": unit.parts, "unmeasured_ms": whole.unmeasured_ms,
        "taken_out_ms": whole.counts.taken_ms, "changes": len(told.changes),
        "report_url": f"{base_url}{report_href(it)}&{urlencode(query)}",
    }  # fmt: skip


def _change(it: Change) -> dict[str, Any]:
    return {
        "at_ms": it.at_ms, "slo": _cut(it.slo), "service": _cut(it.service), "kind": it.kind,
        "text": _cut(change_text(it)),
    }  # fmt: skip


def _text(found: Many, span: Span, summary: dict[str, int], url: str) -> str:
    """Some lines: what was missed, the most spent first, then what changed."""
    partly = f" ({summary['in_part']} measured in part)" if summary["in_part"] else ""
    lines = [
        f"Midwatch, {period_text(span)}: {of(summary['kept'], 'objective')} kept{partly}, {summary['missed']} missed, "
        f"{summary['unknown']} not known, {of(summary['incidents'], 'incident')}."
    ]
    told = [it for it in found.reports if it.attained is False]
    told += [it for it in found.reports if it.attained and (it.whole.spent or 0) * 2 >= 1]
    lines += [_line(it) for it in told[:MOST_LINES]]
    if len(told) > MOST_LINES:
        lines.append(f"… and {len(told) - MOST_LINES} more that spent half of their budget.")
    changed = [it for it in found.changes if it.kind == "changed"]
    lines += [f"changed: {_chat(it.service)} {_chat(it.slo)}: {_chat(change_text(it))}" for it in changed[:MOST_LINES]]
    return "\n".join([*lines, url])


def _line(told: Report) -> str:
    it, sli = told.objective, told.whole.sli
    spent = "" if told.whole.spent is None else f"{percent(told.whole.spent, 1)} of its budget spent"
    measured = "" if sli is None else f", {percent(sli, 3)} of {_chat(it.target_text)}"
    kept = f"kept{' in part' if told.in_part else ''}" if told.attained else "missed"
    return f"{kept}: {_chat(subject(it))} {_chat(it.slo)}: {spent}{measured}"


def _chat(text: str) -> str:
    """A name as chats show it: what they take for a mention or a link is text."""
    return _cut(shown(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"

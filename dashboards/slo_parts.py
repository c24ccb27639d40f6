"""Parts that the pages of objectives and reports share: changes, incidents with their share, the worst stretches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

from alerts.model import Incident
from dashboards import incident_rows
from dashboards.desk import Desk
from dashboards.marks import NO_DATA, mark
from dashboards.page_views import IncidentRow
from dashboards.slo_rows import counted, exposure, href_of_key, subject_of_key
from dashboards.slo_views import ChangeRow, ShareRow, WorstRow
from dashboards.text import duration, percent, shown
from dashboards.views import Meter
from slo.history import Change
from slo.model import Objective
from slo.report import Report, Tally

MOST_VALUE: Final = 160
_FIELDS: Final[Mapping[str, str]] = {"budget": "", "source": "from"}


def change_rows(changes: Sequence[Change]) -> tuple[ChangeRow, ...]:
    """Changes of objectives in words, in the order given."""
    return tuple(
        ChangeRow(it.at_ms, it.kind, subject_of_key(it), it.slo, href_of_key(it), change_text(it)) for it in changes
    )


def change_text(change: Change) -> str:
    """One change in words: `target 99 % → 99.9 %`; of what appeared or vanished its promise."""
    if change.kind == "changed":
        told = [it for it in change.differences if it.field != "budget" or len(change.differences) == 1]
        return "; ".join(f"{it.field} {_cut(it.before)} → {_cut(it.after)}" for it in told)
    promise = change.after or change.before
    if promise is None:
        return ""
    return f"{promise.target}, {promise.window}, {promise.method}, {_from(promise.source)}"


def _from(source: str) -> str:
    return source if source == "built in" else f"from {source}"


def _cut(text: str) -> str:
    text = shown(text)
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 1]}…"


def share_rows(desk: Desk, report: Report, incidents: Sequence[Incident]) -> tuple[ShareRow, ...]:
    """Incidents with what went while they were open, in the order given."""
    shares = {happened.name: tally for happened, tally in report.during}
    silences = desk.source.silences(desk.now_ms)
    return tuple(
        _share(it, shares.get(it.id), report.objective, incident_rows.row(it, silences, desk.now_ms))
        for it in incidents
    )


def _share(incident: Incident, tally: Tally | None, objective: Objective, row: IncidentRow) -> ShareRow:
    spent = None if tally is None else tally.spent
    told = tally is not None and tally.counts.total > 0 and not objective.members
    bad = "–" if tally is None or not told else counted(tally.counts.bad, objective)
    return ShareRow(row, incident.resolved_ms, bad, share_text(spent), share_meter(spent, f"spent in {incident.id}"))


def share_text(spent: Fraction | None) -> str:
    """A share of the budget; `no data` where none is known."""
    return "no data" if spent is None else percent(spent, 1)


def share_meter(spent: Fraction | None, label: str) -> Meter:
    """A bar of what went: all of the budget is critical, a quarter a warning."""
    if spent is None:
        return Meter(None, NO_DATA, label)
    return Meter(float(spent), mark("crit" if spent >= 1 else "warn" if spent >= Fraction(1, 4) else "ok"), label)


def worst_rows(report: Report) -> tuple[WorstRow, ...]:
    """The worst stretches, the worst first."""
    objective = report.objective
    return tuple(
        WorstRow(
            since_ms=it.counts.since_ms,
            length=duration(it.counts.until_ms - it.counts.since_ms),
            bad=counted(it.counts.bad, objective),
            total=exposure(it.counts.total, objective),
            ratio="–" if it.sli is None else percent(1 - it.sli, 2),
            spent=share_text(it.spent),
        )
        for it in report.worst
    )

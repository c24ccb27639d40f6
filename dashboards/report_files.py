"""Reports as tables: CSV and Parquet through pandas, exact counts as integers, ratios as floats, absent is empty."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from dashboards.desk import Desk
from dashboards.errors import RequestFault
from dashboards.report_data import Single, many, single, span_of
from dashboards.slo_rows import where
from dashboards.text import iso
from slo.history import Change
from slo.model import Objective
from slo.report import Report, Tally
from slo.report_spans import day_name
from slo.wording import units

if TYPE_CHECKING:
    import pandas as pd

RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Begins of a cell that spreadsheets take for a formula."""
PARTS: Final = ("days", "incidents", "minutes", "changes", "summary")
_MOST_INTEGER: Final = 2**63 - 1
Columns = dict[str, list[Any]]


def csv(desk: Desk, part: str | None) -> str:
    """One table of the report as CSV (RFC 4180). Raises RequestFault for a part that there is not."""
    text: str = table(desk, part, spreadsheet=True).to_csv(index=False, lineterminator="\r\n", float_format="%.9g")
    return text


def parquet(desk: Desk, part: str | None) -> bytes:
    """The same as a Parquet file, with text as it is."""
    sink = io.BytesIO()
    table(desk, part, spreadsheet=False).to_parquet(sink, index=False)
    return sink.getvalue()


def file_name(desk: Desk, suffix: str) -> str:
    """A file name for the report, of safe characters alone."""
    request = desk.request
    text = f"{request.slo or 'report'}-{request.scope.service or 'all'}"
    text += f"-{request.period}" if request.period else ""
    safe = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in text)
    return f"midwatch-{safe[:80]}.{suffix}"


def table(desk: Desk, part: str | None, *, spreadsheet: bool) -> pd.DataFrame:
    """One table of a report; `spreadsheet` makes text safe for programs that compute it."""
    asked = part or ("days" if desk.request.slo else "summary")
    single_of: Mapping[str, Callable[[Desk, Single], Columns]] = {
        "days": _days, "incidents": _incidents, "minutes": _minutes,
        "changes": lambda _, found: _changes(found.report.changes), "summary": lambda _, it: _summary([it.report]),
    }  # fmt: skip
    if asked not in PARTS:
        raise RequestFault(f"There is no part {asked[:40]!r}; the parts are {', '.join(PARTS)}.")
    if desk.request.slo:
        return frame_of(single_of[asked](desk, single(desk)), spreadsheet=spreadsheet)
    if asked not in ("summary", "changes"):
        raise RequestFault(f"The part {asked} is of one objective: the parameters slo and service.")
    found = many(desk)
    return frame_of(_summary(found.reports) if asked == "summary" else _changes(found.changes), spreadsheet=spreadsheet)


def frame_of(columns: Columns, *, spreadsheet: bool) -> pd.DataFrame:
    """Columns as a data frame: integers that 64 bits hold, ratios as floats, text; absent is null."""
    import pandas as pd  # a report alone needs it: no start waits for it

    return pd.DataFrame({name: _series(values, spreadsheet) for name, values in columns.items()})


def _series(values: list[Any], spreadsheet: bool) -> Any:
    import pandas as pd

    known = [it for it in values if it is not None]
    if known and all(isinstance(it, Fraction) for it in known):
        return pd.array([None if it is None else float(it) for it in values], dtype="Float64")
    if known and all(isinstance(it, bool) for it in known):
        return pd.array(values, dtype="boolean")
    if known and all(isinstance(it, int) and abs(it) <= _MOST_INTEGER for it in known):
        return pd.array(values, dtype="Int64")
    texts = [None if it is None else safe(str(it)) if spreadsheet else _whole(str(it)) for it in values]
    return pd.array(texts, dtype="string")


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = _whole(text)
    return f"'{text}" if text.startswith(RISKY) else text


def _whole(text: str) -> str:
    """Text without halves of characters, which no encoding has."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _identity(objective: Objective, count: int) -> Columns:
    return {
        "slo": [objective.slo] * count, "service": [objective.service] * count, "scope": [where(objective)] * count,
    }  # fmt: skip


def _tallies(tallies: Sequence[Tally], objectives: Sequence[Objective]) -> Columns:
    """What was counted of one objective in each stretch of time, or of many in one."""
    told = [units(it) for it in objectives] * (len(tallies) if len(objectives) == 1 else 1)
    return {
        "bad": [it.counts.bad for it in tallies],
        "total": [it.counts.total for it in tallies],
        "bad_unit": [it.bad for it in told],
        "total_unit": [it.total for it in told],
        "parts": [it.parts for it in told],
        "sli": [it.sli for it in tallies],
        "budget_spent": [it.spent for it in tallies],
    }


def _days(desk: Desk, found: Single) -> Columns:
    days, zone = found.report.days, span_of(desk).zone
    return {
        "day": [day_name(it.counts.since_ms, zone) for it in days],
        **_identity(found.report.objective, len(days)),
        **_tallies(days, [found.report.objective]),
        "budget_left": list(found.report.left),
        "coverage": [it.counts.coverage for it in days],
        "unmeasured_seconds": [Fraction(it.unmeasured_ms, 1000) for it in days],
        "taken_out_seconds": [Fraction(it.counts.taken_ms, 1000) for it in days],
    }


def _incidents(_: Desk, found: Single) -> Columns:
    shares = found.report.during
    by_id = {it.id: it for it in found.incidents}
    mine = [(by_id[it.name], tally) for it, tally in shares if it.name in by_id]
    return {
        "incident": [it.id for it, _ in mine],
        **_identity(found.report.objective, len(mine)),
        "road": [it.road for it, _ in mine],
        "opened": [iso(it.opened_ms) for it, _ in mine],
        "resolved": [None if it.resolved_ms is None else iso(it.resolved_ms) for it, _ in mine],
        "summary": [it.alerts[0].summary if it.alerts else None for it, _ in mine],
        **_tallies([tally for _, tally in mine], [found.report.objective]),
    }


def _minutes(_: Desk, found: Single) -> Columns:
    worst = found.report.worst
    return {
        "begin": [iso(it.counts.since_ms) for it in worst],
        "seconds": [(it.counts.until_ms - it.counts.since_ms) // 1000 for it in worst],
        **_identity(found.report.objective, len(worst)),
        **_tallies(worst, [found.report.objective]),
    }


def _changes(changes: Sequence[Change]) -> Columns:
    rows = [(it, one) for it in changes for one in (it.differences or (None,))]
    return {
        "at": [iso(it.at_ms) for it, _ in rows],
        "slo": [it.slo for it, _ in rows],
        "service": [it.service for it, _ in rows],
        "scope": [",".join(f"{name}={value}" for name, value in it.scope) for it, _ in rows],
        "kind": [it.kind for it, _ in rows],
        "field": [None if one is None else one.field for _, one in rows],
        "before": [_target(it.before) if one is None else one.before for it, one in rows],
        "after": [_target(it.after) if one is None else one.after for it, one in rows],
    }


def _target(promise: Any) -> str | None:
    return None if promise is None else str(promise.target)


def _summary(reports: Sequence[Report]) -> Columns:
    objectives = [it.objective for it in reports]
    return {
        "slo": [it.slo for it in objectives],
        "service": [it.service for it in objectives],
        "scope": [where(it) for it in objectives],
        "target": [it.target_text for it in objectives],
        "attained": [it.attained for it in reports],
        "in_part": [it.in_part for it in reports],
        **_tallies([it.whole for it in reports], objectives),
        "coverage": [it.whole.counts.coverage for it in reports],
        "unmeasured_seconds": [Fraction(it.whole.unmeasured_ms, 1000) for it in reports],
        "taken_out_seconds": [Fraction(it.whole.counts.taken_ms, 1000) for it in reports],
        "changes": [len(it.changes) for it in reports],
    }

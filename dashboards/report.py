"""The report of one objective for a period: per day, exact counts in, a table, a line and CSV out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from dashboards import svg
from dashboards.desk import Desk, frame
from dashboards.errors import RequestFault
from dashboards.marks import NO_DATA, Mark, mark
from dashboards.page_views import DayRow, ReportView
from dashboards.request import DAY_MS
from dashboards.slo_rows import subject, where
from dashboards.text import duration, number, percent, percent_split, stamp
from dashboards.views import Meter, Option, Tile
from slo.model import Counts, EventRatio, Judgement, MinuteSlices, Objective, unit

if TYPE_CHECKING:
    import pandas as pd

LINE_WIDTH, LINE_HEIGHT = 900, 180
COVERAGE_FLOOR = Fraction(9, 10)
_RISKY = ("=", "+", "-", "@", "\t", "\r")
"""Begins of a cell that spreadsheets take for a formula."""


class Day(NamedTuple):
    """One day (UTC) of a report, exact; None where nothing was counted."""

    day: str
    counts: Counts
    sli: Fraction | None
    spent: Fraction | None
    """This day's share of the whole period's budget."""
    left: Fraction | None
    """What is left of the period's budget after it."""


def report(desk: Desk) -> ReportView:
    """The report page's view; without an objective it asks for one."""
    chosen = _chosen(desk)
    options = tuple(_option(it, chosen) for it in sorted(desk.source.judgements(), key=_option_order))
    days = _days(desk, chosen.objective) if chosen else ()
    since, until = _period(desk)
    low, high, line, zero_y = _line(days)
    return ReportView(
        frame=frame(desk, "Reports", "reports"),
        objectives=options,
        from_day=stamp(since, day=True)[:10],
        to_day=stamp(until - 1, day=True)[:10],
        chosen=None if chosen is None else f"{chosen.objective.title} · {subject(chosen.objective)}",
        target="" if chosen is None else f"{chosen.objective.target_text} over {duration(chosen.objective.window_ms)}",
        tiles=_tiles(chosen, days) if chosen else (),
        rows=tuple(_row(it, chosen.objective) for it in days) if chosen else (),
        line=line,
        line_low=low,
        line_high=high,
        zero_y=zero_y,
        note=_note(desk, chosen, days),
        csv_href=f"/reports.csv{desk.request.query()}",
    )


def csv(desk: Desk) -> str:
    """The same table as CSV (RFC 4180); raises RequestFault where no objective is chosen."""
    chosen = _chosen(desk)
    if chosen is None:
        raise RequestFault("A report needs an objective: the parameters slo and service.", 404)
    objective = chosen.objective
    table = frame_of(_days(desk, objective))
    table.insert(1, "slo", _cell(objective.slo))
    table.insert(2, "service", _cell(objective.service))
    table.insert(3, "scope", _cell(where(objective)))
    text: str = table.to_csv(index=False, lineterminator="\r\n", float_format="%.9g")
    return text


def csv_name(desk: Desk) -> str:
    """A file name for the report, of safe characters alone."""
    request = desk.request
    text = f"{request.slo or 'report'}-{request.scope.service or 'all'}"
    safe = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in text)
    return f"midwatch-{safe[:80]}.csv"


def frame_of(days: Sequence[Day]) -> pd.DataFrame:
    """The report as a data frame, one row a day; ratios are floats, absent is NaN."""
    import pandas as pd  # a report alone needs it: no start waits for it

    return pd.DataFrame(
        {
            "day": [it.day for it in days],
            "bad": pd.array([it.counts.bad for it in days], dtype="int64"),
            "total": pd.array([it.counts.total for it in days], dtype="int64"),
            "sli": _floats([it.sli for it in days]),
            "budget_spent": _floats([it.spent for it in days]),
            "budget_left": _floats([it.left for it in days]),
            "coverage": _floats([it.counts.coverage for it in days]),
        }
    )


def _floats(values: Sequence[Fraction | None]) -> pd.Series[float]:
    import pandas as pd

    return pd.Series([float("nan") if value is None else float(value) for value in values], dtype="float64")


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_RISKY) else text


def days_of(counts: Sequence[Counts], objective: Objective) -> tuple[Day, ...]:
    """Days with their share of the budget that the whole period allows: budget x total of all days."""
    allowed = objective.budget * sum(it.total for it in counts)
    found, spent_so_far = [], 0
    allowance = objective.allowance
    for it in counts:
        spent_so_far += it.bad
        counted = it.total > 0
        found.append(
            Day(
                day=stamp(it.since_ms, day=True)[:10],
                counts=it,
                sli=1 - Fraction(it.bad, it.total) if counted and not allowance else None,
                spent=it.bad / allowed if counted and allowed else None,
                left=1 - spent_so_far / allowed if counted and allowed else None,
            )
        )
    return tuple(found)


def _period(desk: Desk) -> tuple[int, int]:
    """The asked time, begun at midnight UTC."""
    since, until = desk.settled.span(desk.now_ms)
    return since // DAY_MS * DAY_MS, until


def _days(desk: Desk, objective: Objective) -> tuple[Day, ...]:
    since, until = _period(desk)
    if objective.unmeasurable is not None:
        return ()
    edges = [*range(since, until, DAY_MS), until]
    counts = desk.source.steps([objective], edges)[0]
    first = next((it.first_ms for it in counts if it.first_ms is not None), None)
    known = [it for it in counts if first is not None and it.until_ms > first]
    return days_of(known, objective)


def _chosen(desk: Desk) -> Judgement | None:
    request = desk.request
    if not request.slo:
        return None
    for it in desk.source.judgements():
        found = it.objective
        same = found.slo == request.slo and where(found) == request.where
        if same and (request.scope.service or "platform") == found.service:
            return it
    raise RequestFault(
        f"There is no objective {request.slo!r} of {request.scope.service or 'platform'!r}: "
        "it may have been removed. Choose one from the list.",
        404,
    )


def _option_order(judgement: Judgement) -> tuple[str, str, str]:
    found = judgement.objective
    return found.service, found.slo, where(found)


def _option(judgement: Judgement, chosen: Judgement | None) -> Option:
    found = judgement.objective
    value = urlencode({"slo": found.slo, "service": found.service, "where": where(found)})
    return Option(value, f"{subject(found)} · {found.slo}", chosen is not None and chosen.objective == found)


def _tiles(judgement: Judgement, days: Sequence[Day]) -> tuple[Tile, ...]:
    objective = judgement.objective
    bad, total = sum(it.counts.bad for it in days), sum(it.counts.total for it in days)
    left = 1 - Fraction(bad, total) / objective.budget if total > 0 else None
    allowance = objective.allowance
    sli = 1 - Fraction(bad, total) if total > 0 and not allowance else None
    state = NO_DATA if left is None else mark("ok" if left > 0 else "crit", "kept" if left > 0 else "missed")
    budget, budget_unit = percent_split(left, 1)
    value, unit = (str(bad), "restarts") if allowance and total > 0 else percent_split(sli)
    return (
        Tile(
            "sli", state, "Counted" if allowance else "SLI of the period", value, unit, objective.target_text, "#days"
        ),
        Tile("left", state, "Budget left", budget, budget_unit, "of what the period allows", "#days"),
        Tile("bad", state, "Bad", counted(bad, objective) if total > 0 else "no data", "", "", "#days"),
        Tile("total", state, "Total", exposure(total, objective) if total > 0 else "no data", "", "", "#days"),
    )


def counted(bad: int, objective: Objective) -> str:
    """Bad events in their unit."""
    indicator, scale = objective.indicator, unit(objective)
    if scale is not None:
        what = "" if objective.slices is None else " slices"
        return f"{number(Fraction(bad, scale), 3)}{what}"
    if isinstance(indicator, EventRatio) and indicator.scale == 1000:
        return duration(bad)
    return f"{bad} min" if isinstance(indicator, MinuteSlices) else f"{bad:,}".replace(",", " ")


def exposure(total: int, objective: Objective) -> str:
    """Total events in their unit."""
    if objective.allowance:
        return duration(total)
    return counted(total, objective)


def _row(day: Day, objective: Objective) -> DayRow:
    state = _day_mark(day)
    spent = "–" if day.spent is None else percent(day.spent, 1)
    coverage = day.counts.coverage
    return DayRow(
        day=day.day,
        mark=state,
        sli=_sli(day, objective),
        bad=counted(day.counts.bad, objective) if day.counts.total > 0 else "–",
        total=exposure(day.counts.total, objective) if day.counts.total > 0 else "–",
        spent=spent,
        left="–" if day.left is None else percent(day.left, 1),
        coverage="no data" if coverage is None else percent(coverage, 1),
        meter=Meter(None if day.spent is None else float(day.spent), state, f"budget spent on {day.day}"),
    )


def _sli(day: Day, objective: Objective) -> str:
    if objective.allowance and day.counts.total > 0:
        per_hour = Fraction(day.counts.bad * 3_600_000, day.counts.total)
        return f"{number(per_hour, 3)} per instance-hour"
    return " ".join(percent_split(day.sli)).strip()


def _day_mark(day: Day) -> Mark:
    coverage = day.counts.coverage
    if coverage is None or coverage < COVERAGE_FLOOR:
        return mark("unmeasured", "no data" if not coverage else "in part")
    if day.counts.total <= 0 or day.left is None:
        return mark("quiet")
    return mark("crit", "over") if day.left < 0 else mark("ok")


def _line(days: Sequence[Day]) -> tuple[str, str, str, float | None]:
    """(low, high, path, height of zero) of what is left of the budget."""
    values = [None if it.left is None else float(it.left) for it in days]
    known = [value for value in values if value is not None]
    if not known:
        return "", "", "", None
    low, high = min(0.0, *known), 1.0
    zero_y = round(LINE_HEIGHT * (1 - (0.0 - low) / (high - low)), 1)
    path = svg.line(values, LINE_WIDTH, LINE_HEIGHT, low, high)
    return f"{low * 100:.0f} %", "100 %", path, zero_y


def _note(desk: Desk, chosen: Judgement | None, days: Sequence[Day]) -> str:
    if chosen is None:
        return "Choose an objective and a period. Days are days in UTC."
    if chosen.objective.unmeasurable is not None:
        return f"Nothing measures this objective: {chosen.objective.unmeasurable}"
    if not days:
        return "Nothing was measured in this period."
    first = days[0].counts.first_ms
    begin = f" History begins at {stamp(first, day=True)} UTC." if first and first > _period(desk)[0] else ""
    return f"Days are days in UTC; the budget is what the whole period allows.{begin}"

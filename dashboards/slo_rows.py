"""Judgements as rows: the burn table, budget cells, and what is not measured and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Protocol
from urllib.parse import quote, urlencode

from dashboards import svg
from dashboards.desk import PLATFORM, Desk
from dashboards.marks import RANK, Mark, mark, of_judgement
from dashboards.model import BurnLine
from dashboards.page_views import BudgetCell, Unmeasured
from dashboards.request import DAY_MS, HOUR_MS, MINUTE_MS
from dashboards.text import NO_DATA, duration, number, percent, percent_split, times
from dashboards.views import BurnCell, Meter, SloRow
from slo.model import EventRatio, Judgement, Labels, MinuteSlices, Objective, RowResult, TakenOut, unit
from slo.rows import WORKBOOK
from slo.wording import by_a_part

MOST_COLUMNS = 12
Columns = tuple[tuple[str, str], ...]
"""(row, its long window) of each column of burn rates."""
SPARK_COLUMNS = 40
SPARK_WIDTH, SPARK_HEIGHT = 86, 26
LEAST_LEFT = Fraction(-999, 100)
"""A budget that is overspent further than this is not told to the percent."""
FAR_MS = 120 * DAY_MS
"""A budget that lasts longer than this is not forecast to the day."""


class _Keyed(Protocol):
    """What carries the identity of an objective."""

    @property
    def slo(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def scope(self) -> Labels: ...


_Key = tuple[str, str, tuple[tuple[str, str], ...]]


def subject(objective: Objective) -> str:
    """Whom an objective concerns, in words: `shop/api`, `node n1`, `registry r:5000`."""
    if objective.service != PLATFORM or not objective.scope:
        return objective.service
    return ", ".join(f"{name} {value}" for name, value in objective.scope)


def where(objective: Objective) -> str:
    """The objective's further identity as the parameter `where` says it."""
    return ",".join(f"{name}={value}" for name, value in objective.scope)


def report_href(objective: Objective) -> str:
    """The address of the objective's report."""
    given = {"slo": objective.slo, "service": objective.service, "where": where(objective)}
    return f"/reports?{urlencode({name: value for name, value in given.items() if value})}"


def objective_href(objective: Objective) -> str:
    """The address of the objective's own page."""
    return _objective_href(objective.slo, objective.service, where(objective))


def _objective_href(slo: str, service: str, further: str) -> str:
    given = {"slo": slo} | ({"where": further} if further else {})
    path = service_href(service)
    return f"{path}{'&' if '?' in path else '?'}{urlencode(given)}"


def try_href(objective: Objective) -> str:
    """The address where the objective is tried over history."""
    given = {"slo": objective.slo, "service": objective.service, "where": where(objective)}
    return f"/slo/backtest?{urlencode({name: value for name, value in given.items() if value}, errors='replace')}"


def service_href(service: str) -> str:
    """The address of a service's objectives; a name that no path can carry stands in the query."""
    taken = service == "backtest"  # a page of its own
    if taken or any(part in ("", ".", "..") for part in service.split("/")) or "\\" in service:
        return f"/slo?{urlencode({'service': service}, errors='replace')}"
    return f"/slo/{quote(service, safe='/', errors='replace')}"


def href_of_key(key: _Keyed) -> str:
    """The same of what is known by its identity alone."""
    return _objective_href(key.slo, key.service, ",".join(f"{name}={value}" for name, value in key.scope))


def subject_of_key(key: _Keyed) -> str:
    """Whom it concerns, in words."""
    if key.service != PLATFORM or not key.scope:
        return key.service
    return ", ".join(f"{name} {value}" for name, value in key.scope)


def by_gravity(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Worst first: by state, then by what is left of the budget, then by the fast burn."""
    return sorted(judgements, key=_gravity)


def _gravity(judgement: Judgement) -> tuple[int, Fraction, str, str]:
    left = judgement.budget_remaining
    rank = RANK[of_judgement(judgement).level]
    return rank, Fraction(2) if left is None else left, judgement.objective.service, judgement.objective.slo


def burn_columns(judgements: Sequence[Judgement]) -> Columns:
    """The rows of the burn table by which these are judged, each with the longest of its long windows.

    Objectives with short windows have shorter ones, which their cells tell. Conditions of policies have no column.
    """
    found: dict[str, int] = {}
    for row in (it.row for judgement in judgements for it in judgement.rows if it.row.op is None):
        found[row.name] = max(row.long_ms, found.get(row.name, 0))
    found = found or {row.name: row.long_ms for row in WORKBOOK}
    return tuple((name, duration(ms)) for name, ms in list(found.items())[:MOST_COLUMNS])


def slo_rows(desk: Desk, judgements: Sequence[Judgement]) -> tuple[SloRow, ...]:
    """Rows of the burn table, worst first, each with its burn over the page's range."""
    grid = desk.settled.window(desk.now_ms, SPARK_COLUMNS, 3 * desk.status.interval_ms)
    lines = desk.source.burn_history(grid.since_ms, grid.until_ms, grid.step_ms)
    history = {(it.slo, it.service, it.scope): it for it in lines}
    columns = burn_columns(judgements)
    return tuple(slo_row(desk, it, _line(it, history), columns) for it in by_gravity(judgements))


def _line(judgement: Judgement, history: Mapping[_Key, BurnLine]) -> BurnLine | None:
    objective = judgement.objective
    return history.get((objective.slo, objective.service, objective.scope))


def slo_row(desk: Desk, judgement: Judgement, line: BurnLine | None, columns: Columns) -> SloRow:
    """One row; `line` is how it burnt over the page's range."""
    objective, state = judgement.objective, of_judgement(judgement)
    out, out_title = runs_out(judgement)
    left = judgement.budget_remaining
    return SloRow(
        key=f"{objective.slo} {subject(objective)}",
        mark=state,
        subject=subject(objective),
        slo=objective.slo,
        title=objective.title,
        href=drill(desk, objective),
        page_href=objective_href(objective),
        sli=sli_text(judgement),
        target=short_target(objective),
        budget=budget_meter(left, state, f"{objective.slo} of {subject(objective)}: budget left"),
        budget_text=_left_text(left, state),
        burns=tuple(_cell(name, usual, judgement) for name, usual in columns),
        spark=svg.spark(line.values if line else (), SPARK_WIDTH, SPARK_HEIGHT, base=1.0),
        runs_out=out,
        runs_out_title=out_title,
        coverage="–" if judgement.coverage is None else percent(judgement.coverage, 0),
        coverage_low=judgement.coverage is not None and judgement.coverage < Fraction(9, 10),
        reason=judgement.reason,
        note=objective.note,
        taken_out=taken_text(judgement),
        taken_out_title=taken_title(judgement),
    )


def drill(desk: Desk, objective: Objective) -> str:
    """Where to look at the objective's subject more closely."""
    if objective.service != PLATFORM:
        return desk.request.link("debug", service=objective.service)
    ids = dict(objective.scope)
    node = ids.get("node_id") or ids.get("node")
    return desk.request.link("debug", service=None, node=node)


def sli_text(judgement: Judgement) -> str:
    """The SLI, or for an allowance the rate per instance-hour; `no data` where there is none to be had."""
    counts = judgement.counts
    if judgement.objective.members and judgement.sli is None and judgement.budget_remaining is not None:
        return "no SLI"
    if judgement.objective.allowance:
        return f"{_three(Fraction(counts.bad * HOUR_MS, counts.total))} / h" if counts.total > 0 else "no data"
    return " ".join(percent_split(judgement.sli)).strip()


def _three(value: Fraction) -> str:
    """About three digits."""
    return number(value, 3 if value < 1 else 1 if value < 100 else 0)


def _left_text(left: Fraction | None, state: Mark) -> str:
    if left is None:
        return NO_DATA
    if not state.known:
        return "–"
    if left < LEAST_LEFT:
        return f"< {percent(LEAST_LEFT, 0)}"
    return percent(left, 0 if abs(left) >= Fraction(1, 100) else 2)


def short_target(objective: Objective) -> str:
    """The target, short: an allowance as its number alone, a composite without the names of its members."""
    if objective.allowance:
        return number(objective.budget * HOUR_MS, 3)
    return "its members" if objective.members else objective.target_text


def budget_mark(left: Fraction | None, state: Mark) -> Mark:
    """What the budget's bar says: hollow where the state is, else by what is left."""
    if left is None or not state.known:
        return state if not state.known else mark("unmeasured", "no data")
    return mark("crit" if left <= 0 else "warn" if left < Fraction(1, 4) else "ok")


def budget_meter(left: Fraction | None, state: Mark, label: str) -> Meter:
    """A bar of the budget that is left."""
    return Meter(None if left is None or not state.known else float(left), budget_mark(left, state), label)


def _cell(name: str, usual: str, judgement: Judgement) -> BurnCell:
    result = next((it for it in judgement.rows if it.row.name == name), None)
    if result is None:
        return BurnCell("–", "", "not measured", mark("unmeasured"))
    window = "" if duration(result.row.long_ms) == usual else _brief(result.row.long_ms)
    return BurnCell(times(result.long_burn), window, _cell_title(result), cell_mark(result))


def _brief(ms: int) -> str:
    """A duration in one unit: `84 min`, `16.8 h`, `10.4 d`."""
    unit_ms, unit = (DAY_MS, "d") if ms > 2 * DAY_MS else (HOUR_MS, "h") if ms >= 2 * HOUR_MS else (MINUTE_MS, "min")
    return f"{number(Fraction(ms, unit_ms), 0 if unit == 'min' and ms >= 10 * MINUTE_MS else 1)} {unit}"


def _cell_title(result: RowResult) -> str:
    row = result.row
    unknown = "" if result.measured else "; too little was observed to tell"
    few = "; too few bad events for a page" if result.guarded else ""
    return (
        f"{times(result.long_burn)} over {duration(row.long_ms)}, {times(result.short_burn)} over "
        f"{duration(row.short_ms)}; fires above {times(row.factor)} as a {row.road}{unknown}{few}{by_a_part(result)}"
    )


def cell_mark(result: RowResult) -> Mark:
    """What a burn row says now."""
    if result.fired:
        return mark("crit" if result.row.road == "page" and not result.guarded else "warn", "fires")
    if not result.measured:
        return mark("unmeasured")
    return mark("ok") if result.long_burn is not None else mark("quiet")


_ENDINGS = {
    "tail": "at the burn that both windows of the fastest row show, with what leaves the window meanwhile",
    "clean-tail": "at the burn that both windows of the fastest row show, as if nothing bad left the window meanwhile",
    "calendar": "at the burn that both windows of the fastest row show, within the present period",
    None: "at the burn that both windows of the fastest row show",
}
"""By the formula that was used."""


def runs_out(judgement: Judgement) -> tuple[str, str]:
    """(when the budget is gone, what that rests on), in words."""
    left, at_ms = judgement.budget_remaining, judgement.exhausted_at_ms
    if left is None or not of_judgement(judgement).known:
        return "–", judgement.reason
    if left <= 0:
        return "spent", "the budget is spent already"
    if at_ms is None:
        return "holds", "the present burn does not use the budget up"
    rest = at_ms - judgement.at_ms
    return ("> 120 d" if rest > FAR_MS else _brief(rest)), _ENDINGS[judgement.ending]


def budget_cell(desk: Desk, judgement: Judgement) -> BudgetCell:
    """How much of the budget is consumed, which may be more than all of it."""
    left, state = judgement.budget_remaining, of_judgement(judgement)
    title = f"{judgement.objective.title}: {judgement.reason}"
    if left is None or not state.known:
        text, share = state.word, None
    else:
        share = float(1 - left)
        text = percent(1 - left, 0 if 1 - left >= Fraction(1, 100) or left == 1 else 1)
        text = text if left >= LEAST_LEFT else f"> {percent(1 - LEAST_LEFT, 0)}"
    meter = Meter(share, budget_mark(left, state), f"{judgement.objective.slo}: budget consumed")
    return BudgetCell(state, meter, text, title, objective_href(judgement.objective))


def unmeasured(judgements: Sequence[Judgement]) -> tuple[Unmeasured, ...]:
    """What is neither good nor bad, with its reason."""
    hollow = [it for it in by_gravity(judgements) if not of_judgement(it).known]
    return tuple(
        Unmeasured(subject(it.objective), it.objective.slo, of_judgement(it), it.reason, objective_href(it.objective))
        for it in hollow
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


MOST_TOLD = 5
"""Adjustments of one objective that are told singly."""


def taken_text(judgement: Judgement) -> str:
    """How much time was taken out of the objective's window, `2 h taken out`; empty where none was."""
    taken_ms = sum(it.ms for it in judgement.taken_out)
    return f"{duration(taken_ms)} taken out" if taken_ms else ""


def taken_title(judgement: Judgement) -> str:
    """Each adjustment with what it took out, why, and who made it; those that took the most first."""
    found = sorted(judgement.taken_out, key=lambda it: -it.ms)
    more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    return "; ".join(_taken(it, judgement.objective) for it in found[:MOST_TOLD]) + more


def _taken(it: TakenOut, of: Objective) -> str:
    return f"{duration(it.ms)} taken out, {counted(it.bad, of)} bad of {exposure(it.total, of)}: {it.reason} ({it.by})"

"""The executive page: what was promised, what was kept, what is left of every budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from dashboards import incident_rows
from dashboards.desk import PLATFORM, Desk, frame
from dashboards.marks import NO_DATA, RANK, Mark, mark, of_judgement, worst
from dashboards.page_views import BudgetRow, ExecutiveView, IncidentRow
from dashboards.panels import PanelLine, Threshold, TimePanel
from dashboards.request import Window
from dashboards.slo_rows import LEAST_LEFT, budget_cell, by_gravity, subject, unmeasured
from dashboards.text import coarse, duration, percent_split
from dashboards.views import Tile
from slo.burndown import burn_down
from slo.model import Judgement, Objective
from slo.slices import Timeslices

COLUMNS = (
    ("request-availability", "Requests"),
    ("request-latency", "Latency"),
    ("container-up", "Containers"),
    ("restart-rate", "Restarts"),
    ("image-pull-success", "Pulls"),
    ("cold-start", "Cold start"),
    ("build-time", "Builds"),
)
"""The columns of the budget table: application objectives in the order in which users feel them."""
PLATFORM_SLOS = ("node-disk", "cpu-steal", "registry-latency", "vulnerabilities")
MOST_LINES = 6
BURN_DOWN_COLUMNS = 120


class Pool(NamedTuple):
    """One indicator over all services: their counts added up, ratios are never averaged."""

    ratio: Fraction | None
    mark: Mark
    measured: int
    of: int
    window_ms: int | None
    """The longest of their windows."""


def executive(desk: Desk) -> ExecutiveView:
    """The executive page's view."""
    incidents = incident_rows.rows(desk.source.incidents(desk.now_ms), desk.source.silences(desk.now_ms), desk.now_ms)
    panel, note = burn_down_panel(desk)
    return ExecutiveView(
        frame=frame(desk, "Executive", "executive"),
        tiles=_tiles(desk, incidents),
        burn_down=panel,
        burn_down_note=note,
        budget_columns=tuple(name for _, name in COLUMNS),
        budgets=budgets(desk),
        incidents=incidents,
        unmeasured=unmeasured(desk.judgements),
    )


def pool(judgements: Sequence[Judgement], slo: str) -> Pool:
    """The pooled indicator `slo`: 1 - sum of bad / sum of total over the services that have counts."""
    mine = [it for it in judgements if it.objective.slo == slo]
    counted = [it for it in mine if it.sli is not None]
    total = sum(it.counts.total for it in counted)
    bad = sum(it.counts.bad for it in counted)
    known = [found for it in mine if (found := of_judgement(it)).known]
    return Pool(
        ratio=1 - Fraction(bad, total) if total > 0 else None,
        mark=_pooled(known, mine) if total > 0 and known else _hollow(mine),
        measured=len(known),
        of=len(mine),
        window_ms=max((it.objective.window_ms for it in mine), default=None),
    )


def _pooled(known: list[Mark], judgements: Sequence[Judgement]) -> Mark:
    """The gravest of what is known; not green where some of it is unmeasured."""
    found = worst(known)
    blind = any(of_judgement(it).level == "unmeasured" for it in judgements)
    return mark("part") if found.level == "ok" and blind else found


def _hollow(judgements: Sequence[Judgement]) -> Mark:
    return worst([of_judgement(it) for it in judgements]) if judgements else NO_DATA


def _tiles(desk: Desk, incidents: Sequence[IncidentRow]) -> tuple[Tile, ...]:
    judged = desk.judgements
    return (
        _pool_tile(desk, "requests", "Requests served", pool(judged, "request-availability")),
        _pool_tile(desk, "containers", "Containers up", pool(judged, "container-up")),
        _met_tile(desk),
        _least_tile(desk),
        incidents_tile(desk, incidents),
        _hollow_tile(judged),
    )


def _pool_tile(desk: Desk, key: str, label: str, pooled: Pool) -> Tile:
    value, unit = percent_split(pooled.ratio)
    span = f", {duration(pooled.window_ms)}" if pooled.window_ms else ""
    detail = f"{pooled.measured} of {pooled.of} services measured" if pooled.of else "no service has this objective"
    return Tile(key, pooled.mark, f"{label}{span}", value, unit, detail, desk.request.link("oncall"))


def _met_tile(desk: Desk) -> Tile:
    known = [it for it in desk.judgements if of_judgement(it).known]
    met = sum(it.budget_remaining is not None and it.budget_remaining > 0 for it in known)
    if not known:
        return Tile("met", NO_DATA, "Objectives met", "no data", "", "none is measured yet", "#budgets")
    missed, partly = len(known) - met, sum(it.in_part for it in known)
    state = mark("crit" if missed else "part" if partly else "ok")
    detail = f"{missed} over budget" if missed else "" if partly else "all that are measured"
    detail += f"{' · ' if missed else ''}{partly} {'in part' if missed else 'measured in part'}" if partly else ""
    return Tile("met", state, "Objectives met", str(met), f"of {len(known)}", detail, "#budgets")


def _least_tile(desk: Desk) -> Tile:
    known = [it for it in desk.judgements if it.budget_remaining is not None and of_judgement(it).known]
    label = "Least budget left"
    if not known:
        return Tile("least", NO_DATA, label, "no data", "", "no budget is measured yet", "#budgets")
    least = min(known, key=lambda it: it.budget_remaining or Fraction(0))
    left = least.budget_remaining or Fraction(0)
    value, unit = percent_split(max(left, LEAST_LEFT), 0 if abs(left) >= Fraction(1, 100) else 2)
    state = mark("crit" if left <= 0 else "warn" if left < Fraction(1, 4) else "part" if least.in_part else "ok")
    return Tile(
        "least",
        state,
        label,
        f"< {value}" if left < LEAST_LEFT else value,
        unit,
        f"{subject(least.objective)} · {least.objective.slo}",
        "#budgets",
    )


def incidents_tile(desk: Desk, incidents: Sequence[IncidentRow]) -> Tile:
    """How many incidents are open; without a judgement nobody can say that there is none."""
    pages = sum(it.road == "page" for it in incidents)
    unacked = sum(it.acknowledged is None for it in incidents)
    label, href = "Active incidents", "#incidents"
    if not incidents and desk.status.evaluated_ms is None:
        return Tile("firing", NO_DATA, label, "no data", "", "nothing was judged yet", href)
    detail = f"{pages} page{'s' * (pages != 1)} · {unacked} unacknowledged" if incidents else "nothing is firing"
    state = mark("crit" if pages else "warn" if incidents else "ok")
    return Tile("firing", state, label, str(len(incidents)), "", detail, href)


def _hollow_tile(judgements: Sequence[Judgement]) -> Tile:
    words = Counter(found.word for it in judgements if not (found := of_judgement(it)).known)
    count = sum(words.values())
    detail = " · ".join(f"{number} {word}" for word, number in words.most_common()) or "everything is measured"
    state = mark("unmeasured" if count else "ok", None if count else "all measured")
    if not judgements:
        return Tile("hollow", NO_DATA, "Not measured", "no data", "", "no objective exists yet", "#unmeasured")
    return Tile("hollow", state, "Not measured", str(count), f"of {len(judgements)}", detail, "#unmeasured")


def budgets(desk: Desk) -> tuple[BudgetRow, ...]:
    """What each service has consumed of each of its budgets, the gravest service first."""
    names = sorted({it.objective.service for it in desk.judgements} - {PLATFORM})
    found = [_budget_row(desk, name) for name in names]
    return tuple(sorted(found, key=lambda it: (RANK[it.mark.level], it.subject)))


def _budget_row(desk: Desk, service: str) -> BudgetRow:
    mine = {it.objective.slo: it for it in desk.judgements if it.objective.service == service}
    return BudgetRow(
        subject=service,
        href=desk.request.link("oncall", service=service),
        mark=worst([of_judgement(it) for it in mine.values()]),
        cells=tuple(budget_cell(desk, mine[slo]) if slo in mine else None for slo, _ in COLUMNS),
    )


def burn_down_panel(desk: Desk) -> tuple[TimePanel, str]:
    """The budgets that are the most consumed over time, and the sentence that says where history begins."""
    chosen = [it for it in by_gravity(desk.judgements) if it.budget_remaining is not None and it.state != "learning"]
    chosen = chosen[:MOST_LINES]
    grid = _since_first_sample(desk)
    lines = _now_only(chosen) if desk.tail else _history(desk, chosen, grid)
    spent = any(value is not None and value < 0 for it in lines for value in it.values)
    panel = TimePanel(
        key="burndown",
        title="Error budget left",
        sub=f"the most consumed{', cut off at −100 %' if spent else ''}",
        unit="%",
        window=grid,
        lines=tuple(lines),
        absent="No budget is measured yet: a burn-down begins with the first sample of an objective.",
        thresholds=(Threshold(0.0, "budget spent"),) if spent else (),
        top=100.0,
        bottom=-100.0 if spent else 0.0,
        judged=True,
    )
    return panel, _begins(desk, chosen)


def _begins(desk: Desk, chosen: Sequence[Judgement]) -> str:
    first = min((it.since_ms for it in chosen if it.since_ms is not None), default=None)
    if first is None:
        return "No history yet."
    age = desk.now_ms - first
    if any(age < it.objective.window_ms for it in chosen):
        return f"History begins {coarse(age)} ago, with the first sample: what was before is not known."
    return "The whole window is known."


def _since_first_sample(desk: Desk) -> Window:
    """The page's range, without the time before anything was known."""
    grid = desk.window(BURN_DOWN_COLUMNS)
    if desk.tail:
        return Window(grid.until_ms - grid.step_ms, grid.until_ms, grid.step_ms)
    first = desk.status.first_sample_ms
    if first is None or not desk.request.live:
        return grid
    return Window(max(grid.since_ms, first // grid.step_ms * grid.step_ms), grid.until_ms, grid.step_ms)


def _label(objective: Objective) -> str:
    return f"{subject(objective)} {objective.slo}"


def _now_only(chosen: Sequence[Judgement]) -> list[PanelLine]:
    """For a live update the last point alone, which is what the judgement says."""
    return [PanelLine(_label(it.objective), _label(it.objective), (_left(it),)) for it in chosen]


def _left(judgement: Judgement) -> float | None:
    left = judgement.budget_remaining
    return None if left is None or not of_judgement(judgement).known else float(left * 100)


def _history(desk: Desk, chosen: Sequence[Judgement], grid: Window) -> list[PanelLine]:
    """One line per objective: its own window up to the graph's begin is one slice, then one slice per column."""
    by_window: dict[int, list[Judgement]] = {}
    for judgement in chosen:
        by_window.setdefault(judgement.objective.window_ms, []).append(judgement)
    found: Mapping[str, PanelLine] = {
        line.key: line for window_ms, group in by_window.items() for line in _lines(desk, group, window_ms, grid)
    }
    return [found[_label(it.objective)] for it in chosen]


def _lines(desk: Desk, group: Sequence[Judgement], window_ms: int, grid: Window) -> list[PanelLine]:
    begin = max(0, desk.now_ms - window_ms)
    ends = [min(edge, desk.now_ms) for edge in grid.edges_ms[1:]]
    edges = sorted({begin, *(edge for edge in (grid.since_ms, *ends) if begin < edge)})
    counted = desk.source.steps([it.objective for it in group], edges)
    found = []
    for judgement, steps in zip(group, counted, strict=True):
        whole = judgement.counts.total if isinstance(judgement.objective.slices, Timeslices) else None
        line = burn_down(steps, judgement.objective.budget, total=whole)
        left = {point.at_ms: point.remaining for point in line.points}
        known = of_judgement(judgement).known
        points = [left.get(end) if known or end < desk.now_ms else None for end in ends]
        values = tuple(None if point is None else float(point * 100) for point in points)
        found.append(PanelLine(_label(judgement.objective), _label(judgement.objective), values))
    return found

"""The page of one objective: how its budget went down, which rows burn, how its state went, and what spent it."""

from __future__ import annotations

from fractions import Fraction
from typing import Final
from urllib.parse import urlencode

from dashboards.desk import PLATFORM, Desk, frame
from dashboards.errors import RequestFault
from dashboards.marks import NO_DATA, Mark, mark, of_judgement
from dashboards.reporting import incidents_of, key_of, report
from dashboards.slo_parts import change_rows, share_rows, share_text, worst_rows
from dashboards.slo_rows import (
    LEAST_LEFT,
    budget_mark,
    cell_mark,
    counted,
    exposure,
    report_href,
    runs_out,
    service_href,
    sli_text,
    subject,
    taken_title,
    try_href,
    where,
)
from dashboards.slo_views import BurnLineRow, Link, ObjectiveView, TakenRow
from dashboards.text import duration, percent, percent_split, stamp, times
from dashboards.timeline import Plot, burn_down_plot, strip
from dashboards.views import Tile
from slo.burndown import BurnDownPoint, burn_down
from slo.definition import BUILT_IN, definition
from slo.ending import fastest, present_burn
from slo.model import Counts, Judgement, Objective, RowResult, TakenOut
from slo.report import Report
from slo.report_spans import Span
from slo.slices import Timeslices
from slo.wording import by_a_part

COLUMNS: Final = 180
MOST_POINTS: Final = 50_000
MINUTE_MS: Final = 60_000
JUDGED_MS: Final = 2 * MINUTE_MS
"""Judgements are stored each minute."""
MOST_INCIDENTS: Final = 20
MOST_TAKEN: Final = 20


def chosen(desk: Desk) -> Judgement:
    """The objective that the request names; raises RequestFault where there is none."""
    request = desk.request
    services = (request.scope.service,) if request.scope.service else (PLATFORM, "")
    for it in desk.source.judgements():
        found = it.objective
        if (found.slo, where(found)) == (request.slo, request.where) and found.service in services:
            return it
    raise RequestFault(
        f"There is no objective {(request.slo or '')[:80]!r} of {(request.scope.service or PLATFORM)[:80]!r}: "
        "it may have been removed. Choose one from the list.",
        404,
    )


def objective(desk: Desk) -> ObjectiveView:
    """The view; raises RequestFault for an objective that there is not."""
    judgement = chosen(desk)
    found, now_ms = judgement.objective, desk.now_ms
    since = now_ms - found.window_ms
    told = report(desk.source, found, desk.source.judgements(), Span("", since, now_ms, "UTC"))
    incidents = incidents_of(desk.source, found, since, now_ms)[:MOST_INCIDENTS]
    begin = _begin(desk, judgement)
    plot, note = _plot(desk, judgement, begin)
    promise = definition(found)
    return ObjectiveView(
        frame=frame(desk, f"{found.slo} of {subject(found)}", "slo", ranges=False),
        title=found.title,
        subject=subject(found),
        subject_href=service_href(found.service),
        slo=found.slo,
        mark=of_judgement(judgement),
        reason=judgement.reason,
        note=found.note,
        facts=(
            *((name, text) for name, text in promise._asdict().items() if text and name != "budget"),
            *((("costs no budget", taken_title(judgement)),) if judgement.taken_out else ()),
        ),
        links=_links(desk, found),
        tiles=_tiles(judgement),
        plot=plot,
        plot_note=note,
        window=_window(found),
        strip=strip(desk.source.runs(begin, now_ms, found.service, found.slo).get(key_of(found), ()), begin, now_ms),
        rows=tuple(_burn_row(it, found) for it in judgement.rows),
        incidents=share_rows(desk, told, incidents),
        elsewhere="" if told.elsewhere is None else share_text(told.elsewhere),
        worst=worst_rows(told),
        worst_note=_worst_note(told),
        changes=change_rows([it for it in desk.source.changes(0, now_ms, 100, found.service, found.slo)
                             if it.scope == found.scope]),
        taken=tuple(_taken(it, found) for it in sorted(judgement.taken_out, key=lambda it: -it.ms)[:MOST_TAKEN]),
        backtest=None if promise.source == BUILT_IN else f"midwatch slo backtest {promise.source} --since 30d",
    )  # fmt: skip


def _taken(it: TakenOut, objective: Objective) -> TakenRow:
    counts = f"{counted(it.bad, objective)} bad of {exposure(it.total, objective)}"
    return TakenRow(it.reason, it.by, duration(it.ms), counts)


def _window(objective: Objective) -> str:
    if objective.whole_ms is None:
        return f"the last {duration(objective.window_ms)}"
    return f"{duration(objective.window_ms)} of the period's {duration(objective.whole_ms)}"


def _begin(desk: Desk, judgement: Judgement) -> int:
    """Where pictures of the window begin: with history, where that is younger."""
    return max(desk.now_ms - judgement.objective.window_ms, judgement.since_ms or 0)


def _plot(desk: Desk, judgement: Judgement, begin_ms: int) -> tuple[Plot | None, str]:
    """The burn-down over the window; of a composite from what was judged of it."""
    found, now_ms = judgement.objective, desk.now_ms
    if found.unmeasurable is not None:
        return None, f"Nothing measures this objective: {found.unmeasurable}"
    if found.members and not isinstance(found.slices, Timeslices):
        points, note = _judged_points(desk, found, begin_ms), "As it was judged: a composite counts nothing itself."
    else:
        columns = _columns(begin_ms, now_ms, MINUTE_MS if found.slices is None else found.slices.slice_ms)
        edges = [begin_ms + (now_ms - begin_ms) * it // columns for it in range(columns + 1)]
        whole = judgement.counts.total if isinstance(found.slices, Timeslices) else None
        points, note = burn_down(desk.source.steps([found], edges)[0], found.budget, total=whole).points, ""
    if not any(it.remaining is not None for it in points):
        return None, "No budget was measured in this window yet."
    if begin_ms > now_ms - found.window_ms:
        note = f"{note} History begins at {stamp(begin_ms, day=True)} UTC.".strip()
    return burn_down_plot(points, begin_ms, now_ms), note


def _judged_points(desk: Desk, objective: Objective, since_ms: int) -> tuple[BurnDownPoint, ...]:
    """What was left at the last judgement of each column; nothing is known of a column without one."""
    columns = _columns(since_ms, desk.now_ms, JUDGED_MS)
    span = max(1, desk.now_ms - since_ms)
    last: dict[int, Fraction | None] = {}
    for it in desk.source.points(key_of(objective), since_ms, desk.now_ms, MOST_POINTS):
        known = it.remaining is not None and it.state not in ("unmeasured", "learning")
        last[(it.at_ms - since_ms - 1) * columns // span] = Fraction(it.remaining or 0) if known else None
    return tuple(BurnDownPoint(since_ms + (at + 1) * span // columns, last.get(at)) for at in range(-1, columns))


def _columns(since_ms: int, until_ms: int, least_ms: int) -> int:
    """How many columns a picture has, each at least so long that something is counted or judged in it."""
    return max(1, min(COLUMNS, (until_ms - since_ms) // least_ms))


def _links(desk: Desk, objective: Objective) -> tuple[Link, ...]:
    report = f"{report_href(objective)}&{urlencode({'range': '30d'})}"
    found = [
        Link("Try", try_href(objective)), Link("Report", report), Link("Adjustments", "/adjustments"),
        Link("Runbook", "/runbooks/slo-burn"),
    ]  # fmt: skip
    if objective.service == PLATFORM:
        ids = dict(objective.scope)
        node = ids.get("node_id") or ids.get("node")
        return (*found, Link("Debug", desk.request.link("debug", service=None, node=node))) if node else tuple(found)
    link = desk.request.link
    return (
        *found, Link("On-call", link("oncall", service=objective.service)),
        Link("Debug", link("debug", service=objective.service)),
    )  # fmt: skip


def _tiles(judgement: Judgement) -> tuple[Tile, ...]:
    it, state = judgement.objective, of_judgement(judgement)
    calm = budget_mark(judgement.budget_remaining, state)
    coverage = judgement.coverage
    covered = NO_DATA if coverage is None else mark("ok" if coverage >= Fraction(9, 10) else "unmeasured", "in part")
    left, unit = _left(judgement, state)
    return (
        _sli_tile(judgement, calm),
        Tile("left", calm, "Budget left", left, unit, _spent(judgement), "#burndown"),
        *_burn_tiles(judgement, state),
        Tile("covered", covered, "Observed", *percent_split(coverage, 1),
             f"of {duration(judgement.counts.expected_ms)}", "#states"),
        *(() if it.members else _bad_tile(judgement, calm)),
    )  # fmt: skip


def _bad_tile(judgement: Judgement, calm: Mark) -> tuple[Tile]:
    """What was counted."""
    it, counts = judgement.objective, judgement.counts
    if counts.total <= 0:
        return (Tile("bad", calm, "Bad of all", "no data", "", "nothing counted", "#worst"),)
    return (Tile("bad", calm, "Bad of all", counted(counts.bad, it), "", f"of {exposure(counts.total, it)}", "#worst"),)


def _burn_tiles(judgement: Judgement, state: Mark) -> tuple[Tile, Tile]:
    """How fast it burns, and when it is gone at that."""
    burn = present_burn(judgement.rows) if judgement.rows else None
    out, out_title = runs_out(judgement)
    fast = min((it.row for it in judgement.rows if it.row.op is None), key=lambda it: it.short_ms, default=None)
    of = "" if fast is None else f"the lower of {duration(fast.long_ms)} and {duration(fast.short_ms)}"
    quiet = bool(judgement.rows) and fastest(judgement.rows).measured
    none = "no traffic" if quiet else "no data"
    value, unit = (none, "") if burn is None else (times(burn).rstrip("×"), "×")
    detail = out_title if burn is None or out in ("–", "spent") else f"at {times(burn)} from now on"
    detail = "not at the present burn" if out == "holds" else detail
    return (
        Tile("burn", state, "Burn now", value, unit, of, "#rows"),
        Tile("out", state, "Runs out", out, "", detail, "#burndown"),
    )


def _sli_tile(judgement: Judgement, state: Mark) -> Tile:
    it = judgement.objective
    if it.allowance or (it.members and judgement.sli is None):
        value, unit = ("no SLI", "") if it.members else (sli_text(judgement), "")
        return Tile("sli", state, "Composite" if it.members else "Rate", value, unit, it.target_text, "#promise")
    value, unit = percent_split(judgement.sli)
    return Tile("sli", state, "SLI", value, unit, f"target {it.target_text}", "#promise")


def _left(judgement: Judgement, state: Mark) -> tuple[str, str]:
    left = judgement.budget_remaining
    if left is None or not state.known:
        return ("no data", "") if left is None else (state.word, "")
    if left < LEAST_LEFT:
        return f"< {percent(LEAST_LEFT, 0).removesuffix(' %')}", "%"
    return percent_split(left, 1 if abs(left) >= Fraction(1, 100) else 3)


def _spent(judgement: Judgement) -> str:
    it, counts = judgement.objective, judgement.counts
    if counts.total <= 0 or it.members:
        return f"over {duration(it.period_ms)}"
    allowed = int(it.budget * counts.total)
    return f"{counted(counts.bad, it)} of {counted(allowed, it)} allowed"


def _burn_row(result: RowResult, objective: Objective) -> BurnLineRow:
    row = result.row
    state = cell_mark(result)
    said = "fires" if result.fired else "not measured" if not result.measured else "quiet"
    if result.fired and result.guarded:
        said = "fires as a ticket: too few bad events for a page"
    said += by_a_part(result)
    one_window = row.op is not None
    return BurnLineRow(
        name=row.name,
        mark=state,
        said=said,
        road=row.road,
        share="–" if one_window else percent(row.budget_share, 1),
        limit=times(row.factor),
        long=times(result.long_burn),
        long_window=duration(row.long_ms),
        long_counts=_events(result.long_counts, objective),
        short="–" if one_window else times(result.short_burn),
        short_window="" if one_window else duration(row.short_ms),
    )


def _events(counts: Counts, objective: Objective) -> str:
    """Bad of all events, also where slices are judged; of a composite those of its members."""
    if objective.slices is None and not objective.members:
        return f"{counted(counts.bad, objective)} of {exposure(counts.total, objective)}"
    return f"{counts.bad_events:,} of {counts.all_events:,}".replace(",", "\u202f")


def _worst_note(told: Report) -> str:
    if told.objective.members:
        return "A composite counts nothing itself: see its members."
    if not told.worst:
        return "No stretch of this window had a bad event." if told.whole.counts.total > 0 else "Nothing was counted."
    five = any(it.counts.until_ms - it.counts.since_ms > 60_000 for it in told.worst)
    return "Minutes of long ago are told in fives: single samples of then are gone." if five else ""

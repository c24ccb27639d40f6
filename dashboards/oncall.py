"""The on-call page: what burns, what fires, what changed, and which node is in trouble."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import incident_rows, svg
from dashboards.desk import PLATFORM, Desk, frame
from dashboards.executive import incidents_tile
from dashboards.marks import (
    DISK_CRIT,
    DISK_WARN,
    MEMORY_CRIT,
    MEMORY_WARN,
    NO_DATA,
    Mark,
    mark,
    of_judgement,
    of_ratio,
    worst,
)  # fmt: skip
from dashboards.model import DiskRow, EventQuery, Happening, Line, NodeRow, PanelQuery
from dashboards.page_views import DeployRow, IncidentRow, NodeView, OncallView
from dashboards.panels import HeatPanel, Moment, PanelLine, Threshold, TimePanel, last_known, panel_lines
from dashboards.request import HOUR_MS, MINUTE_MS
from dashboards.slo_rows import burn_columns, by_gravity, slo_rows, subject
from dashboards.text import amount, bytes_text, coarse, counted, duration, percent, seconds_text, times
from dashboards.views import Meter, Tile
from slo.indicators import NOT_NETWORKED
from slo.model import Counts, Judgement, Matcher, Selector

ERROR_COLUMNS = 180
MOST_ERROR_LINES = 8
HEAT_COLUMNS = 72
MOST_HEAT_ROWS = 20
MOST_DEPLOYS = 8
MOST_PULLS_READ = 100
MOST_DISKS = 3
NODE_COLUMNS = 40
RESTARTS = "midwatch_container_restarts_total"
PULLS = "midwatch_image_pulls_total"


def oncall(desk: Desk) -> OncallView:
    """The on-call page's view."""
    source, now = desk.source, desk.now_ms
    incidents = incident_rows.rows(source.incidents(now), source.silences(now), now)
    deploys = _deploys(desk)
    return OncallView(
        frame=frame(desk, "On-call", "oncall"),
        tiles=_tiles(desk, incidents),
        burn_columns=tuple(window for _, window in burn_columns(desk.judgements)),
        slo=slo_rows(desk, desk.judgements),
        incidents=incidents,
        errors=_errors(desk, deploys),
        restarts=_restarts(desk),
        deploys=_changes(desk, deploys),
        nodes=_nodes(desk),
    )


def _tiles(desk: Desk, incidents: Sequence[IncidentRow]) -> tuple[Tile, ...]:
    return (
        incidents_tile(desk, incidents),
        _worst_burn(desk),
        _restart_tile(desk),
        _disk_tile(desk),
        _pull_tile(desk),
        _healthy_tile(desk),
    )


def _worst_burn(desk: Desk) -> Tile:
    """The fastest row's long window where it burns the most, of those that are measured."""
    burning = [
        (row.long_burn, it)
        for it in desk.judgements
        for row in it.rows[:1]
        if row.long_burn is not None and row.measured
    ]
    if not burning:
        return Tile("burn", NO_DATA, "Worst burn", "no data", "", "no objective has a burn yet", "#slo")
    burn, it = max(burning, key=lambda pair: pair[0])
    row = it.rows[0]
    state = of_judgement(it)
    return Tile(
        key="burn",
        mark=state if state.known else mark("ok"),
        label=f"Worst burn, {duration(row.row.long_ms)}",
        value=times(burn).removesuffix("×"),
        unit="×",
        detail=f"{subject(it.objective)} · {it.objective.slo}",
        href="#slo",
    )


def _last_hour(desk: Desk, metric: str, by: tuple[str, ...], *more: Matcher) -> list[tuple[str, float]] | None:
    """(name, increase) in the last hour, most first; None where there is no series at all."""
    query = PanelQuery((desk.select(metric, *more),), "increase", by, limit=100)
    lines = desk.source.series(query, desk.now_ms - HOUR_MS, desk.now_ms, HOUR_MS)
    found = [(_words(line), value) for line in lines for value in line.values[-1:] if value is not None]
    return sorted(found, key=lambda pair: -pair[1]) if found else None


def _words(line: Line) -> str:
    return ", ".join(value.replace("_", " ") if name == "outcome" else value for name, value in line.key)


def _counted_tile(key: str, label: str, counted: list[tuple[str, float]] | None, absent: str, href: str) -> Tile:
    if counted is None:
        return Tile(key, NO_DATA, label, "no data", "", absent, href)
    total = sum(value for _, value in counted)
    name, most = counted[0]
    detail = f"{name}: {amount(most, 0)}" if total else "none"
    return Tile(key, mark("warn" if total else "ok"), label, amount(total, 0), "", detail, href)


def _restart_tile(desk: Desk) -> Tile:
    counted = _last_hour(desk, RESTARTS, ("service",))
    return _counted_tile("restarts", "Restarts, 1 h", counted, "no service is watched yet", "#restarts")


def _pull_tile(desk: Desk) -> Tile:
    failed = Matcher("outcome", "!~", f"ok|{NOT_NETWORKED}")
    counted = _last_hour(desk, PULLS, ("service", "outcome"), failed)
    return _counted_tile("pulls", "Pull failures, 1 h", counted, "no pull is known of", "#deploys")


def _disk_tile(desk: Desk) -> Tile:
    disks = [(disk, node) for node in desk.nodes for disk in node.disks if _shown(desk, node)]
    if not disks:
        return Tile("disk", NO_DATA, "Fullest disk", "no data", "", "no node reports a disk", "#nodes")
    disk, node = max(disks, key=lambda pair: pair[0].used_ratio)
    state = of_ratio(disk.used_ratio, DISK_WARN, DISK_CRIT)
    detail = f"{desk.node_label(node)} · {disk.mountpoint}"
    return Tile("disk", state, "Fullest disk", amount(disk.used_ratio * 100, 0), "%", detail, "#nodes")


def _healthy_tile(desk: Desk) -> Tile:
    wanted = desk.request.scope.service
    mine = [it for it in desk.services if wanted in (None, it.service)]
    known = [(it, it.desired, it.healthy) for it in mine if it.desired is not None and it.healthy is not None]
    if not known:
        return Tile("healthy", NO_DATA, "Healthy now", "no data", "", "no service reports now", "#slo")
    desired, healthy = sum(it[1] for it in known), sum(it[2] for it in known)
    short = [f"{row.service} {has} of {wants}" for row, wants, has in known if has < wants]
    silent = len(mine) - len(known)
    detail = (
        short[0] if short else f"{counted(silent, 'service')} unmeasured" if silent else counted(len(known), "service")
    )
    state = mark("ok" if not short else "crit" if any(wants and not has for _, wants, has in known) else "warn")
    return Tile("healthy", state, "Healthy now", str(healthy), f"of {desired}", detail, desk.request.link("debug"))


def _errors(desk: Desk, deploys: Sequence[Happening]) -> TimePanel:
    """Bad over total responses per column, from the counts that the objective is judged by."""
    mine = [it for it in by_gravity(desk.judgements) if it.objective.slo == "request-availability" and _counts(it)]
    mine = mine[:MOST_ERROR_LINES]
    grid = desk.window(ERROR_COLUMNS)
    counted = desk.source.steps([it.objective for it in mine], grid.edges_ms) if mine else ()
    lines = tuple(
        PanelLine(it.objective.service, it.objective.service, tuple(_share(step) for step in steps))
        for it, steps in zip(mine, counted, strict=True)
    )
    return TimePanel(
        key="errors",
        title="Error rate by service",
        sub="server errors of all responses",
        unit="%",
        window=grid,
        lines=lines,
        absent="No service exposes request metrics, such as http_requests_total with a label code: "
        "its error rate is unmeasured, not zero.",
        thresholds=_page_line(mine),
        moments=tuple(Moment(it.at_ms, f"deploy of {it.service}", _deploy_mark(it).level) for it in deploys),
    )


def _counts(judgement: Judgement) -> bool:
    return judgement.objective.unmeasurable is None


def _share(counts: Counts) -> float | None:
    return 100 * counts.bad / counts.total if counts.total > 0 else None


def _page_line(judgements: Sequence[Judgement]) -> tuple[Threshold, ...]:
    """The share of errors above which the fastest row burns, where it is the same for all."""
    first = [(it.rows[0].row, it.objective.budget) for it in judgements if it.rows]
    limits = {row.factor * budget for row, budget in first if row.road == "page"}
    if len(limits) != 1:
        return ()
    limit = limits.pop()
    return (Threshold(float(limit * 100), f"page above {percent(limit)}"),)


def _restarts(desk: Desk) -> HeatPanel:
    grid = desk.window(HEAT_COLUMNS)
    query = PanelQuery((desk.select(RESTARTS),), "increase", ("service",), limit=MOST_HEAT_ROWS)
    lines = desk.source.series(query, grid.since_ms, grid.until_ms, grid.step_ms)
    return HeatPanel(
        key="restarts",
        title="Container restarts",
        sub=f"by service, {duration(grid.step_ms)} a column",
        unit="restarts",
        window=grid,
        lines=panel_lines(lines),
        absent="No service is watched yet. A hollow cell is time that was not measured.",
    )


def _deploys(desk: Desk) -> Sequence[Happening]:
    since, until = desk.settled.span(desk.now_ms)
    return desk.source.events(EventQuery(("deploy",), desk.request.scope), since, until, MOST_DEPLOYS)


def _changes(desk: Desk, deploys: Sequence[Happening]) -> tuple[DeployRow, ...]:
    """The newest deploys and failed pulls of the range, one list in time."""
    since, until = desk.settled.span(desk.now_ms)
    pulls = desk.source.events(EventQuery(("image.pull",), desk.request.scope), since, until, MOST_PULLS_READ)
    failed = [it for it in pulls if str(it.attributes.get("outcome", "ok")) not in ("ok", *NOT_NETWORKED.split("|"))]
    rows = [_deploy_row(desk, it) for it in deploys] + [_pull_row(desk, it) for it in failed[:MOST_DEPLOYS]]
    return tuple(sorted(rows, key=lambda it: -it.at_ms)[: MOST_DEPLOYS + 2])


def _deploy_mark(event: Happening) -> Mark:
    return mark("crit", "failed") if event.attributes.get("ok") in (False, "false") else mark("ok", "done")


def _deploy_row(desk: Desk, event: Happening) -> DeployRow:
    told, state = event.attributes, _deploy_mark(event)
    seconds = told.get("seconds")
    took = f" in {seconds_text(float(seconds))}" if isinstance(seconds, int | float) else ""
    reason = str(told.get("reason") or event.body)
    return DeployRow(
        at_ms=event.at_ms,
        mark=state,
        service=event.service,
        what=str(told.get("image") or event.image or ""),
        note=f"{state.word}{took}{f' · {reason}' if reason else ''}",
        href=desk.request.link("debug", service=event.service),
    )


def _pull_row(desk: Desk, event: Happening) -> DeployRow:
    told = event.attributes
    return DeployRow(
        at_ms=event.at_ms,
        mark=mark("warn", "pull failed"),
        service=event.service,
        what=str(told.get("reference") or event.image or ""),
        note=f"pull failed: {str(told.get('outcome')).replace('_', ' ')}"
        + (f" · {told['message']}" if told.get("message") else ""),
        href=desk.request.link("debug", service=event.service),
    )


def _shown(desk: Desk, node: NodeRow) -> bool:
    return desk.request.scope.node in (None, node.node, node.node_id)


def _nodes(desk: Desk) -> tuple[NodeView, ...]:
    shown = [it for it in desk.nodes if _shown(desk, it)]
    trend = _memory_trend(desk) if shown else {}
    return tuple(_node(desk, it, trend.get(it.node_id, ())) for it in shown)


def _memory_trend(desk: Desk) -> dict[str, tuple[float | None, ...]]:
    """Share of memory used by node_id over the page's range."""
    grid = desk.settled.window(desk.now_ms, NODE_COLUMNS, max(3 * desk.status.interval_ms, MINUTE_MS // 2))
    free, total = (
        desk.source.series(
            PanelQuery((Selector(metric, (Matcher("service", "=", PLATFORM),)),), "last", ("node_id",), limit=200),
            grid.since_ms,
            grid.until_ms,
            grid.step_ms,
        )
        for metric in ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes")
    )
    totals = {line.key[0][1]: last_known([value for value in line.values if value]) for line in total}
    return {
        line.key[0][1]: tuple(None if value is None else 1 - value / size for value in line.values)
        for line in free
        if (size := totals.get(line.key[0][1]))
    }


def _node(desk: Desk, node: NodeRow, trend: tuple[float | None, ...]) -> NodeView:
    silent = desk.silent_ms(node.last_seen_ms)
    memory = of_ratio(node.memory_used_ratio, MEMORY_WARN, MEMORY_CRIT)
    disks = sorted(node.disks, key=lambda it: -it.used_ratio)[:MOST_DISKS]
    meters = [_meter("memory", node.memory_used_ratio, memory), *(_disk_meter(it) for it in disks)]
    state = worst([it.mark for _, _, it in meters if it.mark.known])
    return NodeView(
        name=desk.node_label(node),
        href=desk.request.link("debug", node=desk.node_value(node)),
        mark=mark("crit", "silent") if silent is not None else state,
        said=f"silent for {coarse(silent)}" if silent is not None else _said(node),
        meters=tuple(meters),
        spark=svg.spark(trend, 160, 26, top=1.0),
    )


def _said(node: NodeRow) -> str:
    cpu = "CPU no data" if node.cpu_used_ratio is None else f"CPU {amount(node.cpu_used_ratio * 100, 0)} %"
    return f"{cpu} · {bytes_text(node.memory_total_bytes)} memory"


def _meter(what: str, ratio: float | None, state: Mark) -> tuple[str, str, Meter]:
    text = "no data" if ratio is None else f"{amount(ratio * 100, 0)} %"
    return what, text, Meter(ratio, state, f"{what} used")


def _disk_meter(disk: DiskRow) -> tuple[str, str, Meter]:
    return _meter(disk.mountpoint, disk.used_ratio, of_ratio(disk.used_ratio, DISK_WARN, DISK_CRIT))

"""The debug page: what containers use, were killed for and say, and how long builds and registries take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from dashboards.desk import PLATFORM, Desk, frame
from dashboards.marks import MEMORY_CRIT, MEMORY_WARN, mark, of_ratio
from dashboards.model import ContainerRow, EventQuery, Happening, Line, PanelQuery
from dashboards.page_views import BuildRow, ContainerView, DebugView, LogRow, OomRow
from dashboards.panels import Moment, PanelLine, TimePanel, panel_lines
from dashboards.quantile import quantile
from dashboards.text import amount, bytes_text, counted, duration, seconds_text
from dashboards.views import Found, Meter, Option
from slo.model import Matcher, Selector

CHART_COLUMNS = 150
MOST_LINES = 12
MOST_CONTAINERS = 60
MOST_OOMS = 30
MOST_LOGS = 200
MOST_BUILDS = 12
MOST_PROBES = 50
MOST_BUCKETS = 600
CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"
OOM_KILLS = "midwatch_oom_kills_total"
REGISTRY_BUCKET = "midwatch_registry_request_duration_seconds_bucket"
QUANTILE = 0.95


def debug(desk: Desk) -> DebugView:
    """The debug page's view."""
    containers = desk.source.containers(desk.request.scope, desk.now_ms, MOST_CONTAINERS)
    ooms = _events(desk, "container.oom_kill", MOST_OOMS)
    logs = _logs(desk)
    return DebugView(
        frame=frame(desk, "Debug", "debug", [_found(desk, it) for it in containers]),
        services=_options(desk.request.scope.service, ((it.service, it.service) for it in desk.services)),
        nodes=_options(desk.request.scope.node, ((desk.node_value(it), desk.node_label(it)) for it in desk.nodes)),
        container_options=_options(desk.request.scope.container, ((it.container, it.container) for it in containers)),
        containers=tuple(_container(desk, it) for it in containers),
        containers_note=_containers_note(len(containers)),
        cpu=_usage(desk, "cpu", "CPU by container", ooms),
        memory=_usage(desk, "memory", "Memory by container", ooms),
        ooms=tuple(_oom(desk, it) for it in ooms),
        oom_counted=_oom_counted(desk),
        logs=logs,
        logs_note=f"newest {len(logs)} lines" if len(logs) == MOST_LOGS else counted(len(logs), "line"),
        builds=_builds(desk),
        registry=_registry(desk),
    )


def _found(desk: Desk, row: ContainerRow) -> Found:
    return Found(row.container, "container", desk.request.link("debug", container=row.container))


def _options(chosen: str | None, choices: Iterable[tuple[str, str]]) -> tuple[Option, ...]:
    """Choices with the chosen one marked, which stays a choice even where it is gone."""
    known = dict(choices)
    if chosen and chosen not in known:
        known[chosen] = chosen
    return tuple(Option(value, text, value == chosen) for value, text in known.items())


def _containers_note(count: int) -> str:
    if count == MOST_CONTAINERS:
        return f"the {count} that use the most CPU"
    return f"{count} that reported within the last minute"


def _container(desk: Desk, row: ContainerRow) -> ContainerView:
    ratio = None
    if row.memory_bytes is not None and row.memory_limit_bytes:
        ratio = row.memory_bytes / row.memory_limit_bytes
    link = desk.request.link
    return ContainerView(
        name=row.container,
        href=link("debug", container=row.container),
        service=row.service,
        service_href=link("oncall", service=row.service),
        node=row.node,
        image=row.image or "",
        cpu=amount(row.cpu_cores, 3),
        memory=bytes_text(row.memory_bytes),
        limit="no limit" if row.memory_limit_bytes is None else bytes_text(row.memory_limit_bytes),
        meter=Meter(ratio, of_ratio(ratio, MEMORY_WARN, MEMORY_CRIT), f"{row.container}: memory of its limit"),
    )


def _usage(desk: Desk, key: str, title: str, ooms: Sequence[Happening]) -> TimePanel:
    cpu = key == "cpu"
    grid = desk.window(CHART_COLUMNS, whole=cpu)
    selector = desk.select(CPU if cpu else MEMORY, container=True)
    by = ("container", "node") if len(desk.nodes) > 1 else ("container",)
    query = PanelQuery((selector,), "rate" if cpu else "last", by, limit=MOST_LINES)
    lines = desk.source.series(query, grid.since_ms, grid.until_ms, grid.step_ms)
    return TimePanel(
        key=key,
        title=title,
        sub="cores" if cpu else "working set",
        unit="cores" if cpu else "bytes",
        window=grid,
        lines=panel_lines(lines),
        absent="No container reported in this time. Is the range one in which it ran?",
        moments=tuple(Moment(it.at_ms, f"OOM kill in {it.container or it.service}", "crit") for it in ooms),
    )


def _events(desk: Desk, name: str, limit: int) -> Sequence[Happening]:
    since, until = desk.settled.span(desk.now_ms)
    return desk.source.events(EventQuery((name,), desk.request.scope), since, until, limit)


def _oom(desk: Desk, event: Happening) -> OomRow:
    told = event.attributes
    return OomRow(
        at_ms=event.at_ms,
        service=event.service,
        container=event.container or "–",
        href=desk.request.link("debug", container=event.container),
        count=f"{told.get('count', 1)}×",
        cause=_words(
            told.get("cause"), {"container": "its own limit", "ancestor": "a limit above it", "host": "the host"}
        ),
        victim=_words(told.get("victim"), {"main": "main process", "child": "child process"}),
        process=str(told.get("process") or "–"),
    )


def _words(value: object, words: dict[str, str]) -> str:
    return words.get(str(value), "unknown")


def _oom_counted(desk: Desk) -> str:
    """How many kills the counters hold for the range: exact where events may be missing."""
    since, until = desk.settled.span(desk.now_ms)
    query = PanelQuery((desk.select(OOM_KILLS),), "increase", ("service",), limit=1000)
    lines = desk.source.series(query, since, until, until - since)
    known = [value for line in lines for value in line.values if value is not None]
    if not known:
        return "kills: no data"
    total = sum(known)
    return f"{amount(total, 0)} kill{'s' * (total != 1)} counted in {duration((until - since) // 1000 * 1000)}"


def _logs(desk: Desk) -> tuple[LogRow, ...]:
    since, until = desk.settled.span(desk.now_ms)
    lines = desk.source.logs(desk.request.scope, since, until, MOST_LOGS, desk.request.contains)
    return tuple(
        LogRow(
            at_ms=it.at_ms,
            container=it.container or it.service,
            href=desk.request.link("debug", container=it.container),
            stream=it.stream,
            text=it.text,
        )
        for it in reversed(lines)
    )


def _builds(desk: Desk) -> tuple[BuildRow, ...]:
    events = _events(desk, "image.build", MOST_BUILDS)
    longest = max([_seconds(it) or 0.0 for it in events], default=0.0) or 1.0
    return tuple(_build(it, longest) for it in events)


def _build(event: Happening, longest: float) -> BuildRow:
    told, seconds = event.attributes, _seconds(event)
    failed = told.get("ok") in (False, "false")
    state = mark("crit", "failed") if failed else mark("ok", "built")
    reference = str(told.get("reference") or event.image or "")
    return BuildRow(
        at_ms=event.at_ms,
        mark=state,
        service=event.service,
        reference=reference,
        seconds=seconds_text(seconds),
        meter=Meter(None if seconds is None else seconds / longest, state, f"{reference}: build time"),
        message=str(told.get("message") or "") if failed else "",
    )


def _seconds(event: Happening) -> float | None:
    value = event.attributes.get("seconds")
    return float(value) if isinstance(value, int | float) else None


def _registry(desk: Desk) -> TimePanel:
    """The 95th percentile of manifest requests by registry; failed requests are marks, they have no time."""
    grid = desk.window(CHART_COLUMNS // 2, whole=True)
    matchers = (Matcher("service", "=", PLATFORM), Matcher("phase", "=", "total"))
    query = PanelQuery((Selector(REGISTRY_BUCKET, matchers),), "increase", ("registry", "le"), limit=MOST_BUCKETS)
    lines = desk.source.series(query, grid.since_ms, grid.until_ms, grid.step_ms)
    since, until = desk.settled.span(desk.now_ms)
    failed = desk.source.events(EventQuery(("registry.request",)), since, until, MOST_PROBES)
    return TimePanel(
        key="registry",
        title="Registry latency",
        sub="95th percentile of manifest requests",
        unit="s",
        window=grid,
        lines=tuple(_percentile(name, list(group)) for name, group in groupby(_by_registry(lines), key=_registry_of)),
        absent="No registry has been probed in this time: one is probed from its first pull on.",
        moments=tuple(_failure(it) for it in failed),
    )


def _by_registry(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=_registry_of)


def _registry_of(line: Line) -> str:
    return dict(line.key).get("registry", "")


def _percentile(name: str, buckets: Sequence[Line]) -> PanelLine:
    bounds = [dict(it.key).get("le", "") for it in buckets]
    columns = zip(*(it.values for it in buckets), strict=True)
    return PanelLine(name, name, tuple(quantile(QUANTILE, dict(zip(bounds, it, strict=True))) for it in columns))


def _failure(event: Happening) -> Moment:
    told = event.attributes
    return Moment(event.at_ms, f"{told.get('registry', 'registry')}: {told.get('message') or 'failed'}", "crit")

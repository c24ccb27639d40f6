"""What all pages read first: the request settled against the history, the scope, and the frame around the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from alerts.rules import ALERTS
from alerts.thresholds import DEFAULT as THRESHOLDS
from dashboards.marks import mark
from dashboards.model import NodeRow, ServiceRow, Status
from dashboards.request import DEFAULT_RANGE, PATHS, RANGES, PageName, PageRequest, Window
from dashboards.source import DataSource
from dashboards.text import coarse, stamp
from dashboards.views import Chip, Found, Frame, NavLink, Notice
from slo.model import Judgement, Matcher, Selector
from slo.openslo.objectives import REFUSED

TITLES: dict[PageName, str] = {
    "executive": "Executive",
    "oncall": "On-call",
    "debug": "Debug",
    "slo": "Objectives",
    "reports": "Reports",
}
TAIL = 3
"""Columns that a live update carries: the one under way, and those that late samples may still change."""
MOST_FOUND = 500
"""Things that the search of one page knows."""
PLATFORM = "platform"


@dataclass(frozen=True)
class Desk:
    """One page being drawn: its source, its request, and what every page reads once."""

    source: DataSource
    request: PageRequest
    """As it was asked: links are made from it, so that a range that nobody chose grows with the history."""
    settled: PageRequest
    """The same with its range decided."""
    now_ms: int
    status: Status
    judgements: tuple[Judgement, ...]
    """Those within the scope."""
    services: tuple[ServiceRow, ...]
    nodes: tuple[NodeRow, ...]
    tail: bool = False
    """True for a live update: graphs have their last columns only."""

    def window(self, most: int, *, whole: bool = False) -> Window:
        """The grid of a graph; with `whole` it ends with the last column that is over, as a rate needs it."""
        grid = self.settled.window(self.now_ms, most, 3 * self.status.interval_ms)
        end = grid.until_ms - grid.step_ms if whole and self.request.live else grid.until_ms
        begin = end - TAIL * grid.step_ms if self.tail else end - grid.steps * grid.step_ms
        return Window(max(begin, 0), end, grid.step_ms)

    def select(self, metric: str, *more: Matcher, container: bool = False) -> Selector:
        """Series of a metric within the scope; a container narrows only what is measured by container."""
        scope = self.request.scope
        found = list(more)
        if scope.service:
            found.append(Matcher("service", "=", scope.service))
        if scope.node:
            found.append(self.node_matcher(scope.node))
        if scope.container and container:
            found.append(Matcher("container", "=", scope.container))
        return Selector(metric, tuple(found))

    def node_matcher(self, text: str) -> Matcher:
        """The matcher behind the parameter `node`, which is a name or an id."""
        by_id = any(it.node_id == text for it in self.nodes)
        return Matcher("node_id" if by_id else "node", "=", text)

    def node_label(self, node: NodeRow) -> str:
        """The node's name, with the begin of its id where several share the name."""
        return f"{node.node} ({node.node_id[:8]})" if self._shared(node) else node.node

    def node_value(self, node: NodeRow) -> str:
        """What the parameter `node` says for it."""
        return node.node_id if self._shared(node) else node.node

    def silent_ms(self, last_seen_ms: int | None) -> int | None:
        """How long nothing came, where that is longer than the alert agent-silent allows; else None."""
        if last_seen_ms is None:
            return None
        age = self.now_ms - last_seen_ms
        return age if age > THRESHOLDS.silent_after_ms(self.status.interval_ms) else None

    def _shared(self, node: NodeRow) -> bool:
        return Counter(it.node for it in self.nodes)[node.node] > 1


def open_desk(source: DataSource, request: PageRequest, now_ms: int, *, tail: bool = False) -> Desk:
    """Read what every page needs."""
    status = source.status()
    nodes = tuple(source.nodes(now_ms))
    services = tuple(source.services(now_ms))
    settled = request.settled(status.first_sample_ms, now_ms)
    judgements = tuple(it for it in source.judgements() if _within(it, request, services, nodes))
    return Desk(source, request, settled, now_ms, status, judgements, services, nodes, tail)


def _within(
    judgement: Judgement, request: PageRequest, services: Sequence[ServiceRow], nodes: Sequence[NodeRow]
) -> bool:
    service, node, _ = request.scope
    subject = judgement.objective
    if service and subject.service != service:
        return False
    if not node:
        return True
    names = {it.node for it in nodes if node in (it.node, it.node_id)} | {node}
    if subject.service == PLATFORM:
        return any(value in (*names, node) for key, value in subject.scope if key in ("node", "node_id"))
    return any(names & set(it.nodes) for it in services if it.service == subject.service)


def frame(desk: Desk, title: str, key: str, found: Sequence[Found] = (), *, ranges: bool = True) -> Frame:
    """The frame of a page; one about a single thing has no range to choose."""
    request = desk.request
    return Frame(
        title=title,
        key=key,
        request=request,
        now_ms=desk.now_ms,
        nav=nav(request, key),
        ranges=_ranges(desk) if ranges else (),
        chips=_chips(request),
        notices=tuple(_notices(desk)),
        found=(*_found(desk), *found)[:MOST_FOUND],
        range_text=_range_text(request),
    )


def nav(request: PageRequest, key: str) -> tuple[NavLink, ...]:
    """The links to the pages, which keep range and scope."""
    pages: tuple[PageName, ...] = get_args(PageName)
    return tuple(
        NavLink(page, TITLES[page], PATHS[page] if page == "reports" else request.link(page), page == key)
        for page in pages
    )


def _ranges(desk: Desk) -> tuple[NavLink, ...]:
    request = desk.request
    if request.page in ("slo", "reports"):
        return ()
    path = PATHS[request.page]
    return tuple(
        NavLink(
            name, name, path + request.query(**{"range": name, "from": None, "to": None}), name == desk.settled.range
        )
        for name, span in RANGES.items()
        if span <= max(RANGES[DEFAULT_RANGE[request.page]], RANGES["7d"])
    )


def _range_text(request: PageRequest) -> str:
    if request.from_ms is None or request.to_ms is None or request.page == "reports":
        return ""
    return f"{stamp(request.from_ms, day=True)} to {stamp(request.to_ms, day=True)} UTC"


def _chips(request: PageRequest) -> tuple[Chip, ...]:
    if request.page in ("slo", "reports"):
        return ()
    path = PATHS[request.page]
    given = [(kind, value) for kind, value in request.scope._asdict().items() if value]
    return tuple(Chip(kind, value, path + request.query(**{kind: None})) for kind, value in given)


def _found(desk: Desk) -> list[Found]:
    link = desk.request.link
    found = [Found(it.service, "service", link("oncall", service=it.service)) for it in desk.services]
    found += [Found(desk.node_label(it), "node", link("debug", node=desk.node_value(it))) for it in desk.nodes]
    found += [Found(name, "runbook", f"/runbooks/{name}") for name in ALERTS]
    return [*(Found(it.text, "page", it.href) for it in nav(desk.request, "")), *found]


def _notices(desk: Desk) -> list[Notice]:
    status = desk.status
    found = [_faulty_files(it) for it in desk.source.judgements() if it.objective.slo == REFUSED]
    if status.first_sample_ms is None:
        return [_nothing_yet(), *found]
    silent = desk.silent_ms(status.last_sample_ms)
    if silent is not None:
        found.append(_stale(silent))
    late = None if status.evaluated_ms is None else desk.now_ms - status.evaluated_ms
    if late is None or late > THRESHOLDS.evaluation_late_after_ms:
        found.append(_late(late))
    if not status.receiver:
        found.append(_no_receiver())
    return found


def _nothing_yet() -> Notice:
    return Notice(
        mark("unmeasured", "no data yet"),
        "No sample has arrived yet",
        "Nothing is measured, so nothing here can be good or bad. Numbers appear with the first round of an agent.",
        (
            "Is an agent running? `midwatch up` starts one on this machine.",
            "An agent elsewhere needs this service's address and, beyond loopback, its token: `midwatch agent --help`.",
            "The agent's own log says why it can't reach the engine or this service.",
        ),
    )


def _faulty_files(judgement: Judgement) -> Notice:
    return Notice(
        mark("warn", "faulty file"),
        "A file of objectives is faulty",
        judgement.reason,
        ("`midwatch check` tells every fault with its line and its remedy.",),
    )


def _stale(silent_ms: int) -> Notice:
    return Notice(
        mark("crit", "silent"),
        f"No agent has reported for {coarse(silent_ms)}",
        "What is shown ends there: nothing after it was measured, and alerts are frozen.",
        ("See the runbook agent-silent.",),
    )


def _late(late_ms: int | None) -> Notice:
    if late_ms is None:
        return Notice(
            mark("learning", "waiting"), "Objectives have not been judged yet", "The first evaluation is due."
        )
    return Notice(
        mark("warn", "late"),
        f"Objectives were last judged {coarse(late_ms)} ago",
        "States and burn rates are as old as that.",
        ("See the runbook evaluation-late.",),
    )


def _no_receiver() -> Notice:
    return Notice(
        mark("quiet", "no receiver"),
        "Pages go nowhere but to this screen",
        "No webhook is configured, so incidents are shown here and nobody is called. Set a webhook in midwatch.yaml.",
    )

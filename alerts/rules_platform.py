"""Rules over nodes, their agents and the service itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

from alerts.disk import hours_text, seconds_to_full
from alerts.facts import DiskState, Facts, NodeState, ServerState, Tally
from alerts.model import Evidence, Finding, Labels, Road, Subject
from alerts.rules_services import many, mass_restarts, oom_storms, reached, restart_lines
from alerts.thresholds import Thresholds
from slo.builtin import node_scope
from slo.indicators import PLATFORM, NodeName
from slo.text import counted, duration, percent, utc


def of_nodes(facts: Facts, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    """All findings of all nodes; what a service pages for by itself is not counted again for its node."""
    names = [NodeName(it.node, it.node_id) for it in facts.nodes]
    storming = {it.service for it in facts.services if oom_storms(it, thresholds)}
    restarting = {it.service for it in facts.services if mass_restarts(it, thresholds)}
    started_ms = facts.server.up_since_ms if facts.server else None
    found = []
    for state in facts.nodes:
        scope = node_scope(NodeName(state.node, state.node_id), names)
        silent = _silent(state, started_ms, thresholds, now_ms)
        found += [
            _agent_silent(state, scope, silent, thresholds, now_ms),
            _oom_storm(state, scope, storming, silent is False, thresholds, now_ms),
            _mass_restarts(state, scope, restarting, silent is False, thresholds, now_ms),
            *_node_disk(state, scope, silent is False, thresholds, now_ms),
            _spool_dropping(state, scope, silent is False, thresholds, now_ms),
        ]
    return found


def of_server(state: ServerState | None, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    """The findings of the service about itself; none where its state is not told."""
    rules = (_evaluation_late, _outbox, _store_full)
    return [] if state is None else [rule(state, thresholds, now_ms) for rule in rules]


def _silent(state: NodeState, started_ms: int | None, thresholds: Thresholds, now_ms: int) -> bool | None:
    """Unknown where the silence began while this service did not listen, until it has listened for long enough."""
    limit = thresholds.silent_after_ms(state.interval_ms)
    if now_ms - state.last_seen_ms <= limit:
        return False
    return True if started_ms is None or now_ms - started_ms > limit else None


def _agent_silent(state: NodeState, scope: Labels, silent: bool | None, thresholds: Thresholds, now_ms: int) -> Finding:
    limit = thresholds.silent_after_ms(state.interval_ms)
    lines = (
        Evidence("last heard", f"{utc(state.last_seen_ms)}, {duration(max(0, now_ms - state.last_seen_ms))} ago"),
        Evidence("limit", f"{duration(limit)} ({thresholds.silent_rounds} rounds of {duration(state.interval_ms)} and "
                          f"{duration(thresholds.silent_extra_ms)})"),
    )  # fmt: skip
    return _finding("agent-silent", scope, "page", silent, f"{state.node}: its agent is silent", lines,
                    thresholds, now_ms, state.last_seen_ms)  # fmt: skip


def _oom_storm(
    state: NodeState, scope: Labels, storming: Collection[str], measured: bool, thresholds: Thresholds, now_ms: int
) -> Finding:
    window = duration(thresholds.oom_storm_window_ms)
    rest = _elsewhere(state.oom_kills, storming)
    kills = sum(it.number for it in rest)
    lines = (
        Evidence("OOM kills", f"{kills} in {window}{_beside(storming)}"),
        *(Evidence(it.service or "no container", counted(it.number, "kill")) for it in rest[:5]),
        Evidence("limit", f"{thresholds.oom_storm_node_kills} kills on one node in {window}"),
    )
    firing = reached(kills, thresholds.oom_storm_node_kills, measured)
    return _finding("oom-storm", scope, "page", firing, f"{state.node}: {kills} OOM kills in {window}", lines,
                    thresholds, now_ms)  # fmt: skip


def _mass_restarts(
    state: NodeState, scope: Labels, restarting: Collection[str], measured: bool, thresholds: Thresholds, now_ms: int
) -> Finding:
    window = duration(thresholds.mass_restarts_window_ms)
    rest = _elsewhere(state.restarted, restarting)
    restarted = sum(it.number for it in rest)
    firing = True if many(restarted, state.containers, thresholds) else (False if measured else None)
    lines = (
        *restart_lines(restarted, state.containers, thresholds),
        *(Evidence(it.service, counted(it.number, "container")) for it in rest[:5]),
    )
    summary = f"{state.node}: {restarted} containers restarted in {window}{_beside(restarting)}"
    return _finding("mass-restarts", scope, "page", firing, summary, lines, thresholds, now_ms)


def _elsewhere(tallies: Sequence[Tally], paging: Collection[str]) -> list[Tally]:
    rest = [it for it in tallies if it.number > 0 and it.service not in paging]
    return sorted(rest, key=lambda it: (-it.number, it.service))


def _beside(paging: Collection[str]) -> str:
    if not paging:
        return ""
    rest = "that pages by itself" if len(paging) == 1 else "that page by themselves"
    return f", beside those of {counted(len(paging), 'service')} {rest}"


def _node_disk(state: NodeState, scope: Labels, measured: bool, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    disks = sorted((it for it in state.disks if it.size_bytes > 0), key=lambda it: (it.available_bytes, it.mountpoint))
    page = [it for it in disks if it.used_ratio >= thresholds.disk_page_ratio or _fills(it, thresholds)]
    ticket = [it for it in disks if it.used_ratio >= thresholds.disk_ticket_ratio]
    return [
        _disk_finding(state, scope, "page", page, disks, measured, thresholds, now_ms),
        _disk_finding(state, scope, "ticket", ticket, disks, measured, thresholds, now_ms),
    ]


def _fills(disk: DiskState, thresholds: Thresholds) -> bool:
    seconds = seconds_to_full(disk, thresholds)
    return seconds is not None and seconds * 1000 <= thresholds.disk_full_within_ms


def _disk_finding(
    state: NodeState,
    scope: Labels,
    road: Road,
    bad: list[DiskState],
    disks: list[DiskState],
    measured: bool,
    thresholds: Thresholds,
    now_ms: int,
) -> Finding:
    firing = bool(bad) if measured and disks else None
    shown = bad or disks[:1]
    summary = f"{state.node}: disk {shown[0].mountpoint} is {percent(shown[0].used_ratio, 1)} full" if shown else (
        f"{state.node}: no disk is measured"
    )  # fmt: skip
    limit = (
        f"{percent(thresholds.disk_page_ratio)}, or full within {duration(thresholds.disk_full_within_ms)}"
        if road == "page"
        else percent(thresholds.disk_ticket_ratio)
    )
    lines = (*(_disk_line(it, thresholds) for it in shown[:5]), Evidence("limit", limit))
    return _finding("node-disk", scope, road, firing, summary, lines, thresholds, now_ms)


def _disk_line(disk: DiskState, thresholds: Thresholds) -> Evidence:
    seconds = seconds_to_full(disk, thresholds)
    trend = f", full in {hours_text(seconds)} at the present trend" if seconds is not None else ""
    free = f"{disk.available_bytes / 2**30:.1f} GiB of {disk.size_bytes / 2**30:.1f} GiB free"
    return Evidence(disk.mountpoint, f"{percent(disk.used_ratio, 1)} used, {free}{trend}")


def _spool_dropping(state: NodeState, scope: Labels, measured: bool, thresholds: Thresholds, now_ms: int) -> Finding:
    window = duration(thresholds.spool_window_ms)
    lines = (
        Evidence("dropped", f"{state.spool_dropped} batches in {window}"),
        Evidence("limit", f"{thresholds.spool_dropped} in {window}"),
    )
    firing = reached(state.spool_dropped, thresholds.spool_dropped, measured)
    return _finding("spool-dropping", scope, "page", firing, f"{state.node}: its agent loses measurements", lines,
                    thresholds, now_ms)  # fmt: skip


def _evaluation_late(state: ServerState, thresholds: Thresholds, now_ms: int) -> Finding:
    age, limit = state.evaluation_age_ms, thresholds.evaluation_late_after_ms
    lines = (
        Evidence("last evaluation", "none yet" if age is None else f"{duration(age)} ago"),
        Evidence("limit", duration(limit)),
    )
    firing = None if age is None else age > limit
    return _finding("evaluation-late", (), "page", firing, "Objectives and alerts are judged too late", lines,
                    thresholds, now_ms)  # fmt: skip


def _outbox(state: ServerState, thresholds: Thresholds, now_ms: int) -> Finding:
    oldest, limit = state.outbox_oldest_ms, thresholds.outbox_stuck_after_ms
    lines = [Evidence("waiting", f"{state.outbox_waiting} messages"), Evidence("limit", duration(limit))]
    if oldest is not None:
        lines.insert(1, Evidence("oldest", f"{utc(oldest)}, {duration(max(0, now_ms - oldest))} ago"))
    if state.outbox_error:
        lines.append(Evidence("receiver said", state.outbox_error))
    firing = oldest is not None and now_ms - oldest >= limit
    return _finding("outbox-stuck", (), "page", firing, "Messages can't be delivered to the receiver", tuple(lines),
                    thresholds, now_ms, oldest)  # fmt: skip


def _store_full(state: ServerState, thresholds: Thresholds, now_ms: int) -> Finding:
    used, most = state.store_bytes, state.store_most_bytes
    firing, lines = None, [Evidence("limit", f"{percent(thresholds.store_full_ratio)} of what it may use")]
    if used is not None and most:
        firing = used >= thresholds.store_full_ratio * most
        lines.insert(0, Evidence("used", f"{_gib(used)} of {_gib(most)}, {percent(Fraction(used, most))}"))
    return _finding("store-full", (), "page", firing, "The database is nearly full: the oldest days will go",
                    tuple(lines), thresholds, now_ms)  # fmt: skip


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _finding(
    alert: str,
    scope: Labels,
    road: Road,
    firing: bool | None,
    summary: str,
    evidence: tuple[Evidence, ...],
    thresholds: Thresholds,
    now_ms: int,
    since_ms: int | None = None,
) -> Finding:
    return Finding(alert, Subject(PLATFORM, scope), (), road, firing, now_ms, summary, evidence, since_ms,
                   thresholds.hold_ms)  # fmt: skip

"""Rules over one service: OOM kills, restarts, crash loops, pulls, containers down."""

from __future__ import annotations

from alerts.facts import ContainerRestarts, ServiceState
from alerts.model import Evidence, Finding, Road, Subject
from alerts.thresholds import Thresholds
from slo.text import counted, duration, utc


def of_service(state: ServiceState, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    """All findings of one service."""
    return [
        *_oom(state, thresholds, now_ms),
        _mass_restarts(state, thresholds, now_ms),
        *_crash_loop(state, thresholds, now_ms),
        *_pulls(state, thresholds, now_ms),
        _container_down(state, thresholds, now_ms),
    ]


def reached(count: int, limit: int, measured: bool) -> bool | None:
    """True where the limit is reached, even if more is missing; below it False only where all was measured."""
    return True if count >= limit else (False if measured else None)


def oom_storms(state: ServiceState, thresholds: Thresholds) -> bool:
    """True where this service's kills are a storm of its own."""
    return state.oom_kills >= thresholds.oom_storm_service_kills


def mass_restarts(state: ServiceState, thresholds: Thresholds) -> bool:
    """True where so many of this service's containers restarted that it pages by itself."""
    return many(state.restarted, state.desired or 0, thresholds)


def many(restarted: int, containers: int, thresholds: Thresholds) -> bool:
    """True where `restarted` is both enough containers and enough of all; containers that are gone count too."""
    whole = max(containers, restarted)
    return restarted >= thresholds.mass_restarts_min and restarted >= thresholds.mass_restarts_ratio * whole


def _oom(state: ServiceState, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    window = duration(thresholds.oom_storm_window_ms)
    kills = Evidence("OOM kills", f"{state.oom_kills} in {window}")
    limit = Evidence("limit", f"{thresholds.oom_storm_service_kills} kills of one service in {window}")
    storm = reached(state.oom_kills, thresholds.oom_storm_service_kills, state.measured)
    summary = f"{state.service}: {state.oom_kills} OOM kills in {window}"
    return [
        _finding("oom-storm", state, "page", storm, summary, (kills, limit), thresholds, now_ms),
        _finding("oom-kill", state, "ticket", reached(state.oom_kills, 1, state.measured), summary, (kills,),
                 thresholds, now_ms),
    ]  # fmt: skip


def _mass_restarts(state: ServiceState, thresholds: Thresholds, now_ms: int) -> Finding:
    window = duration(thresholds.mass_restarts_window_ms)
    firing = True if mass_restarts(state, thresholds) else (False if state.measured else None)
    evidence = restart_lines(state.restarted, state.desired, thresholds)
    summary = f"{state.service}: {state.restarted} containers restarted in {window}"
    return _finding("mass-restarts", state, "page", firing, summary, evidence, thresholds, now_ms)


def restart_lines(restarted: int, containers: int | None, thresholds: Thresholds) -> tuple[Evidence, ...]:
    """The proof of mass restarts."""
    window, ratio = duration(thresholds.mass_restarts_window_ms), thresholds.mass_restarts_ratio
    known = "an unknown number" if containers is None else str(containers)
    return (
        Evidence("restarted by policy", f"{restarted} of {known} containers in {window}"),
        Evidence("limit", f"{float(ratio):.0%} of them, at least {thresholds.mass_restarts_min}"),
    )


def _crash_loop(state: ServiceState, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    window = duration(thresholds.crash_loop_window_ms)
    worst = sorted(state.restarts, key=lambda it: (-it.restarts, it.container))
    most = worst[0].restarts if worst else 0
    loops = reached(most, thresholds.crash_loop_restarts, state.measured)
    evidence = (*(_restarts_line(it, window) for it in worst[:5]), *_healthy_lines(state, now_ms))
    summary = f"{state.service}: a container restarted {most} times in {window}"
    down = _lasted(state.none_since_ms, thresholds.crash_loop_page_after_ms, state.measured, now_ms)
    return [
        _finding("crash-loop", state, "ticket", loops, summary, evidence, thresholds, now_ms),
        _finding("crash-loop", state, "page", _and(loops, down), f"{summary}, and none is healthy", evidence,
                 thresholds, now_ms),
    ]  # fmt: skip


def _restarts_line(it: ContainerRestarts, window: str) -> Evidence:
    last = f", last ended with {it.last_exit}" if it.last_exit else ""
    return Evidence(f"container {it.container}", f"{counted(it.restarts, 'restart')} in {window}{last}")


def _pulls(state: ServiceState, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    message = (Evidence("last message", state.pull_message),) if state.pull_message else ()
    refused_in, failed_in = (
        duration(ms) for ms in (thresholds.pulls_unauthorized_window_ms, thresholds.pulls_failing_window_ms)
    )
    refused = reached(state.pulls_unauthorized, thresholds.pulls_unauthorized, state.measured)
    failing = reached(state.pulls_failed, thresholds.pulls_failing, state.measured)
    refused_text = f"{state.service}: {state.pulls_unauthorized} pulls were unauthorized in {refused_in}"
    failed_text = f"{state.service}: {state.pulls_failed} pulls failed in {failed_in}"
    refused_lines = (Evidence("limit", f"{thresholds.pulls_unauthorized} in {refused_in}"), *message)
    failed_lines = (
        Evidence("limit", f"{thresholds.pulls_failing} in {failed_in}"), *message, *_healthy_lines(state, now_ms)
    )  # fmt: skip
    waits = state.declared and state.short_since_ms is not None
    waiting = True if waits else (False if state.measured else None)
    return [
        _finding("pulls-unauthorized", state, "page", refused, refused_text, refused_lines, thresholds, now_ms),
        _finding("pulls-failing", state, "ticket", failing, failed_text, failed_lines, thresholds, now_ms),
        _finding("pulls-failing", state, "page", _and(failing, waiting), f"{failed_text}, and it waits for them",
                 failed_lines, thresholds, now_ms),
    ]  # fmt: skip


def _container_down(state: ServiceState, thresholds: Thresholds, now_ms: int) -> Finding:
    down = _lasted(state.short_since_ms, thresholds.container_down_after_ms, state.measured, now_ms)
    missing = None if state.desired is None or state.healthy is None else state.desired - state.healthy
    count = "containers are" if missing is None or missing > 1 else "a container is"
    summary = f"{state.service}: {count} down"
    lines = (
        *_healthy_lines(state, now_ms),
        Evidence("limit", f"not healthy for {duration(thresholds.container_down_after_ms)}"),
    )
    return _finding("container-down", state, "ticket", down, summary, lines, thresholds, now_ms,
                    since_ms=state.short_since_ms)  # fmt: skip


def _healthy_lines(state: ServiceState, now_ms: int) -> tuple[Evidence, ...]:
    if not state.measured or state.desired is None or state.healthy is None:
        return (Evidence("healthy", "not measured now"),)
    since = f", since {utc(state.short_since_ms)}" if state.short_since_ms is not None else ""
    return (Evidence("healthy", f"{state.healthy} of {state.desired} containers{since}"),)


def _lasted(since_ms: int | None, at_least_ms: int, measured: bool, now_ms: int) -> bool | None:
    if not measured:
        return None
    return since_ms is not None and now_ms - since_ms >= at_least_ms


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return True if left and right else None


def _finding(
    alert: str,
    state: ServiceState,
    road: Road,
    firing: bool | None,
    summary: str,
    evidence: tuple[Evidence, ...],
    thresholds: Thresholds,
    now_ms: int,
    since_ms: int | None = None,
) -> Finding:
    return Finding(alert, Subject(state.service), (), road, firing, now_ms, summary, evidence, since_ms,
                   thresholds.hold_ms)  # fmt: skip

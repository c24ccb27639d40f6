"""Why a run ended, who began the next one, and what must have happened while nobody watched; pure."""

from __future__ import annotations

from typing import NamedTuple

from agent.ledger import By, ExitReason, Victim
from runtime.model import Container, RestartPolicy

KILLED = 137
FIRST_SIGNAL, LAST_SIGNAL = 129, 192
ENDING_SIGNALS = frozenset((2, 3, 6, 9, 15))
"""Signals that ask a process to end; others (a reload by SIGHUP, SIGUSR1) are no request to stop."""
OOM_RECENT_MS = 10_000
"""A child's kill this long before the end of the main process still explains it."""


class KillSeen(NamedTuple):
    """One kernel kill in a run."""

    at_ms: int
    victim: Victim


class End(NamedTuple):
    """What is known of the end of a run."""

    at_ms: int
    exit_code: int | None
    killed: bool
    """An ending signal was sent through the engine."""
    stopped: bool
    """Someone asked the engine to stop, restart or remove it."""
    oom_flag: bool
    """The engine's OOMKilled: any kill in the cgroup, not necessarily of the main process."""
    kills: tuple[KillSeen, ...] = ()


def exit_reason(end: End) -> ExitReason:
    """The reason of an exit; `oom` only with evidence, since 137 alone is a SIGKILL by anyone."""
    if end.exit_code != 0 and _memory_ended_it(end):
        return "oom"
    if end.stopped and end.killed:
        return "stopped"
    if end.exit_code == 0:
        return "ok"
    if end.killed or (end.exit_code is not None and FIRST_SIGNAL <= end.exit_code <= LAST_SIGNAL):
        return "signal"
    return "error"


def _memory_ended_it(end: End) -> bool:
    victims = {kill.victim for kill in end.kills}
    if "main" in victims:
        return True
    if end.exit_code == KILLED and not end.killed:
        return bool(victims) or end.oom_flag
    recent = any(kill.at_ms + OOM_RECENT_MS >= end.at_ms for kill in end.kills)
    return recent and not end.killed


def policy_restarts(policy: RestartPolicy, exit_code: int | None, *, told: bool) -> bool:
    """True where the engine itself starts a container again after such an end."""
    if told or policy == "no":
        return False
    return policy != "on-failure" or exit_code != 0


def is_done(policy: RestartPolicy, exit_code: int | None) -> bool:
    """True for a batch job that ended well: done, not missing."""
    return exit_code == 0 and policy in ("no", "on-failure")


class Missed(NamedTuple):
    """Restarts in a time without events, by who made them."""

    policy: int = 0
    manual: int = 0

    def by(self) -> tuple[tuple[By, int], ...]:
        """The restarts as pairs of who and how many."""
        return (("policy", self.policy), ("manual", self.manual))


def completed_restarts(container: Container) -> int:
    """The engine's RestartCount without the attempt that is still to come."""
    return max(0, container.restart_count - (container.state == "restarting"))


def brought_back(found: Container, exit_code: int | None, *, stopped_before: bool) -> bool:
    """True where an engine that begins starts a container again by itself, as moby's `ShouldRestart` has it.

    `stopped_before`: somebody, and not the engine as it went, had it stopped; only `unless-stopped` asks for that.
    An exit code that nobody knows counts as a failure: the engine killed what it could not stop.
    """
    match found.restart_policy:
        case "always":
            return True
        case "unless-stopped":
            return not stopped_before
        case "on-failure":
            return exit_code != 0
        case _:
            return False


def missed_restarts(known: int, started_ms: int | None, found: Container, *, back: bool = False) -> Missed:
    """Restarts between what was known and what is found, from RestartCount and StartedAt.

    A start by hand sets RestartCount back to 0, so a fall is one such start and as many by policy as it says now.
    A new run without a rise was by hand too. `back`: an engine that began anew brought it back, which is one restart
    by its policy and sets RestartCount to 0 as well; what it says now came after that.
    """
    if found.started_ms is None or (started_ms is not None and found.started_ms <= started_ms):
        return Missed()
    count = completed_restarts(found)
    if back:
        return Missed(policy=1 + count)
    if count > known:
        return Missed(policy=count - known)
    return Missed(policy=count if count < known else 0, manual=1)

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.verdict import (
    End,
    KillSeen,
    Missed,
    brought_back,
    exit_reason,
    is_done,
    missed_restarts,
    policy_restarts,
)
from tests.agent.stories import BEGIN_MS, PLAIN

AT = BEGIN_MS
MAIN = (KillSeen(AT, "main"),)
CHILD_JUST_NOW, CHILD_LONG_AGO = (KillSeen(AT - 100, "child"),), (KillSeen(AT - 60_000, "child"),)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (End(AT, 0, False, False, False), "ok"),
        (End(AT, 1, False, False, False), "error"),
        (End(AT, 137, False, False, False), "signal"),
        (End(AT, 139, False, False, False), "signal"),
        (End(AT, 137, True, False, False), "signal"),
        (End(AT, 137, True, True, False), "stopped"),
        (End(AT, 0, True, True, False), "stopped"),
        (End(AT, 0, True, False, False), "ok"),
        (End(AT, 1, True, False, False), "signal"),
        (End(AT, 3, False, True, False), "error"),
        (End(AT, 137, False, False, True), "oom"),
        (End(AT, 137, False, False, False, MAIN), "oom"),
        (End(AT, 137, True, True, False, MAIN), "oom"),
        (End(AT, 0, False, False, True, CHILD_JUST_NOW), "ok"),
        (End(AT, 1, False, False, False, CHILD_JUST_NOW), "oom"),
        (End(AT, 1, False, False, True, CHILD_LONG_AGO), "error"),
        (End(AT, 137, True, True, True, CHILD_LONG_AGO), "stopped"),
        (End(AT, None, True, True, False), "stopped"),
        (End(AT, None, False, False, False), "error"),
    ],
    ids=[
        "zero is ok", "one is an error", "137 alone is a SIGKILL by anyone", "a segmentation fault",
        "docker kill is a signal", "docker stop by force", "docker stop gracefully", "a signal and a clean end",
        "a signal and a dirty end", "stopped in its back-off, after it failed by itself", "the engine's flag and 137",
        "its main process was killed for memory", "killed for memory while being stopped",
        "a child was killed, the end is clean", "a child's kill just before explains the end",
        "a child's kill long before does not", "stopped long after a child's kill", "removed by force",
        "nobody knows how",
    ],
)  # fmt: skip
def test_the_reason_of_an_exit_needs_evidence(end: End, reason: str) -> None:
    assert exit_reason(end) == reason


@pytest.mark.parametrize(
    ("policy", "code", "told", "restarts"),
    [
        ("no", 1, False, False), ("always", 0, False, True), ("always", 0, True, False),
        ("on-failure", 0, False, False), ("on-failure", 2, False, True), ("unless-stopped", 0, False, True),
    ],
)  # fmt: skip
def test_who_starts_again_follows_from_the_policy(policy: str, code: int, told: bool, restarts: bool) -> None:
    assert policy_restarts(policy, code, told=told) is restarts  # type: ignore[arg-type]


def test_a_batch_job_that_ended_well_is_done() -> None:
    assert is_done("no", 0)
    assert is_done("on-failure", 0)
    assert not is_done("always", 0)
    assert not is_done("no", 1)


@pytest.mark.parametrize(
    ("known", "found", "back", "missed"),
    [
        (2, {"restart_count": 5}, False, Missed(policy=3)),
        (2, {"restart_count": 6, "state": "restarting"}, False, Missed(policy=3)),
        (2, {"restart_count": 0}, False, Missed(manual=1)),
        (2, {"restart_count": 1}, False, Missed(policy=1, manual=1)),
        (0, {"restart_count": 0}, False, Missed(manual=1)),
        (0, {"restart_count": 0}, True, Missed(policy=1)),
        (0, {"restart_count": 2}, True, Missed(policy=3)),
        (5, {"restart_count": 2}, True, Missed(policy=3)),
        (0, {"restart_count": 2, "state": "restarting"}, True, Missed(policy=2)),
        (0, {"restart_count": 0, "started_ms": AT}, False, Missed()),
        (0, {"restart_count": 0, "started_ms": None}, False, Missed()),
    ],
    ids=[
        "the count rose", "the count holds the attempt to come", "a start by hand sets it back",
        "by hand, then by policy", "a new run without a rise", "the engine came back and started it",
        "it crashed since", "it had crashed before too", "it is about to start again",
        "the run that was known", "never started",
    ],
)  # fmt: skip
def test_what_was_missed_follows_from_count_and_start(
    known: int, found: dict[str, object], back: bool, missed: Missed
) -> None:
    container = replace(PLAIN, **{"state": "running", "started_ms": AT + 10_000, **found})  # type: ignore[arg-type]
    assert missed_restarts(known, AT, container, back=back) == missed


@pytest.mark.parametrize(
    ("policy", "code", "stopped_before", "back"),
    [
        ("always", 0, True, True), ("unless-stopped", 137, True, False), ("unless-stopped", 0, False, True),
        ("on-failure", 0, False, False), ("on-failure", 137, True, True), ("on-failure", None, False, True),
        ("no", 1, False, False),
    ],
)  # fmt: skip
def test_what_an_engine_brings_back_as_it_begins(
    policy: str, code: int | None, stopped_before: bool, back: bool
) -> None:
    found = replace(PLAIN, restart_policy=policy)  # type: ignore[arg-type]
    assert brought_back(found, code, stopped_before=stopped_before) is back

"""A clock that is set, forward or back, while the agent watches: counts stay exact and time goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.set_back import Steps
from tests.agent.stories import PLAIN, WEB, Stage
from tests.agent.test_lifecycle import PROBED, cold
from tests.agent.test_memory import Agent, crashed

HOUR_MS = 3_600_000
DESIRED = "midwatch_container_desired_seconds_total"


def running(container: object = PLAIN) -> Stage:
    return Stage(container=container).says("create").after(10).says("start").after(5_000)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [-HOUR_MS, -5_000, HOUR_MS])
def test_restarts_and_exits_are_exact_over_a_step(step: int) -> None:
    stage = running().dies(1).after(100).says("start").after(1_000).clock_set(step)
    for _ in range(3):
        stage.after(1_000).dies(1).after(100).says("start")
    stage.says("kill", signal="15").dies(0).says("stop").after(300).says("start").settles()
    assert stage.counted("restarts") == {"policy": 4, "manual": 1}
    assert stage.counted("exits") == {"error": 4, "stopped": 1}


def test_an_end_just_before_the_clock_was_set_back_and_the_start_just_after_are_one_restart() -> None:
    stage = running().dies(1).clock_set(-HOUR_MS).after(100).says("start").settles()
    assert stage.counted("restarts") == {"policy": 1}
    assert stage.counted("exits") == {"error": 1}


def test_an_event_of_before_that_comes_after_the_clock_was_set_back_holds_nothing_up() -> None:
    stage = running()
    stage.clock_set(-HOUR_MS).after(50).lifecycle.tick()
    stage.says_at(stage.now + HOUR_MS, "die", exitCode="1").after(100).says("start").settles()
    assert stage.counted("restarts") == {"policy": 1}


@pytest.mark.parametrize("step", [-HOUR_MS, HOUR_MS])
def test_an_inspection_after_a_step_finds_the_same_run_the_same_and_a_new_one_new(step: int) -> None:
    stage = running().clock_set(step)
    started = stage.now - step - 5_000
    same = replace(PLAIN, state="running", started_ms=started)
    stage.lifecycle.resync([same])
    assert stage.settles().counted("restarts") == {}
    stage.after(10_000)
    stage.lifecycle.resync([replace(same, started_ms=stage.now - 500, restart_count=2)])
    assert stage.settles().counted("restarts") == {"policy": 2}


def test_desired_time_goes_on_though_the_clock_was_set_back() -> None:
    stage = running()
    stage.lifecycle.tick()
    before = stage.ledger.value(WEB, DESIRED)
    stage.clock_set(-HOUR_MS).lifecycle.tick()
    stage.after(7_000).lifecycle.tick()
    assert stage.ledger.value(WEB, DESIRED) - before == 7_000


def test_what_starts_is_not_given_up_because_the_clock_was_set_forward() -> None:
    stage = running(PROBED).clock_set(HOUR_MS).settles()
    assert cold(stage) == (0, 0)
    assert cold(stage.after(130_000).settles()) == (0, 1)


def test_a_probe_that_passes_after_the_clock_was_set_back_is_of_the_same_run() -> None:
    stage = Stage(container=PROBED).says("create").after(10).says("start")
    started = stage.now
    stage.clock_set(-HOUR_MS).after(500).lifecycle.tick()
    stage.lifecycle.ready(PLAIN.id, started, 0.5, "tcp", first_try=False, error_seconds=0.02)
    assert cold(stage) == (1, 0)


def test_a_checkpoint_of_the_future_holds_nothing_up(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    agent.lifecycle.resync([])
    agent.says("create").says("start").after(1_000).dies(1).after(100).says("start").after(1_000)
    crashed(agent, memory)
    agent.clock_set(-HOUR_MS).began(tmp_path)
    agent.after(1_000).dies(1).after(100).says("start").settles()
    assert agent.counted("restarts") == {"policy": 2}
    assert agent.counted("exits") == {"error": 2}


def test_a_step_is_seen_once_and_a_drift_never() -> None:
    wall, passed = [1_000_000], [50.0]
    steps = Steps(lambda: wall[0], lambda: passed[0])
    told = []
    for wall_ms, seconds in ((1_000, 1.0), (10_200, 10.0), (-60_000, 5.0), (5_000, 5.0), (8_000_000, 3.0)):
        wall[0] += wall_ms
        passed[0] += seconds
        told.append(steps.taken_ms())
    assert told == [0, 0, -65_000, 0, 7_997_000]

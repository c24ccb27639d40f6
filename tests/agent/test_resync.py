from __future__ import annotations

from dataclasses import replace
from typing import Any

from runtime.model import Container
from tests.agent.stories import BEGIN_MS, PLAIN, WEB, Stage

OLD = replace(PLAIN, state="running", pid=7, created_ms=BEGIN_MS - 90_000, started_ms=BEGIN_MS - 60_000)


def found(**change: Any) -> Container:
    return replace(OLD, **change)


def stage_with(container: Container) -> Stage:
    """An agent that begins beside a container that was there before it."""
    stage = Stage()
    stage.lifecycle.resync([container])
    return stage.after(10_000)


def totals(stage: Stage) -> tuple[int, int]:
    return stage.lifecycle.totals()[WEB]


def test_what_was_before_the_first_sight_is_not_counted() -> None:
    stage = Stage()
    stage.lifecycle.watched_ms = None
    stage.lifecycle.resync([found(restart_count=7)])
    assert stage.settles().counted("restarts") == {}
    assert totals(stage) == (1, 1)


def test_a_restart_in_a_gap_is_counted_once_however_often_it_is_looked_at() -> None:
    stage = stage_with(OLD)
    later = found(restart_count=1, started_ms=stage.now)
    for _ in range(3):
        stage.lifecycle.resync([later])
        stage.settles()
    assert stage.counted("restarts") == {"policy": 1}


def test_an_event_that_an_inspection_overtook_changes_nothing() -> None:
    stage = stage_with(OLD)
    died, started = stage.now + 1_000, stage.now + 1_200
    stage.now = started + 300
    stage.lifecycle.resync([found(restart_count=1, started_ms=started)])
    stage.now = died
    stage.says("die", exitCode="1")
    stage.now = started + 40
    stage.says("start")
    stage.now = started + 2_000
    assert stage.settles().counted("restarts") == {"policy": 1}
    assert stage.counted("exits") == {}
    assert stage.dies(1).settles().counted("exits") == {"error": 1}


def test_an_end_whose_container_an_inspection_found_removed_is_counted_when_it_is_told_of() -> None:
    stage = stage_with(OLD)
    stage.lifecycle.resync([])
    assert totals(stage) == (0, 0)
    stage.dies(137).kills().says("destroy").settles()
    assert stage.counted("exits") == {"oom": 1}
    assert totals(stage) == (0, 0)
    assert stage.names().count("container.destroy") == 1


def test_a_whole_life_that_is_told_of_after_its_container_was_found_removed_is_counted() -> None:
    stage = Stage(container=replace(PLAIN, restart_policy="on-failure")).says("create")
    stage.lifecycle.resync([])
    stage.after(100).says("start").after(50).dies(1).after(100).says("start").after(50).dies(0).says("destroy")
    assert stage.settles().counted("exits") == {"error": 1, "ok": 1}
    assert stage.counted("restarts") == {"policy": 1}
    assert totals(stage) == (0, 0)


def test_the_events_of_a_gap_that_the_engine_remembers_leave_the_inspection_nothing_to_count() -> None:
    stage = stage_with(OLD).dies(1).after(200).says("start")
    started = stage.now
    stage.after(100)
    stage.lifecycle.resync([found(restart_count=1, started_ms=started - 5)])
    assert stage.settles().counted("restarts") == {"policy": 1}
    assert stage.counted("exits") == {"error": 1}


def test_restart_counts_0_1_2_0_1_are_three_by_policy_and_one_by_hand() -> None:
    stage = stage_with(found(restart_count=0))
    for count in (1, 2, 0, 1):
        stage.after(5_000)
        stage.lifecycle.resync([found(restart_count=count, started_ms=stage.now - 1_000)])
    assert stage.settles().counted("restarts") == {"policy": 3, "manual": 1}


def test_an_engine_that_came_back_restarted_what_its_policy_says() -> None:
    stage = stage_with(OLD)
    engine_went(stage).after(20_000)
    stage.lifecycle.resync([found(started_ms=stage.now - 1_000)])
    assert stage.settles().counted("restarts") == {"policy": 1}


def engine_went(stage: Stage) -> Stage:
    stage.lifecycle.blind()
    stage.lifecycle.engine_returned(stage.now)
    return stage


def test_what_crashed_after_an_engine_brought_it_back_counts_beside_that() -> None:
    stage = engine_went(stage_with(OLD)).after(20_000)
    stage.lifecycle.resync([found(started_ms=stage.now - 1_000, restart_count=2)])
    assert stage.settles().counted("restarts") == {"policy": 3}
    stage.dies(1).after(500).says("start").after(1_000)
    assert stage.settles().counted("restarts") == {"policy": 4}
    stage.after(5_000)
    stage.lifecycle.resync([found(started_ms=stage.now - 1_000, restart_count=4)])
    assert stage.settles().counted("restarts") == {"policy": 5}


def test_what_is_told_of_after_an_engine_brought_it_back_is_not_counted_again_by_the_inspection() -> None:
    stage = engine_went(stage_with(found(restart_count=5))).after(20_000).says("start").dies(1).after(200).says("start")
    stage.lifecycle.resync([found(started_ms=stage.now, restart_count=1)])
    assert stage.settles().counted("restarts") == {"policy": 2}
    stage.after(5_000)
    stage.lifecycle.resync([found(started_ms=stage.now - 1_000, restart_count=2)])
    assert stage.settles().counted("restarts") == {"policy": 3}


def test_the_code_of_an_end_that_was_told_of_outlives_an_engine_that_forgot_it() -> None:
    stage = stage_with(found(restart_policy="on-failure", max_retries=0)).dies(3).after(1_000)
    gave_up = found(restart_policy="on-failure", state="exited", exit_code=0, finished_ms=stage.now)
    stage.lifecycle.resync([gave_up])
    assert stage.settles().counted("exits") == {"error": 1}
    assert totals(stage) == (1, 0)


def test_an_end_in_a_gap_is_counted_by_its_exit_code() -> None:
    stage = stage_with(found(restart_policy="no"))
    stage.lifecycle.resync([found(restart_policy="no", state="exited", exit_code=3, finished_ms=stage.now - 500)])
    assert stage.settles().counted("exits", stage_service(stage)) == {"error": 1}


def test_a_container_that_its_policy_would_have_started_again_was_told_to_stop() -> None:
    stage = stage_with(OLD)
    stage.lifecycle.resync([found(state="exited", exit_code=137, finished_ms=stage.now - 500)])
    assert stage.settles().counted("exits") == {"stopped": 1}
    assert totals(stage) == (0, 0)
    assert stage.says("start").settles().counted("restarts") == {"manual": 1}


def test_a_container_made_and_restarted_in_a_gap_brings_all_its_restarts() -> None:
    stage = stage_with(OLD)
    new = found(id="n" * 64, name="web", created_ms=stage.now + 1_000, started_ms=stage.now + 5_000, restart_count=4)
    stage.after(6_000)
    stage.lifecycle.resync([OLD, new])
    assert stage.settles().counted("restarts") == {"policy": 4}


def test_a_container_that_is_gone_is_told_of_and_its_end_is_not_guessed() -> None:
    stage = stage_with(OLD)
    stage.lifecycle.resync([])
    assert stage.settles().counted("exits") == {}
    assert stage.names().count("container.destroy") == 1
    assert totals(stage) == (0, 0)


def test_one_that_is_in_its_back_off_is_desired_and_counts_the_attempt_only_once_it_is_made() -> None:
    stage = stage_with(OLD)
    waiting = found(state="restarting", restart_count=3, exit_code=1, started_ms=stage.now, finished_ms=stage.now + 10)
    stage.after(100)
    stage.lifecycle.resync([waiting])
    assert (totals(stage), stage.counted("restarts")) == ((1, 0), {"policy": 2})
    assert stage.after(400).says("start").settles().counted("restarts") == {"policy": 3}


def test_a_container_found_ready_has_no_cold_start_and_one_that_was_waited_for_has() -> None:
    probed = found(labels={"midwatch.readiness": "tcp://:80"})
    for first_try, counted in ((True, 0), (False, 1)):
        stage = stage_with(probed)
        stage.lifecycle.ready(PLAIN.id, probed.started_ms or 0, 61.0, "tcp", first_try=first_try, error_seconds=0.03)
        assert totals(stage) == (1, 1)
        assert [event.name for event in stage.settles().told].count("container.ready") == counted


def stage_service(stage: Stage) -> Any:
    (record,) = stage.lifecycle.records()
    return record.service


def test_the_restarts_of_a_container_whose_first_start_was_missed_too_are_counted() -> None:
    stage = Stage()
    stage.lifecycle.resync([])
    stage.says("create")
    stage.lifecycle.resync([found(restart_count=3, created_ms=PLAIN.created_ms, started_ms=stage.after(5_000).now)])
    assert stage.settles().counted("restarts") == {"policy": 3}


def test_the_first_start_that_was_missed_is_no_restart() -> None:
    stage = Stage()
    stage.lifecycle.resync([])
    stage.says("create")
    stage.lifecycle.resync([found(created_ms=PLAIN.created_ms, started_ms=stage.after(5_000).now)])
    assert stage.settles().counted("restarts") == {}

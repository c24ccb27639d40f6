from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.book import Declared
from agent.model import Histogram, Point, Value
from runtime.model import (
    CONFIG_HASH_LABEL,
    PLATFORM,
    PROJECT_LABEL,
    REPLICA_LABEL,
    SERVICE_LABEL,
    EngineEvent,
    ServiceName,
)
from tests.agent.stories import BEGIN_MS, PLAIN, WEB, Stage

OURS = replace(
    PLAIN,
    name="shop-api-1",
    labels={PROJECT_LABEL: "shop", SERVICE_LABEL: "api", REPLICA_LABEL: "1", CONFIG_HASH_LABEL: "h1"},
)
API = ServiceName("shop", "api")
HEALTH = replace(PLAIN, health="starting")
PROBED = replace(PLAIN, labels={"midwatch.readiness": "tcp://:80"})


def running(container: Any = PLAIN) -> Stage:
    return Stage(container=container).says("create").after(100).says("start").after(1_000)


# restarts


def test_a_policy_restart_is_a_death_and_a_start() -> None:
    stage = running().dies(1).after(100).says("start").settles()
    assert stage.counted("restarts") == {"policy": 1}
    assert stage.counted("exits") == {"error": 1}
    restart = next(event for event in stage.told if event.name == "container.restart")
    assert restart.attributes == {"by": "policy", "exit_code": 1, "count": 1}


def test_a_restart_by_hand_counts_once_though_it_has_an_event_of_its_own() -> None:
    stage = running().says("kill", signal="15").dies(137).says("stop").after(50).says("start").says("restart")
    assert stage.settles().counted("restarts") == {"manual": 1}
    assert stage.counted("exits") == {"stopped": 1}


def test_a_stop_and_a_later_start_is_a_restart_by_hand() -> None:
    stage = running().says("kill", signal="15").dies(0).says("stop").after(60_000).says("start").settles()
    assert stage.counted("restarts") == {"manual": 1}
    assert stage.counted("exits") == {"stopped": 1}


def test_a_restart_by_hand_in_the_middle_of_a_crash_loop_is_told_apart() -> None:
    stage = running()
    for _ in range(2):
        stage.dies(3).after(200).says("start").after(10)
    stage.dies(3).after(100).says("stop").after(100).says("start").says("restart").after(10)
    stage.dies(3).after(100).says("start").settles()
    assert stage.counted("restarts") == {"policy": 3, "manual": 1}
    assert stage.counted("exits") == {"error": 4}


def test_a_container_without_a_policy_that_is_started_again_was_started_by_someone() -> None:
    stage = running(replace(PLAIN, restart_policy="no", labels={"midwatch.service": "web"}))
    assert stage.dies(1).after(500).says("start").settles().counted("restarts") == {"manual": 1}


def test_a_reload_by_signal_is_no_request_to_stop() -> None:
    stage = running().says("kill", signal="1").after(60_000).dies(1).after(100).says("start").settles()
    assert stage.counted("restarts") == {"policy": 1}
    assert stage.counted("exits") == {"error": 1}


def test_a_replayed_event_changes_nothing() -> None:
    stage = running().dies(1)
    event = EngineEvent(stage.now * 1_000_000, PLAIN.id, "die", "container", {"exitCode": "1"})
    stage.lifecycle.event(event)
    assert stage.settles().counted("exits") == {"error": 1}


def test_the_first_start_of_a_container_is_no_restart() -> None:
    assert running().settles().counted("restarts") == {}


def test_what_an_engine_stopped_when_it_went_and_starts_when_it_is_back_is_by_policy() -> None:
    stage = running().says("kill", signal="15").dies(0).says("stop").after(2_000)
    stage.lifecycle.blind()
    stage.lifecycle.engine_returned(stage.now)
    stage.after(9_000).says("start")
    stage.lifecycle.resync([replace(PLAIN, state="running", started_ms=stage.now)])
    assert stage.settles().counted("restarts") == {"policy": 1}
    stage.says("kill", signal="15").dies(0).says("stop").after(500).says("start").settles()
    assert stage.counted("restarts") == {"policy": 1, "manual": 1}


# ours


def declared(stage: Stage, replicas: int = 1, launched: bool = True) -> Stage:
    stage.lifecycle.declare({API: Declared(replicas, "/compose.yaml", {}, launched=launched)})
    return stage


def test_what_we_start_again_is_a_restart_by_us() -> None:
    stage = declared(running(OURS)).says("kill", signal="15").dies(137).says("stop").after(2_000)
    stage.lifecycle.our_work(OURS.id)
    assert stage.says("start").settles().counted("restarts", API) == {"midwatch": 1}


def test_a_removed_container_that_comes_back_the_same_is_a_restart_by_us() -> None:
    stage = declared(running(OURS)).says("kill", signal="9").dies(137).says("destroy").after(500)
    stage.container = replace(OURS, id="d" * 64)
    stage.says("create").says("start").settles()
    assert stage.counted("restarts", API) == {"midwatch": 1}
    assert stage.counted("exits", API) == {"stopped": 1}


@pytest.mark.parametrize("change", [{"image_id": "sha256:2"}, {"labels": {**OURS.labels, CONFIG_HASH_LABEL: "h2"}}])
def test_a_container_made_anew_with_another_image_or_configuration_is_no_restart(change: dict[str, Any]) -> None:
    stage = declared(running(OURS))
    stage.lifecycle.our_work(OURS.id)
    stage.says("kill", signal="15").dies(0).says("stop").says("destroy")
    stage.container = replace(OURS, id="d" * 64, **change)
    assert stage.says("create").says("start").settles().counted("restarts", API) == {}


def test_a_replica_that_was_scaled_away_and_back_is_no_restart() -> None:
    stage = declared(running(OURS))
    stage.lifecycle.our_work(OURS.id)
    stage.says("kill", signal="15").dies(0).says("stop").says("destroy").after(60_000)
    stage.container = replace(OURS, id="d" * 64)
    assert stage.says("create").says("start").settles().counted("restarts", API) == {}


def test_another_image_of_a_foreign_service_is_a_deploy() -> None:
    compose = {"com.docker.compose.project": "old", "com.docker.compose.service": "db"}
    stage = running(replace(PLAIN, labels=compose)).says("kill", signal="15").dies(0).says("stop").says("destroy")
    stage.container = replace(PLAIN, id="d" * 64, labels=compose, image="web:2", image_id="sha256:2")
    stage.says("create").says("start").settles()
    deploys = [event for event in stage.told if event.name == "deploy"]
    assert [event.attributes["reason"] for event in deploys] == ["created", "image changed"]
    assert deploys[1].attributes["previous_image"] == "web:1"
    assert stage.counted("restarts", ServiceName("old", "db")) == {}


# memory


def test_a_kill_counts_after_its_container_is_gone_and_replaced() -> None:
    """kube-state-metrics #2153: a gauge would have missed it."""
    stage = running().kills().dies(137).says("destroy").after(100)
    stage.container = replace(PLAIN, id="d" * 64)
    stage.says("create").says("start").settles()
    assert stage.ooms() == 1
    assert stage.counted("exits") == {"oom": 1}


def test_a_child_that_was_killed_is_no_exit_and_a_later_clean_end_is_ok() -> None:
    stage = running().kills(victim="child").settles()
    assert (stage.ooms(), stage.counted("exits")) == (1, {})
    assert stage.after(60_000).dies(0).settles().counted("exits") == {"ok": 1}


def test_the_verdict_waits_for_a_kill_that_is_told_of_after_the_end() -> None:
    stage = running().dies(137).after(100).says("start").after(400).kills(victim="unknown").settles()
    assert stage.counted("exits") == {"oom": 1}
    assert stage.dies(1).settles().counted("exits") == {"oom": 1, "error": 1}


def test_each_kill_of_a_fast_loop_goes_to_its_own_run() -> None:
    """Azure/prometheus-collector #888, kubernetes-mixin PR #510: each once, and of no other container."""
    stage = running()
    for _ in range(5):
        stage.dies(137).after(100).says("start").after(60).kills().after(20)
    assert stage.settles().counted("exits") == {"oom": 5}
    assert stage.ooms() == 5


def test_a_kill_that_precedes_the_start_event_belongs_to_that_run() -> None:
    stage = Stage().says("create").after(10).kills().after(5).says("start").after(1).dies(137).settles()
    assert (stage.ooms(), stage.counted("exits")) == (1, {"oom": 1})


def test_a_kill_waits_for_a_container_that_nobody_has_told_of_yet() -> None:
    stage = Stage().kills().after(500).says("create").says("start").dies(137).settles()
    assert stage.ooms() == 1


def test_a_kill_in_a_container_that_nobody_ever_tells_of_is_unattributed() -> None:
    stage = Stage().kills(n=2).after(20_000).settles()
    assert stage.ledger.value(PLATFORM, "midwatch_oom_kills_unattributed_total") == 2


def test_a_kill_by_the_engines_command_is_a_signal() -> None:
    assert running().says("kill", signal="9").dies(137).settles().counted("exits") == {"signal": 1}


# desired and healthy


def totals(stage: Stage, service: ServiceName = WEB) -> tuple[int, int]:
    return stage.lifecycle.totals()[service]


def test_a_container_in_back_off_is_desired_and_not_healthy() -> None:
    stage = running()
    assert totals(stage) == (1, 1)
    assert totals(stage.dies(1)) == (1, 0)
    assert totals(stage.after(5_000).says("start")) == (1, 1)


def test_a_stopped_container_is_not_desired() -> None:
    assert totals(running().says("kill", signal="15").dies(137).says("stop")) == (0, 0)


def test_a_container_stopped_in_its_back_off_is_not_desired_any_more() -> None:
    assert totals(running().dies(1).after(50).says("stop")) == (0, 0)


def test_what_gave_up_by_itself_is_missing() -> None:
    stage = running(replace(PLAIN, restart_policy="on-failure", max_retries=1)).dies(1).after(100).says("start")
    assert totals(stage.after(100).dies(1)) == (1, 0)


@pytest.mark.parametrize("code", [0, 1])
def test_a_one_shot_that_ended_is_not_missing(code: int) -> None:
    stage = running(replace(PLAIN, restart_policy="no")).dies(code)
    assert totals(stage) == (0, 0)


def test_a_compose_service_without_a_policy_that_crashed_is_missing() -> None:
    compose = {"com.docker.compose.project": "old", "com.docker.compose.service": "db"}
    stage = running(replace(PLAIN, restart_policy="no", labels=compose)).dies(1)
    assert totals(stage, ServiceName("old", "db")) == (1, 0)


def test_a_declared_service_is_desired_in_all_its_replicas_once_it_was_launched() -> None:
    stage = declared(Stage(), replicas=3, launched=False)
    assert totals(stage, API) == (0, 0)
    stage.lifecycle.launched([API])
    assert totals(stage, API) == (3, 0)


def test_a_declared_job_that_ended_well_is_done_and_one_that_failed_is_missing() -> None:
    job = replace(OURS, restart_policy="no")
    assert totals(declared(running(job)).dies(0), API) == (0, 0)
    assert totals(declared(running(job)).dies(1), API) == (1, 0)


def test_desired_and_healthy_time_change_at_the_moment_of_the_event() -> None:
    stage = running().dies(1).after(700).says("start").after(300).settles()
    assert stage.ledger.value(WEB, "midwatch_container_desired_seconds_total") == 1_000 + 700 + 300 + 3_000
    assert stage.ledger.value(WEB, "midwatch_container_healthy_seconds_total") == 1_000 + 300 + 3_000


def test_time_in_which_a_declared_service_had_no_container_that_ran_is_none_of_an_instance() -> None:
    stage = declared(Stage(container=OURS), replicas=1, launched=True)
    stage.settles()
    assert stage.ledger.value(API, "midwatch_container_desired_seconds_total") == 3_000
    assert stage.ledger.value(API, "midwatch_container_instance_seconds_total") == 0
    stage.says("create").after(1_000).says("start").after(2_000).dies(1).settles()
    assert stage.ledger.value(API, "midwatch_container_desired_seconds_total") == 9_000
    assert stage.ledger.value(API, "midwatch_container_instance_seconds_total") == 5_000


def test_time_without_an_engine_counts_as_neither() -> None:
    stage = running().settles()
    before = stage.ledger.value(WEB, "midwatch_container_desired_seconds_total")
    stage.lifecycle.blind()
    stage.after(30_000).settles()
    assert stage.ledger.value(WEB, "midwatch_container_desired_seconds_total") == before


def test_health_checks_count_from_the_event_on() -> None:
    stage = running(HEALTH)
    assert totals(stage) == (1, 0)
    assert totals(stage.after(4_000).says("health_status: healthy")) == (1, 1)
    assert totals(stage.says("health_status: unhealthy")) == (1, 0)
    assert "container.unhealthy" in stage.settles().names()


# cold start


def told(stage: Stage, service: ServiceName) -> list[Point]:
    """Every sample of a service."""
    return [point for group in stage.ledger.points(stage.now, {service}) for point in group.points]


def cold(stage: Stage, service: ServiceName = WEB) -> tuple[int, int]:
    """Starts that got ready, and those that never did."""
    wanted = ("midwatch_cold_start_seconds", (("segment", "ready"),))
    (found,) = (point for point in told(stage, service) if isinstance(point, Histogram) and point[:2] == wanted)
    return sum(found.counts[:-1]), found.counts[-1]


def test_the_first_success_of_a_probe_is_the_end_of_a_cold_start() -> None:
    stage = running(PROBED)
    started = stage.now - 1_000
    assert (totals(stage), cold(stage)) == ((1, 0), (0, 0))
    stage.lifecycle.ready(PLAIN.id, started, 0.9, "tcp", first_try=False, error_seconds=0.03)
    stage.lifecycle.ready(PLAIN.id, started, 1.9, "tcp", first_try=False, error_seconds=0.03)
    assert (totals(stage), cold(stage)) == ((1, 1), (1, 0))
    ready = [event for event in stage.settles().told if event.name == "container.ready"]
    assert [event.attributes for event in ready] == [{"seconds": 0.9, "probe": "tcp", "error_seconds": 0.03}]
    errors = [one for one in told(stage, WEB) if one.name == "midwatch_cold_start_error_seconds"]
    assert [one.value for one in errors if isinstance(one, Value)] == [0.03]


def segments(stage: Stage, service: ServiceName = WEB) -> dict[str, tuple[int, float]]:
    """How many starts each segment has, with its seconds."""
    found = [point for point in told(stage, service) if isinstance(point, Histogram) and "cold" in point.name]
    return {dict(point.labels)["segment"]: (sum(point.counts), point.sum) for point in found if sum(point.counts)}


def test_a_first_start_is_told_by_segments_that_add_up() -> None:
    stage = Stage(container=PROBED)
    stage.lifecycle.queued(WEB, 2.0)
    stage.after(100).says("create").after(50).says("start")
    started = stage.now
    stage.lifecycle.ready(PLAIN.id, started, 0.9, "tcp", first_try=False, error_seconds=0.03)
    steps = {"queue": (1, 2.0), "create": (1, 0.1), "start": (1, 0.05), "ready": (1, 0.9)}
    assert segments(stage) == {**steps, "total": (1, pytest.approx(3.05))}
    stage.after(1_000).dies(1).after(100).says("start")
    stage.lifecycle.ready(PLAIN.id, stage.now, 0.4, "tcp", first_try=False, error_seconds=0.03)
    assert segments(stage) == {**steps, "ready": (2, pytest.approx(1.3)), "total": (1, pytest.approx(3.05))}


def test_a_first_start_that_is_never_ready_fails_as_a_whole() -> None:
    stage = running(PROBED).dies(1)
    assert {name: count for name, (count, _) in segments(stage).items()} == {
        "create": 1,
        "start": 1,
        "ready": 1,
        "total": 1,
    }
    told = [event.attributes for event in stage.settles().told if event.name == "container.never_ready"]
    assert told == [{"seconds": 1.0}]


def test_a_container_made_to_be_started_some_time_has_no_total() -> None:
    stage = Stage(container=PROBED).says("create").after(3_600_000).says("start")
    stage.lifecycle.ready(PLAIN.id, stage.now, 0.5, "tcp", first_try=False, error_seconds=0.03)
    assert segments(stage) == {"ready": (1, 0.5)}


def test_by_health_check_the_pause_between_checks_is_the_error() -> None:
    stage = running(replace(HEALTH, health_interval_seconds=2.0)).after(4_000).says("health_status: healthy").settles()
    (ready,) = [event.attributes for event in stage.told if event.name == "container.ready"]
    assert (ready["seconds"], ready["error_seconds"]) == (5.0, 2.0)


def test_a_container_that_ends_before_it_is_ready_was_never_ready() -> None:
    assert cold(running(PROBED).dies(1)) == (0, 1)


def test_a_container_that_is_stopped_before_it_is_ready_says_nothing() -> None:
    assert cold(running(PROBED).says("kill", signal="15").dies(137).says("stop")) == (0, 0)


def test_the_deadline_makes_it_never_ready_once() -> None:
    stage = running(PROBED)
    started = stage.now - 1_000
    stage.lifecycle.never_ready(PLAIN.id, started)
    stage.lifecycle.never_ready(PLAIN.id, started)
    assert cold(stage.after(9_000).dies(1)) == (0, 1)


def test_a_health_check_tells_when_it_is_ready() -> None:
    assert cold(running(HEALTH).says("health_status: healthy").says("health_status: healthy")) == (1, 0)


def test_a_health_check_that_has_not_passed_by_the_deadline_is_never_ready() -> None:
    stage = running(HEALTH).after(130_000).settles()
    assert cold(stage) == (0, 1)
    assert cold(stage.says("health_status: healthy")) == (0, 1)
    assert totals(stage) == (1, 1)


def test_a_kill_that_is_told_of_after_the_end_was_on_purpose_all_the_same() -> None:
    stage = running().dies(137).after(3).says("kill", signal="9")
    assert totals(stage) == (0, 0)
    assert stage.settles().counted("exits") == {"signal": 1}
    assert stage.says("start").settles().counted("restarts") == {"manual": 1}


def test_an_answer_about_an_earlier_run_changes_nothing() -> None:
    stage = running(PROBED)
    earlier = stage.now - 1_000
    stage.dies(1).after(100).says("start")
    stage.lifecycle.ready(PLAIN.id, earlier, 0.5, "tcp", first_try=False, error_seconds=0.03)
    assert totals(stage) == (1, 0)


def test_three_failed_looks_in_a_row_are_unhealthy_and_one_good_one_heals() -> None:
    stage = running(PROBED)
    started = stage.now - 1_000
    stage.lifecycle.ready(PLAIN.id, started, 0.5, "tcp", first_try=False, error_seconds=0.03)
    for expected in (1, 1, 0, 0):
        stage.lifecycle.check(PLAIN.id, started, passed=False)
        assert totals(stage) == (1, expected)
    stage.lifecycle.check(PLAIN.id, started, passed=True)
    assert totals(stage) == (1, 1)


# services


def test_a_service_is_told_of_at_first_sight_on_change_and_every_ten_minutes() -> None:
    stage = running(replace(PLAIN, labels={"midwatch.slo.container-up.target": "99 %", "other": "x"})).settles()
    first = next(event for event in stage.told if event.name == "service.declared")
    assert first.attributes == {
        "replicas": 1,
        "source": "engine",
        "probe": False,
        "first_seen_ms": BEGIN_MS,
        "label.midwatch.slo.container-up.target": "99 %",
    }
    stage.after(500_000).settles()
    assert stage.names().count("service.declared") == 1
    stage.after(100_000).settles()
    assert stage.names().count("service.declared") == 2


def test_an_undeclared_service_is_dropped_an_hour_after_its_last_container() -> None:
    stage = running().says("kill", signal="9").dies(137).says("destroy").settles()
    stage.after(3_500_000).settles()
    assert "service.removed" not in stage.names()
    stage.after(200_000).settles()
    assert stage.names().count("service.removed") == 1
    assert stage.ledger.points(stage.now) == []


def test_a_service_whose_project_was_ended_is_dropped_with_its_last_container() -> None:
    stage = declared(running(OURS)).settles()
    stage.lifecycle.declare({})
    stage.says("kill", signal="15").dies(137).says("stop").says("destroy").settles().settles()
    assert stage.names()[-1] == "service.removed"


# anything

ACTIONS = st.sampled_from(
    ["create", "start", "die", "kill", "stop", "restart", "destroy", "pause", "unpause", "oom", "rename",
     "health_status: healthy", "health_status: unhealthy", "health_status: starting", "health_status"]
)  # fmt: skip
STEP = st.tuples(
    ACTIONS, st.integers(0, 2), st.integers(-3_000, 3_000), st.sampled_from(["0", "1", "137", "x", "-1", ""]),
    st.sampled_from(["kill", "ready", "check", "tick", "blind", "resync", "none"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=40), st.sampled_from(["no", "always", "on-failure"]), st.booleans())
def test_no_order_of_events_breaks_it_or_makes_a_counter_fall(steps: list[Any], policy: Any, probed: bool) -> None:
    stage = Stage(container=replace(PROBED if probed else PLAIN, restart_policy=policy))
    before: dict[Any, float] = {}
    for action, who, pause, number, also in steps:
        stage.now += pause
        container_id = f"{who}" * 64
        stage.says(action, container_id, exitCode=number, signal=number)
        meddle(stage, also, container_id)
        for group in stage.ledger.points(stage.now):
            for point in group.points:
                if getattr(point, "start_ms", None) is not None and hasattr(point, "value"):
                    key = (group.resource, point.name, point.labels, point.start_ms)
                    assert point.value >= before.get(key, 0)
                    before[key] = point.value
        for desired, healthy in stage.lifecycle.totals().values():
            assert 0 <= healthy <= desired <= 3
    stage.lifecycle.settle()


def meddle(stage: Stage, also: str, container_id: str) -> None:
    match also:
        case "kill":
            stage.kills(id=container_id, victim="unknown")
        case "ready":
            stage.lifecycle.ready(container_id, stage.now, 0.1, "tcp", first_try=True, error_seconds=0.03)
        case "check":
            stage.lifecycle.check(container_id, stage.now, passed=False)
        case "tick":
            stage.lifecycle.tick()
        case "blind":
            stage.lifecycle.blind()
        case "resync":
            found = replace(stage.container, id=container_id, state="running", started_ms=stage.now)
            stage.lifecycle.resync([found])

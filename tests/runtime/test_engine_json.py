"""The engine's captured answers as our types."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.engine_json import MAX_LABEL_CHARS, MAX_LABELS, container_of, event_of, time_ms
from tests.runtime.engine_answers import captured


def test_a_running_container_with_limits_and_a_passed_health_check_comes_whole() -> None:
    found = container_of(captured("healthy"))
    assert found.name == "a-cap-health" and found.image == "midwatch-test/busybox:1"
    assert (found.state, found.health, found.exit_code, found.finished_ms) == ("running", "healthy", None, None)
    assert (found.memory_limit_bytes, found.cpu_limit_cores) == (64 * 1024 * 1024, 0.5)
    assert (found.restart_policy, found.max_retries) == ("on-failure", 3)
    assert found.pid and found.address and found.address.startswith("172.")
    assert found.labels == {"midwatch.readiness": "tcp://:80"} and not found.owned
    assert found.started_ms is not None and found.started_ms > found.created_ms


def test_an_ended_container_has_its_exit_code_and_no_process() -> None:
    found = container_of(captured("exited"))
    assert (found.state, found.exit_code, found.pid, found.address) == ("exited", 3, None, None)
    # The engine stamps the start after the process began: one that ends at once has ended before it started.
    assert found.finished_ms is not None and found.started_ms is not None
    assert found.finished_ms - found.started_ms == -2


def test_a_container_between_two_runs_is_restarting_and_keeps_its_last_exit_code() -> None:
    found = container_of(captured("restarting"))
    assert (found.state, found.exit_code) == ("restarting", 1) and found.restart_count >= 1


def test_a_container_that_never_ran_has_no_start_no_end_and_no_exit_code() -> None:
    found = container_of(captured("created"))
    assert (found.state, found.started_ms, found.finished_ms, found.exit_code) == ("created", None, None, None)


def test_start_and_creation_are_two_times() -> None:
    inspect = captured("healthy")
    inspect["Created"] = "2026-01-01T10:00:00Z"
    inspect["State"]["StartedAt"] = "2026-01-01T10:03:00.25Z"
    found = container_of(inspect)
    assert found.started_ms is not None and found.started_ms - found.created_ms == 180_250


def test_a_container_on_the_hosts_network_has_no_address_of_its_own() -> None:
    found = container_of(captured("host_network"))
    assert (found.network_mode, found.address) == ("host", None)


def test_no_limit_is_none_and_a_quota_without_nano_cpus_is_a_limit() -> None:
    inspect = captured("exited")
    assert container_of(inspect).memory_limit_bytes is None and container_of(inspect).cpu_limit_cores is None
    inspect["HostConfig"] |= {"CpuQuota": 150_000, "CpuPeriod": 100_000}
    assert container_of(inspect).cpu_limit_cores == 1.5


@pytest.mark.parametrize(("word", "state"), [("configured", "created"), ("stopped", "exited"), ("stopping", "running")])
def test_podmans_words_for_states_are_understood(word: str, state: str) -> None:
    inspect = captured("exited")
    inspect["State"]["Status"] = word
    assert container_of(inspect).state == state


def test_labels_are_bounded_and_ours_survive_the_bound() -> None:
    inspect = captured("exited")
    many = {f"label{number}": "x" * 10_000 for number in range(1000)}
    inspect["Config"]["Labels"] = {**many, "io.midwatch.project": "shop", "midwatch.readiness": "tcp://:1"}
    labels = container_of(inspect).labels
    assert len(labels) == MAX_LABELS and max(map(len, labels.values())) == MAX_LABEL_CHARS
    assert labels["io.midwatch.project"] == "shop" and labels["midwatch.readiness"] == "tcp://:1"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T00:00:01.5Z", 1500),
        ("1970-01-01T00:00:01.123456789Z", 1123),
        ("1970-01-01T01:00:01.1+01:00", 1100),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("yesterday", None),
    ],
)
def test_times_are_milliseconds_and_gos_zero_time_is_none(text: str | None, ms: int | None) -> None:
    assert time_ms(text) == ms


def test_an_event_keeps_its_nanoseconds_and_its_attributes() -> None:
    line = {
        "Type": "container", "Action": "die", "timeNano": 1_700_000_000_123_456_789,
        "Actor": {"ID": "abc", "Attributes": {"exitCode": "137", "name": "web"}},
    }  # fmt: skip
    event = event_of(line)
    assert event is not None
    assert event[:4] == (1_700_000_000_123_456_789, "abc", "die", "container") and event.attributes["exitCode"] == "137"


def test_a_health_status_keeps_its_verdict() -> None:
    event = event_of({"Type": "container", "Action": "health_status: unhealthy", "time": 5, "Actor": {"ID": "a"}})
    assert event is not None and event.action == "health_status: unhealthy" and event.time_ns == 5 * 10**9


@pytest.mark.parametrize(
    "line", [{"Type": "network", "Action": "create"}, {"Type": "container", "Action": "exec_die"}, {}]
)
def test_events_that_nobody_asked_for_are_none(line: dict[str, str]) -> None:
    assert event_of(line) is None


def test_ownership_is_the_projects_label_alone() -> None:
    found = container_of(captured("exited"))
    assert not found.owned and replace(found, labels={"io.midwatch.project": "x"}).owned

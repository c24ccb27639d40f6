from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger import MAX_REGISTRIES, REGISTRY, UNKNOWN, Ledger
from agent.model import Histogram, Points, Value
from agent.names import OWN
from runtime.model import PLATFORM, Build, LayerTiming, Pull, PullOutcome, PullPhase, RegistryTiming, ServiceName

API = ServiceName("shop", "api")
SOURCES = ("registry", "cache")
BEGIN = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> int:
        return self.now


def ledger(**bounds: int) -> tuple[Ledger, Clock]:
    clock = Clock()
    return Ledger(clock, **bounds), clock


def values(points: list[Points], service: ServiceName = API) -> dict[tuple[str, tuple[tuple[str, str], ...]], Value]:
    found = (point for group in points if group.resource.service == service for point in group.points)
    return {(point.name, point.labels): point for point in found if isinstance(point, Value)}


def histograms(points: list[Points], service: ServiceName = API) -> dict[tuple[str, ...], Histogram]:
    found = (point for group in points if group.resource.service == service for point in group.points)
    return {
        (point.name, *(value for _, value in point.labels)): point for point in found if isinstance(point, Histogram)
    }


def pull(outcome: PullOutcome, repository: str = "api", layers: tuple[LayerTiming, ...] = ()) -> Pull:
    return Pull(f"r:5000/{repository}:1", "r:5000", repository, outcome, BEGIN, 2.0, 100, layers, None, None)


def test_every_counter_of_a_service_exists_with_zero_from_its_first_sight() -> None:
    book, clock = ledger()
    book.see(API)
    clock.now += 60_000
    found = values(book.points(clock.now))
    for by in ("policy", "manual", "midwatch"):
        assert found["midwatch_container_restarts_total", (("by", by),)] == Value(
            "midwatch_container_restarts_total", (("by", by),), 0.0, clock.now, BEGIN
        )
    for reason in ("ok", "error", "oom", "signal", "stopped"):
        assert found["midwatch_container_exits_total", (("reason", reason),)].value == 0
    for victim in ("main", "child", "unknown"):
        key = ("midwatch_oom_kills_total", (("cause", "container"), ("victim", victim)))
        assert (found[key].value, found[key].start_ms) == (0, BEGIN)


def test_a_counter_that_comes_later_counts_from_when_it_came() -> None:
    book, clock = ledger()
    book.see(API)
    clock.now += 3_600_000
    book.oom(API, "host", "main")
    found = values(book.points(clock.now))
    assert found["midwatch_oom_kills_total", (("cause", "host"), ("victim", "main"))].start_ms == clock.now


def test_container_seconds_add_up_to_the_millisecond() -> None:
    book, clock = ledger()
    for _ in range(3_333):
        book.advance(API, 3, 2, 3, instances=2)
    found = values(book.points(clock.now))
    assert found["midwatch_container_desired_seconds_total", ()].value == 29.997
    assert found["midwatch_container_healthy_seconds_total", ()].value == 19.998
    assert found["midwatch_container_instance_seconds_total", ()].value == 19.998


def test_neither_healthy_time_nor_that_of_instances_is_ever_more_than_desired_time() -> None:
    book, _ = ledger()
    book.advance(API, 1, 5, 1_000, instances=5)
    assert book.value(API, "midwatch_container_healthy_seconds_total") == 1_000
    assert book.value(API, "midwatch_container_instance_seconds_total") == 1_000


def test_time_that_nobody_watched_counts_nothing() -> None:
    book, _ = ledger(longest_step_ms=60_000)
    book.advance(API, 1, 1, 60_001, instances=1)
    book.advance(API, 1, 1, -5, instances=1)
    assert book.value(API, "midwatch_container_desired_seconds_total") == 0


def test_a_cold_start_that_never_got_ready_counts_beyond_every_bound() -> None:
    book, clock = ledger()
    book.cold_start(API, "start", 0.5)
    book.cold_start(API, "start", 0.500001)
    book.cold_start(API, "start", None)
    found = histograms(book.points(clock.now))["midwatch_cold_start_seconds", "start"]
    bounds = OWN["midwatch_cold_start_seconds"].bounds
    assert found.counts[bounds.index(0.5)] == 1
    assert found.counts[bounds.index(0.5) + 1] == 1
    assert found.counts[-1] == 1
    assert found.sum == 1.000001


def test_a_pull_gives_every_outcome_of_its_repository() -> None:
    book, clock = ledger()
    book.pull(pull("not_found"), API)
    outcomes = {
        dict(labels)["outcome"]: value.value
        for (name, labels), value in values(book.points(clock.now)).items()
        if name == "midwatch_image_pulls_total"
    }
    assert outcomes.pop("not_found") == 1
    assert outcomes["ok"] == outcomes["unauthorized"] == outcomes["cached"] == 0
    assert histograms(book.points(clock.now)) == {}


LAYERS = (
    LayerTiming("a", 0.1, 1.0, 0.0, 0.0, 0.5, 60, False),
    LayerTiming("b", 0.3, 0.5, 0.0, 0.0, 0.25, 40, False),
    LayerTiming("c", None, None, None, None, None, 0, True),
)
SPLIT: dict[PullPhase, float] = {"resolve": 0.25, "wait": 0.25, "download": 1.0, "extract": 0.5}
AT = (("registry", "r:5000"), ("repository", "api"))


def test_a_pull_that_worked_is_timed_by_phase_and_repository_with_layers_retries_and_throughput() -> None:
    book, clock = ledger()
    book.pull(replace(pull("ok", layers=LAYERS), phases=SPLIT, retries=2), API)
    found = histograms(book.points(clock.now))
    times = {key[3]: value for key, value in found.items() if key[0] == "midwatch_image_pull_duration_seconds"}
    assert {phase: value.sum for phase, value in times.items()} == {"total": 2.0, **SPLIT}
    assert times["total"].labels == (*AT, ("phase", "total"), ("quality", "exact"))
    fetched = found["midwatch_image_pull_throughput_bytes_per_second", "r:5000", "api"]
    assert (fetched.sum, sum(fetched.counts)) == (100.0, 1)
    assert book.value(API, "midwatch_image_pull_bytes_total") == 100
    assert book.value(API, "midwatch_image_pull_retries_total") == 2
    layers = {source: book.value(API, "midwatch_image_pull_layers_total", source=source) for source in SOURCES}
    assert layers == {"registry": 2, "cache": 1}


def test_a_pull_that_fetched_nothing_has_no_throughput_and_a_failed_one_no_duration() -> None:
    book, clock = ledger()
    book.pull(replace(pull("cached"), bytes=0), API)
    book.pull(replace(pull("timeout"), phases=SPLIT), API)
    assert histograms(book.points(clock.now)) == {}


def test_pulls_by_others_are_the_platforms_and_marked_as_derived() -> None:
    book, clock = ledger(max_repositories=2)
    book.pull_by_others("r:5000", "api", "ok", 1.5)
    book.pull_by_others("r:5000", "api", "cached", 0.1)
    book.pull_by_others("r:5000", "web", "ok", None)
    book.pull_by_others("r:5000", "one-too-many", "ok", None)
    counted = book.value(PLATFORM, "midwatch_image_pulls_total", quality="derived", repository="api", outcome="ok")
    assert counted == book.value(PLATFORM, "midwatch_image_pulls_total", outcome="cached") == 1
    assert book.value(PLATFORM, "midwatch_image_pulls_total") == 3 and book.dropped() == {"image repositories": 1}
    (timed,) = histograms(book.points(clock.now), PLATFORM).values()
    assert (timed.labels, timed.sum) == ((*AT, ("phase", "total"), ("quality", "derived")), 1.5)


def test_series_of_a_checkpoint_whose_labels_are_others_now_begin_anew() -> None:
    book, clock = ledger()
    book.pull(pull("ok"), API)
    told = book.to_json()
    for account in told:
        for counter in account["counters"]:
            if counter[0] == "midwatch_image_pulls_total":
                counter[1] = [pair for pair in counter[1] if pair[0] != "quality"]
    again = Ledger(clock)
    again.restore(told, complete=True)
    assert again.value(API, "midwatch_image_pulls_total") == 0
    assert again.value(API, "midwatch_image_pull_bytes_total") == 100
    again.expect_pulls(API, "r:5000", "api")
    assert values(again.points(clock.now))[
        "midwatch_image_pulls_total", (*AT, ("outcome", "dns"), ("quality", "exact"))
    ].value == 0  # fmt: skip


def test_repositories_of_a_service_are_bounded_and_the_rest_is_counted_as_dropped() -> None:
    book, _ = ledger(max_repositories=2)
    for name in ("a", "b", "c", "a"):
        book.pull(pull("ok", name), API)
    assert book.value(API, "midwatch_image_pulls_total", outcome="ok") == 3
    assert book.dropped() == {"image repositories": 1}


def test_a_failed_build_and_a_failed_registry_request_count_in_the_last_bucket_alone() -> None:
    book, clock = ledger()
    book.build(API, Build("api:1", BEGIN, 3.0, False, "no"))
    book.registry(RegistryTiming("r:5000", BEGIN, False, 0.2, {"connect": 0.01}, "refused"))
    built = histograms(book.points(clock.now))["midwatch_image_build_seconds",]
    asked = histograms(book.points(clock.now), PLATFORM)
    assert (built.counts[-1], sum(built.counts), built.sum) == (1, 1, 0.0)
    assert asked["midwatch_registry_request_duration_seconds", "r:5000", "total"].counts[-1] == 1
    assert asked["midwatch_registry_request_duration_seconds", "r:5000", "connect"].sum == 0.01


def test_the_undeclared_service_that_was_seen_longest_ago_makes_room() -> None:
    book, clock = ledger(max_services=2)
    old, kept = ServiceName("", "old"), ServiceName("shop", "kept")
    for service, declared in ((kept, True), (old, False), (API, False)):
        clock.now += 1
        book.see(service, declared=declared)
    assert {group.resource.service for group in book.points(clock.now)} == {kept, API}
    assert book.dropped() == {"services": 1}


def test_a_forgotten_service_goes_on_where_it_was_when_it_comes_back() -> None:
    book, clock = ledger()
    book.restart(API, "policy")
    book.see(API)
    book.forget(API)
    assert book.points(clock.now) == []
    clock.now += 7_200_000
    book.see(API)
    found = values(book.points(clock.now))["midwatch_container_restarts_total", (("by", "policy"),)]
    assert (found.value, found.start_ms) == (1, BEGIN)


def test_a_checkpoint_keeps_every_value_and_start() -> None:
    book, clock = ledger()
    book.see(API, declared=True)
    book.restart(API, "manual", 3)
    book.pull(pull("ok"), API)
    book.cold_start(API, "start", 0.3)
    book.advance(API, 2, 1, 1_500, instances=2)
    again = Ledger(lambda: clock.now + 99_000)
    again.restore(book.to_json(), complete=True)
    assert values(again.points(clock.now)) == values(book.points(clock.now)) != {}
    assert histograms(again.points(clock.now)) == histograms(book.points(clock.now)) != {}


def test_time_begins_anew_where_the_checkpoint_may_be_older_than_what_was_published() -> None:
    book, _ = ledger()
    book.advance(API, 1, 1, 5_000, instances=1)
    book.restart(API, "policy")
    again = Ledger(lambda: BEGIN + 60_000)
    again.restore(book.to_json(), complete=False)
    found = values(again.points(BEGIN + 60_000))
    desired = found["midwatch_container_desired_seconds_total", ()]
    assert (desired.value, desired.start_ms) == (0, BEGIN + 60_000)
    assert found["midwatch_container_restarts_total", (("by", "policy"),)].value == 1


CHANGES = st.one_of(
    st.tuples(st.just("restart"), st.sampled_from(["policy", "manual", "midwatch"])),
    st.tuples(st.just("exit"), st.sampled_from(["ok", "error", "oom"])),
    st.tuples(st.just("oom"), st.sampled_from(["container", "host"]), st.sampled_from(["main", "child"])),
    st.tuples(st.just("cold_start"), st.just("start"), st.one_of(st.none(), st.floats(0, 300))),
    st.tuples(st.just("advance"), st.integers(0, 5), st.integers(0, 9), st.integers(-10, 70_000)),
    st.tuples(st.just("forget")),
    st.tuples(st.just("see")),
)


@given(st.lists(st.tuples(CHANGES, st.integers(0, 5_000)), max_size=60))
def test_no_counter_ever_falls_while_its_start_stands(changes: list[tuple[tuple[object, ...], int]]) -> None:
    book, clock = ledger()
    before: dict[object, Value] = {}
    for (name, *arguments), pause in changes:
        clock.now += pause
        more = {"instances": 2} if name == "advance" else {}
        getattr(book, str(name))(API, *arguments, **more)
        for key, value in values(book.points(clock.now)).items():
            if value.start_ms is not None and key in before:
                assert value.start_ms == before[key].start_ms
                assert value.value >= before[key].value
            before[key] = value


def test_the_restart_rate_is_per_instance_and_hour_over_the_last_hour() -> None:
    book, clock = ledger()
    rates: list[float | None] = []
    for minute in range(1, 181):
        clock.now += 60_000
        book.advance(API, 2, 2, 60_000, instances=2)
        if minute in (10, 20, 30):
            book.restart(API, "policy")
            book.restart(API, "manual")
        book.publish(API, 2, 2)
        if minute in (1, 40, 85, 180):
            found = values(book.points(clock.now)).get(("midwatch_container_restarts_per_hour", ()))
            rates.append(found.value if found else None)
    assert rates == [None, pytest.approx(3 / (2 * 39 / 60)), pytest.approx(1 / 2), 0.0]


@pytest.mark.parametrize("desired", [0, 2])
def test_without_an_instance_there_is_no_restart_rate(desired: int) -> None:
    book, clock = ledger()
    for _ in range(3):
        clock.now += 60_000
        book.advance(API, desired, 0, 60_000, instances=0)
        book.restart(API, "policy")
        book.publish(API, 0, 0)
    assert ("midwatch_container_restarts_per_hour", ()) not in values(book.points(clock.now))


def test_registries_are_bounded_and_the_rest_is_counted_as_dropped() -> None:
    book, _ = ledger()
    for number in range(MAX_REGISTRIES + 3):
        book.registry(RegistryTiming(f"r{number}.test", BEGIN, True, 0.5, {"dns": 0.1}, None))
    book.registry(RegistryTiming("r0.test", BEGIN, True, 0.5, {"dns": 0.1}, None))
    found = histograms(book.points(BEGIN), PLATFORM)
    assert len({labels[1] for labels in found if labels[0] == REGISTRY} | set()) <= MAX_REGISTRIES
    assert book.dropped() == {"registries": 3}
    assert sum(sum(one.counts) for one in found.values() if one.name == REGISTRY) == 2 * (MAX_REGISTRIES + 1)


def test_failed_pulls_by_others_are_counted_however_many_repositories_there_were() -> None:
    book, _ = ledger(max_repositories=2)
    for number in range(3):
        book.pull_by_others("r.test", f"a{number}", "ok", None)
    book.pull_by_others(UNKNOWN, UNKNOWN, "error", None)
    assert book.value(PLATFORM, "midwatch_image_pulls_total", repository=UNKNOWN, outcome="error") == 1
    assert book.dropped() == {"image repositories": 1}

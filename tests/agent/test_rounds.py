"""What becomes of a round that fails, and of services beyond their bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event, LogLine, NodeIdentity, Points, Resource, Scraped, Value
from agent.otlp import _template, logs_request, metrics_request
from agent.own import Own
from agent.rounds import Parts, Rounds
from agent.scrape_book import HELD_MS
from agent.story import MAX_EVENTS, Story
from runtime.model import PLATFORM, EngineEvent, ServiceName
from tests.agent.stories import BEGIN_MS, PLAIN

NODE = NodeIdentity("n1", "5f0d8a52-6f0e-4f59-9d6f-1f2a3b4c5d6e")


class Broken:
    """A collector that fails as long as it is told to."""

    fails = True

    def collect(self, _targets: object, _now_ms: int) -> list[Points]:
        if self.fails:
            raise OSError("no more files")
        return []

    def cgroup_path(self, _id: str) -> None:
        return None


class Told:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.batches = 0

    def points(self, _points: object) -> None:
        self.batches += 1

    def logs(self, events: list[Event], _lines: list[LogLine]) -> None:
        self.events += [event.name for event in events]


class Kept:
    """A memory that is not written down."""

    def save_if_due(self, *_: object) -> None:
        pass


def rounds(now_ms: Callable[[], int] = lambda: BEGIN_MS) -> tuple[Rounds, Lifecycle, Broken, Told, Own]:
    ledger = Ledger(lambda: BEGIN_MS)
    lifecycle = Lifecycle(Story(ledger), lambda: BEGIN_MS, monotonic=lambda: 0.0)
    collector, told, own = Broken(), Told(), Own(lambda: BEGIN_MS)
    clock = Clock(now_ms, lambda: 0.0)
    parts: Any = Parts(clock, lifecycle, ledger, collector, None, own, Kept(), None, told)  # type: ignore[arg-type]
    return Rounds(parts, 5.0), lifecycle, collector, told, own


def test_what_happened_is_told_though_the_round_in_between_failed() -> None:
    work, lifecycle, collector, told, _ = rounds()
    lifecycle.emit(Event("container.oom_kill", BEGIN_MS, Resource(PLATFORM), "killed"))
    with pytest.raises(OSError, match="no more files"):
        work.round()
    assert told.events == []
    collector.fails = False
    work.round()
    work.round()
    assert told.events == ["container.oom_kill"]


def test_what_waits_for_a_round_that_works_is_bounded_and_counted() -> None:
    work, lifecycle, _, _, own = rounds()
    for number in range(MAX_EVENTS + 5):
        lifecycle.emit(Event("container.die", BEGIN_MS, Resource(PLATFORM), str(number)))
        if number % 10_000 == 9_999:
            with pytest.raises(OSError, match="no more files"):
                work.round()
    with pytest.raises(OSError, match="no more files"):
        work.round()
    lost = [point for point in own.points(BEGIN_MS).points if point.name == "midwatch_agent_dropped_total"]
    assert [point.value for point in lost if isinstance(point, Value)] == [5.0]


def test_services_beyond_the_bound_never_cost_the_counters_of_one_that_has_containers() -> None:
    now = [BEGIN_MS]
    ledger = Ledger(lambda: now[0], max_services=5)
    lifecycle = Lifecycle(Story(ledger, max_services=5), lambda: now[0], monotonic=lambda: now[0] / 1000)
    lifecycle.resync([])

    def says(action: str, id: str, name: str) -> None:
        now[0] += 1
        event = EngineEvent(now[0] * 1_000_000, id, action, "container", {"name": name, "exitCode": "1"})
        found = replace(PLAIN, id=id, name=name, started_ms=now[0] if action == "start" else None)
        lifecycle.event(event, found if action in ("create", "start") else None)

    victim = ServiceName("", "victim")
    for action in ("create", "start", "die", "start"):
        says(action, "v" * 64, "victim")
    for number in range(50):
        for action in ("create", "start", "die", "destroy"):
            says(action, f"{number:064d}", f"job{number}")
        now[0] += 10_000
        lifecycle.tick()
    assert ledger.value(victim, "midwatch_container_exits_total") == 1
    assert ledger.value(victim, "midwatch_container_restarts_total") == 1
    assert len(ledger.points(now[0])) <= 5
    # With nothing but services that run, the next one has no place, which is counted.
    for number in range(10):
        for action in ("create", "start"):
            says(action, f"1{number:063d}", f"server{number}")
    assert lifecycle.story.dropped["containers"] > 0
    assert ledger.value(victim, "midwatch_container_exits_total") == 1


def test_long_labels_of_a_scrape_are_not_remembered() -> None:
    before = _template.cache_info().currsize
    long = tuple((f"l{n:02d}", "x" * 512) for n in range(24))
    point = Scraped("gauge", Value("app_requests", long, 1.0, BEGIN_MS))
    request = metrics_request(NODE, [Points(Resource(PLATFORM), (point,))])
    assert b"x" * 512 in request and _template.cache_info().currsize == before


@pytest.mark.parametrize("at_ms", [-5, 2**63])
def test_a_line_of_an_impossible_time_is_sent_as_near_to_it_as_can_be(at_ms: int) -> None:
    line = LogLine(at_ms, Resource(PLATFORM), "stdout", "text")
    assert b"text" in logs_request(NODE, [], [line])


def test_samples_are_not_told_between_earlier_ones_when_the_clock_was_set_back() -> None:
    """They would make every counter fall and rise again; one that was set back by far is not waited for."""
    moments = iter([100_000, 40_000, 100_000, 101_000, 101_000 - HELD_MS])
    work, _, collector, told, own = rounds(lambda: BEGIN_MS + next(moments))
    collector.fails = False
    told_after = []
    for _ in range(5):
        work.round()
        told_after.append(told.batches)
    assert told_after == [1, 1, 1, 2, 3]
    held = {point.labels: point.value for point in own.points(BEGIN_MS).points if isinstance(point, Value)}
    assert held[("outcome", "held"),] == 2.0

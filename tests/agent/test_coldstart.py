from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from agent.clock import Clock
from agent.coldstart import Look, Probes, pause_seconds
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event
from agent.story import Story
from runtime.errors import EngineUnavailable
from runtime.model import Container, EngineEvent, ExecProbe, HttpProbe, Probe, TcpProbe
from runtime.probe import ready
from tests.agent.stories import PLAIN
from tests.support.waiting import until

CLOCK = Clock()
TCP = TcpProbe(80)


@contextmanager
def probing(look: Look, **bounds: float) -> Iterator[tuple[Lifecycle, Probes, Container, int]]:
    """A container that has just started, under a probe."""
    container = replace(PLAIN, labels={"midwatch.readiness": "tcp://:80"}, state="running", address="127.0.0.1")
    lifecycle = Lifecycle(Story(Ledger(CLOCK.now_ms)), CLOCK.now_ms)
    lifecycle.resync([])
    started = CLOCK.now_ms()
    record = lifecycle.event(EngineEvent(started * 1_000_000, container.id, "start", "container", {}), container)
    assert record is not None
    assert record.started_ms is not None
    probes = Probes(lifecycle, look, CLOCK, poll_seconds=0.005, **bounds)  # type: ignore[arg-type]
    probes.start()
    probes.begin(container, record.started_ms, TCP)
    try:
        yield lifecycle, probes, container, record.started_ms
    finally:
        probes.stop()


def told(lifecycle: Lifecycle, name: str, so_far: list[Event]) -> Event | None:
    so_far += lifecycle.tick()
    return next((event for event in so_far if event.name == name), None)


def test_the_time_to_ready_is_from_the_start_to_the_first_success() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

        def look(_probe: Probe, container: Container) -> bool:
            return ready(TcpProbe(port), container, NoEngine())

        with probing(look) as (lifecycle, _, container, started):
            assert not lifecycle.stands(container.id)
            before = CLOCK.now_ms()
            server.listen()
            events: list[Event] = []
            event = until(lambda: told(lifecycle, "container.ready", events))
            # Both times are whole milliseconds, cut off: between them lies up to one less.
            assert float(event.attributes["seconds"]) * 1000 > before - started - 1
            assert lifecycle.stands(container.id)


class NoEngine:
    def exec(self, id: str, command: tuple[str, ...], timeout_seconds: float) -> int | None:
        raise AssertionError("no command was asked for")


def test_the_error_of_the_time_to_ready_is_the_time_between_the_last_two_looks() -> None:
    looks: list[float] = []

    def look(_probe: Probe, _container: Container) -> bool:
        looks.append(CLOCK.monotonic())
        return len(looks) == 5

    with probing(look) as (lifecycle, _, _container, _started):
        events: list[Event] = []
        event = until(lambda: told(lifecycle, "container.ready", events))
        error = float(event.attributes["error_seconds"])
        assert looks[4] - looks[3] <= error + 0.001
        assert error < float(event.attributes["seconds"])


def test_a_clock_that_is_set_while_it_starts_does_not_change_its_time_to_ready() -> None:
    ahead, answer = [0], [False]
    clock = Clock(lambda: CLOCK.now_ms() + ahead[0])
    lifecycle = Lifecycle(Story(Ledger(clock.now_ms)), clock.now_ms)
    lifecycle.resync([])
    container = replace(PLAIN, labels={"midwatch.readiness": "tcp://:80"}, state="running")
    started = clock.now_ms()
    lifecycle.event(EngineEvent(started * 1_000_000, container.id, "start", "container", {}), container)
    probes = Probes(lifecycle, lambda *_: answer[0], clock, poll_seconds=0.005)
    probes.start()
    try:
        probes.begin(container, started, TCP)
        ahead[0], answer[0] = 3_600_000, True
        events: list[Event] = []
        event = until(lambda: told(lifecycle, "container.ready", events))
        assert float(event.attributes["seconds"]) < 60
    finally:
        probes.stop()


def test_after_it_is_ready_it_is_still_looked_at_and_its_failures_show() -> None:
    answer = [True]
    with probing(lambda *_: answer[0], recheck_seconds=0.01) as (lifecycle, _, container, _started):
        until(lambda: lifecycle.stands(container.id))
        answer[0] = False
        until(lambda: not lifecycle.stands(container.id))
        answer[0] = True
        until(lambda: lifecycle.stands(container.id))


def test_one_that_is_not_ready_by_the_deadline_is_never_ready_but_heals_when_it_is() -> None:
    answer = [False]
    with probing(lambda *_: answer[0], deadline_seconds=0.05, recheck_seconds=0.01) as (lifecycle, _, container, _s):
        service = lifecycle.records()[0].service
        until(lambda: never_ready(lifecycle, service) == 1)
        answer[0] = True
        until(lambda: lifecycle.stands(container.id))
        assert never_ready(lifecycle, service) == 1


def never_ready(lifecycle: Lifecycle, service: object) -> int:
    told = [found for found in lifecycle.story.ledger.points(0) if found.resource.service == service]
    wanted = ("midwatch_cold_start_seconds", (("segment", "ready"),))
    return next(point.counts[-1] for group in told for point in group.points if point[:2] == wanted)  # type: ignore[union-attr]


def test_a_run_that_is_over_is_not_looked_at_any_more() -> None:
    looks = threading.Semaphore(0)
    with probing(lambda *_: looks.release() or False) as (_lifecycle, probes, container, _started):  # type: ignore[func-returns-value]
        assert looks.acquire(timeout=10)
        probes.end(container.id)
        until(lambda: not probes.watched())


def test_a_look_that_fails_is_tried_again_and_one_that_breaks_is_counted() -> None:
    troubles = [EngineUnavailable("away"), ValueError("a bug")]

    def look(_probe: Probe, _container: Container) -> bool:
        if troubles:
            raise troubles.pop(0)
        return True

    with probing(look) as (lifecycle, probes, container, _started):
        until(lambda: lifecycle.stands(container.id))
        assert probes.errors == 1


@pytest.mark.parametrize(
    ("elapsed", "probe", "pause"),
    [
        (0.0, TCP, 0.025), (1.0, TCP, 0.025), (5.0, HttpProbe(80), 0.1), (3600.0, TCP, 1.0),
        (0.0, ExecProbe(("true",)), 0.25),
    ],
)  # fmt: skip
def test_the_pause_grows_with_the_time_that_has_passed(elapsed: float, probe: Probe, pause: float) -> None:
    assert pause_seconds(elapsed, 0.025, probe) == pytest.approx(pause)

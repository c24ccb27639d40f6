from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.book import Record
from agent.clock import Clock
from agent.engine_watch import EngineWatch
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.story import Story
from runtime.engine import Engine
from runtime.identity import UNNAMED_IMAGE
from runtime.model import ServiceName
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

pytestmark = pytest.mark.engine
CLOCK = Clock()


class Slow:
    """A listener that needs its time for everything."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.found: list[str] = []

    def began(self, record: Record) -> None:
        self.found.append(record.container.name)

    def oom_reported(self, record: Record) -> None: ...

    def ended(self, record: Record) -> None: ...

    def removed(self, container_id: str) -> None: ...

    def changed(self, record: Record) -> None:
        time.sleep(self.seconds)


@contextmanager
def watching(url: str, slow: Slow, max_queued: int) -> Iterator[tuple[EngineWatch, Lifecycle]]:
    lifecycle = Lifecycle(Story(Ledger(CLOCK.now_ms)), CLOCK.now_ms)
    watch = EngineWatch(lambda: Engine(url), lifecycle, slow, CLOCK, max_queued=max_queued)
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    try:
        until(lambda: watch.link.engine)
        yield watch, lifecycle
    finally:
        stop.set()
        thread.join()


def test_restarts_are_exact_though_events_were_dropped_at_the_bound(engine: EngineUnderTest, tiny_image: str) -> None:
    name = f"midwatch-test-{uuid.uuid4().hex[:8]}"
    with watching(engine.url, Slow(0.4), max_queued=1) as (watch, lifecycle):
        container = engine.client.containers.run(
            tiny_image, ["sh", "-c", "exit 3"], name=name, detach=True, labels=engine.labels,
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 5},
        )  # fmt: skip
        try:
            until(lambda: engine.client.api.inspect_container(container.id)["RestartCount"] == 5, 60)
            until(lambda: lifecycle.story.ledger.value(ServiceName("", name), RESTARTS) == 5, 30)
            until(lambda: lifecycle.totals()[ServiceName("", name)] == (1, 0))
            assert watch.overflows > 0
            assert watch.errors == 0
            assert lifecycle.story.ledger.value(ServiceName("", name), RESTARTS, by="policy") == 5
        finally:
            container.remove(force=True)


RESTARTS = "midwatch_container_restarts_total"


def test_what_runs_already_is_found(engine: EngineUnderTest, tiny_image: str) -> None:
    name = f"midwatch-test-{uuid.uuid4().hex[:8]}"
    container = engine.client.containers.run(
        tiny_image, ["sleep", "1000"], name=name, detach=True, labels={**engine.labels, "midwatch.service": f"x/{name}"}
    )
    try:
        slow = Slow(0)
        with watching(engine.url, slow, max_queued=100) as (_, lifecycle):
            assert lifecycle.totals()[ServiceName("x", name)] == (1, 1)
            assert name in slow.found
    finally:
        container.remove(force=True)


DOCKERFILE = "FROM {base}\nRUN true\nRUN echo made > /made\nCMD sleep 1000\n"


def test_containers_of_a_build_found_no_service_and_one_that_stays_does(
    engine: EngineUnderTest, tiny_image: str
) -> None:
    with watching(engine.url, Slow(0), max_queued=1000) as (watch, lifecycle):
        text = DOCKERFILE.format(base=tiny_image)
        image, _ = engine.client.images.build(
            fileobj=io.BytesIO(text.encode()), rm=True, nocache=True, labels=engine.labels
        )
        staying = None
        try:
            before = set(lifecycle.totals())
            staying = engine.client.containers.run(image.id, detach=True, labels=engine.labels)
            assert UNNAMED_IMAGE not in before
            until(lambda: lifecycle.totals().get(UNNAMED_IMAGE) == (1, 1), 20)
            assert [record.container.id for record in lifecycle.records() if record.service == UNNAMED_IMAGE] == [
                staying.id
            ]
            assert watch.errors == 0
        finally:
            if staying is not None:
                staying.remove(force=True)
            engine.client.images.remove(image.id, force=True)

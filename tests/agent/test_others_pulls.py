"""Pulls that others made: told of by the engine, counted as derived, ours never among them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent import client
from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event
from agent.others_pulls import SETTLE_SECONDS, OthersPulls
from agent.pull_watch import MAX_OTHERS, PullWatch
from agent.story import Story
from runtime.engine import Engine, Image
from runtime.engine_metrics import PullActions, pull_actions
from runtime.model import PLATFORM, EngineEvent
from tests.agent.running import running
from tests.support.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.own_engine import own_engine
from tests.support.ports import free_port
from tests.support.waiting import until


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def pulled(reference: str, at_ms: int = 1_000) -> EngineEvent:
    return EngineEvent(at_ms * 1_000_000, reference, "pull", "image", {})


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ("nginx", "nginx:latest"),
        ("docker.io/library/nginx", "nginx:latest"),
        ("r:5000/a@sha256:1", "r:5000/a@sha256:1"),
    ],
)
def test_a_pull_of_ours_is_ours_however_long_it_takes_and_however_it_is_written(ours: str, told: str) -> None:
    now = [0]
    watch = PullWatch(lambda: now[0])
    watch.begin(ours)
    now[0] = 3_600_000
    watch.event(pulled(told))
    watch.end(ours)
    now[0] += 59_000
    watch.event(pulled(told))
    assert watch.take_others() == [] and watch.ours_ended == 1 and not watch.busy
    now[0] += 2_000
    watch.event(pulled(told))
    watch.event(pulled("r:5000/other:1"))
    assert [event.id for event in watch.take_others()] == [told, "r:5000/other:1"]


def test_events_that_nobody_takes_are_bounded_and_counted() -> None:
    watch = PullWatch(lambda: 0)
    for number in range(MAX_OTHERS + 3):
        watch.event(pulled(f"r:5000/a:{number}"))
    assert (len(watch.take_others()), watch.dropped, watch.take_others()) == (MAX_OTHERS, 3, [])


@dataclass(frozen=True)
class Moving(Clock):
    """A monotonic clock that is set by hand."""

    at: list[float]

    def monotonic(self) -> float:
        return self.at[0]


class Scene:
    """The agent's part over an engine that is not there, whose metrics are what the test says."""

    def __init__(self) -> None:
        self.clock = Moving([1000.0])
        self.ledger = Ledger(now_ms)
        self.lifecycle = Lifecycle(Story(self.ledger), now_ms)
        self.metrics: PullActions | None = PullActions(5, 9.0)
        self.ids: dict[str, str] = {}
        self.part = OthersPulls(lambda: self, self.lifecycle, self.ledger, self.clock, lambda: self.metrics)  # type: ignore[arg-type,return-value]
        self.turn(0)

    def pulled_images(self) -> dict[str, tuple[str, ...]]:
        return {id: (reference,) for reference, id in self.ids.items()}

    def image(self, reference: str) -> Image | None:
        id = self.ids.get(reference)
        return None if id is None else Image(id, None, 0)

    def turn(self, seconds: float, *events: str, more: int = 0, took: float = 0.0) -> None:
        """Lets time pass; the engine tells of pulls, and its metrics of more of them."""
        self.clock.at[0] += seconds
        if self.metrics is not None:
            self.metrics = PullActions(self.metrics.pulls + more, self.metrics.seconds + took)
        for number, told in enumerate(events):
            at_ns = round(self.clock.at[0] * 1e9) + number
            action, _, id = told.rpartition(" ")
            self.lifecycle.event(EngineEvent(at_ns, id, action or "pull", "image", {}))
        self.part.turn()

    def counted(self, outcome: str) -> int:
        return self.ledger.value(PLATFORM, "midwatch_image_pulls_total", outcome=outcome, quality="derived")

    def told(self) -> list[Event]:
        return [event for event in self.lifecycle.tick() if event.name == "image.pull"]


def test_a_pull_that_the_engine_timed_alone_has_its_time_and_several_at_once_have_none() -> None:
    scene = Scene()
    scene.turn(1, "r:5000/a:1", more=1, took=2.5)
    scene.turn(1, "r:5000/b:1", "r:5000/c:1", more=2, took=3.0)
    assert [event.attributes.get("seconds") for event in scene.told()] == [2.5, None, None]
    assert scene.counted("ok") == 3


def test_a_pull_that_the_engine_counted_and_nobody_told_of_has_failed_once_it_stays_so() -> None:
    scene = Scene()
    scene.turn(SETTLE_SECONDS, more=2)
    assert scene.counted("error") == 0
    scene.turn(SETTLE_SECONDS)
    assert scene.counted("error") == 2
    scene.turn(SETTLE_SECONDS)
    scene.turn(SETTLE_SECONDS)
    assert scene.counted("error") == 2


def test_the_metrics_may_be_ahead_of_the_event_or_behind_it() -> None:
    scene = Scene()
    scene.turn(SETTLE_SECONDS, more=1)
    scene.turn(SETTLE_SECONDS - 1, "r:5000/a:1")
    scene.turn(SETTLE_SECONDS, "r:5000/b:1")
    scene.turn(SETTLE_SECONDS, more=1)
    for _ in range(3):
        scene.turn(SETTLE_SECONDS)
    assert (scene.counted("ok"), scene.counted("error")) == (2, 0)


def test_pulls_of_ours_explain_what_the_engine_counted_well_or_not() -> None:
    scene = Scene()
    scene.lifecycle.pulls.begin("r:5000/mine:1")
    for _ in range(4):
        scene.turn(SETTLE_SECONDS)
    scene.turn(SETTLE_SECONDS, more=1)
    scene.turn(SETTLE_SECONDS)
    scene.lifecycle.pulls.end("r:5000/mine:1")
    scene.lifecycle.pulls.begin("r:5000/BAD:1")
    scene.lifecycle.pulls.end("r:5000/BAD:1", reached_engine=False)
    for _ in range(3):
        scene.turn(SETTLE_SECONDS)
    assert scene.counted("error") == 0


@pytest.mark.parametrize("between", [PullActions(0, 0.0), None])
def test_an_engine_that_began_anew_or_fell_silent_is_a_new_baseline(between: PullActions | None) -> None:
    scene = Scene()
    scene.metrics = between
    scene.turn(SETTLE_SECONDS)
    scene.metrics = PullActions(9, 1.0) if between is None else between
    for _ in range(3):
        scene.turn(SETTLE_SECONDS)
    assert scene.counted("error") == 0


def test_what_was_removed_and_is_pulled_again_was_fetched_again() -> None:
    scene = Scene()
    scene.ids = {"r:5000/a:1": "sha256:1", "r:5000/a:latest": "sha256:1"}
    scene.turn(1, "r:5000/a:1", "r:5000/a:1")
    assert (scene.counted("ok"), scene.counted("cached")) == (1, 1)
    scene.turn(1, "untag sha256:1", "delete sha256:1", "r:5000/a:1")
    assert (scene.counted("ok"), scene.counted("cached")) == (2, 1)


def test_a_name_that_an_image_keeps_when_another_one_goes_is_still_known() -> None:
    scene = Scene()
    scene.ids = {"r:5000/a:1": "sha256:1"}
    scene.turn(1, "r:5000/a:1")
    scene.turn(1, "untag sha256:1")
    scene.turn(1, "r:5000/a:1")
    assert (scene.counted("ok"), scene.counted("cached")) == (1, 1)


@contextmanager
def real() -> Iterator[tuple[str, str, FaultyRegistry]]:
    """An engine with its metrics on, their URL, and a registry."""
    port = free_port()
    configuration = {"experimental": True, "metrics-addr": f"127.0.0.1:{port}"}
    with own_engine(**configuration) as engine, faulty_registry() as registry:
        yield engine.url, f"http://127.0.0.1:{port}/metrics", registry


@pytest.mark.engine
def test_a_real_engine_tells_of_pulls_by_others_with_their_time(tmp_path: Path) -> None:
    with real() as (url, metrics, registry), running(tmp_path / "data", url, engine_metrics=metrics) as watch:
        until(lambda: watch.agent.others_pulls._last, what="a first look at the engine's metrics")
        other = Engine(url)
        took = other.pull(registry.image("plain/1"), None, now_ms)
        until(lambda: watch.count("platform", "midwatch_image_pulls_total", outcome="ok", quality="derived") == 1)
        other.pull(registry.image("plain/1"), None, now_ms)
        until(lambda: watch.count("platform", "midwatch_image_pulls_total", outcome="cached", quality="derived") == 1)
        first, second = until(lambda: len(told := watch.events("image.pull", "platform")) == 2 and told, 15)
        assert [(one["outcome"], one["quality"], one["repository"]) for one in (first, second)] == [
            ("ok", "derived", "plain/1"), ("cached", "derived", "plain/1"),
        ]  # fmt: skip
        assert 0 < first["seconds"] <= took.seconds + 0.01
        assert pull_actions(metrics) == PullActions(2, pytest.approx(first["seconds"] + second["seconds"]))
        other.close()


@pytest.mark.engine
def test_a_real_engine_counts_pulls_by_others_that_failed_and_a_reference_that_is_none_never_reached_it() -> None:
    with real() as (url, metrics, registry), closing(Engine(url)) as engine:
        clock, ledger = Moving([1000.0]), Ledger(now_ms)
        lifecycle = Lifecycle(Story(ledger), now_ms)
        part = OthersPulls(lambda: engine, lifecycle, ledger, clock, lambda: pull_actions(metrics))
        part.turn()
        for kind in ("limited", "unknown-tag", "corrupt-layer", "UPPER"):
            engine.pull(registry.image(f"{kind}/1"), None, now_ms)
        for _ in range(3):
            clock.at[0] += SETTLE_SECONDS
            part.turn()
        assert ledger.value(PLATFORM, "midwatch_image_pulls_total", outcome="error", quality="derived") == 3


@pytest.mark.engine
def test_a_real_pull_of_ours_is_exact_and_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    with real() as (url, metrics, registry), running(tmp_path / "data", url, engine_metrics=metrics) as watch:
        image = f"{registry.address}/plain/ours"
        file.write_text(f"name: shop\nservices:\n  web:\n    image: {image}\n    command: ['none']\n")
        client.run(watch.socket, file, 30)
        assert watch.count("shop/web", "midwatch_image_pulls_total", outcome="ok", quality="exact") == 1
        (told, *_) = until(lambda: watch.events("image.pull", "shop/web"), 15)
        phases = ("resolve_seconds", "wait_seconds", "download_seconds", "verify_seconds", "extract_seconds")
        assert sum(told.get(phase, 0.0) for phase in phases) == pytest.approx(told["seconds"], abs=0.002)
        assert (told["layers"], told["layers_cached"], told["retries"]) == (2, 0, 0)
        until(lambda: watch.agent.watch.link.engine and not watch.agent.lifecycle.pulls.busy)
        Engine(url).pull(registry.image("plain/theirs"), None, now_ms)
        until(lambda: watch.events("image.pull", "platform"), 15, what="the pull by others")
        assert [one["repository"] for one in watch.events("image.pull", "platform")] == ["plain/theirs"]
        client.stop(watch.socket, "shop")

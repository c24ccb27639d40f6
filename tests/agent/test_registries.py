from __future__ import annotations

import pytest

from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.registries import RegistryProbe
from agent.settings import RegistrySettings
from agent.story import Story
from runtime.model import RegistryTiming
from tests.support.registry import RegistryUnderTest

CLOCK = Clock()
IMAGES = ("r:5000/a:1", "r:5000/b:1", "nginx", "q.example/x@sha256:1")


def probe(images: tuple[str, ...] = IMAGES, **settings: object) -> tuple[RegistryProbe, Lifecycle]:
    ledger = Ledger(CLOCK.now_ms)
    lifecycle = Lifecycle(Story(ledger), CLOCK.now_ms)
    chosen = RegistrySettings.model_validate(settings)
    return RegistryProbe(chosen, lambda: images, lambda _: None, ledger, lifecycle, CLOCK), lifecycle


def test_one_image_of_each_registry_is_asked_for() -> None:
    looked_at, _ = probe(references=("own.example/y:2",))
    assert [(one.registry, one.repository) for one in looked_at.targets()] == [
        ("own.example", "y"), ("r:5000", "a"), ("docker.io", "library/nginx"), ("q.example", "x"),
    ]  # fmt: skip


def test_registries_that_are_looked_at_are_bounded() -> None:
    assert len(probe(most=2)[0].targets()) == 2


def test_a_failure_is_told_of_once_until_it_works_again() -> None:
    looked_at, lifecycle = probe()
    for message in ("refused", "refused", None, "refused", "timed out"):
        looked_at.took(RegistryTiming("r:5000", CLOCK.now_ms(), message is None, 0.1, {"connect": 0.1}, message))
    told = [event.attributes["message"] for event in lifecycle.tick() if event.name == "registry.request"]
    assert told == ["refused", "refused", "timed out"]


@pytest.mark.engine
def test_a_real_registry_is_timed_by_phase(registry: RegistryUnderTest) -> None:
    looked_at, lifecycle = probe((f"{registry.address}/none:1",))
    looked_at._look(looked_at.targets()[0])
    (group,) = lifecycle.story.ledger.points(0)
    phases = {dict(point.labels)["phase"] for point in group.points}
    assert {"total", "connect"} <= phases
    assert [event.name for event in lifecycle.tick()] == ["registry.request"]

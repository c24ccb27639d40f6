"""Containers of builds found no service where they come and go; what stays, or is killed, is watched."""

from __future__ import annotations

import pytest

from agent.passing import MOST_EVENTS, MOST_WAITING, WAIT_SECONDS, Passing
from runtime.model import EngineEvent

ID = "sha256:" + "a" * 64


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def said(action: str, id: str = "b" * 64, name: str = "jolly_turing", image: str = ID, **more: str) -> EngineEvent:
    return EngineEvent(1, id, action, "container", {"name": name, "image": image, **more})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passing(clock: Clock) -> Passing:
    return Passing(clock)


def test_a_builders_container_that_comes_ends_and_goes_was_never_there(passing: Passing, clock: Clock) -> None:
    for event in (said("create"), said("start"), said("die", exitCode="0"), said("destroy")):
        assert passing.take(event) == []
    clock.now += 100
    assert (passing.due(), passing.waiting) == ([], frozenset())


def test_what_stays_is_taken_in_as_it_came_and_from_then_on_at_once(passing: Passing, clock: Clock) -> None:
    assert passing.take(said("create")) == passing.take(said("start")) == []
    clock.now += WAIT_SECONDS - 0.1
    assert passing.due() == []
    assert passing.waiting == {"b" * 64}
    clock.now += 0.1
    assert [event.action for event in passing.due()] == ["create", "start"]
    assert [event.action for event in passing.take(said("destroy"))] == ["destroy"]


@pytest.mark.parametrize("event", [said("oom"), said("die", exitCode="137")])
def test_a_kill_in_it_is_never_lost(passing: Passing, event: EngineEvent) -> None:
    passing.take(said("create"))
    passing.take(said("start"))
    assert passing.take(event) == [said("create"), said("start"), event]


@pytest.mark.parametrize(
    "event",
    [
        said("create", image="busybox:1"),
        said("create", name="mine"),
        said("create", name="web-1"),
        said("create", **{"midwatch.service": "x"}),
        said("create", **{"com.docker.compose.project": "p", "com.docker.compose.service": "s"}),
        said("start"),
        said("pull")._replace(kind="image"),
    ],
)
def test_everything_else_is_taken_in_at_once(passing: Passing, event: EngineEvent) -> None:
    assert passing.take(event) == [event]


def test_how_many_wait_and_how_long_their_story_gets_is_bounded(passing: Passing) -> None:
    for number in range(MOST_WAITING):
        assert passing.take(said("create", id=str(number))) == []
    assert len(passing.take(said("create", id="more"))) == 1
    for _ in range(MOST_EVENTS - 2):
        assert passing.take(said("exec_start", id="0")) == []
    assert len(passing.take(said("exec_start", id="0"))) == MOST_EVENTS

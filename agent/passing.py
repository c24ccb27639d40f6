"""The engine's own helpers of a build: containers that come, end and go within seconds, and are nobody's service.

A builder of the engine makes one for each step, from an image that has only an id, without a restart policy, under a
name that the engine makes up. What looks so is kept waiting: if it is removed in that time it was never there;
otherwise, or once the kernel killed in it, all of its events are taken as they came. So a container that stays is
watched, as any, and no kill goes uncounted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from agent.transitions import container_told_of
from runtime.identity import UNNAMED_IMAGE, service_of
from runtime.model import EngineEvent

WAIT_SECONDS = 8.0
"""Less than a kernel's kill waits for its container."""
MOST_WAITING = 200
MOST_EVENTS = 50
KILLED = "137"
_MADE_UP = re.compile(r"[a-z]+_[a-z]+[0-9]?")
"""The engine's names: an adjective, a person, and a digit where that was taken."""


class _Waiting(NamedTuple):
    since_seconds: float
    events: list[EngineEvent]


class Passing:
    """Events of what may be a builder's helper, until it is known whether it is one."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """`monotonic`: seconds of a clock that is never set."""
        self._monotonic = monotonic
        self._waiting: dict[str, _Waiting] = {}

    @property
    def waiting(self) -> frozenset[str]:
        """Ids of the containers that wait."""
        return frozenset(self._waiting)

    def take(self, event: EngineEvent) -> list[EngineEvent]:
        """What is to be taken in now because of an event, in order; nothing while its container waits."""
        found = self._waiting.get(event.id)
        if found is None:
            if not self._may_pass(event):
                return [event]
            self._waiting[event.id] = _Waiting(self._monotonic(), [event])
            return []
        if event.action == "destroy":
            del self._waiting[event.id]
            return []
        found.events.append(event)
        return self._released(event.id) if _matters(event) or len(found.events) >= MOST_EVENTS else []

    def due(self) -> list[EngineEvent]:
        """The events of containers that stayed, oldest container first."""
        before = self._monotonic() - WAIT_SECONDS
        stayed = [id for id, one in self._waiting.items() if one.since_seconds <= before]
        return [event for id in stayed for event in self._released(id)]

    def _released(self, id: str) -> list[EngineEvent]:
        return self._waiting.pop(id).events

    def _may_pass(self, event: EngineEvent) -> bool:
        if event.kind != "container" or event.action != "create" or len(self._waiting) >= MOST_WAITING:
            return False
        told = container_told_of(event)
        return bool(_MADE_UP.fullmatch(told.name)) and service_of(told) == UNNAMED_IMAGE


def _matters(event: EngineEvent) -> bool:
    return event.action == "oom" or (event.action == "die" and event.attributes.get("exitCode") == KILLED)

"""Which of the pulls that the engine tells of are ours, and which others made."""

from __future__ import annotations

import threading
from collections.abc import Callable

from runtime.identity import Reference, registry_of
from runtime.model import EngineEvent

AFTERWARDS_MS = 60_000
"""How long after its end a pull's event may still be under way."""
MAX_OTHERS = 1_000


class PullWatch:
    """From any thread. References are compared as what they mean: the engine tells of `nginx:latest` for `nginx`."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._under_way: set[Reference] = set()
        self._ended: dict[Reference, int] = {}
        self._others: list[EngineEvent] = []
        self.ours_ended = 0
        """Pulls of ours that the engine worked at until they ended, well or not."""
        self.dropped = 0
        """Events of pulls by others that nobody took in time."""

    def begin(self, reference: str) -> None:
        """We are about to pull this, however long it takes: the engine's event of it tells nothing new."""
        with self._lock:
            self._under_way.add(registry_of(reference))

    def end(self, reference: str, *, reached_engine: bool = True) -> None:
        """A pull of ours is over; its event may still be under way."""
        named, now = registry_of(reference), self._now_ms()
        with self._lock:
            self._under_way.discard(named)
            self._ended = {one: until for one, until in self._ended.items() if until >= now}
            self._ended[named] = now + AFTERWARDS_MS
            self.ours_ended += reached_engine

    def set_back(self) -> None:
        """The clock was set back: no event is waited for longer than one that begins now."""
        latest = self._now_ms() + AFTERWARDS_MS
        with self._lock:
            self._ended = {one: min(until, latest) for one, until in self._ended.items()}

    @property
    def busy(self) -> bool:
        """True while a pull of ours is under way."""
        return bool(self._under_way)

    def event(self, event: EngineEvent) -> None:
        """Takes in one event of an image; what is not our own pull is kept for `take_others`."""
        with self._lock:
            if event.action == "pull" and self._is_ours(registry_of(event.id)):
                return
            if len(self._others) < MAX_OTHERS:
                self._others.append(event)
            else:
                self.dropped += 1

    def _is_ours(self, named: Reference) -> bool:
        return named in self._under_way or self._now_ms() <= self._ended.get(named, -1)

    def take_others(self) -> list[EngineEvent]:
        """The pulls by others and what was removed since the last call, in their order."""
        with self._lock:
            taken, self._others = self._others, []
            return taken

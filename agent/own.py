"""What the agent counts of itself; begins with its process."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator

from agent.model import Labels, Points, Resource, Value
from agent.names import OWN
from runtime.model import PLATFORM

Key = tuple[str, Labels]
Source = Callable[[], Iterator[tuple[str, Labels, float]]]
"""Yields (name, labels, value) of what some part of the agent counts itself."""

_PAGE_BYTES = resource.getpagesize()


class Own:
    """Counters and gauges about the agent, from any thread; `sources` are asked at each round."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._start_ms = now_ms()
        self._values: dict[Key, float] = {}
        self._sources: list[Source] = []
        self._lock = threading.Lock()

    def add(self, name: str, n: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._values[key] = self._values.get(key, 0) + n

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        with self._lock:
            self._values[name, tuple(sorted(labels.items()))] = value

    def ask(self, source: Source) -> None:
        """Asks this source too from now on."""
        self._sources.append(source)

    def points(self, now_ms: int) -> Points:
        """All of it at this moment."""
        with self._lock:
            values = dict(self._values)
        for source in self._sources:
            for name, labels, value in source():
                values[name, labels] = values.get((name, labels), 0) + value
        found = (self._point(name, labels, value, now_ms) for (name, labels), value in values.items())
        return Points(Resource(PLATFORM), tuple(found))

    def _point(self, name: str, labels: Labels, value: float, now_ms: int) -> Value:
        start_ms = self._start_ms if OWN[name].kind == "counter" else None
        return Value(name, labels, float(value), now_ms, start_ms)


def process_cost() -> Iterator[tuple[str, Labels, float]]:
    """CPU seconds and resident memory of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield "midwatch_agent_cpu_seconds_total", (), usage.ru_utime + usage.ru_stime
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - read each round: a Path costs more
        yield "midwatch_agent_resident_memory_bytes", (), int(file.read().split()[1]) * _PAGE_BYTES

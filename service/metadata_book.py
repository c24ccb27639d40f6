"""What senders told of metrics: type, help and unit by name, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from service.model import Metadata, MetricType


class MetadataBook:
    """The newest metadata of each metric family; the one that was first told longest ago is forgotten first."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._known: dict[str, Metadata] = {}
        self._types: dict[str, MetricType] = {}
        self._lock = threading.Lock()

    def learn(self, told: Iterable[Metadata]) -> bool:
        """Take what a batch told; whether any of it is new."""
        new = [it for it in told if self._known.get(it.metric) != it]
        with self._lock:
            self._known.update((it.metric, it) for it in new)
            self._types.update((it.metric, it.type) for it in new if it.type != "unknown")
            while len(self._known) > self._most:
                gone = next(iter(self._known))
                del self._known[gone]
                self._types.pop(gone, None)
        return bool(new)

    def get(self, metric: str) -> Metadata | None:
        """What is known of a family."""
        return self._known.get(metric)

    def types(self) -> Mapping[str, MetricType]:
        """The types that are known, by family; it changes as more is told."""
        return self._types

    def all(self) -> list[Metadata]:
        """Everything, by name."""
        with self._lock:
            return sorted(self._known.values())

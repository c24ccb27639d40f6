"""What senders told of metrics: type, help and unit by name, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from service.model import Metadata


class MetadataBook:
    """The newest metadata of each metric family; the one that was first told longest ago is forgotten first."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._known: dict[str, Metadata] = {}
        self._lock = threading.Lock()

    def learn(self, told: Iterable[Metadata]) -> None:
        """Take what a batch told."""
        new = [it for it in told if self._known.get(it.metric) != it]
        with self._lock:
            self._known.update((it.metric, it) for it in new)
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]

    def get(self, metric: str) -> Metadata | None:
        """What is known of a family."""
        return self._known.get(metric)

    def all(self) -> list[Metadata]:
        """Everything, by name."""
        with self._lock:
            return sorted(self._known.values())

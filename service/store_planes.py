"""Inflated chunks that were read lately: bounded by bytes, the one that was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from service.chunk import Chunk

_NOTHING_BYTES = 100


class Key(NamedTuple):
    """Which chunk: the first block that it covers, its edition, and its group of series."""

    chunk: int
    edition: int
    group: int


class PlaneCache:
    """Safe to use from any thread; a group that has no chunk there is kept as None."""

    def __init__(self, most_bytes: int) -> None:
        self.hits = self.misses = self.evicted = 0
        self.nbytes = 0
        self._most = most_bytes
        self._found: OrderedDict[Key, Chunk | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys: Iterable[Key]) -> tuple[dict[Key, Chunk | None], list[Key]]:
        """Those that are here, and the keys that are not."""
        found: dict[Key, Chunk | None] = {}
        missing = []
        with self._lock:
            for key in keys:
                if key in self._found:
                    self._found.move_to_end(key)
                    found[key] = self._found[key]
                else:
                    missing.append(key)
            self.hits += len(found)
            self.misses += len(missing)
        return found, missing

    def put(self, found: Iterable[tuple[Key, Chunk | None]]) -> None:
        """Keep these, and let go of others beyond the bound."""
        with self._lock:
            for key, chunk in found:
                if key not in self._found:
                    self._found[key] = chunk
                    self.nbytes += chunk.nbytes if chunk else _NOTHING_BYTES
            while self.nbytes > self._most and self._found:
                _, gone = self._found.popitem(last=False)
                self.nbytes -= gone.nbytes if gone else _NOTHING_BYTES
                self.evicted += 1

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._found.clear()
            self.nbytes = 0

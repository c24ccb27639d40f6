"""Series by the hash of the bytes that make them: which number they have in the book, and what kind they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.wire_jit import kernel

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
_NOBODY = -1
_REFUSED = -2


ROW_WORDS = 8
LOW, HIGH, TIME, PLACE, BEGIN, END = 0, 1, 2, 5, 6, 7
"""Columns of rows as the compiled readers write them; between are the start and the value's bits."""


class Found(NamedTuple):
    """Which series rows are of, and their samples."""

    numbers: Ints
    """Of the book's series, each once."""
    places: Ints
    """Each row's place among them; -1 where its series is not known, -2 and below where it can't be taken."""
    misses: Ints
    """The rows whose series is not known."""
    ts_ms: Ints
    start_ms: Ints
    value: NDArray[np.float64]
    """With its bits."""


class WireTable:
    """The table; to be used under one lock. It is emptied where the book begins anew, or where it is full."""

    def __init__(self, most: int, rand: Callable[[int], bytes] = os.urandom) -> None:
        """At most `most` hashes; `rand` makes the key, so that nobody outside can tell what falls together."""
        self.key: Words = np.frombuffer(rand(16), np.uint64).copy()
        self.reasons: list[str] = []
        """Why a series can't be taken: number -2 is the first reason, -3 the second."""
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._count, self._stamp = 0, 0
        self._keys = np.zeros((2048, 2), np.uint64)
        self._numbers = np.full(2048, _NOBODY, np.int64)
        self._marks = np.zeros(1024, np.int64)

    def look_up(self, rows: Ints, n: int) -> Found:
        """The series of the first `n` rows, and their samples."""
        self._stamp += 1
        found, places, misses, times, starts, values = (np.empty(n, np.int64) for _ in range(6))
        count, missed = _kernel("look_up")(
            rows, n, self._keys, self._numbers, self._marks, self._stamp, found, places, misses, times, starts, values
        )
        return Found(found[:count], places, misses[:missed], times, starts, values.view(np.float64))

    def put(self, lo: Words, hi: Words, numbers: Ints) -> None:
        """Remember series by their hashes."""
        if self._count + len(numbers) > self._most:
            self.clear()
        while 2 * (self._count + len(numbers)) > len(self._numbers):
            self._grow()
        self._count += _kernel("insert")(self._keys, self._numbers, lo, hi, numbers)
        highest = int(numbers.max(initial=0))
        while highest >= len(self._marks):
            self._marks = np.concatenate([self._marks, np.zeros_like(self._marks)])

    def refusal(self, reason: str) -> int:
        """The number that says why a series can't be taken."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        return _REFUSED - self.reasons.index(reason)

    def refused(self, places: Ints) -> dict[str, int]:
        """How many rows can't be taken, by reason."""
        numbers, counts = np.unique(places[places <= _REFUSED], return_counts=True)
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        return {self.reasons[_REFUSED - number]: count for number, count in pairs}

    def _grow(self) -> None:
        kept = np.flatnonzero(self._numbers != _NOBODY)
        keys, numbers = self._keys[kept], self._numbers[kept]
        size = 2 * len(self._numbers)
        self._keys, self._numbers = np.zeros((size, 2), np.uint64), np.full(size, _NOBODY, np.int64)
        columns = (np.ascontiguousarray(keys[:, 0]), np.ascontiguousarray(keys[:, 1]))
        _kernel("insert")(self._keys, self._numbers, *columns, numbers)


class Picked(Sequence[Any]):
    """Items of a list by number, as a sequence that is not made before it is asked for."""

    def __init__(self, items: Sequence[Any], numbers: Ints, more: Sequence[Any] = ()) -> None:
        self._items, self._numbers, self._more = items, numbers, more

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._numbers) + len(self._more)

    def __iter__(self) -> Iterator[Any]:
        """All items in order."""
        items = self._items
        for number in self._numbers.tolist():
            yield items[number]
        yield from self._more

    def __getitem__(self, at: Any) -> Any:
        """One item, or a slice of them as a tuple."""
        if isinstance(at, slice):
            return tuple(self)[at]
        position = range(len(self))[at]
        inner = len(self._numbers)
        return self._items[self._numbers[position]] if position < inner else self._more[position - inner]


def _kernel(name: str) -> Callable[..., Any]:
    found = kernel(name)
    if found is None:
        raise LookupError(name)
    return found

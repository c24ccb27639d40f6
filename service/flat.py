"""Samples of the store as columns of one length: by series, then time, where it is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_] | NDArray[np.int64] | slice

NONE = -(2**62)
"""A moment that is not known, in the columns."""


class Flat(NamedTuple):
    """Samples: the series' numbers, milliseconds UTC, values with their bits, and counters' starts (or NONE)."""

    series: Ints
    ts_ms: Ints
    value: Floats
    start_ms: Ints

    @property
    def size(self) -> int:
        """How many samples there are."""
        return len(self.ts_ms)

    def where(self, mask: Mask) -> Flat:
        """Those samples alone, or in that order."""
        return Flat(self.series[mask], self.ts_ms[mask], self.value[mask], self.start_ms[mask])

    def finite(self) -> Flat:
        """Those that are numbers: neither markers of staleness nor infinite."""
        good = np.isfinite(self.value)
        return self if good.all() else self.where(good)

    def between(self, since_ms: int, until_ms: int) -> Flat:
        """Those within `(since, until]`."""
        return self.where((self.ts_ms > since_ms) & (self.ts_ms <= until_ms))


def empty() -> Flat:
    """No samples."""
    nothing = np.zeros(0, np.int64)
    return Flat(nothing, nothing, np.zeros(0), nothing)


def joined(parts: Sequence[Flat]) -> Flat:
    """All samples, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return empty()
    columns: Any = zip(*parts, strict=True)
    return Flat(*(np.concatenate(column) for column in columns))


def is_ordered(flat: Flat) -> bool:
    """True where samples ascend by series, then time, and no moment of a series comes twice."""
    same = flat.series[1:] == flat.series[:-1]
    later = flat.ts_ms[1:] > flat.ts_ms[:-1]
    return bool(((flat.series[1:] > flat.series[:-1]) | (same & later)).all())


def ordered(flat: Flat) -> Flat:
    """By series, then time; of several at one moment the first given stays."""
    if is_ordered(flat):
        return flat
    low = int(flat.ts_ms.min())
    width = int(flat.ts_ms.max()) - low + 1
    if int(flat.series.max()) < 2**62 // width:
        order = np.argsort(flat.series * width + (flat.ts_ms - low), kind="stable")
    else:
        order = np.lexsort((flat.ts_ms, flat.series))
    found = flat.where(order)
    first = np.ones(found.size, np.bool_)
    first[1:] = (found.series[1:] != found.series[:-1]) | (found.ts_ms[1:] != found.ts_ms[:-1])
    return found if first.all() else found.where(first)


def picked(flat: Flat, ids: Ints) -> Flat:
    """The samples of these series (ascending) alone, of ordered samples."""
    low = np.searchsorted(flat.series, ids, side="left")
    counts = np.searchsorted(flat.series, ids, side="right") - low
    return flat.where(np.repeat(low, counts) + within(counts))


def within(lengths: Ints) -> Ints:
    """0, 1, 2 … of each length, one after the other."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def bisected(values: Ints, begin: Ints, end: Ints, at: Ints) -> Ints:
    """Of many ascending stretches `begin:end` of one column, each one's first place whose value is `at` or above."""
    low, high = begin.copy(), end.copy()
    while (left := low < high).any():
        middle = (low + high) // 2
        right = left & (values[np.minimum(middle, len(values) - 1)] < at)
        low, high = np.where(right, middle + 1, low), np.where(left & ~right, middle, high)
    return low


def heads(series: Ints) -> Ints:
    """Where each series of ordered samples begins."""
    begins = np.ones(len(series), np.bool_)
    begins[1:] = series[1:] != series[:-1]
    return np.flatnonzero(begins)


def offsets(series: Ints) -> Ints:
    """Where each series of ordered samples begins, and the end of the last."""
    return np.append(heads(series), len(series))


def planes(values: NDArray[Any]) -> bytes:
    """The first bytes of all values, then their second bytes, and so on."""
    width = values.dtype.itemsize
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, width).T).tobytes()


def unplanes(data: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Values from their planes."""
    width = np.dtype(dtype).itemsize
    return np.ascontiguousarray(data.reshape(width, -1).T).view(dtype).reshape(-1)

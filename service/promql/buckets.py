"""Quantiles and fractions of classic histograms in pure numpy: the twins of the kernels of the same names.

Rows of one histogram lie together, ascending by upper bound: those of histogram h are `begins[h]:begins[h + 1]`.
Buckets may come and go; each step is worked out over the ones present at it. Formulas: Prometheus's
documentation of histogram_quantile and histogram_fraction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

TOLERANCE: Final = 1e-12
"""Counts that differ by less, relative to their sum, differ by rounding only."""


def bucket_quantile(
    values: Floats, present: Flags, uppers: Floats, begins: Ints, q: Floats, out: Floats, ok: Flags, forced: Flags
) -> None:
    """The q-quantile of each histogram at each step; `forced` where counts had to be made monotonic."""
    for h, at, counts, bounds in _patterns(values, present, uppers, begins):
        ok[h, at] = True
        out[h, at], forced[h, at] = _quantile(q[at], counts, bounds)


def bucket_fraction(
    values: Floats, present: Flags, uppers: Floats, begins: Ints, low: Floats, high: Floats, out: Floats, ok: Flags
) -> None:
    """The share of observations between `low` and `high` of each histogram at each step."""
    for h, at, counts, bounds in _patterns(values, present, uppers, begins):
        ok[h, at] = True
        out[h, at] = _fraction(low[at], high[at], counts, bounds)


def _patterns(
    values: Floats, present: Flags, uppers: Floats, begins: Ints
) -> Iterator[tuple[int, Ints, Floats, Floats]]:
    """For each histogram and each set of buckets that is present together: the steps, the counts, the bounds."""
    for h in range(len(begins) - 1):
        rows = slice(begins[h], begins[h + 1])
        patterns, which = np.unique(present[rows], axis=1, return_inverse=True)
        for i, there in enumerate(patterns.T):
            if there.any():
                at = np.flatnonzero(which.ravel() == i)
                bounds, into = np.unique(uppers[rows][there], return_inverse=True)
                counts = np.zeros((len(bounds), len(at)))
                np.add.at(counts, into, values[rows][there][:, at])
                yield h, at, counts, bounds


def _monotonic(counts: Floats) -> tuple[Floats, Flags]:
    """Counts that never fall from bucket to bucket; differences of rounding are no difference."""
    counts, forced = np.array(counts), np.zeros(counts.shape[1], np.bool_)
    before = counts[0].copy()
    for row in counts[1:]:
        size = np.abs(before) + np.abs(row)
        tiny = np.where(size > 0, np.abs(row - before) / np.minimum(size, np.finfo(np.float64).max), 0.0) < TOLERANCE
        fell = (row < before) & ~tiny
        forced |= fell
        row[:] = np.where(tiny | fell, before, row)
        before = np.where(tiny | fell, before, row)
    return counts, forced


def _quantile(q: Floats, counts: Floats, bounds: Floats) -> tuple[Floats, Flags]:
    last = len(bounds) - 1
    nothing = np.full(len(q), np.nan)
    outside = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, nothing))
    if last < 1 or bounds[last] != np.inf:
        return outside, np.zeros(len(q), np.bool_)
    counts, forced = _monotonic(counts)
    inside = (q >= 0) & (q <= 1)
    rank = q * counts[last]
    reached = counts[:last] >= rank
    b = np.where(reached.any(axis=0), reached.argmax(axis=0), last)
    steps = np.arange(len(q))
    lower = np.where(b > 0, bounds[b - 1], 0.0)
    under = np.where(b > 0, counts[b - 1, steps], 0.0)
    found = lower + (bounds[b] - lower) * ((rank - under) / (counts[b, steps] - under))
    found = np.where((b == 0) & (bounds[0] <= 0), bounds[0], found)
    found = np.where(b == last, bounds[last - 1], found)
    found = np.where(counts[last] == 0, np.nan, found)
    return np.where(inside, found, outside), forced & inside


def _fraction(low: Floats, high: Floats, counts: Floats, bounds: Floats) -> Floats:
    total = counts[-1]
    if bounds[-1] != np.inf:
        return np.full(len(low), np.nan)
    share = (_rank(high, counts, bounds) - _rank(low, counts, bounds)) / total
    share = np.where(low >= high, 0.0, share)
    return np.where((total == 0) | np.isnan(low) | np.isnan(high), np.nan, share)


def _rank(at: Floats, counts: Floats, bounds: Floats) -> Floats:
    """How many observations lie below `at`, linear within a bucket; the first begins at 0 where its bound is above."""
    last = len(bounds) - 1
    b = np.minimum(np.searchsorted(bounds, np.where(np.isnan(at), np.inf, at), "left"), last)
    steps = np.arange(len(at))
    first = 0.0 if bounds[0] > 0 else -np.inf
    lower = np.where(b > 0, bounds[b - 1], first)
    under = np.where(b > 0, counts[b - 1, steps], 0.0)
    part = np.where(np.isinf(lower) | np.isinf(bounds[b]), 0.0, (at - lower) / (bounds[b] - lower))
    found = under + (counts[b, steps] - under) * np.maximum(part, 0.0)
    found = np.where(at == bounds[b], counts[b, steps], found)
    capped: Floats = np.minimum(np.where(np.isposinf(at), counts[last], found), counts[last])
    return capped

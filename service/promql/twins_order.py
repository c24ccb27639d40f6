"""Twins of the kernels that order the samples of a window; see `twins.py`."""

from __future__ import annotations

import numpy as np

from service.promql.twins import Flags, Floats, Ints, bounds, put, walk


def extremes(
    offsets: Ints, ts: Ints, values: Floats, ends: Ints, range_ms: int, least: bool, out: Floats, ok: Flags
) -> None:
    """min_over_time and max_over_time; NaN only where there is nothing else."""
    low, high = bounds(offsets, ts, ends, range_ms)
    there = np.flatnonzero(high > low)
    low, high = low[there], high[there]
    best = values[low]
    for _, which, at in walk(low, high, 1):
        given, now = values[at], best[which]
        best[which] = np.where(((given < now) if least else (given > now)) | np.isnan(now), given, now)
    put(out, ok, there, best)


def ordered(
    offsets: Ints, ts: Ints, values: Floats, ends: Ints, range_ms: int, q: Floats, out: Floats, ok: Flags
) -> None:
    """quantile_over_time for one q of each window, between 0 and 1; NaN sorts first."""
    low, high = bounds(offsets, ts, ends, range_ms)
    shares = np.tile(q, len(offsets) - 1)
    there = np.flatnonzero(high > low)
    found = [quantile(values[low[w] : high[w]], shares[w]) for w in there]
    put(out, ok, there, found)


def quantile(values: Floats, q: float) -> float:
    """The q-quantile of some values, linear between the two nearest."""
    if np.isnan(q):
        return float("nan")
    if q < 0 or q > 1:
        return float("-inf") if q < 0 else float("inf")
    values = np.sort(values)
    gone = np.isnan(values)
    values = np.concatenate((values[gone], values[~gone]))
    rank = q * (len(values) - 1)
    below = int(np.floor(rank))
    share = rank - below
    return float(values[below] * (1 - share) + values[min(len(values) - 1, below + 1)] * share)


def mad(offsets: Ints, ts: Ints, values: Floats, ends: Ints, range_ms: int, out: Floats, ok: Flags) -> None:
    """mad_over_time: the median distance from the median."""
    low, high = bounds(offsets, ts, ends, range_ms)
    there = np.flatnonzero(high > low)
    parts = [values[low[w] : high[w]] for w in there]
    put(out, ok, there, [quantile(np.abs(it - quantile(it, 0.5)), 0.5) for it in parts])

"""Compiled kernels that order the samples of a window: the same work as `twins_order.py`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from service.promql.kernels_windows import BOOL, FLOATS, OK, OUT, WINDOWED, begin, compiled, moved


@compiled
def extremes(offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, least: bool, out: Any, ok: Any) -> None:
    """min_over_time and max_over_time: a queue of samples that nothing later in the window surpasses."""
    for i in range(len(offsets) - 1):
        past = offsets[i + 1]
        low = high = begin(ts, offsets[i], past, ends[0] - range_ms)
        queue = np.empty(past - low, np.int64)
        head = tail = 0
        for t in range(len(ends)):
            end = ends[t]
            while high < past and ts[high] <= end:
                given = -values[high] if least else values[high]
                if not np.isnan(given):
                    while tail > head and (-values[queue[tail - 1]] if least else values[queue[tail - 1]]) < given:
                        tail -= 1
                    queue[tail] = high
                    tail += 1
                high += 1
            while low < high and ts[low] <= end - range_ms:
                low += 1
            while head < tail and queue[head] < low:
                head += 1
            ok[i, t] = high > low
            out[i, t] = values[queue[head]] if tail > head else np.nan


@register_jitable
def _place(space: Any, n: int, value: float) -> int:
    """Where a value stands, or would stand, among the first n, which ascend."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if space[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@register_jitable
def _sorted_anew(values: Any, low: int, high: int, space: Any) -> int:
    """The numbers of a window in order; how many there are."""
    n = 0
    for k in range(low, high):
        if not np.isnan(values[k]):
            space[n] = values[k]
            n += 1
    space[:n].sort()
    return n


@register_jitable
def _sorted_on(values: Any, old: tuple[int, int], new: tuple[int, int], space: Any, n: int) -> int:
    """The numbers of the old window become those of the new one: what left goes, what came finds its place."""
    for k in range(old[0], new[0]):
        if not np.isnan(values[k]):
            for at in range(_place(space, n, values[k]), n - 1):
                space[at] = space[at + 1]
            n -= 1
    for k in range(old[1], new[1]):
        if not np.isnan(values[k]):
            at = n
            while at > 0 and space[at - 1] > values[k]:
                space[at] = space[at - 1]
                at -= 1
            space[at] = values[k]
            n += 1
    return n


@compiled
def ordered(offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, q: Any, out: Any, ok: Any) -> None:
    """quantile_over_time: the window is kept in order as it moves, and sorted anew where most of it changes."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        space = np.empty(offsets[i + 1] - low)
        n = 0
        for t in range(len(ends)):
            old = (low, high)
            low, high = moved(ts, low, high, offsets[i + 1], ends[t], range_ms)
            if low >= old[1] or (low - old[0]) + (high - old[1]) > 16 + (high - low) // 8:
                n = _sorted_anew(values, low, high, space)
            else:
                n = _sorted_on(values, old, (low, high), space, n)
            ok[i, t] = high > low
            out[i, t] = 0.0
            if high > low:
                out[i, t] = _ranked(space, n, high - low - n, q[t])


@register_jitable
def _ranked(space: Any, n: int, gone: int, q: float) -> float:
    """The q-quantile of `gone` NaN, which come first, and n numbers in order."""
    if np.isnan(q):
        return np.nan
    if q < 0 or q > 1:
        return -np.inf if q < 0 else np.inf
    rank = q * (n + gone - 1)
    below = int(np.floor(rank))
    share = rank - below
    above = min(n + gone - 1, below + 1)
    first = space[below - gone] if below >= gone else np.nan
    second = space[above - gone] if above >= gone else np.nan
    found: float = first * (1 - share) + second * share
    return found


@compiled
def mad(offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, out: Any, ok: Any) -> None:
    """mad_over_time."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        space, apart = np.empty(offsets[i + 1] - low), np.empty(offsets[i + 1] - low)
        for t in range(len(ends)):
            low, high = moved(ts, low, high, offsets[i + 1], ends[t], range_ms)
            ok[i, t] = high > low
            out[i, t] = 0.0
            if high > low:
                n = _sorted_anew(values, low, high, space)
                middle = _ranked(space, n, high - low - n, 0.5)
                for k in range(low, high):
                    apart[k - low] = abs(values[k] - middle)
                n = _sorted_anew(apart, 0, high - low, space)
                out[i, t] = _ranked(space, n, high - low - n, 0.5)


COMPILED: Final[tuple[tuple[Any, tuple[Any, ...]], ...]] = (
    (extremes, (*WINDOWED, BOOL, OUT, OK)),
    (ordered, (*WINDOWED, FLOATS, OUT, OK)),
    (mad, (*WINDOWED, OUT, OK)),
)
"""Each kernel with its one signature."""

"""What compiled kernels share: types, how they are compiled, windows that move, compensated addition."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, types
from numba.extending import register_jitable

INTS: Final = types.Array(types.int64, 1, "C", readonly=True)
FLOATS: Final = types.Array(types.float64, 1, "C", readonly=True)
TABLE: Final = types.Array(types.float64, 2, "C", readonly=True)
FLAGS: Final = types.Array(types.boolean, 2, "C", readonly=True)
OUT: Final = types.float64[:, ::1]
OK: Final = types.boolean[:, ::1]
INT: Final = types.int64
BOOL: Final = types.boolean
WINDOWED: Final = (INTS, INTS, FLOATS, INTS, INT)
"""Offsets, moments, values, ends of windows, their length."""

compiled: Final = njit(cache=True, nogil=True, error_model="numpy")


@register_jitable
def begin(ts: Any, low: int, past: int, since: int) -> int:
    """The first sample after `since`."""
    while low < past:
        middle = (low + past) // 2
        if ts[middle] <= since:
            low = middle + 1
        else:
            past = middle
    return low


@register_jitable
def moved(ts: Any, low: int, high: int, past: int, end: int, range_ms: int) -> tuple[int, int]:
    """The window's ends moved on to `(end - range, end]`."""
    while high < past and ts[high] <= end:
        high += 1
    while low < high and ts[low] <= end - range_ms:
        low += 1
    return low, high


@register_jitable
def compensated(given: float, total: float, rest: float) -> tuple[float, float]:
    """Neumaier's addition: the new sum, and what was lost so far."""
    new = total + given
    if np.isinf(new):
        return new, 0.0
    if abs(total) >= abs(given):
        return new, rest + ((total - new) + given)
    return new, rest + ((given - new) + total)

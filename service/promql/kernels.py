"""Compiled kernels of windows: the same work as `twins.py`, window by window with two moving ends.

Only `jit.warm` imports this: importing numba takes a while, compiling seconds. Signatures are fixed, inputs may be
read-only, so that no query ever waits for a compiler. Formulas are those of the twins.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from service.promql.codes import FOLD
from service.promql.kernels_windows import (
    BOOL,
    FLOATS,
    INT,
    INTS,
    OK,
    OUT,
    WINDOWED,
    begin,
    compensated,
    compiled,
    moved,
)
from service.samples import STALE_BITS

F_COUNT, F_SUM, F_AVG = int(FOLD.COUNT), int(FOLD.SUM), int(FOLD.AVG)
F_LAST, F_FIRST, F_PRESENT = int(FOLD.LAST), int(FOLD.FIRST), int(FOLD.PRESENT)
F_STDDEV, F_STDVAR = int(FOLD.STDDEV), int(FOLD.STDVAR)
F_TS_LAST, F_TS_FIRST, F_TS_MIN = int(FOLD.TS_LAST), int(FOLD.TS_FIRST), int(FOLD.TS_MIN)
STALE: Final = int(STALE_BITS)
BLOCK: Final = 64
"""Samples that are added up once for all windows that hold them."""


@compiled
def latest(offsets: Any, ts: Any, bits: Any, source: Any, ends: Any, lookback: int, out: Any, ok: Any) -> None:
    """The last sample of each window that is no staleness marker."""
    for i in range(len(offsets) - 1):
        past = offsets[i + 1]
        first = high = begin(ts, offsets[i], past, ends[0] - lookback)
        for t in range(len(ends)):
            end = ends[t]
            while high < past and ts[high] <= end:
                high += 1
            at = high - 1
            if at >= first and ts[at] > end - lookback and bits[at] != STALE:
                out[i, t] = source[at]
                ok[i, t] = True
            else:
                out[i, t] = 0.0
                ok[i, t] = False


@compiled
def extrapolated(
    offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, counter: bool, rate: bool, out: Any, ok: Any
) -> None:
    """rate, increase and delta; resets in the window are counted as it moves."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        past = offsets[i + 1]
        resets = 0
        for t in range(len(ends)):
            end = ends[t]
            since = end - range_ms
            while high < past and ts[high] <= end:
                if high > low and values[high] < values[high - 1]:
                    resets += 1
                high += 1
            while low < high and ts[low] <= since:
                if low + 1 < high and values[low + 1] < values[low]:
                    resets -= 1
                low += 1
            ok[i, t] = high - low >= 2
            if high - low < 2:
                out[i, t] = 0.0
                continue
            grown = values[high - 1] - values[low]
            if counter and resets > 0:
                for k in range(low + 1, high):
                    if values[k] < values[k - 1]:
                        grown += values[k - 1]
            sampled = (ts[high - 1] - ts[low]) / 1000
            between = sampled / (high - low - 1)
            before = (ts[low] - since) / 1000
            after = (end - ts[high - 1]) / 1000
            if before >= between * 1.1:
                before = between / 2
            if counter and grown > 0 and values[low] >= 0:
                zero = sampled * (values[low] / grown)
                if zero < before:
                    before = zero
            if after >= between * 1.1:
                after = between / 2
            factor = (sampled + before + after) / sampled
            if rate:
                factor /= range_ms / 1000
            out[i, t] = grown * factor


@compiled
def pair(offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, rate: bool, out: Any, ok: Any) -> None:
    """irate and idelta."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        for t in range(len(ends)):
            low, high = moved(ts, low, high, offsets[i + 1], ends[t], range_ms)
            ok[i, t] = high - low >= 2
            out[i, t] = 0.0
            if high - low >= 2:
                last, before = values[high - 1], values[high - 2]
                found = last - before
                if rate:
                    if last < before:
                        found = last
                    found /= (ts[high - 1] - ts[high - 2]) / 1000
                out[i, t] = found


@register_jitable
def _sum(values: Any, low: int, high: int) -> float:
    total, rest = 0.0, 0.0
    for k in range(low, high):
        total, rest = compensated(values[k], total, rest)
    return total if np.isinf(total) else total + rest


@register_jitable
def _average(values: Any, low: int, high: int) -> float:
    total, rest = 0.0, 0.0
    over = False
    for k in range(low, high):
        n = k - low + 1
        if not over:
            new, new_rest = compensated(values[k], total, rest)
            if n == 1 or not np.isinf(new):
                total, rest = new, new_rest
                continue
            over = True
            total /= n - 1
            rest /= n - 1
        share = (n - 1) / n
        total, rest = compensated(values[k] / n, share * total, share * rest)
    n = high - low
    return total + rest if over else total / n + rest / n


@register_jitable
def _extreme_at(op: int, ts: Any, values: Any, low: int, high: int) -> float:
    best, moment = values[low], ts[low]
    for k in range(low + 1, high):
        given = values[k]
        if np.isnan(best) or (given <= best if op == F_TS_MIN else given >= best):
            best, moment = given, ts[k]
    found: float = moment / 1000
    return found


@register_jitable
def _variance(values: Any, low: int, high: int) -> float:
    mean, mean_rest, aux, aux_rest = 0.0, 0.0, 0.0, 0.0
    for k in range(low, high):
        delta = values[k] - (mean + mean_rest)
        mean, mean_rest = compensated(delta / (k - low + 1), mean, mean_rest)
        aux, aux_rest = compensated(delta * (values[k] - (mean + mean_rest)), aux, aux_rest)
    return (aux + aux_rest) / (high - low)


@register_jitable
def _are_long(ts: Any, first: int, past: int, range_ms: int) -> bool:
    """Whether windows hold blocks at all, by the mean distance of samples."""
    n = past - first
    return n > 2 * BLOCK and range_ms * (n - 1) > 2 * BLOCK * (ts[past - 1] - ts[first])


@register_jitable
def _block_sums(values: Any, first: int, past: int) -> Any:
    """Compensated sums of each whole block of a series, and what they lost: (2, blocks)."""
    found = np.zeros((2, (past - first) // BLOCK))
    for block in range(found.shape[1]):
        total, rest = 0.0, 0.0
        for k in range(first + block * BLOCK, first + (block + 1) * BLOCK):
            total, rest = compensated(values[k], total, rest)
        found[0, block], found[1, block] = total, rest
    return found


@register_jitable
def _long_sum(values: Any, low: int, high: int, first: int, sums: Any) -> float:
    """The sum of a window from the sums of its blocks; sample by sample where it is short or not finite."""
    begins, ends = (low - first + BLOCK - 1) // BLOCK, (high - first) // BLOCK
    if ends - begins < 2 or ends > sums.shape[1]:
        return _sum(values, low, high)
    total, rest = 0.0, 0.0
    for k in range(low, first + begins * BLOCK):
        total, rest = compensated(values[k], total, rest)
    for block in range(begins, ends):
        total, rest = compensated(sums[0, block], total, rest)
        rest += sums[1, block]
    for k in range(first + ends * BLOCK, high):
        total, rest = compensated(values[k], total, rest)
    return total + rest if np.isfinite(total + rest) else _sum(values, low, high)


@compiled
def turns(offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, falls: bool, out: Any, ok: Any) -> None:
    """changes and resets: counted as the window moves."""
    for i in range(len(offsets) - 1):
        past = offsets[i + 1]
        low = high = begin(ts, offsets[i], past, ends[0] - range_ms)
        found = 0
        for t in range(len(ends)):
            while high < past and ts[high] <= ends[t]:
                if high > low and _turns(values[high - 1], values[high], falls):
                    found += 1
                high += 1
            while low < high and ts[low] <= ends[t] - range_ms:
                if low + 1 < high and _turns(values[low], values[low + 1], falls):
                    found -= 1
                low += 1
            ok[i, t] = high > low
            out[i, t] = found


@register_jitable
def _turns(before: float, now: float, falls: bool) -> bool:
    if falls:
        return now < before
    return now != before and not (np.isnan(now) and np.isnan(before))


@compiled
def fold(offsets: Any, ts: Any, values: Any, ends: Any, range_ms: int, op: int, out: Any, ok: Any) -> None:
    """The functions that fold a window, by their code."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        adds = op in (F_SUM, F_AVG) and _are_long(ts, offsets[i], offsets[i + 1], range_ms)
        sums = _block_sums(values, offsets[i], offsets[i + 1] if adds else offsets[i])
        for t in range(len(ends)):
            low, high = moved(ts, low, high, offsets[i + 1], ends[t], range_ms)
            ok[i, t] = high > low
            found = 0.0
            if high > low:
                if op == F_COUNT:
                    found = float(high - low)
                elif op == F_PRESENT:
                    found = 1.0
                elif op == F_LAST:
                    found = values[high - 1]
                elif op == F_FIRST:
                    found = values[low]
                elif op == F_TS_LAST:
                    found = ts[high - 1] / 1000
                elif op == F_TS_FIRST:
                    found = ts[low] / 1000
                elif op == F_SUM:
                    found = _long_sum(values, low, high, offsets[i], sums)
                elif op == F_AVG:
                    found = _long_sum(values, low, high, offsets[i], sums) / (high - low)
                    if high - low < 2 * BLOCK or not np.isfinite(found):
                        found = _average(values, low, high)
                elif op == F_STDVAR:
                    found = _variance(values, low, high)
                elif op == F_STDDEV:
                    found = np.sqrt(_variance(values, low, high))
                else:
                    found = _extreme_at(op, ts, values, low, high)
            out[i, t] = found


@compiled
def trend(
    offsets: Any,
    ts: Any,
    values: Any,
    ends: Any,
    range_ms: int,
    origins: Any,
    ahead: Any,
    slope_only: bool,
    out: Any,
    ok: Any,
) -> None:
    """deriv and predict_linear."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        for t in range(len(ends)):
            low, high = moved(ts, low, high, offsets[i + 1], ends[t], range_ms)
            ok[i, t] = high - low >= 2
            out[i, t] = 0.0
            if high - low < 2:
                continue
            origin = ts[low] if slope_only else origins[t]
            sx, cx, sy, cy, sxy, cxy, sxx, cxx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            first, flat = values[low], True
            for k in range(low, high):
                x, y = (ts[k] - origin) / 1000, values[k]
                flat = flat and y == first
                sx, cx = compensated(x, sx, cx)
                sy, cy = compensated(y, sy, cy)
                sxy, cxy = compensated(x * y, sxy, cxy)
                sxx, cxx = compensated(x * x, sxx, cxx)
            n = float(high - low)
            if flat:
                slope, level = (np.nan, np.nan) if np.isinf(first) else (0.0, first)
            else:
                x, y, xy, xx = sx + cx, sy + cy, sxy + cxy, sxx + cxx
                slope = (xy - x * y / n) / (xx - x * x / n)
                level = y / n - slope * x / n
            out[i, t] = slope if slope_only else slope * ahead[t] + level


@compiled
def smoothed(
    offsets: Any,
    ts: Any,
    values: Any,
    ends: Any,
    range_ms: int,
    smoothing: Any,
    trending: Any,
    out: Any,
    ok: Any,
) -> None:
    """double_exponential_smoothing."""
    for i in range(len(offsets) - 1):
        low = high = begin(ts, offsets[i], offsets[i + 1], ends[0] - range_ms)
        for t in range(len(ends)):
            low, high = moved(ts, low, high, offsets[i + 1], ends[t], range_ms)
            ok[i, t] = high - low >= 2
            out[i, t] = 0.0
            if high - low < 2:
                continue
            level = before = values[low]
            slope = values[low + 1] - values[low]
            for k in range(low + 1, high):
                if k > low + 1:
                    slope = trending[t] * (level - before) + (1 - trending[t]) * slope
                new = smoothing[t] * values[k] + (1 - smoothing[t]) * (level + slope)
                before, level = level, new
            out[i, t] = level


COMPILED: Final[tuple[tuple[Any, tuple[Any, ...]], ...]] = (
    (extrapolated, (*WINDOWED, BOOL, BOOL, OUT, OK)),
    (latest, (INTS, INTS, INTS, FLOATS, INTS, INT, OUT, OK)),
    (fold, (*WINDOWED, INT, OUT, OK)),
    (turns, (*WINDOWED, BOOL, OUT, OK)),
    (pair, (*WINDOWED, BOOL, OUT, OK)),
    (trend, (*WINDOWED, INTS, FLOATS, BOOL, OUT, OK)),
    (smoothed, (*WINDOWED, FLOATS, FLOATS, OUT, OK)),
)
"""Each kernel with its one signature, those that most queries need first."""

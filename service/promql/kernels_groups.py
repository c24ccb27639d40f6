"""Compiled aggregations and histograms: the same work as in `twins.py` and `buckets.py`; see `kernels.py`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba.extending import register_jitable

from service.promql.buckets import TOLERANCE
from service.promql.codes import AGGREGATE
from service.promql.kernels_windows import BOOL, FLAGS, FLOATS, INT, INTS, OK, OUT, TABLE, compensated, compiled

_HUGE: Final = float(np.finfo(np.float64).max)
SUM, AVG, MIN, MAX = int(AGGREGATE.SUM), int(AGGREGATE.AVG), int(AGGREGATE.MIN), int(AGGREGATE.MAX)
COUNT, GROUP = int(AGGREGATE.COUNT), int(AGGREGATE.GROUP)
STDDEV, STDVAR = int(AGGREGATE.STDDEV), int(AGGREGATE.STDVAR)


@compiled
def grouped(values: Any, present: Any, groups: Any, op: int, out: Any, ok: Any) -> None:
    """Rows into groups, by the code of the aggregation."""
    steps = values.shape[1]
    count = np.zeros(out.shape, np.int64)
    rest = np.zeros(out.shape)
    aux = np.zeros(out.shape)
    out[:] = 0.0
    for row in range(len(groups)):
        g = groups[row]
        for t in range(steps):
            if not present[row, t]:
                continue
            given = values[row, t]
            count[g, t] += 1
            k = count[g, t]
            now = out[g, t]
            if op == SUM:
                out[g, t], rest[g, t] = compensated(given, now, rest[g, t])
            elif op == AVG:
                if aux[g, t] == 0.0:
                    new, new_rest = compensated(given, now, rest[g, t])
                    if k == 1 or not np.isinf(new):
                        out[g, t], rest[g, t] = new, new_rest
                        continue
                    aux[g, t] = 1.0
                    now /= k - 1
                    rest[g, t] /= k - 1
                share = (k - 1) / k
                out[g, t], rest[g, t] = compensated(given / k, share * now, share * rest[g, t])
            elif op == MIN:
                if k == 1 or given < now or np.isnan(now):
                    out[g, t] = given
            elif op == MAX:
                if k == 1 or given > now or np.isnan(now):
                    out[g, t] = given
            elif op in (STDDEV, STDVAR):
                delta = given - aux[g, t]
                aux[g, t] += delta / k
                grown = now + delta * (given - aux[g, t])
                if k == 1:
                    grown = 0.0 if np.isfinite(given) else np.nan
                out[g, t] = grown
    for g in range(out.shape[0]):
        for t in range(steps):
            k = count[g, t]
            ok[g, t] = k > 0
            if k == 0:
                continue
            if op == SUM:
                if not np.isinf(out[g, t]):
                    out[g, t] += rest[g, t]
            elif op == AVG:
                out[g, t] = out[g, t] + rest[g, t] if aux[g, t] > 0 else out[g, t] / k + rest[g, t] / k
            elif op == COUNT:
                out[g, t] = k
            elif op == GROUP:
                out[g, t] = 1.0
            elif op == STDVAR:
                out[g, t] /= k
            elif op == STDDEV:
                out[g, t] = np.sqrt(out[g, t] / k)


@register_jitable
def _gathered(values: Any, present: Any, uppers: Any, low: int, high: int, t: int, counts: Any, bounds: Any) -> int:
    """The buckets present at a step, those of one bound added up; how many there are."""
    n = 0
    for row in range(low, high):
        if present[row, t]:
            if n and bounds[n - 1] == uppers[row]:
                counts[n - 1] += values[row, t]
            else:
                counts[n], bounds[n] = values[row, t], uppers[row]
                n += 1
    return n


@register_jitable
def _made_monotonic(counts: Any, n: int) -> bool:
    forced = False
    before = counts[0]
    for k in range(1, n):
        now = counts[k]
        size = abs(before) + abs(now)
        tiny = (abs(now - before) / min(size, _HUGE) if size > 0 else 0.0) < TOLERANCE
        if tiny or now < before:
            forced = forced or not tiny
            counts[k] = before
        else:
            before = now
    return forced


@compiled
def bucket_quantile(
    values: Any, present: Any, uppers: Any, begins: Any, q: Any, out: Any, ok: Any, forced: Any
) -> None:
    """histogram_quantile."""
    for h in range(len(begins) - 1):
        low, high = begins[h], begins[h + 1]
        counts, bounds = np.empty(high - low), np.empty(high - low)
        for t in range(values.shape[1]):
            n = _gathered(values, present, uppers, low, high, t, counts, bounds)
            ok[h, t] = n > 0
            forced[h, t] = False
            if n == 0:
                continue
            share = q[t]
            if not (share >= 0 and share <= 1):
                out[h, t] = np.nan if np.isnan(share) else (-np.inf if share < 0 else np.inf)
                continue
            out[h, t] = np.nan
            if n < 2 or bounds[n - 1] != np.inf:
                continue
            forced[h, t] = _made_monotonic(counts, n)
            if counts[n - 1] == 0:
                continue
            rank = share * counts[n - 1]
            b = 0
            while b < n - 1 and not counts[b] >= rank:
                b += 1
            if b == n - 1:
                out[h, t] = bounds[n - 2]
            elif b == 0 and bounds[0] <= 0:
                out[h, t] = bounds[0]
            else:
                lower = bounds[b - 1] if b > 0 else 0.0
                under = counts[b - 1] if b > 0 else 0.0
                out[h, t] = lower + (bounds[b] - lower) * ((rank - under) / (counts[b] - under))


@register_jitable
def _rank(at: float, counts: Any, bounds: Any, n: int) -> float:
    if np.isinf(at) and at > 0:
        return float(counts[n - 1])
    b = 0
    while b < n - 1 and bounds[b] < at:
        b += 1
    if at == bounds[b]:
        return float(min(counts[b], counts[n - 1]))
    lower = bounds[b - 1] if b > 0 else (0.0 if bounds[0] > 0 else -np.inf)
    under = counts[b - 1] if b > 0 else 0.0
    if np.isinf(lower) or np.isinf(bounds[b]) or at < lower:
        return float(min(under, counts[n - 1]))
    return float(min(under + (counts[b] - under) * ((at - lower) / (bounds[b] - lower)), counts[n - 1]))


@compiled
def bucket_fraction(
    values: Any, present: Any, uppers: Any, begins: Any, lows: Any, highs: Any, out: Any, ok: Any
) -> None:
    """histogram_fraction."""
    for h in range(len(begins) - 1):
        low, high = begins[h], begins[h + 1]
        counts, bounds = np.empty(high - low), np.empty(high - low)
        for t in range(values.shape[1]):
            n = _gathered(values, present, uppers, low, high, t, counts, bounds)
            ok[h, t] = n > 0
            out[h, t] = np.nan
            if n == 0 or bounds[n - 1] != np.inf:
                continue
            total = counts[n - 1]
            if total == 0 or np.isnan(lows[t]) or np.isnan(highs[t]):
                continue
            if lows[t] >= highs[t]:
                out[h, t] = 0.0
            else:
                out[h, t] = (_rank(highs[t], counts, bounds, n) - _rank(lows[t], counts, bounds, n)) / total


@register_jitable
def _is_better(a: float, b: float, largest: bool) -> bool:
    """Whether a comes before b: numbers before NaN, and of two that are equal neither."""
    if np.isnan(a):
        return False
    return bool(np.isnan(b) or (a > b if largest else a < b))


@compiled
def tops(values: Any, present: Any, groups: Any, wanted: Any, largest: bool, kept: Any) -> None:
    """topk and bottomk: each group and step holds its best rows so far, in order."""
    steps = values.shape[1]
    size, most = 0, 0
    for row in range(len(groups)):
        size = max(size, groups[row] + 1)
    for t in range(steps):
        most = max(most, wanted[t])
    best = np.empty((size, steps, most), np.int64)
    count = np.zeros((size, steps), np.int64)
    for row in range(len(groups)):
        g = groups[row]
        for t in range(steps):
            k = wanted[t]
            if k < 1 or not present[row, t]:
                continue
            n = count[g, t]
            if n == k:
                if not _is_better(values[row, t], values[best[g, t, n - 1], t], largest):
                    continue
            else:
                n += 1
                count[g, t] = n
            at = n - 1
            while at > 0 and _is_better(values[row, t], values[best[g, t, at - 1], t], largest):
                best[g, t, at] = best[g, t, at - 1]
                at -= 1
            best[g, t, at] = row
    for g in range(size):
        for t in range(steps):
            for at in range(count[g, t]):
                kept[best[g, t, at], t] = True


COMPILED: Final[tuple[tuple[Any, tuple[Any, ...]], ...]] = (
    (grouped, (TABLE, FLAGS, INTS, INT, OUT, OK)),
    (bucket_quantile, (TABLE, FLAGS, FLOATS, INTS, FLOATS, OUT, OK, OK)),
    (tops, (TABLE, FLAGS, INTS, INTS, BOOL, OK)),
    (bucket_fraction, (TABLE, FLAGS, FLOATS, INTS, FLOATS, FLOATS, OUT, OK)),
)
"""Each kernel with its one signature."""

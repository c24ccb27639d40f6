"""The kernels in pure numpy: what runs before `kernels.py` is compiled, and what that is held to.

Windows are `(end - range, end]`. All take columns of n series (`offsets`, `ts`, `values`), `ends` of T windows, and
fill `out` and `ok` of shape (n, T); where `ok` is False nothing is there. Each walks all windows at once, sample by
sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.promql.codes import AGGREGATE, FOLD
from service.samples import STALE_BITS

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


def bounds(offsets: Ints, ts: Ints, ends: Ints, range_ms: int) -> tuple[Ints, Ints]:
    """First and past-the-last sample of each window, flat: series by series."""
    n, steps = len(offsets) - 1, len(ends)
    low, high = np.empty((n, steps), np.int64), np.empty((n, steps), np.int64)
    for i in range(n):
        mine = ts[offsets[i] : offsets[i + 1]]
        low[i] = np.searchsorted(mine, ends - range_ms, "right") + offsets[i]
        high[i] = np.searchsorted(mine, ends, "right") + offsets[i]
    return low.ravel(), high.ravel()


def walk(low: Ints, high: Ints, first: int = 0) -> Iterator[tuple[int, Ints, Ints]]:
    """For each k: k, the windows that have a k-th sample, and where that is."""
    sizes = high - low
    for k in range(first, int(sizes.max(initial=0))):
        which = np.flatnonzero(sizes > k)
        yield k, which, low[which] + k


def _add(given: Floats, total: Floats, rest: Floats) -> tuple[Floats, Floats]:
    """Neumaier's compensated addition."""
    new = total + given
    lost = np.where(np.abs(total) >= np.abs(given), (total - new) + given, (given - new) + total)
    return new, np.where(np.isinf(new), 0.0, rest + lost)


def latest(
    offsets: Ints, ts: Ints, bits: Ints, source: Floats, ends: Ints, lookback: int, out: Floats, ok: Flags
) -> None:
    """The last sample of each window, from `source`; absent where it is a staleness marker."""
    low, high = bounds(offsets, ts, ends, lookback)
    there = high > low
    at = high[there] - 1
    flat, flags = np.zeros(len(low)), there.copy()
    flat[there] = source[at]
    flags[there] = bits[at] != STALE_BITS
    out[:], ok[:] = flat.reshape(out.shape), flags.reshape(out.shape)


def extrapolated(
    offsets: Ints,
    ts: Ints,
    values: Floats,
    ends: Ints,
    range_ms: int,
    counter: bool,
    rate: bool,
    out: Floats,
    ok: Flags,
) -> None:
    """rate, increase and delta: the difference in the window, extrapolated to its borders as Prometheus does."""
    low, high = bounds(offsets, ts, ends, range_ms)
    until = np.tile(ends, len(offsets) - 1)
    there = np.flatnonzero(high - low >= 2)
    low, high, until = low[there], high[there], until[there]
    grown = values[high - 1] - values[low]
    if counter:
        for _, which, at in walk(low, high, 1):
            fell = values[at] < values[at - 1]
            grown[which[fell]] += values[at[fell] - 1]
    sampled = (ts[high - 1] - ts[low]) / 1000
    between = sampled / (high - low - 1)
    before, after = (ts[low] - (until - range_ms)) / 1000, (until - ts[high - 1]) / 1000
    before = np.where(before >= between * 1.1, between / 2, before)
    if counter:
        first = values[low]
        zero = np.where((grown > 0) & (first >= 0), sampled * (first / grown), before)
        before = np.where(zero < before, zero, before)
    after = np.where(after >= between * 1.1, between / 2, after)
    factor = (sampled + before + after) / sampled
    put(out, ok, there, grown * (factor / (range_ms / 1000) if rate else factor))


def put(out: Floats, ok: Flags, which: Ints, values: Any) -> None:
    """Values of some windows, by their flat numbers; the others are not there."""
    flat, flags = np.zeros(out.size), np.zeros(out.size, np.bool_)
    flat[which], flags[which] = values, True
    out[:], ok[:] = flat.reshape(out.shape), flags.reshape(out.shape)


def pair(
    offsets: Ints, ts: Ints, values: Floats, ends: Ints, range_ms: int, rate: bool, out: Floats, ok: Flags
) -> None:
    """irate and idelta: what the last two samples of the window say."""
    low, high = bounds(offsets, ts, ends, range_ms)
    there = np.flatnonzero(high - low >= 2)
    last = high[there] - 1
    found = values[last] - values[last - 1]
    if rate:
        found = np.where(values[last] < values[last - 1], values[last], found) / ((ts[last] - ts[last - 1]) / 1000)
    put(out, ok, there, found)


def fold(offsets: Ints, ts: Ints, values: Floats, ends: Ints, range_ms: int, op: int, out: Floats, ok: Flags) -> None:
    """The functions that fold the samples of a window into one number; `op` is a code of `FOLD`."""
    low, high = bounds(offsets, ts, ends, range_ms)
    there = np.flatnonzero(high > low)
    low, high = low[there], high[there]
    put(out, ok, there, _folded(op, low, high, ts, values))


def _folded(op: int, low: Ints, high: Ints, ts: Ints, values: Floats) -> Any:
    match op:
        case FOLD.COUNT:
            return (high - low).astype(np.float64)
        case FOLD.PRESENT:
            return 1.0
        case FOLD.LAST:
            return values[high - 1]
        case FOLD.FIRST:
            return values[low]
        case FOLD.TS_LAST:
            return ts[high - 1] / 1000
        case FOLD.TS_FIRST:
            return ts[low] / 1000
        case FOLD.SUM:
            return _sum(low, high, values)
        case FOLD.AVG:
            return _average(low, high, values)
        case FOLD.TS_MIN | FOLD.TS_MAX:
            return _extreme_at(op, low, high, ts, values)
        case FOLD.STDVAR | FOLD.STDDEV:
            found = _variance(low, high, values)
            return np.sqrt(found) if op == FOLD.STDDEV else found
    raise ValueError(op)


def _sum(low: Ints, high: Ints, values: Floats) -> Floats:
    total, rest = np.zeros(len(low)), np.zeros(len(low))
    for _, which, at in walk(low, high):
        total[which], rest[which] = _add(values[at], total[which], rest[which])
    return np.where(np.isinf(total), total, total + rest)


def _average(low: Ints, high: Ints, values: Floats) -> Floats:
    """The mean by a compensated sum; where that overflows, by the mean so far."""
    total, rest = np.zeros(len(low)), np.zeros(len(low))
    mean_like = np.zeros(len(low), np.bool_)
    for k, which, at in walk(low, high):
        given, t, r, m = values[at], total[which], rest[which], mean_like[which]
        new, new_rest = _add(given, t, r)
        over = ~m & np.isinf(new) & (k > 0)
        t, r, m = np.where(over, t / max(k, 1), t), np.where(over, r / max(k, 1), r), m | over
        share = k / (k + 1)
        mean, mean_rest = _add(given / (k + 1), share * t, share * r)
        total[which], rest[which], mean_like[which] = np.where(m, mean, new), np.where(m, mean_rest, new_rest), m
    n = high - low
    return np.where(mean_like, total + rest, total / n + rest / n)


def _extreme_at(op: int, low: Ints, high: Ints, ts: Ints, values: Floats) -> Floats:
    """When the last of the least or greatest values was."""
    best, moment = values[low], ts[low]
    for _, which, at in walk(low, high, 1):
        given, now = values[at], best[which]
        better = ((given <= now) if op == FOLD.TS_MIN else (given >= now)) | np.isnan(now)
        best[which] = np.where(better, given, now)
        moment[which] = np.where(better, ts[at], moment[which])
    return moment / 1000


def _variance(low: Ints, high: Ints, values: Floats) -> Floats:
    """Welford's, compensated."""
    mean, mean_rest, aux, aux_rest = (np.zeros(len(low)) for _ in range(4))
    for k, which, at in walk(low, high):
        delta = values[at] - (mean[which] + mean_rest[which])
        mean[which], mean_rest[which] = _add(delta / (k + 1), mean[which], mean_rest[which])
        grown = delta * (values[at] - (mean[which] + mean_rest[which]))
        aux[which], aux_rest[which] = _add(grown, aux[which], aux_rest[which])
    return (aux + aux_rest) / (high - low)


def turns(
    offsets: Ints, ts: Ints, values: Floats, ends: Ints, range_ms: int, falls: bool, out: Floats, ok: Flags
) -> None:
    """changes and resets: how often a value differs from the one before, or is less."""
    low, high = bounds(offsets, ts, ends, range_ms)
    there = np.flatnonzero(high > low)
    low, high = low[there], high[there]
    found = np.zeros(len(low))
    for _, which, at in walk(low, high, 1):
        now, before = values[at], values[at - 1]
        found[which] += now < before if falls else (now != before) & ~(np.isnan(now) & np.isnan(before))
    put(out, ok, there, found)


def trend(
    offsets: Ints,
    ts: Ints,
    values: Floats,
    ends: Ints,
    range_ms: int,
    origins: Ints,
    ahead: Floats,
    slope_only: bool,
    out: Floats,
    ok: Flags,
) -> None:
    """deriv and predict_linear: least squares over the window; its slope, or the line at `origins + ahead`."""
    low, high = bounds(offsets, ts, ends, range_ms)
    n = len(offsets) - 1
    origin, ahead = np.tile(origins, n), np.tile(ahead, n)
    there = np.flatnonzero(high - low >= 2)
    low, high, origin, ahead = low[there], high[there], origin[there], ahead[there]
    if slope_only:
        origin = ts[low]
    slope, level = _regression(low, high, ts, values, origin)
    put(out, ok, there, slope if slope_only else slope * ahead + level)


def _regression(low: Ints, high: Ints, ts: Ints, values: Floats, origin: Ints) -> tuple[Floats, Floats]:
    sums, rests = np.zeros((4, len(low))), np.zeros((4, len(low)))
    first, flat = values[low], np.ones(len(low), np.bool_)
    for _, which, at in walk(low, high):
        x, y = (ts[at] - origin[which]) / 1000, values[at]
        flat[which] &= y == first[which]
        for j, term in enumerate((x, y, x * y, x * x)):
            sums[j, which], rests[j, which] = _add(term, sums[j, which], rests[j, which])
    n = (high - low).astype(np.float64)
    x, y, xy, xx = sums + rests
    slope = (xy - x * y / n) / (xx - x * x / n)
    level = y / n - slope * x / n
    lone = np.where(np.isinf(first), np.nan, 0.0)
    return np.where(flat, lone, slope), np.where(flat, first + lone, level)


def smoothed(
    offsets: Ints,
    ts: Ints,
    values: Floats,
    ends: Ints,
    range_ms: int,
    smoothing: Floats,
    trending: Floats,
    out: Floats,
    ok: Flags,
) -> None:
    """double_exponential_smoothing with the factors of each window."""
    low, high = bounds(offsets, ts, ends, range_ms)
    n = len(offsets) - 1
    there = np.flatnonzero(high - low >= 2)
    low, high = low[there], high[there]
    sf, tf = np.tile(smoothing, n)[there], np.tile(trending, n)[there]
    level, before = values[low], values[low]
    slope = values[low + 1] - values[low]
    for k, which, at in walk(low, high, 1):
        s, t = sf[which], tf[which]
        if k > 1:
            slope[which] = t * (level[which] - before[which]) + (1 - t) * slope[which]
        new = s * values[at] + (1 - s) * (level[which] + slope[which])
        before[which], level[which] = level[which], new
    put(out, ok, there, level)


def grouped(values: Floats, present: Flags, groups: Ints, op: int, out: Floats, ok: Flags) -> None:
    """The aggregation with a code of `AGGREGATE` of rows (n, T) into groups (g, T)."""
    count, rest = np.zeros(out.shape, np.int64), np.zeros(out.shape)
    aux = np.zeros(out.shape)
    out[:] = 0.0
    for row, group in enumerate(groups):
        which = np.flatnonzero(present[row])
        count[group, which] += 1
        _feed(op, values[row, which], (group, which), count, out, rest, aux)
    ok[:] = count > 0
    _finish(op, count, out, rest, aux)


def _feed(op: int, given: Floats, at: Any, count: Ints, out: Floats, rest: Floats, aux: Floats) -> None:
    """One more value for the groups at `at`; `aux` is the flag of a mean that overflowed, or the mean so far."""
    k, now = count[at], out[at]
    match op:
        case AGGREGATE.SUM:
            out[at], rest[at] = _add(given, now, rest[at])
        case AGGREGATE.AVG:
            out[at], rest[at], aux[at] = _mean_step(given, k, now, rest[at], aux[at])
        case AGGREGATE.MIN:
            out[at] = np.where((k == 1) | (given < now) | np.isnan(now), given, now)
        case AGGREGATE.MAX:
            out[at] = np.where((k == 1) | (given > now) | np.isnan(now), given, now)
        case AGGREGATE.STDVAR | AGGREGATE.STDDEV:
            delta = given - aux[at]
            aux[at] += delta / k
            grown = now + delta * (given - aux[at])
            out[at] = np.where(k == 1, np.where(np.isfinite(given), 0.0, np.nan), grown)


def _mean_step(given: Floats, k: Ints, total: Floats, rest: Floats, over: Floats) -> tuple[Floats, Floats, Floats]:
    new, new_rest = _add(given, total, rest)
    before = np.maximum(k - 1, 1)
    turns = (over == 0) & np.isinf(new) & (k > 1)
    total, rest = np.where(turns, total / before, total), np.where(turns, rest / before, rest)
    over = np.where(turns, 1.0, over)
    share = (k - 1) / k
    mean, mean_rest = _add(given / k, share * total, share * rest)
    return np.where(over > 0, mean, new), np.where(over > 0, mean_rest, new_rest), over


def _finish(op: int, count: Ints, out: Floats, rest: Floats, aux: Floats) -> None:
    many = np.maximum(count, 1)
    match op:
        case AGGREGATE.SUM:
            out[:] = np.where(np.isinf(out), out, out + rest)
        case AGGREGATE.AVG:
            out[:] = np.where(aux > 0, out + rest, out / many + rest / many)
        case AGGREGATE.COUNT:
            out[:] = count
        case AGGREGATE.GROUP:
            out[:] = 1.0
        case AGGREGATE.STDVAR:
            out[:] = out / many
        case AGGREGATE.STDDEV:
            out[:] = np.sqrt(out / many)

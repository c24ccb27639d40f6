"""What counters counted between two moments: exact increments from their samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.flat import NONE, Flat, Floats, Ints, empty, heads
from service.increments import NANO, Rules, countable, split
from service.store_schema import FIVE_MS
from service.store_view import Moment

_BACK_MS = 90_000
"""How far before a stretch of time the samples before it are read along with it."""


class Rises(NamedTuple):
    """Increments that are not zero, in whole units and billionths, by series and time."""

    series: Ints
    ts_ms: Ints
    units: Ints
    nanos: Ints

    def by_bucket(self, size_ms: int) -> Rises:
        """The same summed over buckets `(end - size, end]`; times are the buckets' ends."""
        if not len(self.series):
            return self
        ends = -(-self.ts_ms // size_ms) * size_ms
        begins = np.ones(len(ends), np.bool_)
        begins[1:] = (ends[1:] != ends[:-1]) | (self.series[1:] != self.series[:-1])
        at = np.flatnonzero(begins)
        units, nanos = np.add.reduceat(self.units, at), np.add.reduceat(self.nanos, at)
        return Rises(self.series[at], ends[at], units + nanos // NANO, nanos % NANO)


def rises(moment: Moment, ids: Ints, since_ms: int, until_ms: int, rules: Rules) -> Rises:
    """The increments of those of these series (ascending) that are counters, within `(since, until]`."""
    ids = ids[moment.state.counter[ids]]
    found = moment.samples(ids, since_ms - _BACK_MS, until_ms).finite() if len(ids) else empty()
    if not found.size:
        return Rises(*(np.zeros(0, np.int64),) * 4)
    return between(found, _before(moment, found, since_ms), since_ms, rules)


def _before(moment: Moment, found: Flat, since_ms: int) -> Flat:
    """The samples before the first ones of those series of which all samples found are within."""
    at = heads(found.series)
    lonely = at[found.ts_ms[at] > since_ms]
    older = lonely[moment.state.columns.first_ms[found.series[lonely]] < found.ts_ms[lonely]]
    return moment.before(found.series[older], since_ms - _BACK_MS) if len(older) else empty()


def between(found: Flat, before: Flat, since_ms: int, rules: Rules) -> Rises:
    """Increments of ordered samples after `since`; `before` has the last samples of series that need one."""
    head = np.ones(found.size, np.bool_)
    head[1:] = found.series[1:] != found.series[:-1]
    value, start = np.empty(found.size), np.full(found.size, NONE, np.int64)
    value[1:], start[1:] = found.value[:-1], found.start_ms[:-1]
    first = head.copy()
    if before.size:
        at = np.searchsorted(before.series, found.series)
        known = head & (at < before.size)
        known[known] = before.series[at[known]] == found.series[known]
        value[known], start[known] = before.value[at[known]], before.start_ms[at[known]]
        first &= ~known
    value[first] = 0.0
    counted = Flat(found.series, found.ts_ms, countable(found.value), found.start_ms)
    units, nanos = _increments(counted, countable(value), start, first, rules)
    mine = (found.ts_ms > since_ms) & ((units != 0) | (nanos != 0))
    return Rises(found.series[mine], found.ts_ms[mine], units[mine], nanos[mine])


def _increments(found: Flat, value: Floats, start: Ints, first: NDArray[np.bool_], rules: Rules) -> tuple[Ints, Ints]:
    age = found.ts_ms - found.start_ms
    counts = (found.start_ms != NONE) & (age >= 0) & (age <= rules.first_ms)
    anew = (found.value < value) | ((found.start_ms != NONE) & (start != NONE) & (found.start_ms > start))
    units, nanos = split(found.value)
    before_units, before_nanos = split(np.where(first | anew, 0.0, value))
    nothing = first & ~counts
    return np.where(nothing, 0, units - before_units), np.where(nothing, 0, nanos - before_nanos)


def is_rolled(ts_ms: Ints, rolled_ms: int) -> NDArray[np.bool_]:
    """Which moments are in buckets of five minutes that are rolled up already."""
    if not len(ts_ms) or int(ts_ms.min()) > rolled_ms:
        return np.zeros(len(ts_ms), np.bool_)
    found: NDArray[np.bool_] = -(-ts_ms // FIVE_MS) * FIVE_MS <= rolled_ms
    return found

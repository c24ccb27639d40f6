"""Selectors: the samples of a query as columns, and what they say at each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from service.errors import SelectFault
from service.promql.errors import ExecutionFault, LimitFault
from service.promql.frame import Flags, Floats, Frame, Grid, Ints
from service.promql.jit import kernel
from service.promql.model import Labels
from service.promql.plan import Reading, ends_of
from service.promql.query import Query
from service.promql.tree import Selector
from service.samples import STALE_BITS, Selected, TooManySamples

_VISITS_AT_ONCE: Final = 1 << 24
"""Samples that a kernel may look at between two looks at the time: some 0.1 s, a second where they are sorted."""


class Ranged(NamedTuple):
    """A range vector at T steps: the samples of n series as columns, and where the windows end.

    Window i is `(ends[i] - range_ms, ends[i]]`; with `fixed` all of them are one, and `ends` has length 1.
    """

    labels: list[Labels]
    drop: Flags
    offsets: Ints
    ts_ms: Ints
    values: Floats
    ends: Ints
    range_ms: int
    fixed: bool


def read(query: Query, selector: Selector, since_ms: int, until_ms: int, fresh: bool) -> Selected:
    """The samples of all windows, and maybe more; `fresh` leaves out staleness markers; too many are refused."""
    query.tick()
    planned = query.readings.get(selector.matchers, [])
    reading = next((it for it in planned if it.since_ms <= since_ms and until_ms <= it.until_ms), None)
    reading = reading or Reading(since_ms, until_ms)
    if reading.found is None:
        reading.found = _selected(query, selector, reading)
    reading.uses -= 1
    found = reading.found
    if fresh:
        found = reading.fresh = reading.fresh or without_stale(found)
    if reading.uses <= 0:
        reading.found = reading.fresh = None
    return found


def _selected(query: Query, selector: Selector, reading: Reading) -> Selected:
    left = query.limits.max_samples - query.touched
    try:
        found = query.samples.select(selector.matchers, reading.since_ms, reading.until_ms, left)
    except TooManySamples as fault:
        raise LimitFault("max_samples", f"{fault}; max_samples is {query.limits.max_samples}") from fault
    except SelectFault as fault:
        raise ExecutionFault(str(fault)) from fault
    query.touch(len(found.ts_ms))
    query.cells(len(found.labels), 1)
    return found


def instant(query: Query, grid: Grid, selector: Selector, lookback_ms: int, moments: bool = False) -> Frame:
    """The last sample within lookback at each step; with `moments` when it was, in seconds."""
    ends, fixed = ends_of(query, grid, selector.shift)
    found = read(query, selector, int(ends[0]) - lookback_ms, int(ends[-1]), fresh=False)
    n = len(found.labels)
    query.cells(n, grid.steps)
    source = found.ts_ms / 1000 if moments else found.values
    values, present = np.empty((n, len(ends))), np.empty((n, len(ends)), np.bool_)
    ts, bits = found.ts_ms, np.ascontiguousarray(found.values).view(np.int64)
    for part, _ in blocks(query, n, len(ends), 8):
        slots = found.offsets[part.start : part.stop + 1]
        kernel("latest")(slots, ts, bits, source, ends, lookback_ms, values[part], present[part])
    drop = np.full(n, moments)
    return Frame(list(found.labels), drop, *spread(values, present, grid.steps, fixed))


def ranged(query: Query, grid: Grid, selector: Selector, range_ms: int) -> Ranged:
    """The samples of a range selector, without staleness markers."""
    ends, fixed = ends_of(query, grid, selector.shift)
    found = read(query, selector, int(ends[0]) - range_ms, int(ends[-1]), fresh=True)
    labels = list(found.labels)
    drop = np.zeros(len(labels), np.bool_)
    return Ranged(labels, drop, found.offsets, found.ts_ms, found.values, ends, range_ms, fixed)


def without_stale(found: Selected) -> Selected:
    """The samples that are no staleness markers."""
    stale = np.ascontiguousarray(found.values).view(np.int64) == STALE_BITS
    if not stale.any():
        return found
    gone = np.concatenate(([0], np.cumsum(stale)))
    offsets = found.offsets - gone[found.offsets]
    return Selected(found.labels, offsets, found.ts_ms[~stale], found.values[~stale])


def blocks(query: Query, rows: int, steps: int, visits: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of rows and steps so small that time is looked at between them; `visits` is what one window costs."""
    high = max(1, _VISITS_AT_ONCE // max(steps * visits, 1))
    wide = steps if high > 1 else max(1, min(steps, _VISITS_AT_ONCE // visits))
    for row in range(0, rows, high):
        for step in range(0, steps, wide):
            query.tick()
            yield slice(row, min(row + high, rows)), slice(step, min(step + wide, steps))


def spread(values: Floats, present: Flags, steps: int, fixed: bool) -> tuple[Floats, Flags]:
    """What was worked out for one window, for all steps."""
    if not fixed or values.shape[1] == steps:
        return values, present
    shape = (len(values), steps)
    return np.broadcast_to(values, shape), np.broadcast_to(present, shape)

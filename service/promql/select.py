"""Selectors: the samples of a query as columns, and what they say at each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from service.promql.errors import LimitFault
from service.promql.frame import Flags, Floats, Frame, Grid, Ints
from service.promql.jit import kernel
from service.promql.model import Labels
from service.promql.query import Query
from service.promql.tree import Selector, Shift
from service.samples import STALE_BITS, Selected, TooManySamples

_WINDOWS_AT_ONCE = 1 << 20


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


def ends_of(query: Query, grid: Grid, shift: Shift) -> tuple[Ints, bool]:
    """Where windows end at each step; with `@` that is one moment for all."""
    if shift.at is None:
        return grid.times - shift.offset_ms, False
    at = {"start": query.start_ms, "end": query.end_ms}[shift.at] if isinstance(shift.at, str) else shift.at
    return np.array([at - shift.offset_ms], np.int64), True


def read(query: Query, selector: Selector, ends: Ints, range_ms: int) -> Selected:
    """The samples of all windows; counted, refused where they are too many."""
    query.tick()
    left = query.limits.max_samples - query.touched
    try:
        found = query.samples.select(selector.matchers, int(ends[0]) - range_ms, int(ends[-1]), left)
    except TooManySamples as fault:
        raise LimitFault("max_samples", f"{fault}; max_samples is {query.limits.max_samples}") from fault
    query.touch(len(found.ts_ms))
    query.cells(len(found.labels), 1)
    return found


def instant(query: Query, grid: Grid, selector: Selector, lookback_ms: int, moments: bool = False) -> Frame:
    """The last sample within lookback at each step; with `moments` when it was, in seconds."""
    ends, fixed = ends_of(query, grid, selector.shift)
    found = read(query, selector, ends, lookback_ms)
    n = len(found.labels)
    query.cells(n, grid.steps)
    source = found.ts_ms / 1000 if moments else found.values
    values, present = np.empty((n, len(ends))), np.empty((n, len(ends)), np.bool_)
    ts, bits = found.ts_ms, np.ascontiguousarray(found.values).view(np.int64)
    for part in parts(query, n, len(ends)):
        slots = found.offsets[part.start : part.stop + 1]
        kernel("latest")(slots, ts, bits, source, ends, lookback_ms, values[part], present[part])
    drop = np.full(n, moments)
    return Frame(list(found.labels), drop, *spread(values, present, grid.steps, fixed))


def ranged(query: Query, grid: Grid, selector: Selector, range_ms: int) -> Ranged:
    """The samples of a range selector, without staleness markers."""
    ends, fixed = ends_of(query, grid, selector.shift)
    found = fresh(read(query, selector, ends, range_ms))
    labels = list(found.labels)
    drop = np.zeros(len(labels), np.bool_)
    return Ranged(labels, drop, found.offsets, found.ts_ms, found.values, ends, range_ms, fixed)


def fresh(found: Selected) -> Selected:
    """The samples that are no staleness markers."""
    stale = np.ascontiguousarray(found.values).view(np.int64) == STALE_BITS
    if not stale.any():
        return found
    gone = np.concatenate(([0], np.cumsum(stale)))
    offsets = found.offsets - gone[found.offsets]
    return Selected(found.labels, offsets, found.ts_ms[~stale], found.values[~stale])


def parts(query: Query, rows: int, steps: int) -> Iterator[slice]:
    """Slices of rows so small that time is looked at between them."""
    at_once = max(1, _WINDOWS_AT_ONCE // max(steps, 1))
    for begin in range(0, rows, at_once):
        query.tick()
        yield slice(begin, min(begin + at_once, rows))


def spread(values: Floats, present: Flags, steps: int, fixed: bool) -> tuple[Floats, Flags]:
    """What was worked out for one window, for all steps."""
    if not fixed or values.shape[1] == steps:
        return values, present
    shape = (len(values), steps)
    return np.broadcast_to(values, shape), np.broadcast_to(present, shape)

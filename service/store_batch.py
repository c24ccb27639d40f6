"""A batch as columns ready to be stored: what is refused, and what its samples add; pure but for its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.increments import HIGHEST, Floats, Ints, Rules, split
from service.model import MetricBatch
from service.store_state import NONE, Columns

Bools = NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.float64)
FUTURE_MS = 600_000
"""A sample may be this far ahead of our clock."""


@dataclass(frozen=True)
class Rows:
    """Samples as columns; `start_ms` is NONE where unknown."""

    series: Ints
    """An index into the batch's series, or later the series' number."""
    ts_ms: Ints
    value: Floats
    start_ms: Ints
    counter: Bools

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.ts_ms)

    def where(self, mask: Bools | Ints) -> Rows:
        """Those rows alone, or in that order."""
        return Rows(self.series[mask], self.ts_ms[mask], self.value[mask], self.start_ms[mask], self.counter[mask])


def rows_of(batch: MetricBatch) -> Rows:
    """The samples of a batch."""
    index = np.asarray(batch.series_index, np.int64)
    counters = np.array([kind == "counter" for kind in batch.kinds], np.bool_)
    counter = counters[index] if len(index) else np.zeros(0, np.bool_)
    starts = batch.start_ms
    if not isinstance(starts, np.ndarray):
        starts = np.asarray([NONE if start is None else start for start in starts], np.int64)
    return Rows(
        index,
        np.asarray(batch.ts_ms, np.int64),
        np.asarray(batch.value, np.float64),
        np.where(counter, starts, NONE),
        counter,
    )


def screened(rows: Rows, oldest_ms: int, now_ms: int) -> tuple[Rows, dict[str, int]]:
    """The rows that can be stored, and how many can't, by reason."""
    faults: Mapping[str, Bools] = {
        "not_finite": ~np.isfinite(rows.value),
        "not_a_count": rows.counter & ((rows.value < 0) | (rows.value >= HIGHEST)),
        "too_old": rows.ts_ms <= oldest_ms,
        "in_future": rows.ts_ms > now_ms + FUTURE_MS,
    }
    left = np.ones(len(rows), np.bool_)
    refused = {}
    for reason, bad in faults.items():
        if count := int((left & bad).sum()):
            refused[reason] = count
        left &= ~bad
    return rows.where(left), refused


def ordered(rows: Rows) -> tuple[Rows, int]:
    """The rows by series and time, of several at one moment the last one; how many were left out."""
    order = np.lexsort((np.arange(len(rows)), rows.ts_ms, rows.series))
    found = rows.where(order)
    last = np.ones(len(found), np.bool_)
    last[:-1] = (found.series[1:] != found.series[:-1]) | (found.ts_ms[1:] != found.ts_ms[:-1])
    return found.where(last), int((~last).sum())


class Added(NamedTuple):
    """What rows of increasing time add: increments, closed runs, and the state of each of their series after them."""

    series: Ints
    """Of the increments: series, time, whole units and billionths; none is zero."""
    ts_ms: Ints
    units: Ints
    nanos: Ints
    closed: Sequence[tuple[int, int, int]]
    """(series, from, to) of runs that a gap ended."""
    ids: Ints
    """The series, and their columns."""
    columns: Columns


def added(rows: Rows, state: Columns, run_from: Mapping[int, int], rules: Rules) -> Added:
    """What ordered rows, each later than its series' last sample, add to the state; `run_from` overrides its runs."""
    ids, ts = rows.series, rows.ts_ms
    head = np.ones(len(ids), np.bool_)
    head[1:] = ids[1:] != ids[:-1]
    before_ms = _shifted(ts, head, state.last_ms[ids])
    before_value = _shifted(rows.value, head, state.last_value[ids])
    before_start = _shifted(rows.start_ms, head, state.last_start_ms[ids])
    first = before_ms == NONE
    age = ts - rows.start_ms
    near = (rows.start_ms != NONE) & (age >= 0)
    counts = near & (age <= rules.first_ms)
    anew = (rows.value < before_value) | (
        (rows.start_ms != NONE) & (before_start != NONE) & (rows.start_ms > before_start)
    )
    units, nanos = _increments(rows, before_value, first, counts, anew)
    broken = ~first & (ts - before_ms > rules.gap_ms)
    begun = np.where(first & near & (age <= rules.gap_ms), rows.start_ms, ts)
    runs = _runs(head, first | broken, begun, _overridden(ids, state.run_from_ms[ids], run_from))
    before_run = _shifted(runs, head, _overridden(ids, state.run_from_ms[ids], run_from))
    tail = np.append(head[1:], True) if len(head) else head
    sight = head & first
    at = np.flatnonzero(head)
    columns = Columns(
        np.where(sight, ts, state.first_ms[ids])[at],
        np.where(sight, begun, state.first_from_ms[ids])[at],
        np.where(sight, rows.counter & ~counts, state.baseline[ids])[at],
        ts[tail],
        rows.value[tail],
        rows.start_ms[tail],
        runs[tail],
    )
    moved = (units != 0) | (nanos != 0)
    closed = list(zip(ids[broken].tolist(), before_run[broken].tolist(), before_ms[broken].tolist(), strict=True))
    return Added(ids[moved], ts[moved], units[moved], nanos[moved], closed, ids[at], columns)


def _shifted(values: NDArray[Number], head: Bools, at_head: NDArray[Number]) -> NDArray[Number]:
    """The value of the row before, at a series' first row what the state says."""
    found = np.empty_like(values)
    found[1:] = values[:-1]
    return np.where(head, at_head, found)


def _overridden(ids: Ints, values: Ints, by: Mapping[int, int]) -> Ints:
    if not by:
        return values
    return np.array(
        [by.get(number, value) for number, value in zip(ids.tolist(), values.tolist(), strict=True)], np.int64
    )


def _increments(rows: Rows, before: Floats, first: Bools, counts: Bools, anew: Bools) -> tuple[Ints, Ints]:
    units, nanos = split(np.where(rows.counter, rows.value, 0.0))
    from_zero = np.where(first, counts, anew)
    before_units, before_nanos = split(np.where(rows.counter & ~first & ~anew, before, 0.0))
    nothing = first & ~from_zero
    return np.where(nothing, 0, units - before_units), np.where(nothing, 0, nanos - before_nanos)


def _runs(head: Bools, starts: Bools, begun: Ints, before: Ints) -> Ints:
    """Since when each row's run lasts: where a run starts its own begin, at a series' first row what the state says."""
    known = head | starts
    if not len(known):
        return begun
    values = np.where(starts, begun, before)
    return values[np.maximum.accumulate(np.where(known, np.arange(len(known)), 0))]

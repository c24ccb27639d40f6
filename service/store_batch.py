"""A batch as columns ready to be stored: what is refused, and what its samples add; pure but for its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.flat import NONE, Flat
from service.increments import Floats, Ints, Rules, countable, split
from service.model import MetricBatch
from service.store_rises import is_rolled
from service.store_state import Columns

Bools = NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.float64)
FUTURE_MS = 600_000
"""A sample may be this far ahead of our clock."""


@dataclass(frozen=True)
class Rows:
    """Samples as columns; `start_ms` is NONE where unknown."""

    series: Ints
    """The series' number, 0 where it has none."""
    ts_ms: Ints
    value: Floats
    start_ms: Ints
    counter: Bools

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.ts_ms)

    def flat(self) -> Flat:
        """The same as what is stored."""
        return Flat(self.series, self.ts_ms, self.value, self.start_ms)

    def where(self, mask: Bools | Ints) -> Rows:
        """Those rows alone, or in that order."""
        return Rows(self.series[mask], self.ts_ms[mask], self.value[mask], self.start_ms[mask], self.counter[mask])


def concatenated(parts: Sequence[Rows]) -> Rows:
    """All rows, one part after the other."""
    return Rows(*(np.concatenate([getattr(it, name) for it in parts]) for name in Rows.__annotations__))


def rows_of(batch: MetricBatch, numbers: Ints, counter: Bools) -> Rows:
    """The samples of a batch, by the numbers of its series and whether these are counters."""
    index = np.asarray(batch.series_index, np.int64)
    counters = counter[index] if len(index) else np.zeros(0, np.bool_)
    told = batch.start_ms
    starts = told if isinstance(told, np.ndarray) else [NONE if start is None else start for start in told]
    return Rows(
        numbers[index] if len(index) else index,
        np.asarray(batch.ts_ms, np.int64),
        np.ascontiguousarray(batch.value, np.float64),
        np.where(counters, np.asarray(starts, np.int64), NONE),
        counters,
    )


def screened(rows: Rows, oldest_ms: int, now_ms: int) -> tuple[Rows, dict[str, int]]:
    """The rows that can be stored, and how many can't, by reason.

    Every value is taken, also one that no counter has: whether a series counts may be a guess by its name.
    """
    old, ahead = rows.ts_ms <= oldest_ms, rows.ts_ms > now_ms + FUTURE_MS
    if not (old.any() or ahead.any()):
        return rows, {}
    found = {"too_old": int(old.sum()), "in_future": int(ahead.sum())}
    return rows.where(~(old | ahead)), {reason: count for reason, count in found.items() if count}


class Ordered(NamedTuple):
    """Rows by series and time, of several at one moment the first; of those left out how many had its bits, or not."""

    rows: Rows
    same: int
    conflicts: int


def ordered(rows: Rows) -> Ordered:
    """The rows in order, each moment of a series once."""
    if bool((rows.series[1:] > rows.series[:-1]).all()):
        return Ordered(rows, 0, 0)
    found = rows.where(np.lexsort((rows.ts_ms, rows.series)))
    first = np.ones(len(found), np.bool_)
    first[1:] = (found.series[1:] != found.series[:-1]) | (found.ts_ms[1:] != found.ts_ms[:-1])
    if first.all():
        return Ordered(found, 0, 0)
    stands = np.maximum.accumulate(np.where(first, np.arange(len(found)), 0))[~first]
    bits = found.value.view(np.int64)
    same = int((bits[~first] == bits[stands]).sum())
    return Ordered(found.where(first), same, len(stands) - same)


class Added(NamedTuple):
    """What rows of increasing time add: increments, closed runs, and the state of each of their series after them."""

    series: Ints
    """Of the increments of rows in buckets that are rolled up: series, time, units and billionths."""
    ts_ms: Ints
    units: Ints
    nanos: Ints
    closed: Sequence[tuple[int, int, int]]
    """(series, from, to) of runs that a gap ended."""
    ids: Ints
    """The series, and their columns."""
    columns: Columns


def added(rows: Rows, state: Columns, run_from: Mapping[int, int], rules: Rules, rolled_ms: int | None = None) -> Added:
    """What ordered rows, each later than its series' last sample, add to the state; `run_from` overrides its runs.

    Increments are told of those alone that come after their time was rolled up: the others are found when it is.
    """
    ids, ts = rows.series, rows.ts_ms
    head = np.ones(len(ids), np.bool_)
    head[1:] = ids[1:] != ids[:-1]
    if not run_from and (rolled_ms is None or (len(ts) and int(ts.min()) > rolled_ms)) and bool(head.all()):
        found = _steady(rows, state, rules)
        if found is not None:
            return found
    before_ms = _shifted(ts, head, state.last_ms[ids])
    value = countable(rows.value)
    before_value = _shifted(value, head, countable(state.last_value[ids]))
    before_start = _shifted(rows.start_ms, head, state.last_start_ms[ids])
    first = before_ms == NONE
    age = ts - rows.start_ms
    near = (rows.start_ms != NONE) & (age >= 0)
    counts = near & (age <= rules.first_ms)
    reborn = ~first & (rows.start_ms != NONE) & (before_start != NONE) & (rows.start_ms > before_start)
    anew = (value < before_value) | reborn
    unseen = reborn & (rows.start_ms > before_ms)
    broken = ~first & ((ts - before_ms > rules.gap_ms) | unseen)
    begun = np.where((first | unseen) & near & (age <= rules.gap_ms), rows.start_ms, ts)
    runs = _runs(head, first | broken, begun, _overridden(ids, state.run_from_ms[ids], run_from))
    before_run = _shifted(runs, head, _overridden(ids, state.run_from_ms[ids], run_from))
    tail = np.append(head[1:], True) if len(head) else head
    sight = head & first
    at = np.flatnonzero(head)
    columns = Columns(
        np.where(sight, ts, state.first_ms[ids])[at],
        np.where(sight, begun, state.first_from_ms[ids])[at],
        np.where(sight, rows.counter & ~counts & (value != 0), state.baseline[ids])[at],
        ts[tail],
        rows.value[tail],
        rows.start_ms[tail],
        runs[tail],
    )
    moved = np.zeros(len(ids), np.bool_) if rolled_ms is None else is_rolled(ts, rolled_ms)
    late = rows.where(moved)
    units, nanos = _increments(late, before_value[moved], first[moved], counts[moved], anew[moved])
    closed = list(zip(ids[broken].tolist(), before_run[broken].tolist(), before_ms[broken].tolist(), strict=True))
    return Added(late.series, late.ts_ms, units, nanos, closed, ids[at], columns)


def _steady(rows: Rows, state: Columns, rules: Rules) -> Added | None:
    """The same where each series has one row and goes on without a gap, as nearly all do; None where one doesn't."""
    ids = rows.series
    before_ms = state.last_ms[ids]
    if not len(ids) or int(before_ms.min()) == NONE or int((rows.ts_ms - before_ms).max()) > rules.gap_ms:
        return None
    if bool((rows.start_ms > before_ms).any()):
        return None
    nothing = np.zeros(0, np.int64)
    columns = Columns(
        state.first_ms[ids], state.first_from_ms[ids], state.baseline[ids], rows.ts_ms, rows.value, rows.start_ms,
        state.run_from_ms[ids],
    )  # fmt: skip
    return Added(nothing, nothing, nothing, nothing, (), ids, columns)


def _shifted(values: NDArray[Number], head: Bools, at_head: NDArray[Number]) -> NDArray[Number]:
    """The value of the row before, at a series' first row what the state says."""
    if head.all():
        return at_head
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
    units, nanos = split(np.where(rows.counter, countable(rows.value), 0.0))
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
    if known.all():
        return values
    return values[np.maximum.accumulate(np.where(known, np.arange(len(known)), 0))]

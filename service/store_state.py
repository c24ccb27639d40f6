"""What is known of each series between batches: its last sample, its first sight, and the time it has covered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.coverage import Cover, Run, joined, union
from service.flat import NONE, Flat, Floats, Ints
from service.increments import Sample
from service.store_series import Ids

MOST_RUNS = 20_000
"""Closed runs kept of one series; the oldest go first."""

Row = tuple[int, int, int, bool, int, float, int, int]
"""series_id, first_ms, first_from_ms, baseline, last_ms, last_value, last_start_ms, run_from_ms."""


class ChangedRuns(NamedTuple):
    """Closed runs of a series after a change: `gone`, from place `at` on, gave way to `new`."""

    at: int
    gone: tuple[Run, ...]
    new: tuple[Run, ...]


@dataclass
class Columns:
    """One element per series; times in milliseconds, NONE where there is none."""

    first_ms: NDArray[np.int64]
    """Time of the first sample."""
    first_from_ms: NDArray[np.int64]
    """Since when the first sample covers: its counter's start where that is near, else its own time."""
    baseline: NDArray[np.bool_]
    """True where the first sample was a baseline, since its start is unknown."""
    last_ms: NDArray[np.int64]
    last_value: NDArray[np.float64]
    last_start_ms: NDArray[np.int64]
    run_from_ms: NDArray[np.int64]
    """Since when there is no gap up to the last sample."""


FIRST_SIGHT = ("first_ms", "first_from_ms", "baseline")
"""The columns that tell of a series' first sample."""


class _Carry:
    """Per series the last sample before the oldest day that is kept."""

    def __init__(self, size: int) -> None:
        self.ts_ms: Ints = np.full(size, NONE, np.int64)
        self.value: Floats = np.zeros(size)
        self.start_ms: Ints = np.full(size, NONE, np.int64)

    def longer(self, by: int) -> _Carry:
        """The same with room for more series."""
        found = _Carry(len(self.ts_ms) + by)
        for name, values in vars(self).items():
            getattr(found, name)[: len(values)] = values
        return found

    def put(self, flat: Flat) -> None:
        """Set those of these series."""
        self.ts_ms[flat.series], self.value[flat.series] = flat.ts_ms, flat.value
        self.start_ms[flat.series] = flat.start_ms

    def before(self, ids: Ids, at_ms: int) -> Flat:
        """Those of these series that are known and not later than a moment."""
        mine = ids[(self.ts_ms[ids] != NONE) & (self.ts_ms[ids] <= at_ms)]
        return Flat(mine, self.ts_ms[mine], self.value[mine], self.start_ms[mine])


class SeriesState:
    """Columns by series number, and closed runs; changed by the writing thread alone, each change by replacing."""

    def __init__(self) -> None:
        self.runs_dropped = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.columns = _empty(1024)
        self.counter = np.zeros(1024, np.bool_)
        """True for counters: what a series was first told to be, it stays."""
        self.closed: dict[int, tuple[Run, ...]] = {}
        self.odd_ms: Ints = np.full(1024, NONE, np.int64)
        """When the newest sample of a series came that is no number: a marker that it is gone, NaN, an infinity."""
        self.carry = _Carry(1024)

    def reserve(self, highest: int) -> None:
        """Make room up to a series number."""
        size = len(self.columns.last_ms)
        if highest < size:
            return
        more = _empty(max(size, highest + 1 - size))
        self.counter = np.concatenate([self.counter, more.baseline])
        self.odd_ms = np.concatenate([self.odd_ms, more.first_ms])
        self.carry = self.carry.longer(len(more.first_ms))
        self.columns = Columns(
            *(np.concatenate([getattr(self.columns, name), getattr(more, name)]) for name in Columns.__annotations__)
        )

    def last(self, series_id: int) -> Sample | None:
        """The last sample of a series."""
        columns = self.columns
        if columns.last_ms[series_id] == NONE:
            return None
        start = int(columns.last_start_ms[series_id])
        return Sample(
            int(columns.last_ms[series_id]), float(columns.last_value[series_id]), None if start == NONE else start
        )

    def runs(self, series_id: int) -> list[Run]:
        """All covered runs of a series, the one that goes on included."""
        last = int(self.columns.last_ms[series_id])
        if last == NONE:
            return []
        return [*self.closed.get(series_id, ()), (int(self.columns.run_from_ms[series_id]), last)]

    def close_runs(self, found: Iterable[tuple[int, int, int]]) -> None:
        """Add closed runs (series_id, from, to), in order of time per series."""
        new: dict[int, list[Run]] = defaultdict(list)
        for series_id, begin, end in found:
            new[series_id].append((begin, end))
        for series_id, runs in new.items():
            self._set_closed(series_id, (*self.closed.get(series_id, ()), *runs))

    def change_closed(self, series_id: int, changed: ChangedRuns) -> None:
        """Set what changed of a series' closed runs."""
        if changed.gone != changed.new:
            old, behind = self.closed.get(series_id, ()), changed.at + len(changed.gone)
            self._set_closed(series_id, (*old[: changed.at], *changed.new, *old[behind:]))

    def _set_closed(self, series_id: int, runs: tuple[Run, ...]) -> None:
        self.runs_dropped += max(0, len(runs) - MOST_RUNS)
        self.closed[series_id] = runs[-MOST_RUNS:]

    def put(self, row: Row) -> None:
        """Set all that is known of one series."""
        columns = self.columns
        for name, value in zip(Columns.__annotations__, row[1:], strict=True):
            getattr(columns, name)[row[0]] = value

    def set_all(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Set all that is known of many series, from columns by name; of several rows of one series the last holds."""
        ids = np.asarray(found["series_id"]).astype(np.int64)
        _, back = np.unique(ids[::-1], return_index=True)
        last = len(ids) - 1 - back
        for name in Columns.__annotations__:
            getattr(self.columns, name)[ids[last]] = np.asarray(found[name])[last]

    def rows(self, ids: Ids) -> list[Row]:
        """All that is known of each of these series."""
        values = (getattr(self.columns, name)[ids].tolist() for name in Columns.__annotations__)
        return list(zip(ids.tolist(), *values, strict=True))

    def forget(self, ids: Iterable[int]) -> None:
        """Series that are no more."""
        for series_id in ids:
            self.columns.last_ms[series_id] = self.columns.first_ms[series_id] = NONE
            self.odd_ms[series_id] = self.carry.ts_ms[series_id] = NONE
            self.closed.pop(series_id, None)

    def note_odd(self, flat: Flat) -> None:
        """Take in when samples came that are no numbers."""
        mine = flat.where(~np.isfinite(flat.value))
        np.maximum.at(self.odd_ms, mine.series, mine.ts_ms)

    def cover(self, ids: Ids) -> Cover:
        """The union of the covered time of these series."""
        columns = self.columns
        seen = ids[columns.last_ms[ids] != NONE]
        closed = [run for number in seen.tolist() for run in self.closed.get(number, ())]
        old = np.array(joined(closed), np.int64).reshape(-1, 2)
        return union(
            np.concatenate([old[:, 0], columns.run_from_ms[seen]]), np.concatenate([old[:, 1], columns.last_ms[seen]])
        )

    def first(self, ids: Ids) -> int | None:
        """When any of these series was first seen, with the time before it that its first sample covers."""
        found = self.columns.first_from_ms[ids[self.columns.first_ms[ids] != NONE]]
        return int(found.min()) if len(found) else None

    def baselines(self, ids: Ids) -> Ids:
        """When those of these series were first seen whose start was unknown then."""
        columns = self.columns
        found: Ids = columns.first_ms[ids[columns.baseline[ids] & (columns.first_ms[ids] != NONE)]]
        return found


def _empty(size: int) -> Columns:
    def times() -> NDArray[np.int64]:
        return np.full(size, NONE, np.int64)

    return Columns(times(), times(), np.zeros(size, np.bool_), times(), np.zeros(size), times(), times())

"""Samples that come after later ones of their series: what they change in increments, runs and first sight."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.coverage import Run, joined, without
from service.flat import NONE, Flat, bisected
from service.increments import Rules, Sample, steps
from service.model import MetricBatch
from service.store_batch import Rows
from service.store_schema import BLOCK_MS
from service.store_state import ChangedRuns, Row, SeriesState

MOST_LATE = 2_000
"""Late samples of a transaction: others' batches come between two of them."""


class Mended(NamedTuple):
    """What the late samples of one series change."""

    series_id: int
    samples: int
    differences: tuple[tuple[int, int], ...]
    """(time, billionths to add) to what was counted before."""
    runs: ChangedRuns
    before: Row
    """The series' state without them."""
    row: Row
    """The same after them."""


class Known(NamedTuple):
    """What of doubtful rows is new, and how many are stored already: with the same bits, and with others."""

    new: Rows
    same: int
    conflicts: int


def known(doubtful: Rows, inside: Flat) -> Known:
    """Tell ordered rows that are new from those whose moment is taken; `inside` is what is stored of their time."""
    begin = np.searchsorted(inside.series, doubtful.series, side="left")
    end = np.searchsorted(inside.series, doubtful.series, side="right")
    at = bisected(inside.ts_ms, begin, end, doubtful.ts_ms)
    there = at < end
    there[there] = inside.ts_ms[at[there]] == doubtful.ts_ms[there]
    same = doubtful.value.view(np.int64)[there] == inside.value.view(np.int64)[at[there]]
    return Known(doubtful.where(~there), int(same.sum()), int((~same).sum()))


def pieces(batch: MetricBatch, late: NDArray[np.bool_]) -> list[MetricBatch]:
    """A batch as several where many of its samples are late, each of one block of time; the last one has the identity.

    What was stored of a batch that is broken off comes again with it, and is found to be there.
    """
    at = np.flatnonzero(late)
    ts_ms, index = np.asarray(batch.ts_ms, np.int64), np.asarray(batch.series_index, np.int64)
    blocks = ts_ms[at] // BLOCK_MS
    if not len(at) or (len(at) <= MOST_LATE and blocks.min() == blocks.max()):
        return [batch]
    at = at[np.lexsort((ts_ms[at], index[at], blocks))]
    ends = np.flatnonzero(np.diff(ts_ms[at] // BLOCK_MS)) + 1
    parts = [part[i : i + MOST_LATE] for part in np.split(at, ends) for i in range(0, len(part), MOST_LATE)]
    rest = replace(_part(batch, np.flatnonzero(~late)), identity=batch.identity, metadata=batch.metadata)
    needed = len(rest.ts_ms) or batch.identity is not None or len(batch.metadata)
    return [*(_part(batch, part) for part in parts), *([rest] if needed else [])]


def _part(batch: MetricBatch, rows: NDArray[np.int64]) -> MetricBatch:
    used, index = np.unique(np.asarray(batch.series_index, np.int64)[rows], return_inverse=True)
    numbers = np.asarray(batch.numbers, np.int64)[used] if len(batch.numbers) else ()
    starts = batch.start_ms
    return replace(
        batch, identity=None, metadata=(), numbers=numbers,
        series=tuple(batch.series[it] for it in used.tolist()), kinds=tuple(batch.kinds[it] for it in used.tolist()),
        series_index=index, ts_ms=np.asarray(batch.ts_ms, np.int64)[rows], value=np.asarray(batch.value)[rows],
        start_ms=starts[rows] if isinstance(starts, np.ndarray) else [starts[it] for it in rows.tolist()],
    )  # fmt: skip


def mend(late: Rows, stored: Flat, state: SeriesState, rules: Rules) -> list[Mended]:
    """What ordered late rows, new numbers alone, change, per series; `stored` are the numbers near them."""
    mine, near = _by_series(late.flat()), _by_series(stored)
    rows = state.rows(np.array(list(mine), np.int64))
    return [_mended(row, mine[row[0]], near.get(row[0], []), state, rules) for row in rows]


def _mended(row: Row, late: list[Sample], stored: list[Sample], state: SeriesState, rules: Rules) -> Mended:
    number, counter = row[0], bool(state.counter[row[0]])
    earlier = bisect_left(stored, late[0].ts_ms, key=lambda it: it.ts_ms)
    before, old = stored[earlier - 1] if earlier else None, stored[earlier:]
    after = list(steps(sorted([*old, *late]), before, rules))
    differences: tuple[tuple[int, int], ...] = ()
    if counter:
        was = {step.ts_ms: step.increment for step in steps(old, before, rules)}
        changes = ((step.ts_ms, step.increment - was.get(step.ts_ms, 0)) for step in after)
        differences = tuple(it for it in changes if it[1])
    fresh = [(step.covered_from_ms, step.ts_ms) for step in after]
    runs, run_from = _runs(state.closed.get(number, ()), (row[7], row[4]), fresh, before)
    first, first_from, baseline = row[1:4]
    if before is None and after[0].ts_ms < first:
        first, first_from, baseline = after[0].ts_ms, after[0].covered_from_ms, counter and after[0].unknown
    after_it = (number, first, first_from, baseline, *row[4:7], run_from)
    return Mended(number, len(late), differences, runs, row, after_it)


def _runs(closed: Sequence[Run], last: Run, fresh: list[Run], before: Sample | None) -> tuple[ChangedRuns, int]:
    """What changes of closed runs, and since when the last one lasts; only runs near the fresh ones are touched."""
    since, until = before.ts_ms if before else NONE, fresh[-1][1]
    at = bisect_left(closed, since, key=lambda run: run[1])
    gone = tuple(closed[at : bisect_right(closed, until, key=lambda run: run[0])])
    reached = [last] if last[0] <= until else []
    new = joined([*without([*gone, *reached], since, until), *fresh])
    if reached:
        last = new.pop()
    return ChangedRuns(at, gone, tuple(new)), last[0]


def _by_series(flat: Flat) -> dict[int, list[Sample]]:
    found: dict[int, list[Sample]] = defaultdict(list)
    columns: Iterable[tuple[int, int, float, int]] = zip(*(it.tolist() for it in flat), strict=True)
    for number, ts, value, start in columns:
        found[number].append(Sample(ts, value, None if start == NONE else start))
    return found

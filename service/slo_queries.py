"""Objectives of PromQL queries: asked at the end of each slice, kept, and asked again while samples may still come."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.promql.errors import QueryFault
from service.promql.model import Answer, Matrix
from slo.model import QUERY_UNIT, Counts, Objective, QueryIndicator
from slo.openslo.queries import Query
from slo.slices import RATIO_UNIT, RatioTimeslices, Slice, Timeslices, badness, holds
from slo.stepped import History

MINUTE_MS: Final = 60_000
LEAST_WINDOW_MS: Final = 2 * MINUTE_MS
"""What `[{{.window}}]` is at least: two samples of those who are read once a minute."""
AGAIN_MS: Final = 10 * MINUTE_MS
"""Slices that are asked again at each evaluation."""
AGAIN_LATE_MS: Final = 360 * MINUTE_MS
"""Slices that are asked again every AGAIN_MS, for samples that come late."""
MOST_BOOKS: Final = 1_000
MOST_POINTS: Final = 5_000
"""Slices of one query."""
MOST_SLICES: Final = 600_000
SECONDS: Final = 5.0
"""Time for all queries of one evaluation; what did not fit in is asked at the next."""
UNIT: Final = QUERY_UNIT


class Engine(Protocol):
    """Who answers queries."""

    def range(self, text: str, from_ms: int, to_ms: int, step_ms: int, *, max_seconds: float | None = None) -> Answer:
        """The worth at each step; raises QueryFault."""
        ...


class Point(NamedTuple):
    """What one slice counted, in parts of `UNIT`; not measured where the query had no answer."""

    bad: int
    total: int
    measured: bool


class _Slots(NamedTuple):
    """Slices in columns: what they spent, of how much, whether there was traffic, whether anything was measured.

    The first two hold Python's integers, which no sum overflows.
    """

    bad: NDArray[np.object_]
    total: NDArray[np.object_]
    busy: NDArray[np.int64]
    measured: NDArray[np.int64]

    def cut(self, since: int, until: int) -> _Slots:
        mine = slice(max(0, since), max(0, until))
        return _Slots(self.bad[mine], self.total[mine], self.busy[mine], self.measured[mine])

    def joined(self, other: _Slots) -> _Slots:
        return _Slots(
            np.concatenate([self.bad, other.bad]),
            np.concatenate([self.total, other.total]),
            np.concatenate([self.busy, other.busy]),
            np.concatenate([self.measured, other.measured]),
        )


@dataclass
class _Book:
    first: int
    slots: _Slots
    late_ms: int
    """When the slices of the last hours were asked again."""

    @property
    def until(self) -> int:
        return self.first + len(self.slots.bad)


class QueriedCounts:
    """Counts of objectives that are queries; to be used by one thread at a time."""

    def __init__(self, engine: Engine, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._seconds, self._clock = engine, seconds, clock
        self._books: OrderedDict[tuple[QueryIndicator | None, object], _Book] = OrderedDict()
        self._failed: dict[object, tuple[int, str]] = {}
        self._ends = 0.0

    def begin(self) -> None:
        """An evaluation begins, and with it the time for its queries."""
        self._ends = self._clock() + self._seconds

    def of(self, objective: Objective, windows_ms: Sequence[int], until_ms: int) -> list[Counts] | Objective:
        """Counts of each window, or the objective with why it can't be measured."""
        slot_ms = MINUTE_MS if objective.slices is None else objective.slices.slice_ms
        until = until_ms // slot_ms + 1
        sizes = [max(1, window // slot_ms) for window in windows_ms]
        book = self._book_or_fault(objective, slot_ms, until - max(sizes, default=1), until, until_ms)
        if isinstance(book, str):
            return replace(objective, unmeasurable=f"Its query can't be answered: {book}.")
        if book.until < until:
            return replace(objective, unmeasurable="Its history is still being asked for.")
        own = max(1, objective.period_ms // slot_ms)
        return [
            _counts(objective, book, slot_ms, until - size, until, own if window == objective.window_ms else size)
            for window, size in zip(windows_ms, sizes, strict=True)
        ]

    def history(self, objective: Objective, since_ms: int, until_ms: int) -> History | str:
        """Every slice that ends within `(since, until]`, or why it can't be told."""
        slot_ms = MINUTE_MS if objective.slices is None else objective.slices.slice_ms
        first, until = since_ms // slot_ms + 1, until_ms // slot_ms + 1
        book = self._book_or_fault(objective, slot_ms, first, until, until_ms)
        if isinstance(book, str):
            return f"Its query can't be answered: {book}."
        if book.until < until:
            return f"Its history could not be asked for within {self._seconds:g} s; try again, or less time."
        slots = book.slots.cut(first - book.first, until - book.first)
        flags = (np.asarray(slots.bad > 0, np.int64), slots.busy)
        return History(
            (first - 1) * slot_ms, slot_ms, slots.bad, slots.total, slots.measured * slot_ms, None, flags=flags
        )

    def steps(self, objective: Objective, edges_ms: Sequence[int]) -> list[Counts]:
        """Counts of contiguous steps, from the slices that end in them, as they were asked last."""
        slot_ms = MINUTE_MS if objective.slices is None else objective.slices.slice_ms
        found = self._books.get((objective.query, objective.slices))
        book = _Book(0, _slots([]), 0) if found is None else found
        ends = [edge // slot_ms + 1 for edge in edges_ms]
        counts = [_counts(objective, book, slot_ms, begin, end, end - begin) for begin, end in pairwise(ends)]
        return [
            replace(it, since_ms=since, until_ms=until)
            for it, (since, until) in zip(counts, pairwise(edges_ms), strict=True)
        ]

    def _book_or_fault(self, objective: Objective, slot_ms: int, first: int, until: int, now_ms: int) -> _Book | str:
        """The book, or why there is none; a query that failed is not asked again for a minute."""
        key = (objective.query, objective.slices)
        failed = self._failed.get(key)
        if failed is not None and 0 <= now_ms - failed[0] < MINUTE_MS:
            return failed[1]
        try:
            book = self._book(objective, slot_ms, first, until, now_ms)
        except QueryFault as fault:
            if len(self._failed) >= MOST_BOOKS:
                self._failed.clear()
            self._failed[key] = now_ms, str(fault)[:300]
            return self._failed[key][1]
        self._failed.pop(key, None)
        return book

    def _book(self, objective: Objective, slot_ms: int, first: int, until: int, now_ms: int) -> _Book:
        if objective.query is None:
            raise LookupError("the objective has no query")
        key = (objective.query, objective.slices)
        first = max(first, until - MOST_SLICES)
        book = self._books.get(key)
        if book is None or book.first > first:
            book = _Book(first, _slots([]), now_ms)
        late = not 0 <= now_ms - book.late_ms < AGAIN_MS
        again = -(-(AGAIN_LATE_MS if late else AGAIN_MS) // slot_ms)
        at = max(first, min(book.until, until - again))
        slots = book.slots.cut(first - book.first, at - book.first)
        while at < until and self._clock() < self._ends:
            end = min(until, at + MOST_POINTS)
            slots = slots.joined(_slots(self._asked(objective, slot_ms, at, end), objective))
            at = end
        book = _Book(first, slots, now_ms if late else book.late_ms)
        self._books[key] = book
        self._books.move_to_end(key)
        while len(self._books) > MOST_BOOKS:
            self._books.popitem(last=False)
        return book

    def _asked(self, objective: Objective, slot_ms: int, first: int, until: int) -> list[Point]:
        """What the slices `first` to `until` counted, that one not among them."""
        query = objective.query
        if query is None:
            return []
        window = f"{max(LEAST_WINDOW_MS, slot_ms) // 1000}s"

        def answers(text: str) -> list[list[float]]:
            left = max(0.1, self._ends - self._clock())
            begin, end = first * slot_ms, (until - 1) * slot_ms
            found = self._engine.range(Query(text).over(window), begin, end, slot_ms, max_seconds=left).result
            return _by_slot(found, begin, slot_ms, until - first) if isinstance(found, Matrix) else [[]]

        part = answers(query.part)
        if query.kind == "threshold":
            return [_held(query, values) for values in part]
        if query.kind in ("raw-good", "raw-bad"):
            return [_raw(query.kind == "raw-good", values) for values in part]
        return [_shared(query.kind, *pair) for pair in zip(part, answers(query.total), strict=True)]


def _by_slot(found: Matrix, begin_ms: int, slot_ms: int, slots: int) -> list[list[float]]:
    """The values of each slice, of all series."""
    rows: list[list[float]] = [[] for _ in range(slots)]
    for at, value in zip(((found.ts_ms - begin_ms) // slot_ms).tolist(), found.values.tolist(), strict=True):
        rows[at].append(value)
    return rows


def _held(query: QueryIndicator, values: Sequence[float]) -> Point:
    """Of a threshold each series' value counts alike; what is no number counts not."""
    known = [good for value in values if (good := holds(value, query.op, query.value)) is not None]
    return Point(sum(not good for good in known) * UNIT, len(known) * UNIT, bool(values))


def _raw(good: bool, values: Sequence[float]) -> Point:
    """Of raw shares each slice counts alike; several series are a mean of as many slices."""
    shares = [_exact(min(max(value, 0.0), 1.0)) for value in values if math.isfinite(value)]
    bad = sum(UNIT - it if good else it for it in shares)
    return Point(bad, len(shares) * UNIT, bool(values))


def _shared(kind: str, part: Sequence[float], total: Sequence[float]) -> Point:
    """The sums over series of both answers; no answer of errors beside a total is none, no total is not measured."""
    whole = sum(_exact(it) for it in total if math.isfinite(it))
    mine = min(max(0, sum(_exact(it) for it in part if math.isfinite(it))), max(whole, 0))
    return Point(whole - mine if kind == "good" else mine, max(whole, 0), bool(total))


def _exact(value: float) -> int:
    """The value in parts of UNIT, half to even."""
    return round(Fraction(value) * UNIT)


def _slots(points: Sequence[Point], objective: Objective | None = None) -> _Slots:
    rule = None if objective is None else objective.slices
    rows = []
    for it in points:
        busy = it.total > 0
        bad, total = it.bad, it.total
        if busy and isinstance(rule, Timeslices | RatioTimeslices):
            bad, total = badness(rule, Slice(it.bad, it.total)), RATIO_UNIT
        rows.append((bad if busy else 0, total if busy else 0, busy, it.measured))
    columns = np.array(rows, object).reshape(-1, 4)
    flags = columns[:, 2:].astype(np.int64)
    return _Slots(columns[:, 0], columns[:, 1], flags[:, 0], flags[:, 1])


def _counts(objective: Objective, book: _Book, slot_ms: int, first: int, until: int, slices: int) -> Counts:
    mine = book.slots.cut(first - book.first, until - book.first)
    bad, total, busy = sum(mine.bad.tolist()), sum(mine.total.tolist()), int(mine.busy.sum())
    if isinstance(objective.slices, Timeslices):
        total = slices if busy else 0
    seen = np.flatnonzero(book.slots.measured)
    begun = book.first + int(seen[0]) if len(seen) else None
    expected = 0 if begun is None else until - max(first, begun)
    return Counts(
        since_ms=(first - 1) * slot_ms,
        until_ms=(until - 1) * slot_ms,
        bad=bad,
        total=total,
        observed_ms=int(mine.measured.sum()) * slot_ms,
        expected_ms=max(0, expected) * slot_ms,
        first_ms=None if begun is None else (begun - 1) * slot_ms,
        events=(int((mine.bad > 0).sum()), busy),
    )

"""Objectives of PromQL queries: asked at the end of each slice, kept, and asked again while samples may still come."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from service.promql.errors import QueryFault
from service.promql.model import Answer, Matrix
from service.slo_kept import KeptSlices, Row, day_of, key_of, slices_of
from service.slo_query_points import JudgedSlots, Point, by_slot, of_columns, of_rows, point_of, slots_of_points
from service.slo_query_slices import columns
from service.slo_reach import NOBODY, Reach
from service.slo_slices import marks
from slo.model import Counts, Objective, QueryIndicator
from slo.openslo.queries import Query
from slo.slices import Timeslices
from slo.stepped_history import History
from slo.taken import Slots, counting, first_of, overlap, reaching, without

MINUTE_MS: Final = 60_000
LEAST_WINDOW_MS: Final = 2 * MINUTE_MS
"""What `[{{.window}}]` is at least: two samples of those who are read once a minute."""
AGAIN_MS: Final = 10 * MINUTE_MS
"""Slices that are asked again at each evaluation."""
AGAIN_LATE_MS: Final = 360 * MINUTE_MS
"""Slices that are asked again every AGAIN_MS, for samples that come late."""
OUTLIVED_MS: Final = (60 * MINUTE_MS, 2 * 1440 * MINUTE_MS)
"""How much younger and older than they are kept the oldest single samples may be: whole days of them go."""
MOST_BOOKS: Final = 1_000
MOST_POINTS: Final = 5_000
"""Slices of one query."""
MOST_SLICES: Final = 600_000
SECONDS: Final = 5.0
"""Time for all queries of one evaluation; what did not fit in is asked at the next."""


class Engine(Protocol):
    """Who answers queries."""

    def range(self, text: str, from_ms: int, to_ms: int, step_ms: int, *, max_seconds: float | None = None) -> Answer:
        """The worth at each step; raises QueryFault."""
        ...


@dataclass
class _Book:
    first: int
    slots: JudgedSlots
    late_ms: int
    """When the slices of the last hours were asked again."""
    reach: Reach = NOBODY
    expected: int | None = None
    """The slice from which something was there to be seen, where that is before the first that was measured."""

    @property
    def until(self) -> int:
        return self.first + len(self.slots.bad)

    def since(self, first: int) -> _Book:
        """The slices from `first` on: who asks for few knows nothing of those that others ask for."""
        return replace(self, first=first, slots=self.slots.cut(first - self.first, len(self.slots.bad)))


class QueriedCounts:
    """Counts of objectives that are queries; to be used by one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        kept: KeptSlices | None = None,
        most_books: int = MOST_BOOKS,
        raw_ms: int | None = None,
    ) -> None:
        """`kept` has the days of which nothing is asked again; `most_books` queries are kept in memory.

        `raw_ms` is how long single samples are kept: what begins about then began before.
        """
        self._most, self._raw_ms = most_books, raw_ms
        self._reaches = False
        self._reached: tuple[_Book, int, _Book] | None = None
        """The book that was reached back from last, to which slice, and what was found: a report asks several times."""
        self._kept, self._kept_until = kept or KeptSlices(), dict[str, int]()
        self._engine, self._seconds, self._clock = engine, seconds, clock
        self._books: OrderedDict[tuple[QueryIndicator | None, object], _Book] = OrderedDict()
        self._failed: dict[object, tuple[int, str]] = {}
        self._ends, self._evaluation = 0.0, 0

    def begin(self) -> None:
        """An evaluation begins, and with it the time for its queries."""
        self._ends, self._reaches = self._clock() + self._seconds, False
        self._evaluation += 1

    def of(
        self, objective: Objective, windows_ms: Sequence[int], until_ms: int, taken: Sequence[Slots] = ()
    ) -> list[Counts] | Objective:
        """Counts of each window, or the objective with why it can't be measured.

        `taken` slices are in none; windows but the objective's own reach back around them.
        """
        slot_ms = MINUTE_MS if objective.slices is None else objective.slices.slice_ms
        until = until_ms // slot_ms + 1
        plain = [first_of(objective, window, until_ms, slot_ms) for window in windows_ms]
        least = min(plain, default=until - 1)
        book = self._book_or_fault(objective, slot_ms, least, until, until_ms)
        if isinstance(book, str):
            return replace(objective, unmeasurable=f"Its query can't be answered: {book}.")
        if book.until < until:
            return replace(objective, unmeasurable="Its history is still being asked for.")
        own = max(1, objective.period_ms // slot_ms)
        firsts = [
            first if window == objective.window_ms or not taken else reaching(until, until - first, taken, least)
            for window, first in zip(windows_ms, plain, strict=True)
        ]
        return [
            _around(
                objective, book, slot_ms, first, until, own if window == objective.window_ms else until - begin, taken
            )
            for first, window, begin in zip(firsts, windows_ms, plain, strict=True)
        ]

    def spent(self, objective: Objective, slots: Sequence[Slots]) -> list[Counts]:
        """Counts of these slices, as they were asked last."""
        slot_ms = MINUTE_MS if objective.slices is None else objective.slices.slice_ms
        book = self._books.get((objective.query, objective.slices)) or _Book(0, slots_of_points([]), 0)
        return [_part(objective, book, slot_ms, it) for it in slots]

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

    def steps(self, objective: Objective, edges_ms: Sequence[int], taken: Sequence[Slots] = ()) -> list[Counts]:
        """Counts of contiguous steps, from the slices that end in them, as they were asked last.

        Those before the objective's window are asked for now, as far as time allows; what is not known was not
        observed.
        """
        slot_ms = MINUTE_MS if objective.slices is None else objective.slices.slice_ms
        found = self._books.get((objective.query, objective.slices))
        ends = [edge // slot_ms + 1 for edge in edges_ms]
        book = _Book(0, slots_of_points([]), 0) if found is None else self._reaching(objective, found, slot_ms, ends[0])
        counts = [_around(objective, book, slot_ms, begin, end, end - begin, taken) for begin, end in pairwise(ends)]
        return [
            replace(it, since_ms=since, until_ms=until)
            for it, (since, until) in zip(counts, pairwise(edges_ms), strict=True)
        ]

    def allow(self) -> None:
        """Steps are asked for, and with them begins the time for asking what was before the windows."""
        self._ends, self._reaches = self._clock() + self._seconds, True

    def _reaching(self, objective: Objective, book: _Book, slot_ms: int, first: int) -> _Book:
        """The slices from this one on, the newest asked first; where not all are known something was there before."""
        first = max(first, book.until - MOST_SLICES)
        if not self._reaches or first >= book.first:
            return book
        if self._reached is not None and self._reached[0] is book and self._reached[1] <= first:
            return self._reached[2]
        slots, at = book.slots, book.first
        try:
            while at > first and self._clock() < self._ends:
                begin = max(first, at - MOST_POINTS)
                slots, at = self._asked(objective, slot_ms, begin, at).joined(slots), begin
        except QueryFault:
            pass  # what can't be asked was not observed
        whole, seen = _Book(at, slots, book.late_ms), np.flatnonzero(slots.measured)
        begun = at + int(seen[0]) if len(seen) else None
        before = begun is not None and (begun == at > first or self._outlived(whole, begun, slot_ms))
        self._reached = book, first, replace(whole, expected=first) if before else whole
        return self._reached[2]

    def _outlived(self, book: _Book, begun: int, slot_ms: int) -> bool:
        """True where the first slice that was measured is about as old as single samples get."""
        if self._raw_ms is None:
            return False
        age = (book.until - begun) * slot_ms - self._raw_ms
        return -OUTLIVED_MS[0] <= age <= OUTLIVED_MS[1]

    def marks(self, objective: Objective, first: int, until: int) -> NDArray[np.bool_] | None:
        """Which slices `first` to `until` (not among them) are bad, as they were asked last; None where not known."""
        book = self._books.get((objective.query, objective.slices))
        return None if book is None else marks((book.slots.bad > 0).astype(np.bool_), book.first, first, until)

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
        book = self._books.get(key)
        reach = (NOBODY if book is None else book.reach).asked(self._evaluation, min(until - first, MOST_SLICES))
        mine, first = max(first, until - MOST_SLICES), until - reach.slices
        if book is None or book.first > first:
            book = _Book(first, slots_of_points([]), now_ms)
        late = not 0 <= now_ms - book.late_ms < AGAIN_MS
        again = -(-(AGAIN_LATE_MS if late else AGAIN_MS) // slot_ms)
        at = max(first, min(book.until, until - again))
        slots = book.slots.cut(first - book.first, at - book.first)
        asked_from = max(book.until, first) if at < book.until else at
        while at < until and self._clock() < self._ends:
            kept, end = self._known(objective, slot_ms, at, until) if at >= asked_from else (None, until)
            end = min(end, at + MOST_POINTS) if kept is None else end
            more = kept or self._asked(objective, slot_ms, at, end)
            slots, at = slots.joined(more), end
        book = _Book(first, slots, now_ms if late else book.late_ms, reach)
        self._keep(objective, slot_ms, book, until - AGAIN_LATE_MS // slot_ms - 1)
        self._books[key] = book
        self._books.move_to_end(key)
        while len(self._books) > self._most:
            gone, _ = self._books.popitem(last=False)
            self._kept.forget(key_of(*gone))
            self._kept_until.pop(key_of(*gone), None)
        return book.since(mine)

    def _known(self, objective: Objective, slot_ms: int, at: int, until: int) -> tuple[JudgedSlots | None, int]:
        """What is kept of the day that begins with slice `at`, and its end; else where the next kept day begins."""
        key = key_of(objective.query, objective.slices)
        for day in range(day_of(at, slot_ms), day_of(until, slot_ms)):
            begin, end = slices_of(day, slot_ms)
            rows = self._kept.day(key, day) if begin >= at else None
            if rows is not None:
                return (of_rows(rows), end) if begin == at else (None, begin)
        return None, until

    def _keep(self, objective: Objective, slot_ms: int, book: _Book, settled: int) -> None:
        """Note the days of which no slice is asked again."""
        key = key_of(objective.query, objective.slices)
        last = day_of(min(book.until, settled), slot_ms)
        days = [day for day in range(self._kept_until.get(key, day_of(book.first, slot_ms)), last)
                if slices_of(day, slot_ms)[0] >= book.first and not self._kept.has(key, day)]  # fmt: skip
        self._kept_until[key] = max(last, self._kept_until.get(key, last))
        rows = [(day, partial(_rows, book, *slices_of(day, slot_ms))) for day in days]
        self._kept.put(key, day_of(book.first, slot_ms), rows)

    def _asked(self, objective: Objective, slot_ms: int, first: int, until: int) -> JudgedSlots:
        """What the slices `first` to `until` counted, that one not among them."""
        query = objective.query
        if query is None:
            return slots_of_points([])
        window = f"{max(LEAST_WINDOW_MS, slot_ms) // 1000}s"
        begin, end, slots = first * slot_ms, (until - 1) * slot_ms, until - first

        def answers(text: str) -> Matrix | None:
            left = max(0.1, self._ends - self._clock())
            found = self._engine.range(Query(text).over(window), begin, end, slot_ms, max_seconds=left).result
            return found if isinstance(found, Matrix) else None

        part = answers(query.part)
        total = answers(query.total) if query.total else None
        if part is None or (total is None and query.total):
            return slots_of_points([Point(0, 0, measured=False)] * slots, objective)
        found = columns(query, part, total, begin, slot_ms, slots)
        if found is None:
            rows = (by_slot(it, begin, slot_ms, slots) for it in (part, part if total is None else total))
            return slots_of_points([point_of(query, *pair) for pair in zip(*rows, strict=True)], objective)
        return of_columns(found, objective)


def _rows(book: _Book, first: int, until: int) -> list[Row]:
    """Slices as they are kept."""
    mine = book.slots.cut(first - book.first, until - book.first)
    return [list(it) for it in zip(*(column.tolist() for column in mine), strict=True)]


def _counts(objective: Objective, book: _Book, slot_ms: int, first: int, until: int, slices: int) -> Counts:
    mine = book.slots.cut(first - book.first, until - book.first)
    bad, total, busy = sum(mine.bad.tolist()), sum(mine.total.tolist()), int(mine.busy.sum())
    if isinstance(objective.slices, Timeslices):
        total = slices if busy else 0
    seen = np.flatnonzero(book.slots.measured)
    begun = book.first + int(seen[0]) if len(seen) else None
    begun = begun if book.expected is None else book.expected
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


def _around(
    objective: Objective, book: _Book, slot_ms: int, first: int, until: int, slices: int, taken: Sequence[Slots]
) -> Counts:
    """The window from slice `first` on, `slices` in all, without those that are taken out."""
    whole = _counts(objective, book, slot_ms, first, until, slices)
    if not taken:
        return whole
    left = without(whole, [_part(objective, book, slot_ms, it) for it in overlap(taken, first, until)])
    if isinstance(objective.slices, Timeslices):
        return replace(left, total=counting(taken, first, until, slices) if left.all_events else 0)
    return left


def _part(objective: Objective, book: _Book, slot_ms: int, slots: Slots) -> Counts:
    found = _counts(objective, book, slot_ms, slots.first, slots.until, slots.until - slots.first)
    return replace(found, total=slots.until - slots.first) if isinstance(objective.slices, Timeslices) else found

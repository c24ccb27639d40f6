"""Slices of time judged for objectives that count them: each once it is over, again where samples change it."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.ports import Readings
from service.store_series import Ids
from slo.burn import DEFAULT, Policy
from slo.model import Allowance, Counts, EventRatio, Indicator, MinuteSlices, Objective, Selector
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices, badness
from slo.stepped import part_of

MOST_BOOKS: Final = 200
"""Objectives whose slices are kept in memory."""
MOST_SLICES: Final = 600_000
"""Slices of one objective: a year of minutes."""
SECONDS: Final = 5.0
"""Time of one evaluation in which many slices are counted anew."""
FEW: Final = 1_000
"""So many slices of an objective are counted whatever the time."""
_CHUNK: Final = 20_000
Rule = Timeslices | RatioTimeslices


class Revision(NamedTuple):
    """What is known of an indicator's samples: how many came late, since when each series is seen, and its last."""

    late: int
    numbers: Ids
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]


Revisions = Callable[[Indicator], Revision | None]
"""Tells the present revision of an indicator's samples; None where it can't be told."""


@dataclass
class _Book:
    """Judged slices of one objective: slice k of the arrays ends at `(first + k) x slice_ms`."""

    first: int
    bad: NDArray[np.int64]
    busy: NDArray[np.int64]
    revision: Revision | None

    @property
    def until(self) -> int:
        """One beyond the last slice."""
        return self.first + len(self.bad)

    def between(self, first: int, until: int) -> tuple[int, int]:
        """(spent, slices with traffic) of slices `first` to `until`, which is not among them."""
        mine = slice(max(0, first - self.first), max(0, until - self.first))
        return int(self.bad[mine].sum()), int(self.busy[mine].sum())


class SlicedCounts:
    """Counts of slices over the windows of objectives; to be used by one thread at a time."""

    def __init__(
        self,
        store: Readings,
        revisions: Revisions,
        policy: Policy = DEFAULT,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._revisions, self._policy = store, revisions, policy
        self._seconds, self._clock = seconds, clock
        self._ends = math.inf
        self._books: OrderedDict[tuple[Indicator, Rule], _Book] = OrderedDict()

    def begin(self) -> None:
        """An evaluation begins, and with it the time for counting many slices anew."""
        self._ends = self._clock() + self._seconds

    def ready(self, objective: Objective, windows_ms: Sequence[int], until_ms: int) -> bool:
        """False where so many slices are to be counted that it has to wait for the next evaluation."""
        rule, indicator = objective.slices, objective.indicator
        if rule is None or self._clock() < self._ends:
            return True
        book, until = self._books.get((indicator, rule)), until_ms // rule.slice_ms + 1
        if book is None:
            return max(windows_ms, default=0) // rule.slice_ms <= FEW
        kept = valid_ms(book.revision, self._revisions(indicator))
        return until - (book.until if kept is None else min(book.until, kept // rule.slice_ms + 1)) <= FEW

    def of(
        self, objective: Objective, windows_ms: Sequence[int], counts: Sequence[Counts], until_ms: int
    ) -> list[Counts]:
        """Counts of events over windows that end at `until` as counts of slices, coverage and first sight as they are.

        Slices end at multiples of their length. Timeslices are of all slices of the window, as soon as one had traffic
        (OpenSLO: total time slices in a budgeting period), of a calendar those of the whole period; RatioTimeslices are
        of the slices with traffic, in parts of RATIO_UNIT.
        """
        rule = objective.slices
        if rule is None:
            return list(counts)
        until = until_ms // rule.slice_ms + 1
        sizes = [max(1, window // rule.slice_ms) for window in windows_ms]
        book = self._book(objective.indicator, rule, until - max(sizes, default=1), until)
        own = max(1, objective.period_ms // rule.slice_ms)
        return [
            _counted(rule, it, book.between(until - size, until), own if window == objective.window_ms else size)
            for it, window, size in zip(counts, windows_ms, sizes, strict=True)
        ]

    def steps(self, objective: Objective, edges_ms: Sequence[int], counts: Sequence[Counts]) -> list[Counts]:
        """Counts of events of contiguous steps as counts of the slices that end in them, as they were judged last.

        Of time before the objective's window nothing is known here.
        """
        rule, indicator = objective.slices, objective.indicator
        book = self._books.get((indicator, rule)) if rule else None
        if rule is None or book is None:
            return [replace(it, bad=0, total=0) for it in counts]
        ends = [edge // rule.slice_ms + 1 for edge in edges_ms]
        return [
            _counted(rule, it, book.between(begin, end), end - begin)
            for it, (begin, end) in zip(counts, pairwise(ends), strict=True)
        ]

    def _book(self, indicator: Indicator, rule: Rule, first: int, until: int) -> _Book:
        """The slices from `first` to the last that is over."""
        revision = self._revisions(indicator)
        first = max(first, until - MOST_SLICES)
        book = self._books.get((indicator, rule))
        if book is None or first < book.first or revision is None:
            book = _Book(first, *_nothing(), None)
        kept = valid_ms(book.revision, revision)
        good = book.until if kept is None else min(book.until, -(-(kept + 1) // rule.slice_ms))
        good = max(good, first)
        old = slice(first - book.first, good - book.first)
        bad, busy = self._judged(indicator, rule, good, until)
        book = _Book(first, np.concatenate([book.bad[old], bad]), np.concatenate([book.busy[old], busy]), revision)
        self._books[indicator, rule] = book
        self._books.move_to_end((indicator, rule))
        while len(self._books) > MOST_BOOKS:
            self._books.popitem(last=False)
        return book

    def _judged(
        self, indicator: Indicator, rule: Rule, first: int, until: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows: list[tuple[int, int]] = []
        for begin in range(first, until, _CHUNK):
            end = min(until, begin + _CHUNK)
            edges = [at * rule.slice_ms for at in range(begin - 1, end)]
            found = self._store.slices([indicator], edges)[0]
            rows += [self._slice(indicator, rule, edge, it) for edge, it in zip(edges, found, strict=False)]
        columns = np.array(rows, np.int64).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]

    def _slice(self, indicator: Indicator, rule: Rule, since_ms: int, found: Counts) -> tuple[int, int]:
        """(spent, whether it had traffic); a slice that was not measured, or is kept too coarsely, is neither."""
        measured = (
            found.since_ms == since_ms
            and found.until_ms == since_ms + rule.slice_ms
            and found.observed_ms > 0
            and found.observed_ms >= self._policy.coverage_floor * found.expected_ms
        )
        if not measured or found.total <= 0:
            return 0, 0
        return badness(rule, part_of(indicator, found.bad, found.total)), 1


def _counted(rule: Rule, counts: Counts, found: tuple[int, int], slices: int) -> Counts:
    bad, busy = found
    total = busy * RATIO_UNIT if isinstance(rule, RatioTimeslices) else slices if busy else 0
    return replace(counts, bad=bad, total=total, events=(counts.bad, counts.total))


def valid_ms(before: Revision | None, now: Revision | None) -> int | None:
    """Up to when what was counted before still holds; None where all does."""
    if before is None or now is None or before.late != now.late:
        return 0
    known = dict(zip(before.numbers.tolist(), before.last_ms.tolist(), strict=True))
    rows = zip(now.numbers.tolist(), now.first_ms.tolist(), now.last_ms.tolist(), strict=True)
    return min((known.get(number, first) for number, first, last in rows if known.get(number) != last), default=None)


def _nothing() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def revisions_of(store: Readings) -> Revisions:
    """The revisions of a store that holds its samples itself; of another one nothing is known."""
    from service.remote_store import RemoteStore
    from service.store import Store

    if not isinstance(store, Store) or isinstance(store, RemoteStore):
        return lambda indicator: None
    local = store

    def told(indicator: Indicator) -> Revision:
        with local.database.still():
            numbers = _union(local.directory.select(it) for it in selectors_of(indicator))
            columns = local.state.columns
            return Revision(
                local.sample_counts["late"], numbers, columns.first_from_ms[numbers], columns.last_ms[numbers]
            )

    return told


def selectors_of(indicator: Indicator) -> tuple[Selector, ...]:
    """All series that an indicator reads."""
    match indicator:
        case EventRatio():
            return (*indicator.total, *indicator.good, *indicator.bad)
        case Allowance():
            return (*indicator.exposure, *indicator.bad)
        case MinuteSlices():
            return indicator.numerator, indicator.denominator


def _union(found: Iterable[Ids]) -> Ids:
    parts = list(found)
    union: Ids = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    return union

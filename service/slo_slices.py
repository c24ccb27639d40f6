"""Slices of time judged for objectives that count them: each once it is over, again where samples change it."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.ports import Readings
from service.slo_kept import KeptSlices, Row, day_of, key_of, slices_of
from service.slo_reach import NOBODY, Reach
from service.slo_revisions import Revision, Revisions, valid_ms
from slo.burn import DEFAULT, Policy
from slo.model import Counts, Indicator, Objective
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices, badness
from slo.stepped_slices import part_of
from slo.taken import Slots, counting, first_of, overlap, reaching, size_of

MOST_KEPT: Final = 20_000_000
"""Slices of all objectives that are kept in memory, 16 bytes each."""
MOST_SLICES: Final = 600_000
"""Slices of one objective: a year of minutes."""
SECONDS: Final = 5.0
"""Time of one evaluation in which many slices are counted anew."""
FEW: Final = 1_000
"""So many slices of an objective are counted whatever the time."""
_CHUNK: Final = 20_000
Rule = Timeslices | RatioTimeslices


@dataclass
class _Book:
    """Judged slices of one objective: slice k of the arrays ends at `(first + k) x slice_ms`."""

    first: int
    bad: NDArray[np.int64]
    busy: NDArray[np.int64]
    revision: Revision | None
    reach: Reach = NOBODY

    @property
    def until(self) -> int:
        """One beyond the last slice."""
        return self.first + len(self.bad)

    def between(self, first: int, until: int) -> tuple[int, int]:
        """(spent, slices with traffic) of slices `first` to `until`, which is not among them."""
        mine = slice(max(0, first - self.first), max(0, until - self.first))
        return int(self.bad[mine].sum()), int(self.busy[mine].sum())

    def rows(self, first: int, until: int) -> list[Row]:
        """Slices as they are kept."""
        mine = slice(first - self.first, until - self.first)
        return [list(it) for it in zip(self.bad[mine].tolist(), self.busy[mine].tolist(), strict=True)]

    def marks(self, first: int, until: int) -> NDArray[np.bool_]:
        """Which of these slices spent anything; what is not kept spent nothing."""
        return marks(self.bad > 0, self.first, first, until)


class SlicedCounts:
    """Counts of slices over the windows of objectives; to be used by one thread at a time."""

    def __init__(
        self,
        store: Readings,
        revisions: Revisions,
        policy: Policy = DEFAULT,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
        kept: KeptSlices | None = None,
    ) -> None:
        """`kept` has what samples no longer tell."""
        self._kept = kept or KeptSlices()
        self._store, self._revisions, self._policy = store, revisions, policy
        self._seconds, self._clock = seconds, clock
        self._ends = math.inf
        self._steps_end = math.inf
        self._evaluation, self._size = 0, 0
        self._books: OrderedDict[tuple[Indicator, Rule], _Book] = OrderedDict()
        self._unknown: dict[tuple[Indicator, Rule], int] = {}
        """The newest slice that neither samples nor what is kept tell of."""

    def begin(self) -> None:
        """An evaluation begins, and with it the time for counting many slices anew."""
        self._ends = self._clock() + self._seconds
        self._evaluation += 1

    def ready(self, objective: Objective, windows_ms: Sequence[int], until_ms: int) -> bool:
        """False where so many slices are to be counted that it has to wait for the next evaluation."""
        rule, indicator = objective.slices, objective.indicator
        if rule is None or self._clock() < self._ends:
            return True
        book, until = self._books.get((indicator, rule)), until_ms // rule.slice_ms + 1
        size = max(windows_ms, default=0) // rule.slice_ms
        if book is None or until - size < book.first:
            return size <= FEW
        kept = valid_ms(book.revision, self._revisions(indicator))
        return until - (book.until if kept is None else min(book.until, kept // rule.slice_ms + 1)) <= FEW

    def of(
        self,
        objective: Objective,
        windows_ms: Sequence[int],
        counts: Sequence[Counts],
        until_ms: int,
        taken: Sequence[Slots] = (),
    ) -> list[Counts]:
        """Counts of events over windows that end at `until` as counts of slices, coverage and first sight as they are.

        Slices end at multiples of their length. Timeslices are of all slices of the window, as soon as one had traffic
        (OpenSLO: total time slices in a budgeting period), of a calendar those of the whole period; RatioTimeslices are
        of the slices with traffic, in parts of RATIO_UNIT. `taken` slices are of neither; windows but the objective's
        own reach back around them.
        """
        rule = objective.slices
        if rule is None:
            return list(counts)
        until = until_ms // rule.slice_ms + 1
        plain = [first_of(objective, window, until_ms, rule.slice_ms) for window in windows_ms]
        least = min(plain, default=until - 1)
        firsts = [
            first if window == objective.window_ms or not taken else reaching(until, until - first, taken, least)
            for window, first in zip(windows_ms, plain, strict=True)
        ]
        book = self._book(objective.indicator, rule, least, until)
        own = max(1, objective.period_ms // rule.slice_ms)
        blind_ms = self._blind_ms(objective.indicator, rule)
        return [
            _seen(
                _around(rule, it, book, first, until, own if window == objective.window_ms else until - begin, taken),
                blind_ms,
            )
            for it, first, window, begin in zip(counts, firsts, windows_ms, plain, strict=True)
        ]

    def spent(self, objective: Objective, slots: Sequence[Slots]) -> tuple[int, int]:
        """(bad, total) of these slices, as they were judged last."""
        rule = objective.slices
        book = None if rule is None else self._books.get((objective.indicator, rule))
        if rule is None or book is None:
            return 0, 0
        bad, busy = _summed(book, slots)
        return bad, busy * RATIO_UNIT if isinstance(rule, RatioTimeslices) else size_of(slots)

    def steps(
        self,
        objective: Objective,
        edges_ms: Sequence[int],
        counts: Sequence[Counts],
        taken: Sequence[Slots] = (),
    ) -> list[Counts]:
        """Counts of events of contiguous steps as counts of the slices that end in them, as they were judged last.

        Those before the objective's window are judged now, as far as time allows; what is not known was not observed.
        `taken` slices are in none.
        """
        rule = objective.slices
        if rule is None:
            return list(counts)
        ends = [edge // rule.slice_ms + 1 for edge in edges_ms]
        book = self._reaching(objective.indicator, rule, ends, counts)
        blind_ms = self._blind_ms(objective.indicator, rule)
        if book is None:
            return [replace(it, bad=0, total=0, observed_ms=0) for it in counts]
        begins_ms = book.first * rule.slice_ms
        known = [begin >= book.first or not _tells(it, begins_ms) for it, begin in zip(counts, ends, strict=False)]
        return [
            _seen(_around(rule, it, book, begin, end, end - begin, taken), blind_ms if all_of_it else it.until_ms)
            for it, all_of_it, (begin, end) in zip(counts, known, pairwise(ends), strict=True)
        ]

    def allow(self) -> None:
        """Steps are asked for, and with them begins the time for judging what was before the windows."""
        self._steps_end = self._clock() + self._seconds

    def refuse(self) -> None:
        """From now on steps are told of what is kept alone."""
        self._steps_end = -math.inf

    def _reaching(
        self, indicator: Indicator, rule: Rule, ends: Sequence[int], counts: Sequence[Counts]
    ) -> _Book | None:
        """The slices from the first of these on, or from the first sight on; those that are kept where time is up."""
        book = self._books.get((indicator, rule))
        seen = min((it.first_ms for it in counts if it.first_ms is not None), default=None)
        if seen is None or self._clock() >= self._steps_end:
            return book
        first, until = max(ends[0], seen // rule.slice_ms), ends[-1] if book is None else book.until
        known = first >= until if book is None else first >= book.first
        return book if known else self._book(indicator, rule, first, until)

    def marks(self, objective: Objective, first: int, until: int) -> NDArray[np.bool_] | None:
        """Which slices `first` to `until` (not among them) are bad, as they were judged last; None where not known."""
        book = None if objective.slices is None else self._books.get((objective.indicator, objective.slices))
        return None if book is None else book.marks(first, until)

    def _book(self, indicator: Indicator, rule: Rule, first: int, until: int) -> _Book:
        """The slices from `first` to the last that is over, and before it those that others ask for."""
        revision = self._revisions(indicator)
        book = self._books.get((indicator, rule))
        reach = (NOBODY if book is None else book.reach).asked(self._evaluation, min(until - first, MOST_SLICES))
        first = until - reach.slices
        if book is None or first < book.first or revision is None:
            book = _Book(first, *_nothing(), None)
        kept = valid_ms(book.revision, revision)
        good = book.until if kept is None else min(book.until, -(-(kept + 1) // rule.slice_ms))
        good = max(good, first)
        old = slice(first - book.first, good - book.first)
        bad, busy = self._judged(indicator, rule, good, until)
        book = _Book(
            first, np.concatenate([book.bad[old], bad]), np.concatenate([book.busy[old], busy]), revision, reach
        )
        before = self._books.get((indicator, rule))
        self._size += len(book.bad) - (0 if before is None else len(before.bad))
        self._books[indicator, rule] = book
        self._keep(indicator, rule, book, good)
        self._books.move_to_end((indicator, rule))
        while self._size > MOST_KEPT and len(self._books) > 1:
            gone, least = self._books.popitem(last=False)
            self._size -= len(least.bad)
            self._kept.forget(self._key(*gone))
            self._unknown.pop(gone, None)
        return book

    def _blind_ms(self, indicator: Indicator, rule: Rule) -> int:
        """Up to when neither samples nor what is kept tell of every slice."""
        return self._unknown.get((indicator, rule), 0) * rule.slice_ms

    def _key(self, indicator: Indicator, rule: Rule) -> str:
        return key_of(indicator, rule, self._policy.coverage_floor)

    def _keep(self, indicator: Indicator, rule: Rule, book: _Book, judged_from: int) -> None:
        """Note the days that are over and were judged from samples now."""
        begin_known = self._unknown.get((indicator, rule), 0) + 1
        days = [day for day in range(day_of(judged_from, rule.slice_ms), day_of(book.until, rule.slice_ms))
                if slices_of(day, rule.slice_ms)[0] >= max(book.first, begin_known)]  # fmt: skip
        rows = [(day, partial(book.rows, *slices_of(day, rule.slice_ms))) for day in days]
        self._kept.put(self._key(indicator, rule), day_of(book.first, rule.slice_ms), rows)

    def _filled(self, indicator: Indicator, rule: Rule, at: int, rows: list[tuple[int, int] | None]) -> None:
        """Put what is kept in the place of slices, from `at` on, that samples no longer tell."""
        days: dict[int, list[Row] | None] = {}
        for place, row in enumerate(rows):
            if row is not None:
                continue
            day = day_of(at + place, rule.slice_ms)
            if day not in days:
                days[day] = self._kept.day(self._key(indicator, rule), day)
            kept, first = days[day], slices_of(day, rule.slice_ms)[0]
            if kept is None:
                self._unknown[indicator, rule] = at + place
            rows[place] = (0, 0) if kept is None else (kept[at + place - first][0], kept[at + place - first][1])

    def _judged(
        self, indicator: Indicator, rule: Rule, first: int, until: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        rows: list[tuple[int, int] | None] = []
        for begin in range(first, until, _CHUNK):
            end = min(until, begin + _CHUNK)
            edges = [at * rule.slice_ms for at in range(begin - 1, end)]
            found = self._store.slices([indicator], edges)[0]
            rows += [self._slice(indicator, rule, edge, it) for edge, it in zip(edges, found, strict=False)]
        self._filled(indicator, rule, first, rows)
        columns = np.array(rows, np.int64).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]

    def _slice(self, indicator: Indicator, rule: Rule, since_ms: int, found: Counts) -> tuple[int, int] | None:
        """(spent, whether it had traffic), neither where it was not measured; None where samples no longer tell."""
        if found.since_ms != since_ms or found.until_ms != since_ms + rule.slice_ms:
            return None
        measured = found.observed_ms > 0 and found.observed_ms >= self._policy.coverage_floor * found.expected_ms
        if not measured or found.total <= 0:
            return 0, 0
        return badness(rule, part_of(indicator, found.bad, found.total)), 1


def marks(bad: NDArray[np.bool_], begins: int, first: int, until: int) -> NDArray[np.bool_]:
    """The part from `first` to `until` of an array that begins at `begins`, False beyond its ends."""
    found = np.zeros(until - first, np.bool_)
    low, high = max(first, begins), min(until, begins + len(bad))
    if low < high:
        found[low - first : high - first] = bad[low - begins : high - begins]
    return found


def _seen(counts: Counts, blind_ms: int) -> Counts:
    """What was observed of a window is no more than what its slices are known of: the others are not good for that."""
    if counts.first_ms is None or blind_ms <= max(counts.since_ms, counts.first_ms):
        return counts
    unknown_ms = min(blind_ms, counts.until_ms) - max(counts.since_ms, counts.first_ms)
    return replace(counts, observed_ms=max(0, counts.observed_ms - unknown_ms))


def _tells(counts: Counts, until_ms: int) -> bool:
    """True where anything of a step up to a moment was seen."""
    return counts.first_ms is not None and counts.first_ms < min(counts.until_ms, until_ms)


def _counted(rule: Rule, counts: Counts, found: tuple[int, int], slices: int) -> Counts:
    bad, busy = found
    total = busy * RATIO_UNIT if isinstance(rule, RatioTimeslices) else slices if busy else 0
    return replace(counts, bad=bad, total=total, events=(counts.bad, counts.total))


def _around(
    rule: Rule, counts: Counts, book: _Book, first: int, until: int, size: int, taken: Sequence[Slots]
) -> Counts:
    """The window from slice `first` on, `size` slices in all, without those that are taken out."""
    if not taken:
        return _counted(rule, counts, book.between(first, until), size)
    (bad, busy), gone = book.between(first, until), _summed(book, overlap(taken, first, until))
    return _counted(rule, counts, (bad - gone[0], busy - gone[1]), counting(taken, first, until, size))


def _summed(book: _Book, slots: Iterable[Slots]) -> tuple[int, int]:
    found = [book.between(it.first, it.until) for it in slots]
    return sum(bad for bad, _ in found), sum(busy for _, busy in found)


def _nothing() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)

"""Counts of what adjustments take out: each time once, again where samples change it."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import Final, NamedTuple

from service.adjusted_plans import Plan
from service.ports import Readings
from service.slo_revisions import Revision, Revisions, valid_ms
from slo.adjust import Interval
from slo.model import Counts, Indicator, TakenOut
from slo.taken import Piece, clipped

MOST_BOOKS: Final = 10_000
"""Indicators of which counts are kept in memory."""
SECONDS: Final = 5.0
"""Time of one evaluation in which what is taken out is counted anew."""
_CHUNK: Final = 12
"""Times that are counted in one reading: more edges make it slower."""


class Part(NamedTuple):
    """What was counted in a time that is taken out."""

    bad: int = 0
    total: int = 0
    observed_ms: int = 0
    expected_ms: int = 0
    unknown_starts: int = 0
    unscraped_ms: int = 0
    unscraped_events: int = 0


_NOTHING: Final = Part()


def _sum(one: Part, other: Part) -> Part:
    """Field by field; written out, for it is done thousands of times an evaluation."""
    bad, total, observed_ms, expected_ms, unknown_starts, unscraped_ms, unscraped_events = one
    return Part(
        bad + other.bad,
        total + other.total,
        observed_ms + other.observed_ms,
        expected_ms + other.expected_ms,
        unknown_starts + other.unknown_starts,
        unscraped_ms + other.unscraped_ms,
        unscraped_events + other.unscraped_events,
    )


def _summed(parts: Iterable[Part]) -> Part:
    return reduce(_sum, parts, _NOTHING)


@dataclass
class _Book:
    """What is known of one indicator: counts by time, and the revision of its samples that they are of."""

    parts: dict[Interval, Part]
    newest_ms: int
    revision: Revision | None


class Asked(NamedTuple):
    """One objective whose windows are to be counted without what is taken out."""

    indicator: Indicator
    plan: Plan
    counts: Sequence[Counts]
    """Of each window with all that is in it."""


class Left(NamedTuple):
    """What counts of each window, and what was taken out of the objective's own."""

    counts: list[Counts]
    taken_out: tuple[TakenOut, ...]


class TakenCounts:
    """Counts what is taken out; to be used by one thread at a time."""

    def __init__(
        self,
        store: Readings,
        revisions: Revisions,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._revisions = store, revisions
        self._seconds, self._clock = seconds, clock
        self._books: OrderedDict[Indicator, _Book] = OrderedDict()

    def left(self, asked: Sequence[Asked]) -> list[Left | None]:
        """What counts of each objective's windows; None where counting has to wait for the next evaluation."""
        wanted = [(it.indicator, _wanted(it.plan)) for it in asked]
        found = self.parts(wanted)
        return [None if parts is None else _left(it, parts) for it, parts in zip(asked, found, strict=True)]

    def steps(self, indicator: Indicator, pieces: Sequence[Piece], counts: Sequence[Counts]) -> list[Counts]:
        """Counts of contiguous steps without what is taken out of them."""
        mine = [[Interval(*it[:2]) for it in clipped(pieces, one.since_ms, one.until_ms)] for one in counts]
        whole = [times == [Interval(one.since_ms, one.until_ms)] for one, times in zip(counts, mine, strict=True)]
        every = dict.fromkeys(it for times, all_of_it in zip(mine, whole, strict=True) if not all_of_it for it in times)
        self._count(self._missing({indicator: every}), math.inf)
        parts = self._books[indicator].parts
        return [
            _without(one, part_of(one) if all_of_it else _summed(parts[it] for it in times))
            for one, times, all_of_it in zip(counts, mine, whole, strict=True)
        ]

    def parts(self, wanted: Sequence[tuple[Indicator, Sequence[Interval]]]) -> list[dict[Interval, Part] | None]:
        """Counts of these times of each indicator; None where there was no time left for one of them."""
        every: dict[Indicator, dict[Interval, None]] = {}
        for indicator, times in wanted:
            every.setdefault(indicator, {}).update(dict.fromkeys(times))
        self._count(self._missing(every), self._clock() + self._seconds)
        found = [self._known(indicator, times) for indicator, times in wanted]
        for indicator, asked in every.items():
            _tidy(self._books[indicator], asked)
        while len(self._books) > MOST_BOOKS:
            self._books.popitem(last=False)
        return found

    def _missing(
        self, every: Mapping[Indicator, Mapping[Interval, None]]
    ) -> dict[tuple[Interval, ...], list[Indicator]]:
        """The times of which there are no counts yet, with the indicators that lack them."""
        missing: dict[tuple[Interval, ...], list[Indicator]] = {}
        for indicator, asked in every.items():
            parts = self._book(indicator).parts
            if lacking := tuple(it for it in asked if it not in parts):
                missing.setdefault(lacking, []).append(indicator)
        return missing

    def _book(self, indicator: Indicator) -> _Book:
        """The indicator's book, without what samples have changed since."""
        now = self._revisions(indicator)
        book = self._books.get(indicator)
        if book is None:
            book = self._books[indicator] = _Book({}, 0, now)
        self._books.move_to_end(indicator)
        kept = 0 if now is None else valid_ms(book.revision, now)
        if kept is not None and kept < book.newest_ms:
            book.parts = {it: part for it, part in book.parts.items() if it.until_ms <= kept}
            book.newest_ms = kept
        book.revision = now
        return book

    def _count(self, missing: dict[tuple[Interval, ...], list[Indicator]], ends: float) -> None:
        """Count what is missing, the newest first, as far as time allows."""
        for times, indicators in missing.items():
            for some in _readings(times):
                if self._clock() >= ends:
                    return
                edges = sorted({edge for it in some for edge in it})
                places = {since: at for at, since in enumerate(edges[:-1])}
                for indicator, slots in zip(indicators, self._store.slices(indicators, edges), strict=True):
                    book = self._books[indicator]
                    book.parts.update((it, part_of(slots[places[it.since_ms]])) for it in some)
                    book.newest_ms = max(book.newest_ms, max(it.until_ms for it in some))

    def _known(self, indicator: Indicator, times: Sequence[Interval]) -> dict[Interval, Part] | None:
        parts = self._books[indicator].parts
        return parts if all(it in parts for it in times) else None


def _readings(times: Sequence[Interval]) -> Iterator[list[Interval]]:
    """The times in parts that are counted in one reading each: disjoint within a part, and not too many."""
    rest = sorted(times, reverse=True)
    while rest:
        some, later = list[Interval](), list[Interval]()
        for it in rest:
            fits = len(some) < _CHUNK and (not some or it.until_ms <= some[-1].since_ms)
            (some if fits else later).append(it)
        yield some
        rest = later


def _tidy(book: _Book, asked: Iterable[Interval]) -> None:
    """Forget what is asked no more, now and then: a time that ends now is of this moment alone."""
    wanted = set(asked)
    if len(book.parts) > len(wanted) + _CHUNK:
        book.parts = {it: part for it, part in book.parts.items() if it in wanted}


def part_of(counts: Counts) -> Part:
    """What was counted, as a part of something."""
    return Part(
        counts.bad,
        counts.total,
        counts.observed_ms,
        counts.expected_ms,
        counts.unknown_starts,
        counts.unscraped_ms,
        counts.unscraped_events,
    )


def _wanted(plan: Plan) -> list[Interval]:
    """The times that a plan needs counts of; whole ones first, in order."""
    whole = [Interval(it.since_ms, it.until_ms) for it in plan.pieces[plan.first :]]
    return [*whole, *(Interval(it.part.since_ms, it.part.until_ms) for it in plan.cuts if it.part is not None)]


def _left(asked: Asked, parts: dict[Interval, Part]) -> Left:
    plan = asked.plan
    first, pieces = plan.first, plan.pieces[plan.first :]
    mine = [parts[Interval(it.since_ms, it.until_ms)] for it in pieces]
    sums = list(accumulate(reversed(mine), _sum, initial=_NOTHING))[::-1]
    counts = []
    for whole, cut in zip(asked.counts, plan.cuts, strict=True):
        taken = sums[cut.first - first]
        if cut.part is not None:
            taken = _sum(taken, parts[Interval(cut.part.since_ms, cut.part.until_ms)])
        counts.append(_without(whole, taken))
    own = plan.cuts[plan.own]
    rows = [*zip(plan.pieces[own.first :], mine[own.first - first :], strict=True)]
    if own.part is not None:
        rows.append((own.part, parts[Interval(own.part.since_ms, own.part.until_ms)]))
    return Left(counts, taken_out(plan, [(piece.owner, part) for piece, part in rows], asked.counts[plan.own].until_ms))


def _without(whole: Counts, taken: Part) -> Counts:
    """What counts: the difference of whole numbers, which is never below zero."""
    if taken is _NOTHING:
        return whole
    return Counts(
        since_ms=whole.since_ms,
        until_ms=whole.until_ms,
        bad=max(0, whole.bad - taken.bad),
        total=max(0, whole.total - taken.total),
        observed_ms=max(0, whole.observed_ms - taken.observed_ms),
        expected_ms=max(0, whole.expected_ms - taken.expected_ms),
        unknown_starts=max(0, whole.unknown_starts - taken.unknown_starts),
        first_ms=whole.first_ms,
        taken_ms=taken.expected_ms,
        unscraped_ms=max(0, whole.unscraped_ms - taken.unscraped_ms),
        unscraped_events=max(0, whole.unscraped_events - taken.unscraped_events),
    )


def taken_out(plan: Plan, rows: Iterable[tuple[int, Part]], now_ms: int) -> tuple[TakenOut, ...]:
    """What each adjustment took out of the objective's window, from parts by its place; of those that took any time."""
    sums: dict[int, Part] = {}
    for owner, part in rows:
        sums[owner] = _sum(sums.get(owner, _NOTHING), part)
    found = []
    for owner, part in sorted(sums.items()):
        it = plan.adjustments[owner]
        now = bool(it.within(now_ms - 1, now_ms))
        found.append(TakenOut(it.id, it.kind, it.reason, it.created_by, part.expected_ms, part.bad, part.total, now))
    return tuple(found)

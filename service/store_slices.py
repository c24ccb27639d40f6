"""Minutes judged good or bad: each once, when it is over, and kept; again where late samples change it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from service.increments import Rules
from service.store_db import Cursor
from service.store_series import Directory, Ids
from service.store_sums import sums
from service.store_view import Moment
from slo.model import Labels, MinuteSlices, Selector

MINUTE_MS = 60_000
MOST_BOOKS = 500
_CHUNK_MINUTES = 360


class _Minutes:
    """The judged minutes of one indicator: ends in ms -> bad, and up to where all are judged."""

    def __init__(self, bad: dict[int, bool], until_ms: int) -> None:
        self.bad = bad
        self.until_ms = until_ms
        self.saved_ms = until_ms
        self.sorted: tuple[Ids, Ids] | None = None

    def between(self, since_ms: int, until_ms: int) -> tuple[int, int]:
        """Bad minutes, and minutes measured, of those that end within `(since, until]`."""
        if self.sorted is None:
            ends = np.array(sorted(self.bad), np.int64)
            bad = np.array([self.bad[end] for end in ends.tolist()], np.int64)
            self.sorted = ends, np.concatenate([np.zeros(1, np.int64), np.cumsum(bad)])
        ends, cumulated = self.sorted
        low, high = (int(np.searchsorted(ends, at, side="right")) for at in (since_ms, until_ms))
        return int(cumulated[high] - cumulated[low]), high - low


class SliceBook:
    """The judged minutes of all indicators in use; safe to use from several threads."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._books: OrderedDict[MinuteSlices, _Minutes] = OrderedDict()
        self._lock = threading.RLock()
        self.version = 0
        """Grows when samples change judged minutes: a reader of an older moment keeps nothing of what it judges."""

    def counts(
        self, indicator: MinuteSlices, moment: Moment, rules: Rules, since_ms: int, until_ms: int, version: int
    ) -> tuple[int, int]:
        """Bad minutes, and minutes measured, of those that end within `(since, until]`.

        `version` is what it was at that moment.
        """
        with self._lock:
            book = self._book(indicator, moment.writing())
            if version != self.version:
                book = _Minutes(dict(book.bad), book.until_ms)
            end = until_ms // MINUTE_MS * MINUTE_MS
            if book.until_ms < end:
                self._judge(indicator, book, moment, rules, end)
            return book.between(since_ms, until_ms)

    def metrics(self) -> frozenset[str]:
        """The metrics that minutes are judged by."""
        with self._lock:
            return frozenset(name for it in self._books for name in (it.numerator.metric, it.denominator.metric))

    def disturbed(self, earliest_ms: Mapping[str, int]) -> list[tuple[str, int]]:
        """Forget minutes that samples from these moments on (by metric) change; the stored ones that must go."""
        gone = []
        with self._lock:
            self.version += 1
            for indicator, book in self._books.items():
                names = (indicator.numerator.metric, indicator.denominator.metric)
                at = min((earliest_ms[name] for name in names if name in earliest_ms), default=None)
                if at is None or at > book.until_ms:
                    continue
                first = -(-at // MINUTE_MS) * MINUTE_MS
                book.bad = {end: bad for end, bad in book.bad.items() if end < first}
                book.until_ms, book.sorted = first - MINUTE_MS, None
                if book.saved_ms >= first:
                    book.saved_ms = book.until_ms
                    gone.append((name_of(indicator), first))
        return gone

    def unsaved(self, until_ms: int) -> list[tuple[str, int, bool]]:
        """Minutes up to then that are judged but not stored, to be stored in the caller's transaction."""
        with self._lock:
            found = []
            for indicator, book in self._books.items():
                end = min(until_ms, book.until_ms)
                found += [(name_of(indicator), at, bad) for at, bad in book.bad.items() if book.saved_ms < at <= end]
            return found

    def saved(self, until_ms: int) -> None:
        """Those minutes are stored."""
        with self._lock:
            for book in self._books.values():
                book.saved_ms = max(book.saved_ms, min(until_ms, book.until_ms))

    def _book(self, indicator: MinuteSlices, cursor: Cursor) -> _Minutes:
        book = self._books.get(indicator)
        if book is None:
            rows = cursor.execute(
                "SELECT minute_ms, bad FROM minute_slices WHERE indicator = ?", [name_of(indicator)]
            ).fetchall()
            bad = dict(rows)
            book = self._books[indicator] = _Minutes(bad, max(bad, default=0))
            while len(self._books) > MOST_BOOKS:
                self._books.popitem(last=False)
        self._books.move_to_end(indicator)
        return book

    def _judge(self, indicator: MinuteSlices, book: _Minutes, moment: Moment, rules: Rules, end_ms: int) -> None:
        verdicts = _by_gauge if indicator.kind == "gauge" else _by_counter
        oldest = moment.layout.oldest_raw_ms()
        at = end_ms if oldest is None else max(book.until_ms, oldest)
        while at < end_ms:
            until = min(end_ms, at + _CHUNK_MINUTES * MINUTE_MS)
            book.bad |= verdicts(indicator, self._directory, moment, rules, at, until)
            at = until
        book.until_ms, book.sorted = end_ms, None


def name_of(indicator: MinuteSlices) -> str:
    """The name under which its minutes are stored."""
    return hashlib.sha256(repr(indicator).encode()).hexdigest()[:32]


def _by_gauge(
    indicator: MinuteSlices, directory: Directory, moment: Moment, rules: Rules, since_ms: int, until_ms: int
) -> dict[int, bool]:
    """A minute is bad where the worst pair of last samples reaches the bound."""
    above = _last(directory, indicator.numerator, moment, since_ms, until_ms)
    below = _last(directory, indicator.denominator, moment, since_ms, until_ms)
    found: dict[int, bool] = {}
    for key, value in above.items():
        minute, whole = key[0], below.get(key)
        if whole is not None and whole > 0:
            share = Fraction(value) / Fraction(whole)
            bad = (1 - share if indicator.complement else share) >= indicator.bound
            found[minute] = found.get(minute, False) or bad
    return found


def _last(
    directory: Directory, selector: Selector, moment: Moment, since_ms: int, until_ms: int
) -> dict[tuple[int, Labels], float]:
    """The last number of each minute, by the minute's end and the series' labels."""
    found = moment.samples(directory.select(selector), since_ms, until_ms).finite()
    ends = -(-found.ts_ms // MINUTE_MS) * MINUTE_MS
    tail = np.ones(found.size, np.bool_)
    tail[:-1] = (found.series[1:] != found.series[:-1]) | (ends[1:] != ends[:-1])
    rows = zip(ends[tail].tolist(), found.series[tail].tolist(), found.value[tail].tolist(), strict=True)
    return {(end, directory.series(number).labels): value for end, number, value in rows}


def _by_counter(
    indicator: MinuteSlices, directory: Directory, moment: Moment, rules: Rules, since_ms: int, until_ms: int
) -> dict[int, bool]:
    """A minute is bad where its increments' share reaches the bound; one in which nothing moved is not measured."""
    edges = list(range(since_ms, until_ms + 1, MINUTE_MS))
    above = sums(moment, [directory.select(indicator.numerator)], edges, rules)[0]
    below = sums(moment, [directory.select(indicator.denominator)], edges, rules)[0]
    return {
        end: Fraction(part, whole) >= indicator.bound
        for end, part, whole in zip(edges[1:], above, below, strict=True)
        if whole > 0
    }

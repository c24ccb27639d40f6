"""Exact counts of indicators: from sums of increments, covered time and minutes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from service.increments import NANO, Rules, half_even
from service.store_known import Group, Known, known
from service.store_running import Exact, Running
from service.store_series import Ids
from service.store_slices import SliceBook
from service.store_sums import settled, sums
from service.store_view import Moment
from slo.model import Allowance, Counts, EventRatio, Indicator, MinuteSlices

__all__ = ["Known", "Reading", "known", "scaled", "slice_counts", "window_counts"]

_PARTS = 4
"""Of each indicator: bad (or good), total, time that no scrape told of, time that scrapes told of."""
_LARGE = 2**62
_NONE = (0, 0)
_NOBODY = np.zeros(0, np.int64)


class Reading(NamedTuple):
    """One moment of the store, and what was in memory then."""

    moment: Moment
    rules: Rules
    group: Group
    known: Sequence[Known]
    book: SliceBook
    version: int
    """The book's at that moment."""
    changes: int
    """How many changes there were then."""


def window_counts(
    reading: Reading, windows_ms: Sequence[Sequence[int]], until_ms: int, running: Running
) -> list[list[Counts]]:
    """Counts of each window `(until - window, until]` of each indicator, in the order asked."""
    if not reading.known:
        return []
    ends = sorted({until_ms - window for windows in windows_ms for window in windows})
    moved = dict(zip(ends, settled(reading.moment.layout, ends), strict=True))
    edges = [*sorted({edge for edge in moved.values() if edge < until_ms}), until_ms]
    at = {edge: index for index, edge in enumerate(edges)}
    table = _table(reading, edges, running)
    found = _Windows(reading, table, edges)
    places = {window: at[moved[until_ms - window]] for windows in windows_ms for window in windows}
    return [found.counts(row, [places[it] for it in windows], until_ms) for row, windows in enumerate(windows_ms)]


def slice_counts(reading: Reading, edges_ms: Sequence[int]) -> list[list[Counts]]:
    """Counts of each slice `(edges[i], edges[i + 1]]` of each indicator; edges ascend."""
    edges = settled(reading.moment.layout, edges_ms)
    inner = sorted(set(edges))
    at = {edge: index for index, edge in enumerate(inner)}
    table = sums(reading.moment, _parts(reading), inner, reading.rules)
    spans = [(at[since], at[until], since, until) for since, until in pairwise(edges)]
    found = []
    for row, its in enumerate(reading.known):
        mine = table[_PARTS * row : _PARTS * row + _PARTS]
        lost = any(mine[2])
        found.append([_of_slice(reading, its, [it[a:b] for it in mine], lost, *span) for a, b, *span in spans])
    return found


def _table(reading: Reading, edges: Sequence[int], running: Running) -> Exact:
    """Billionths of each part and slot."""
    if len(reading.known) > 1:
        kept = running.sums(
            reading.group, lambda: _parts(reading), reading.moment, edges, reading.rules, reading.changes
        )
        if kept is not None:
            return kept
    found: Exact = np.array(sums(reading.moment, _parts(reading), edges, reading.rules), object)
    return found.reshape(_PARTS * len(reading.known), -1)


def _parts(reading: Reading) -> list[Ids]:
    """The series of each part of each indicator; none of those that count minutes."""
    parts: list[Ids] = []
    for its in reading.known:
        minutes, mine = isinstance(its.indicator, MinuteSlices), its.members
        parts += [_NOBODY] * _PARTS if minutes else [mine.bad, mine.total, mine.unscraped, mine.scraped]
    return parts


class _Windows:
    """Counts of windows that all end with the last edge: sums over the slots from their first edge on."""

    def __init__(self, reading: Reading, table: Exact, edges: Sequence[int]) -> None:
        self._reading, self._edges, self._table = reading, edges, table
        whole = np.cumsum(table[:, ::-1], axis=1)[:, ::-1] if table.size else table
        bad, total = whole[0::_PARTS], whole[1::_PARTS]
        good = np.array([it.good for it in reading.known], np.bool_)
        bad = bad.copy()
        bad[good] = np.maximum(total[good] - bad[good], 0)
        scales = np.array([_scales(it.indicator) for it in reading.known], np.int64).reshape(-1, 2)
        self._bad, self._total = _scaled(bad, scales[:, 0]), _scaled(total, scales[:, 1])
        self._lost = (table[2::_PARTS] != 0).any(axis=1).tolist() if table.size else [False] * len(reading.known)

    def counts(self, row: int, firsts: Sequence[int], until_ms: int) -> list[Counts]:
        """Those of one indicator from each of these edges on."""
        its, edges = self._reading.known[row], self._edges
        if isinstance(its.indicator, MinuteSlices):
            return [self._of_minutes(its, its.indicator, edges[it], until_ms) for it in firsts]
        # the last edge is where every window ends: one that begins there is empty
        bad, total = [*self._bad[row], 0], [*self._total[row], 0]
        lost = self._table[_PARTS * row : _PARTS * row + _PARTS].tolist() if self._lost[row] else None

        def unscraped(first: int) -> tuple[int, int]:
            return _NONE if lost is None else _unscraped([it[first:] for it in lost])

        return [_counts(its, bad[it], total[it], edges[it], until_ms, unscraped(it)) for it in firsts]

    def _of_minutes(self, its: Known, minutes: MinuteSlices, since_ms: int, until_ms: int) -> Counts:
        reading = self._reading
        bad, total = reading.book.counts(minutes, reading.moment, reading.rules, since_ms, until_ms, reading.version)
        return _counts(its, bad, total, since_ms, until_ms, _NONE)


def _of_slice(
    reading: Reading, its: Known, mine: Sequence[Sequence[int]], lost: bool, since_ms: int, until_ms: int
) -> Counts:
    if isinstance(its.indicator, MinuteSlices):
        minutes = reading.book.counts(its.indicator, reading.moment, reading.rules, since_ms, until_ms, reading.version)
        return _counts(its, *minutes, since_ms, until_ms, _NONE)
    bad, total = sum(mine[0]), sum(mine[1])
    bad = max(0, total - bad) if its.good else bad
    scales = _scales(its.indicator)
    unscraped = _unscraped(mine) if lost else _NONE
    return _counts(its, scaled(bad, scales[0]), scaled(total, scales[1]), since_ms, until_ms, unscraped)


def _counts(its: Known, bad: int, total: int, since_ms: int, until_ms: int, unscraped: tuple[int, int]) -> Counts:
    first = its.first_ms
    begin = until_ms if first is None else min(until_ms, max(since_ms, first))
    starts = its.baselines_ms
    return Counts(
        since_ms,
        until_ms,
        bad,
        total,
        its.cover.between(begin, until_ms),
        until_ms - begin,
        sum(since_ms < at <= until_ms for at in starts) if starts else 0,
        first,
        unscraped_ms=unscraped[0],
        unscraped_events=unscraped[1],
    )


def _unscraped(slots: Sequence[Sequence[int]]) -> tuple[int, int]:
    """(container-milliseconds that no scrape told of, events that may have been in them, at the pace around them).

    The pace is that of the events per scraped container-time of the same slot; where that has none, of all slots.
    """
    _, total, lost, seen = slots
    whole = Fraction(sum(total), sum(seen)) if sum(seen) > 0 else Fraction(0)
    events = Fraction(0)
    for counted, gone, told in zip(total, lost, seen, strict=True):
        if gone:
            events += gone * (Fraction(counted, told) if told > 0 else whole)
    return scaled(sum(lost), 1000), -(-events.numerator // (events.denominator * NANO))


def _scales(indicator: Indicator) -> tuple[int, int]:
    """What the sums of bad and of all are multiplied by."""
    match indicator:
        case EventRatio(scale=scale):
            return scale, scale
        case Allowance():
            return 1, 1000
        case MinuteSlices():
            return 1, 1


def _scaled(billionths: Exact, scales: Ids) -> list[list[int]]:
    """`scaled` of many, row by row; at once where nothing is too large for it."""
    if not billionths.size:
        return [list[int]() for _ in scales]
    if int(np.abs(billionths).max()) * int(scales.max()) < _LARGE:
        whole, rest = np.divmod(billionths.astype(np.int64) * scales[:, None], NANO)
        up = (2 * rest > NANO) | ((2 * rest == NANO) & (whole % 2 == 1))
        found: list[list[int]] = (whole + up).tolist()
        return found
    rows = zip(billionths.tolist(), scales.tolist(), strict=True)
    return [[scaled(it, scale) for it in row] for row, scale in rows]


def scaled(billionths: int, scale: int) -> int:
    """A sum in billionths times the scale, as a whole number: rounded half to even, once."""
    return half_even(billionths * scale, NANO)

"""Exact counts of indicators: from sums of increments, covered time and minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from service.coverage import Cover
from service.increments import NANO, Rules, half_even
from service.store_series import Directory, Ids
from service.store_slices import SliceBook
from service.store_state import SeriesState
from service.store_sums import settled, sums
from service.store_view import Moment
from slo.model import Allowance, Counts, EventRatio, Indicator, MinuteSlices, Selector


@dataclass(frozen=True)
class Known:
    """What of an indicator is in memory, taken at the moment of which the cursor reads."""

    indicator: Indicator
    bad: Ids
    """Series of bad events; of good ones where `good`."""
    total: Ids
    good: bool
    cover: Cover
    first_ms: int | None
    baselines_ms: tuple[int, ...]
    """When series of the indicator were first seen with an unknown start."""


class Reading(NamedTuple):
    """One moment of the store, and what was in memory then."""

    moment: Moment
    rules: Rules
    known: Sequence[Known]
    book: SliceBook
    version: int
    """The book's at that moment."""


class Slot(NamedTuple):
    """Billionths that were counted in one slot; of good ones in place of bad where the indicator has those."""

    bad: int
    total: int


def known(indicator: Indicator, directory: Directory, state: SeriesState) -> Known:
    """Look an indicator's series up."""
    match indicator:
        case EventRatio():
            bad, total = _union(directory, indicator.good or indicator.bad), _union(directory, indicator.total)
        case Allowance():
            bad, total = _union(directory, indicator.bad), _union(directory, indicator.exposure)
        case MinuteSlices():
            bad, total = directory.select(indicator.numerator), directory.select(indicator.denominator)
    every = np.union1d(bad, total)
    good = isinstance(indicator, EventRatio) and bool(indicator.good)
    return Known(
        indicator, bad, total, good, state.cover(total), state.first(every), tuple(state.baselines(every).tolist())
    )


def _union(directory: Directory, selectors: Sequence[Selector]) -> Ids:
    found = [directory.select(it) for it in selectors]
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def window_counts(reading: Reading, windows_ms: Sequence[Sequence[int]], until_ms: int) -> list[list[Counts]]:
    """Counts of each window `(until - window, until]` of each indicator, in the order asked."""
    ends = sorted({until_ms - window for windows in windows_ms for window in windows})
    moved = dict(zip(ends, settled(reading.moment.layout, ends), strict=True))
    edges = [*sorted({edge for edge in moved.values() if edge < until_ms}), until_ms]
    at = {edge: index for index, edge in enumerate(edges)}
    found = []
    for its, slots, windows in zip(reading.known, _slots(reading, edges), windows_ms, strict=True):
        begins = [moved[until_ms - window] for window in windows]
        found.append([_counts(reading, its, slots[at[begin] :], begin, until_ms) for begin in begins])
    return found


def slice_counts(reading: Reading, edges_ms: Sequence[int]) -> list[list[Counts]]:
    """Counts of each slice `(edges[i], edges[i + 1]]` of each indicator; edges ascend."""
    edges = settled(reading.moment.layout, edges_ms)
    inner = sorted(set(edges))
    at = {edge: index for index, edge in enumerate(inner)}
    return [
        [_counts(reading, its, slots[at[since] : at[until]], since, until) for since, until in pairwise(edges)]
        for its, slots in zip(reading.known, _slots(reading, inner), strict=True)
    ]


def _slots(reading: Reading, edges: Sequence[int]) -> list[list[Slot]]:
    """Per indicator and slot what was counted; zeros for those that count minutes."""
    nothing = np.zeros(0, np.int64)
    parts: list[Ids] = []
    for its in reading.known:
        parts += [nothing, nothing] if isinstance(its.indicator, MinuteSlices) else [its.bad, its.total]
    summed = sums(reading.moment, parts, edges, reading.rules)
    return [list(map(Slot, summed[at], summed[at + 1])) for at in range(0, len(parts), 2)]


def _counts(reading: Reading, its: Known, slots: Sequence[Slot], since_ms: int, until_ms: int) -> Counts:
    bad, total = _numbers(reading, its, slots, since_ms, until_ms)
    begin = until_ms if its.first_ms is None else min(until_ms, max(since_ms, its.first_ms))
    return Counts(
        since_ms=since_ms,
        until_ms=until_ms,
        bad=bad,
        total=total,
        observed_ms=its.cover.between(begin, until_ms),
        expected_ms=until_ms - begin,
        unknown_starts=sum(since_ms < at <= until_ms for at in its.baselines_ms),
        first_ms=its.first_ms,
    )


def _numbers(reading: Reading, its: Known, slots: Sequence[Slot], since_ms: int, until_ms: int) -> tuple[int, int]:
    bad, total = sum(slot.bad for slot in slots), sum(slot.total for slot in slots)
    match its.indicator:
        case EventRatio(scale=scale):
            return scaled(max(0, total - bad) if its.good else bad, scale), scaled(total, scale)
        case Allowance():
            return scaled(bad, 1), scaled(total, 1000)
        case MinuteSlices() as minutes:
            return reading.book.counts(minutes, reading.moment, reading.rules, since_ms, until_ms, reading.version)


def scaled(billionths: int, scale: int) -> int:
    """A sum in billionths times the scale, as a whole number: rounded half to even, once."""
    return half_even(billionths * scale, NANO)

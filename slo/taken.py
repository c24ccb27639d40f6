"""What adjustments take out of a window: whose it is, in which grain, and how far a window reaches around it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from slo.adjust import Interval, merged
from slo.model import Counts, Objective


class Piece(NamedTuple):
    """A time `(since, until]` that is taken out; `owner` is the place of its adjustment."""

    since_ms: int
    until_ms: int
    owner: int


def owned(times: Sequence[Sequence[Interval]]) -> tuple[Piece, ...]:
    """The times of several adjustments as disjoint pieces, ascending: what several take out is of the first of them."""
    found: list[Piece] = []
    for owner, mine in enumerate(times):
        fresh = [Piece(since, until, owner) for it in merged(mine) for since, until in _free(found, it)]
        if fresh:
            found = sorted([*found, *fresh])
    return tuple(found)


def _free(taken: Sequence[Piece], wanted: Interval) -> list[Interval]:
    """What of an interval is in none of these disjoint, ascending pieces."""
    found, at = [], wanted.since_ms
    first = bisect_right(taken, wanted.since_ms, key=lambda it: it.until_ms)
    for it in taken[first:]:
        if it.since_ms >= wanted.until_ms:
            break
        if it.since_ms > at:
            found.append(Interval(at, it.since_ms))
        at = max(at, it.until_ms)
    return [*found, Interval(at, wanted.until_ms)] if at < wanted.until_ms else found


def widened(interval: Interval, grain_ms: int) -> Interval:
    """The slices of time of this length that the interval touches; they end at multiples of their length."""
    return Interval(interval.since_ms // grain_ms * grain_ms, -(-interval.until_ms // grain_ms) * grain_ms)


def begin_of(until: int, length: int, taken: Sequence[tuple[int, int]], least: int) -> int:
    """Where a window of so much time that counts begins that ends at `until`: it reaches back around what is taken out.

    `taken` holds disjoint, ascending stretches `(since, until]`. It begins at `least` at the earliest.
    """
    begin = until - length
    for since, end in reversed(taken):
        if end <= begin:
            break
        begin -= max(0, min(end, until) - min(since, until))
    return max(begin, least)


def clipped(pieces: Sequence[Piece], since_ms: int, until_ms: int) -> list[Piece]:
    """What of the pieces lies within `(since, until]`."""
    found = []
    for it in pieces[bisect_right(pieces, since_ms, key=lambda piece: piece.until_ms) :]:
        if it.since_ms >= until_ms:
            break
        found.append(it._replace(since_ms=max(it.since_ms, since_ms), until_ms=min(it.until_ms, until_ms)))
    return found


class Slots(NamedTuple):
    """Slices of time `first` to `until`, that one not among them, which one adjustment takes out."""

    first: int
    until: int
    owner: int


def slots_of(pieces: Sequence[Piece], slice_ms: int) -> list[Slots]:
    """Pieces of whole slices by the slices' numbers: slice k ends at `k x slice_ms`."""
    return [Slots(it.since_ms // slice_ms + 1, it.until_ms // slice_ms + 1, it.owner) for it in pieces]


def overlap(slots: Sequence[Slots], first: int, until: int) -> list[Slots]:
    """What of the slots lies within `first` to `until`."""
    found = []
    for it in slots[bisect_right(slots, first, key=lambda one: one.until) :]:
        if it.first >= until:
            break
        found.append(it._replace(first=max(it.first, first), until=min(it.until, until)))
    return found


def size_of(slots: Iterable[Slots]) -> int:
    """How many slices these are."""
    return sum(it.until - it.first for it in slots)


def first_of(objective: Objective, window_ms: int, until_ms: int, slice_ms: int) -> int:
    """The first slice of a window that ends at a moment; of a calendar's own period the first that ends within it.

    So each slice is of one period, and one that has just begun has none yet; any other window has one at least.
    """
    if objective.calendar is not None and window_ms == objective.window_ms:
        return (until_ms - window_ms) // slice_ms + 1
    return until_ms // slice_ms + 1 - max(1, window_ms // slice_ms)


def reaching(until: int, size: int, slots: Sequence[Slots], least: int) -> int:
    """The first of the last so many slices before `until` that count."""
    return begin_of(until, size, [(it.first, it.until) for it in slots if it.first < until], least)


def counting(slots: Sequence[Slots], first: int, until: int, size: int) -> int:
    """How many of the `size` slices of a window from `first` on count; one that reaches back has that many."""
    return size if first + size < until else size - size_of(overlap(slots, first, first + size))


def without(whole: Counts, parts: Sequence[Counts]) -> Counts:
    """What counts of a window without these parts of it."""
    if not parts:
        return whole
    bad, events = whole.events or (0, 0)
    bad -= sum(it.events[0] for it in parts if it.events)
    events -= sum(it.events[1] for it in parts if it.events)
    return replace(
        whole,
        bad=max(0, whole.bad - sum(it.bad for it in parts)),
        total=max(0, whole.total - sum(it.total for it in parts)),
        observed_ms=whole.observed_ms - sum(it.observed_ms for it in parts),
        expected_ms=whole.expected_ms - sum(it.expected_ms for it in parts),
        events=None if whole.events is None else (bad, events),
        taken_ms=sum(it.expected_ms for it in parts),
    )

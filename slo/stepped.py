"""Counts of an objective over history, and of every window that ends at the moments at which it is judged.

Counts come as one element per step. What judging says of one moment is computed of all moments at once: a share is
compared as a double, and as an exact fraction wherever doubles are too near to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slo.burn import Policy
from slo.model import Allowance, Indicator, Objective
from slo.slices import RATIO_UNIT, RatioTimeslices, Slice, Timeslices, badness

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64] | NDArray[np.object_]
NONE = 2**61
"""A moment that never was."""
FIVE_MS = 300_000
_NEAR = 1e-9
_SAFE = 2**62


@dataclass(frozen=True)
class History:
    """Counts of contiguous steps of `step_ms`, the first of which begins at `since_ms`; one element per step."""

    since_ms: int
    step_ms: int
    bad: Whole
    """Bad events; good ones with `good`."""
    total: Whole
    observed_ms: Ints
    first_ms: int | None
    """First sight of any series."""
    events: int = 1
    """What one event counts; windows are rounded to whole events once, half to even."""
    good: bool = False
    coarse_ms: int = 0
    """Up to then what was counted in five minutes stands at their end."""
    flags: tuple[Ints, Ints] | None = None
    """Of a query's steps which had anything bad, and which had traffic, where steps are what is counted."""
    judged: Ints | None = None
    """Slices that were judged when their samples were there: rows of (end, what it spent, whether it had traffic)."""

    @property
    def ends_ms(self) -> Ints:
        """When each step ends."""
        return self.since_ms + self.step_ms * np.arange(1, len(self.bad) + 1)


class Seen(NamedTuple):
    """One window at each moment: shares as doubles and, by the moment's place, exactly."""

    share: Floats
    """Bad over total, 0 without traffic."""
    busy: Bools
    observed: Ints
    expected: Ints
    bad_events: Whole
    all_events: Whole
    exact: Callable[[int], Fraction]

    def covered(self, policy: Policy) -> Bools:
        """Where enough was observed, as `slo.burn.covered` has it."""
        floor = policy.coverage_floor
        there = (self.observed > 0) & (self.expected > 0)
        enough = (self.observed + policy.coverage_grace_ms) * floor.denominator >= floor.numerator * self.expected
        return np.asarray(there & enough, np.bool_)

    def few(self, policy: Policy) -> Bools:
        """Where there are too few events for a page."""
        return np.asarray((self.bad_events < policy.min_bad) | (self.all_events < policy.min_total), np.bool_)

    def after(self, at: int) -> Seen:
        """The window from this place on."""
        rest = (self.share[at:], self.busy[at:], self.observed[at:], self.expected[at:])
        return Seen(*rest, self.bad_events[at:], self.all_events[at:], lambda place: self.exact(place + at))

    @classmethod
    def joined(cls, parts: Sequence[Seen]) -> Seen:
        """Windows at moments that follow one another."""
        begins = np.cumsum([0, *(len(it.share) for it in parts)])

        def exact(at: int) -> Fraction:
            part = int(np.searchsorted(begins, at, side="right")) - 1
            return parts[part].exact(at - int(begins[part]))

        return cls(
            np.concatenate([it.share for it in parts]),
            np.concatenate([it.busy for it in parts]),
            np.concatenate([it.observed for it in parts]),
            np.concatenate([it.expected for it in parts]),
            np.concatenate([it.bad_events for it in parts]),
            np.concatenate([it.all_events for it in parts]),
            exact,
        )


def exactly(left: Floats, right: Floats, mask: Bools, exact: Callable[[int], int]) -> NDArray[np.int8]:
    """The sign of left - right where `mask`; `exact` tells that of one place where doubles are too near."""
    sign = np.sign(left - right).astype(np.int8)
    near = mask & (np.abs(left - right) <= _NEAR * np.maximum(np.abs(left), np.abs(right)))
    for at in np.flatnonzero(near).tolist():
        sign[at] = exact(at)
    return sign


def sign(value: Fraction) -> int:
    """-1, 0 or 1."""
    return (value > 0) - (value < 0)


class Sums:
    """Sums over steps `low` to `high`, which is not among them."""

    def __init__(self, values: Whole) -> None:
        safe = values.dtype == object or not len(values) or float(values.sum(dtype=np.float64)) < _SAFE
        column = values if safe else values.astype(object)
        self._until = np.concatenate([np.zeros(1, column.dtype), np.cumsum(column)])

    def between(self, low: Ints, high: Ints) -> Whole:
        """The sum of each stretch; steps that there are not count nothing."""
        top = len(self._until) - 1
        found: Whole = self._until[np.clip(high, 0, top)] - self._until[np.clip(low, 0, top)]
        return found


class Windows:
    """Windows of one objective that end at each of the moments (ascending, in ms, of whole minutes)."""

    def __init__(self, objective: Objective, history: History, moments: Ints, longest_ms: int) -> None:
        """`longest_ms` is the longest window: what was before it is not known to who asks queries."""
        self._objective, self._history, self.moments = objective, history, moments
        self._bad, self._total = Sums(history.bad), Sums(history.total)
        self._observed = Sums(history.observed_ms)
        self._flags = None if history.flags is None else tuple(map(Sums, history.flags))
        self._high = (moments - history.since_ms) // history.step_ms
        self._slices = None
        if objective.slices is not None and history.flags is None:
            self._slices = sliced(history, objective.slices, objective.indicator)
        self._sliced = None if self._slices is None else (Sums(self._slices.bad), Sums(self._slices.total))
        self.first = self._firsts(longest_ms)
        self._kept: dict[tuple[int, bool], Seen] = {}

    def marks(self) -> tuple[int, Bools]:
        """When the first slice begins, and which slices are bad; of an objective of Timeslices."""
        if self._slices is not None:
            return self._slices.since_ms, self._slices.bad > 0
        return self._history.since_ms, np.asarray(self._history.bad > 0, np.bool_)

    def _firsts(self, longest_ms: int) -> Ints:
        """When history begins, as it is known at each moment; NONE where it has not."""
        history = self._history
        if history.flags is None:
            return np.full(len(self.moments), NONE if history.first_ms is None else history.first_ms, np.int64)
        seen = np.append(np.flatnonzero(history.observed_ms), NONE // history.step_ms)
        low = self._high - max(1, longest_ms // history.step_ms)
        begun = seen[np.searchsorted(seen[:-1], np.maximum(low, 0))]
        return np.where(begun < self._high, history.since_ms + begun * history.step_ms, NONE)

    def of(self, window_ms: int, own: bool = False) -> Seen:
        """A window of a row, or with `own` the objective's."""
        key = (window_ms, own)
        if key not in self._kept:
            size = self._objective.period_ms if own else None
            self._kept[key] = self.since(self.moments - window_ms, size)
        return self._kept[key]

    def since(self, begins: Ints, own_ms: int | None = None) -> Seen:
        """Windows that begin at these moments; of the objective's own `own_ms` is the whole period."""
        history, step = self._history, self._history.step_ms
        low, high = self._high - np.maximum(1, (self.moments - begins) // step), self._high
        if self._flags is None:
            expected = self.moments - np.minimum(self.moments, np.maximum(begins, self.first))
            events = _counted(history, self._bad.between(low, high), self._total.between(low, high))
        else:
            begun = np.where(self.first == NONE, high, (self.first - history.since_ms) // step)
            expected = np.maximum(0, high - np.maximum(low, begun)) * step
            events = (self._flags[0].between(low, high), self._flags[1].between(low, high))
        observed = np.asarray(self._observed.between(low, high), np.int64)
        return _seen(*self.counts(begins, own_ms), observed, np.asarray(expected, np.int64), events)

    def counts(self, begins: Ints, own_ms: int | None = None) -> tuple[Whole, Whole]:
        """Bad and total, as judgements count, of windows that begin at these moments."""
        if self._slices is not None:
            return self._in_slices(begins, own_ms)
        history, high = self._history, self._high
        spans = np.maximum(1, (self.moments - begins) // history.step_ms)
        bad, total = _counted(history, self._bad.between(high - spans, high), self._total.between(high - spans, high))
        if isinstance(self._objective.slices, Timeslices) and history.flags is not None:
            total = np.where(total > 0, spans if own_ms is None else max(1, own_ms // history.step_ms), 0)
        return bad, total

    def _in_slices(self, begins: Ints, own_ms: int | None) -> tuple[Whole, Whole]:
        slices, sums, rule = self._slices, self._sliced, self._objective.slices
        if slices is None or sums is None or rule is None:
            raise LookupError("the objective has no slices")
        high = (self.moments - slices.since_ms) // rule.slice_ms
        spans = np.maximum(1, (self.moments - begins) // rule.slice_ms)
        bad, busy = sums[0].between(high - spans, high), sums[1].between(high - spans, high)
        if isinstance(rule, RatioTimeslices):
            return bad, busy * RATIO_UNIT
        whole = spans if own_ms is None else np.full(len(spans), max(1, own_ms // rule.slice_ms))
        return bad, np.where(busy > 0, whole, 0)


def _seen(bad: Whole, total: Whole, observed: Ints, expected: Ints, events: tuple[Whole, Whole]) -> Seen:
    busy = np.asarray(total > 0, np.bool_)

    def exact(at: int) -> Fraction:
        return Fraction(int(bad[at]), int(total[at]))

    return Seen(_shares(bad, total, busy), busy, observed, expected, *events, exact)


def _shares(bad: Whole, total: Whole, busy: Bools) -> Floats:
    found = np.zeros(len(bad))
    try:
        found[busy] = bad[busy].astype(np.float64) / total[busy].astype(np.float64)
    except OverflowError:  # beyond every double
        found[busy] = [float(Fraction(int(b), int(t))) for b, t in zip(bad[busy], total[busy], strict=True)]
    return found


def _counted(history: History, bad: Whole, total: Whole) -> tuple[Whole, Whole]:
    """Windows in whole events: bad ones from good ones where these are counted, rounded once."""
    if history.good:
        bad = np.maximum(0, total - bad)
    return (bad, total) if history.events == 1 else (_rounded(bad, history.events), _rounded(total, history.events))


def _rounded(values: Whole, unit: int) -> Whole:
    """The quotients, half to even."""
    whole, rest = values // unit, values % unit
    twice = 2 * rest
    up = (twice > unit) | ((twice == unit) & (whole % 2 == 1))
    found: Whole = whole + up
    return found


class Judged(NamedTuple):
    """Slices: what each spent, and whether it had traffic; the first begins at `since_ms`."""

    since_ms: int
    bad: Ints
    total: Ints


def sliced(history: History, rule: Timeslices | RatioTimeslices, indicator: Indicator) -> Judged:
    """Slices of the steps, whose length theirs is a multiple of; they end at multiples of their own length.

    One of which less than 90 % was observed is neither good nor bad, nor is one that ends within five minutes which
    are kept as one.
    """
    per = rule.slice_ms // history.step_ms
    skip = -(history.since_ms // history.step_ms) % per
    n = max(0, (len(history.bad) - skip) // per)

    def folded(values: Whole) -> Whole:
        found: Whole = values[skip : skip + n * per].reshape(n, per).sum(axis=1)
        return found

    bad, total = _counted(history, folded(history.bad), folded(history.total))
    observed = folded(history.observed_ms)
    begins = history.since_ms + skip * history.step_ms + rule.slice_ms * np.arange(n)
    ends = begins + rule.slice_ms
    first = NONE if history.first_ms is None else history.first_ms
    expected = np.maximum(0, ends - np.maximum(begins, first))
    measured = (observed > 0) & (observed * 10 >= expected * 9) & (total > 0)
    blind = _within_five(begins, history.coarse_ms) | _within_five(ends, history.coarse_ms)
    measured &= ~blind
    spent = np.zeros(n, np.int64)
    for at in np.flatnonzero(measured & (bad > 0)).tolist():
        spent[at] = badness(rule, part_of(indicator, int(bad[at]), int(total[at])))
    if history.judged is not None and n:
        place = (history.judged[:, 0] - int(ends[0])) // rule.slice_ms
        inside = (place >= 0) & (place < n)
        mine = inside & blind[np.where(inside, place, 0)]
        spent[place[mine]], measured[place[mine]] = history.judged[mine, 1], history.judged[mine, 2] > 0
    return Judged(int(begins[0]) if n else history.since_ms, spent, measured.astype(np.int64))


def part_of(indicator: Indicator, bad: int, total: int) -> Slice:
    """What a slice counted; of an allowance the events in `per_ms`, of which a target of 0.9 allows a tenth of one."""
    if isinstance(indicator, Allowance):
        return Slice(bad * indicator.per_ms, total)
    return Slice(min(bad, total), total)


def _within_five(edges: Ints, coarse_ms: int) -> Bools:
    return np.asarray((edges < coarse_ms) & (edges % FIVE_MS != 0), np.bool_)

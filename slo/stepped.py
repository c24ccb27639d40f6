"""Counts of an objective over history, and of every window that ends at the moments at which it is judged.

Counts come as one element per step. What judging says of one moment is computed of all moments at once: a share is
compared as a double, and as an exact fraction wherever doubles are too near to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slo.burn import Policy
from slo.model import Objective
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices
from slo.stepped_history import NONE, Bools, Floats, History, Ints, Whole, counted
from slo.stepped_slices import Judged, sliced
from slo.stepped_taken import Around

_NEAR = 1e-9
_SAFE = 2**62


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
    taken_ms: Ints
    """Time that is taken out."""

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
        return Seen(
            *rest, self.bad_events[at:], self.all_events[at:], lambda place: self.exact(place + at), self.taken_ms[at:]
        )

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
            np.concatenate([it.taken_ms for it in parts]),
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
        self._longest_ms, taken = longest_ms, history.taken
        self._around = None if taken is None else Around(taken, history.since_ms, history.step_ms, len(history.bad))
        counted = history if self._around is None else _without(history, self._around.taken)
        self._bad, self._total = Sums(counted.bad), Sums(counted.total)
        self._observed = Sums(counted.observed_ms)
        self._flags = None if counted.flags is None else tuple(map(Sums, counted.flags))
        self._high = (moments - history.since_ms) // history.step_ms
        self._slices: Judged | None = None
        self._sliced: tuple[Sums, Sums] | None = None
        self._around_slices: Around | None = None
        if objective.slices is not None and history.flags is None:
            self._begin_slices(counted, objective.slices)
        self.first = self._firsts(longest_ms)
        self.paused = np.zeros(len(moments), np.bool_) if taken is None else taken.paused(moments)
        self._kept: dict[tuple[int, bool], Seen] = {}

    def _begin_slices(self, counted: History, rule: Timeslices | RatioTimeslices) -> None:
        self._slices = found = sliced(counted, rule, self._objective.indicator)
        if counted.taken is not None:
            self._around_slices = around = Around(counted.taken, found.since_ms, rule.slice_ms, len(found.bad))
            found = Judged(found.since_ms, *(np.where(around.taken, 0, it) for it in found[1:]))
        self._sliced = Sums(found.bad), Sums(found.total)

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
        """A window of a row, which reaches back around what is taken out, or with `own` the objective's."""
        key = (window_ms, own)
        if key not in self._kept:
            size = self._objective.period_ms if own else None
            self._kept[key] = self.since(self.moments - window_ms, size, reach=not own)
        return self._kept[key]

    def since(self, begins: Ints, own_ms: int | None = None, *, reach: bool = False) -> Seen:
        """Windows that begin at these moments; of the objective's own `own_ms` is the whole period."""
        history, step, high = self._history, self._history.step_ms, self._high
        low = self._low(begins, reach)
        if self._flags is None:
            reached = history.since_ms + low * step if reach and self._around is not None else begins
            known = np.minimum(self.moments, np.maximum(reached, self.first))
            taken_ms = self._nothing() if self._around is None else self._around.ms(known, self.moments)
            expected = self.moments - known - taken_ms
            events = counted(history, self._bad.between(low, high), self._total.between(low, high))
        else:
            begun = np.where(self.first == NONE, high, (self.first - history.since_ms) // step)
            known = np.minimum(high, np.maximum(low, begun))
            taken_ms = self._nothing() if self._around is None else self._around.steps(known, high) * step
            expected = (high - known) * step - taken_ms
            events = (self._flags[0].between(low, high), self._flags[1].between(low, high))
        observed = np.asarray(self._observed.between(low, high), np.int64)
        counts = self.counts(begins, own_ms, low=low, reach=reach)
        return _seen(*counts, observed, np.asarray(expected, np.int64), events, taken_ms)

    def _nothing(self) -> Ints:
        return np.zeros(len(self.moments), np.int64)

    def _low(self, begins: Ints, reach: bool) -> Ints:
        step, high = self._history.step_ms, self._high
        if self._by_the_calendar(reach):
            return np.asarray((begins - self._history.since_ms) // step, np.int64)
        spans = np.maximum(1, (self.moments - begins) // step)
        if self._around is None or not reach:
            return np.asarray(high - spans, np.int64)
        return self._around.low(high, spans, max(1, self._longest_ms // step))

    def _by_the_calendar(self, reach: bool) -> bool:
        """Of a calendar's period there is each slice that ends within it, as `slo.taken.first_of` has it."""
        return not reach and self._objective.calendar is not None

    def counts(
        self, begins: Ints, own_ms: int | None = None, *, low: Ints | None = None, reach: bool = False
    ) -> tuple[Whole, Whole]:
        """Bad and total, as judgements count, of windows that begin at these moments."""
        if self._slices is not None:
            return self._in_slices(begins, own_ms, reach)
        history, high = self._history, self._high
        low = self._low(begins, reach) if low is None else low
        bad, total = counted(history, self._bad.between(low, high), self._total.between(low, high))
        if isinstance(self._objective.slices, Timeslices) and history.flags is not None:
            size = (
                (high - low if not reach else self._spans(low, high))
                if own_ms is None
                else np.full(len(high), max(1, own_ms // history.step_ms))
            )
            total = np.where(total > 0, _counting(self._around, low, high, size), 0)
        return bad, total

    def _spans(self, low: Ints, high: Ints) -> Ints:
        return high - low if self._around is None else high - low - self._around.steps(low, high)

    def _in_slices(self, begins: Ints, own_ms: int | None, reach: bool) -> tuple[Whole, Whole]:
        slices, sums, rule = self._slices, self._sliced, self._objective.slices
        if slices is None or sums is None or rule is None:
            raise LookupError("the objective has no slices")
        around, high = self._around_slices, (self.moments - slices.since_ms) // rule.slice_ms
        spans = np.maximum(1, (self.moments - begins) // rule.slice_ms)
        low = high - spans
        if self._by_the_calendar(reach):
            low = (begins - slices.since_ms) // rule.slice_ms
        if around is not None and reach:
            low = around.low(high, spans, max(1, self._longest_ms // rule.slice_ms))
        bad, busy = sums[0].between(low, high), sums[1].between(low, high)
        if isinstance(rule, RatioTimeslices):
            return bad, busy * RATIO_UNIT
        whole = spans if own_ms is None else np.full(len(spans), max(1, own_ms // rule.slice_ms))
        return bad, np.where(busy > 0, _counting(around, low, high, whole), 0)


def _counting(around: Around | None, low: Ints, high: Ints, size: Ints) -> Ints:
    """How many of the `size` slices of windows from `low` on count; of one that reaches back all do."""
    if around is None:
        return size
    return np.where(low + size < high, size, size - around.steps(low, low + size))


def _without(history: History, taken: Bools) -> History:
    """The history of which nothing is counted in these steps."""

    bad, total = (np.where(taken, 0, it) for it in (history.bad, history.total))
    flags = None if history.flags is None else tuple(np.where(taken, 0, it) for it in history.flags)
    observed = np.where(taken, 0, history.observed_ms)
    return replace(history, bad=bad, total=total, observed_ms=observed, flags=flags)  # type: ignore[arg-type]


def _seen(
    bad: Whole, total: Whole, observed: Ints, expected: Ints, events: tuple[Whole, Whole], taken_ms: Ints
) -> Seen:
    busy = np.asarray(total > 0, np.bool_)

    def exact(at: int) -> Fraction:
        return Fraction(int(bad[at]), int(total[at]))

    return Seen(_shares(bad, total, busy), busy, observed, expected, *events, exact, taken_ms)


def _shares(bad: Whole, total: Whole, busy: Bools) -> Floats:
    found = np.zeros(len(bad))
    try:
        found[busy] = bad[busy].astype(np.float64) / total[busy].astype(np.float64)
    except OverflowError:  # beyond every double
        found[busy] = [float(Fraction(int(b), int(t))) for b, t in zip(bad[busy], total[busy], strict=True)]
    return found

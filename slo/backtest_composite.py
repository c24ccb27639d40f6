"""Windows of composites at every moment at once: the weighted sum of their members' burns, or of Timeslices' costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from slo.composite import Member, composite_burn, costs, payers
from slo.model import Objective
from slo.slices import Timeslices
from slo.stepped import Seen, Sums, Windows
from slo.stepped_history import Floats, Ints


class Together:
    """Windows of a composite: the weighted sum of its members' burns, as `slo.composite.judge_composite` has it."""

    def __init__(self, objective: Objective, members: Sequence[tuple[Objective, Windows]]) -> None:
        self._weights = [weight for _, weight in objective.members]
        self._members, self._period_ms = members, objective.period_ms
        self._costs = _Costs(objective.slices, members, self._weights) if _union(objective) else None
        self.moments = members[0][1].moments
        firsts = np.stack([it.first for _, it in members])
        self.first: Ints = firsts.max(axis=0)  # NONE where any has none
        self.paused = np.logical_or.reduce([it.paused for _, it in members])
        self._kept: dict[tuple[int, bool], Seen] = {}

    def of(self, window_ms: int, own: bool = False) -> Seen:
        """A window of a row, or with `own` the objective's."""
        if (window_ms, own) not in self._kept:
            found = [it.of(window_ms, own) for _, it in self._members]
            self._kept[window_ms, own] = (
                self._sum(found, None if own else window_ms)
                if self._costs is None
                else self._costs.of(found, self._costs.low(window_ms), self._period_ms if own else None)
            )
        return self._kept[window_ms, own]

    def since(self, begins: Ints, own_ms: int | None = None) -> Seen:
        """Windows that begin at these moments."""
        found = [it.since(begins, own_ms) for _, it in self._members]
        if self._costs is None:
            return self._sum(found, None)
        return self._costs.of(found, self._costs.within(begins), own_ms)

    def _sum(self, found: Sequence[Seen], window_ms: int | None) -> Seen:
        budgets = [of.budget for of, _ in self._members]
        young = [window_ms is not None and not isinstance(of.slices, Timeslices) for of, _ in self._members]
        share = np.zeros(len(self.moments))
        for it, weight, budget, scaled in zip(found, self._weights, budgets, young, strict=True):
            share += it.share * float(weight / budget) * (_scale(it, window_ms) if scaled and window_ms else 1.0)

        def exact(at: int) -> Fraction:
            burns = []
            for it, weight, budget, scaled in zip(found, self._weights, budgets, young, strict=True):
                part = Fraction(min(int(it.expected[at]), window_ms), window_ms) if scaled and window_ms else 1
                burns.append(Member(it.exact(at) / budget * part if it.busy[at] else None, weight))
            return composite_burn(burns) or Fraction(0)

        return _common(found)._replace(share=share, exact=exact)


class _Costs:
    """What slices that are bad for any member cost together, over any window."""

    def __init__(self, rule: object, members: Sequence[tuple[Objective, Windows]], weights: Sequence[Fraction]) -> None:
        if not isinstance(rule, Timeslices):
            raise LookupError("the composite is of no slices")
        self._slice_ms = rule.slice_ms
        marks = [it.marks() for _, it in members]
        self._since_ms = min(since for since, _ in marks)
        until = max(since + len(bad) * rule.slice_ms for since, bad in marks)
        aligned = [np.zeros((until - self._since_ms) // rule.slice_ms, np.bool_) for _ in marks]
        for column, (since, bad) in zip(aligned, marks, strict=True):
            at = (since - self._since_ms) // rule.slice_ms
            column[at : at + len(bad)] = bad
        self._high = (members[0][1].moments - self._since_ms) // rule.slice_ms
        prices = costs([of for of, _ in members], weights)
        self._unit = math.lcm(*(it.denominator for it in prices))
        whole = np.array([0, *(int(it * self._unit) for it in prices)], object)
        self._sums = Sums(whole[payers(aligned, prices)])

    def low(self, window_ms: int) -> Ints:
        """The first slices of windows that end at each moment."""
        low: Ints = self._high - max(1, window_ms // self._slice_ms)
        return low

    def within(self, begins: Ints) -> Ints:
        """The first slices that end after these moments."""
        return np.asarray((begins - self._since_ms) // self._slice_ms, np.int64)

    def of(self, found: Sequence[Seen], low: Ints, own_ms: int | None) -> Seen:
        """Windows from these slices on, from the members' own; `own_ms` as in Windows."""
        cost = self._sums.between(low, self._high)
        size = self._high - low if own_ms is None else np.full(len(low), own_ms // self._slice_ms)
        slices = np.maximum(1, size)

        def exact(at: int) -> Fraction:
            return Fraction(int(cost[at]), self._unit * int(slices[at]))

        seen = _common(found)
        share = cost.astype(np.float64) / self._unit / slices
        return seen._replace(share=np.where(seen.busy, share, 0.0), exact=exact)


def _union(objective: Objective) -> bool:
    return isinstance(objective.slices, Timeslices)


def _common(found: Sequence[Seen]) -> Seen:
    """Coverage and events of all members' windows: those of the one that is covered least."""
    cover = np.stack([np.where(it.expected > 0, it.observed / np.maximum(it.expected, 1), -1.0) for it in found])
    least, at = cover.argmin(axis=0), np.arange(cover.shape[1])
    return Seen(
        found[0].share,
        np.logical_or.reduce([it.busy for it in found]),
        np.stack([it.observed for it in found])[least, at],
        np.stack([it.expected for it in found])[least, at],
        np.sum([it.bad_events for it in found], axis=0),
        np.sum([it.all_events for it in found], axis=0),
        found[0].exact,
        np.stack([it.taken_ms for it in found])[least, at],
    )


def _scale(it: Seen, window_ms: int) -> Floats:
    return np.minimum(it.expected, window_ms) / float(window_ms)

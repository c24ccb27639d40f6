"""What adjustments take out of histories: steps that count nothing, and how far windows reach back around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Taken:
    """Times `(since, until]` in rows, ascending and disjoint: in whole slices of the objective, and as they were asked
    for."""

    times: Ints
    asked: Ints

    def paused(self, moments: Ints) -> Bools:
        """The moments that are taken out themselves."""
        found = np.zeros(len(moments), np.bool_)
        for since, until in self.asked.tolist():
            found |= (moments > since) & (moments <= until)
        return found


class Around:
    """A grid of steps, some of which are taken out: those that lie within a time as a whole."""

    def __init__(self, taken: Taken, since_ms: int, step_ms: int, steps: int) -> None:
        self._since_ms, self._step_ms = since_ms, step_ms
        firsts = -((since_ms - taken.times[:, 0]) // step_ms)
        untils = (taken.times[:, 1] - since_ms) // step_ms
        self._places = [(a, b) for a, b in zip(firsts.tolist(), untils.tolist(), strict=True) if a < b]
        self.taken = np.zeros(steps, np.bool_)
        for first, until in self._places:
            self.taken[max(0, first) : max(0, until)] = True
        self._counting = np.concatenate([[0], np.cumsum(~self.taken)])

    def low(self, high: Ints, spans: Ints, longest: int) -> Ints:
        """Where the last so many steps that count begin, at most `longest` steps before `high`."""
        left = self._counting[np.clip(high, 0, len(self.taken))] - spans
        found = np.where(left < 0, left, np.searchsorted(self._counting, left, side="right") - 1)
        return np.asarray(np.maximum(found, high - longest), np.int64)

    def steps(self, low: Ints, high: Ints) -> Ints:
        """How many steps are taken out from `low` to `high`, which is not among them; also of those still to come."""
        found = np.zeros(len(low), np.int64)
        for first, until in self._places:
            found += np.maximum(0, np.minimum(high, until) - np.maximum(low, first))
        return found

    def ms(self, since_ms: Ints, until_ms: Ints) -> Ints:
        """How much time of `(since, until]` is taken out."""
        found = np.zeros(len(since_ms), np.int64)
        for first, until in self._places:
            begin, end = (self._since_ms + it * self._step_ms for it in (first, until))
            found += np.maximum(0, np.minimum(until_ms, end) - np.maximum(since_ms, begin))
        return found

"""The true end of a rolling budget: old slices leave the window while new events come, and give back what they spent.

`slo/budget.py` has the closed formulas, which hold where nothing bad leaves meanwhile (a clean tail). Here the window
is stepped forward over what it held at its begin, until bad >= budget x total.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from slo.model import Counts


class Leaving(NamedTuple):
    """What the window held at its begin: so many milliseconds of it, and the events of these."""

    ms: int
    bad: int
    total: int


def gone_in_ms(
    own: Counts, budget: Fraction, rate: Fraction, window_ms: int, tail: Sequence[Leaving], *, whole: bool = False
) -> Fraction | None:
    """Milliseconds until the budget of a rolling window is gone at burn `rate`; None where the tail ends before.

    New events come at the window's mean traffic, old ones leave as they came, evenly within a step. `whole`: the total
    is that of the whole window already and stays so, as that of Timeslices does. Integers until the last division.
    """
    books = _Books.of(own, budget, rate, window_ms, whole)
    at_ms, left = 0, books.left(0, 0, 0)
    bad = total = 0
    for step in tail:
        bad, total = bad + step.bad, total + step.total
        after = books.left(at_ms + step.ms, bad, total)
        if after <= 0 < left:
            return at_ms + Fraction(step.ms * left, left - after)
        at_ms, left = at_ms + step.ms, after
    return None


class _Books(NamedTuple):
    """What is left after so many milliseconds, times a positive whole number: a x t + b x left(t) of the rest."""

    start: int
    per_ms: int
    per_bad: int
    per_total: int

    @classmethod
    def of(cls, own: Counts, budget: Fraction, rate: Fraction, window_ms: int, whole: bool) -> _Books:
        """budget x total(t) - bad(t), with every denominator multiplied away.

        total(t) = total + total / H x t - what left, or the total as it stands; bad(t) = bad + rate x budget x
        total / H x t - what left. H is the time that was observed, of a whole total the window.
        """
        history_ms = window_ms if whole else own.expected_ms
        unit = budget.denominator * rate.denominator * history_ms
        per_event = budget.numerator * rate.denominator * history_ms
        grows = 0 if whole else budget.numerator * rate.denominator * own.total
        spends = rate.numerator * budget.numerator * own.total
        return cls(per_event * own.total - unit * own.bad, grows - spends, unit, 0 if whole else per_event)

    def left(self, at_ms: int, bad: int, total: int) -> int:
        """After `bad` and `total` have left."""
        return self.start + self.per_ms * at_ms + self.per_bad * bad - self.per_total * total

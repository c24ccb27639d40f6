"""OpenSLO's budgeting methods: what counts as bad, and of how many; exact, and never a mean of unequal things.

Source: OpenSLO v1, `budgetingMethod`. Occurrences: the sum of good over the sum of total. Timeslices: bad slices over
the slices of the whole period. RatioTimeslices: the mean of the slices' ratios, each slice alike.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple


class Slice(NamedTuple):
    """What one measured slice of time counted; with a total of 0 there was no traffic."""

    bad: int
    total: int


@dataclass(frozen=True)
class Occurrences:
    """Every event counts alike."""


@dataclass(frozen=True)
class Timeslices:
    """A slice is good where its good share reaches `target`."""

    target: Fraction
    slice_ms: int


@dataclass(frozen=True)
class RatioTimeslices:
    """Every slice's ratio counts alike, whatever its traffic."""

    slice_ms: int


Method = Occurrences | Timeslices | RatioTimeslices


RATIO_UNIT = 10**12
"""A slice's ratio is an integer of these parts, rounded half to even once; from there on sums are exact."""


def badness(method: Timeslices | RatioTimeslices, part: Slice) -> int:
    """What one slice with traffic spends: 1 or 0 of itself, or of its ratio the parts of RATIO_UNIT."""
    if isinstance(method, Timeslices):
        return int(not _good(part, method.target))
    return round(Fraction(part.bad * RATIO_UNIT, part.total))


class Spent(NamedTuple):
    """What of a window was bad; slices without traffic and slices that nobody measured are told apart."""

    bad: Fraction
    total: int
    idle: int = 0
    unmeasured: int = 0

    @property
    def sli(self) -> Fraction | None:
        """The good share, None where nothing counts."""
        return None if self.total <= 0 else 1 - self.bad / self.total

    def burn(self, budget: Fraction) -> Fraction | None:
        """How many times faster than allowed the budget burns; None where nothing counts."""
        return None if self.total <= 0 else self.bad / self.total / budget


def spent(method: Method, slices: Iterable[Slice | None], expected: int) -> Spent:
    """What the slices of a window spent; None is a slice that nobody measured.

    `expected` is the number of slices of the whole window, by which Timeslices divides from the first minute on, so
    that what is spent never falls before the window moves.
    """
    known = list(slices)
    seen = [it for it in known if it is not None]
    busy = [it for it in seen if it.total > 0]
    idle, unmeasured = len(seen) - len(busy), len(known) - len(seen)
    match method:
        case Occurrences():
            return Spent(Fraction(sum(it.bad for it in busy)), sum(it.total for it in busy), idle, unmeasured)
        case Timeslices(target):
            bad = sum(not _good(it, target) for it in busy)
            return Spent(Fraction(bad), expected if busy else 0, idle, unmeasured)
        case RatioTimeslices():
            return Spent(_sum_of_ratios(busy), len(busy), idle, unmeasured)


def _good(part: Slice, target: Fraction) -> bool:
    return (part.total - part.bad) * target.denominator >= target.numerator * part.total


def _sum_of_ratios(busy: Iterable[Slice]) -> Fraction:
    """Sum of bad / total; slices of one total are added as integers first."""
    by_total: defaultdict[int, int] = defaultdict(int)
    for it in busy:
        by_total[it.total] += it.bad
    parts = [Fraction(bad, total) for total, bad in by_total.items()]
    while len(parts) > 1:  # in pairs: denominators stay small for long
        parts = [sum(parts[index : index + 2], Fraction(0)) for index in range(0, len(parts), 2)]
    return parts[0] if parts else Fraction(0)


def holds(value: float, op: Literal["lt", "lte", "gt", "gte"], limit: Fraction) -> bool | None:
    """Whether a sample satisfies a threshold; None where it is no number.

    A sample is a double: it is compared with the double nearest to the limit, so that a sample that was sent as `0.1`
    is at a limit of 0.1.
    """
    if math.isnan(value):
        return None
    bound = float(limit)
    match op:
        case "lt":
            return value < bound
        case "lte":
            return value <= bound
        case "gt":
            return value > bound
        case "gte":
            return value >= bound

"""A second implementation of slices and composites: slice by slice, from `Naive`, with nothing kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from slo.model import Allowance, Objective
from slo.slices import RatioTimeslices, Timeslices
from tests.service.naive import Naive

Answered = Mapping[str, Mapping[int, list[float]]]
"""What queries answer, by query and moment."""
UNIT = 10**12


def ends(of: Objective, window_ms: int, until: int) -> list[int]:
    """The ends of the slices of a window that ends now."""
    assert of.slices is not None
    slice_ms = of.slices.slice_ms
    last = until - until % slice_ms
    if of.calendar is not None and window_ms == of.window_ms:
        return [end for end in range(last, last - window_ms, -slice_ms) if until - window_ms < end]
    return [last - at * slice_ms for at in range(max(1, window_ms // slice_ms))]


def missed(naive: Naive, answered: Answered, of: Objective, end: int) -> Fraction | None:
    """The bad share of one slice; None without traffic, or where it was not measured."""
    assert of.slices is not None
    if of.query is not None:
        shares = [Fraction(1 - it) for it in answered.get(of.query.part, {}).get(end, [])]
        return sum(shares, Fraction(0)) / len(shares) if shares else None
    found = naive.counts(of.indicator, end - of.slices.slice_ms, end)
    if found.observed_ms == 0 or 10 * found.observed_ms < 9 * found.expected_ms or found.total <= 0:
        return None
    if isinstance(of.indicator, Allowance):
        return Fraction(found.bad * of.indicator.per_ms, found.total)
    return Fraction(min(found.bad, found.total), found.total)


def sliced(naive: Naive, answered: Answered, of: Objective, window_ms: int, until: int) -> tuple[int, int]:
    """(bad, total) of a window, in slices or in parts of their ratios."""
    shares = [missed(naive, answered, of, end) for end in ends(of, window_ms, until)]
    busy = [it for it in shares if it is not None]
    if isinstance(of.slices, Timeslices):
        slices = max(1, (of.period_ms if window_ms == of.window_ms else window_ms) // of.slices.slice_ms)
        return sum(1 - it < of.slices.target for it in busy), slices if busy else 0
    return sum(round(it * UNIT) for it in busy), len(busy) * UNIT


def counted(naive: Naive, answered: Answered, of: Objective, window_ms: int, until: int) -> tuple[int, int]:
    """(bad, total) of a window by whatever method the objective has."""
    if of.slices is not None:
        return sliced(naive, answered, of, window_ms, until)
    found = naive.counts(of.indicator, until - window_ms, until)
    return found.bad, found.total


def together(
    naive: Naive, answered: Answered, members: Sequence[tuple[Objective, Fraction]], window_ms: int, until: int
) -> tuple[Fraction | None, Fraction | None]:
    """(burn, SLI) of a composite over a window; None where no member had traffic, and where there is no SLI."""
    first = members[0][0]
    if isinstance(first.slices, Timeslices):
        return _slices_together(naive, answered, members, window_ms, until)
    parts = [(of, weight, *counted(naive, answered, of, window_ms, until)) for of, weight in members]
    busy = [it for it in parts if it[3] > 0]
    if not busy:
        return None, None
    burn = sum((weight * Fraction(bad, total) / of.budget for of, weight, bad, total in busy), Fraction(0))
    if not isinstance(first.slices, RatioTimeslices):
        return burn, None
    return burn, 1 - sum((weight * Fraction(bad, total) for _, weight, bad, total in busy), Fraction(0))


def _slices_together(
    naive: Naive, answered: Answered, members: Sequence[tuple[Objective, Fraction]], window_ms: int, until: int
) -> tuple[Fraction | None, Fraction | None]:
    first = members[0][0]
    assert isinstance(first.slices, Timeslices)
    slices = max(1, (first.period_ms if window_ms == first.window_ms else window_ms) // first.slices.slice_ms)
    spent, bad, busy = Fraction(0), 0, False
    for end in ends(first, window_ms, until):
        prices = []
        for of, weight in members:
            share = missed(naive, answered, of, end)
            busy = busy or share is not None
            if share is not None and isinstance(of.slices, Timeslices) and 1 - share < of.slices.target:
                prices.append(weight / of.budget)
        spent += max(prices, default=Fraction(0))
        bad += bool(prices)
    return (spent / slices, 1 - Fraction(bad, slices)) if busy else (None, None)

"""The burn-down of a budget: what was left at the end of each step, from the first sample on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from slo.burn import DEFAULT, Policy, covered
from slo.model import Counts
from slo.text import utc


class BurnDownPoint(NamedTuple):
    """The budget left at the end of one step; None where the step was not measured."""

    at_ms: int
    remaining: Fraction | None


@dataclass(frozen=True)
class BurnDown:
    """A burn-down: points in time order, where history begins, and a sentence that says so."""

    points: tuple[BurnDownPoint, ...]
    since_ms: int | None
    note: str


def burn_down(
    steps: Sequence[Counts], budget: Fraction, policy: Policy = DEFAULT, total: int | None = None
) -> BurnDown:
    """The burn-down over contiguous steps, ascending, that make up the objective's window.

    The budget is `budget` x the total of all steps, or `total` where that is known beforehand, so that the last point
    is the budget that the judgement of the same window shows. Steps before the first sample are left out: history is
    not made up.
    """
    first_ms = next((step.first_ms for step in steps if step.first_ms is not None), None)
    if first_ms is None:
        return BurnDown((), None, "No sample has been seen yet.")
    seen = [step for step in steps if step.until_ms > first_ms]
    allowed = budget * (sum(step.total for step in seen) if total is None else total)
    points, bad = [], 0
    for step in seen:
        bad += step.bad
        known = allowed > 0 and covered(step, policy)
        points.append(BurnDownPoint(step.until_ms, 1 - bad / allowed if known else None))
    return BurnDown(tuple(points), first_ms, _note(first_ms, steps[0].since_ms))


def _note(first_ms: int, since_ms: int) -> str:
    if first_ms > since_ms:
        return f"History begins at {utc(first_ms)}, with the first sample."
    return f"The whole window since {utc(since_ms)}."

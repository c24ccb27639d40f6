"""Burn-rate rows against counts, in three values: fires, does not fire, can't be known."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from slo.budget import burn
from slo.model import BurnRow, Counts, Objective, RowResult
from slo.rows import HOUR_MS, WORKBOOK, WORKBOOK_MS, RowShare, burn_rows
from slo.slices import Timeslices

GROWING = frozenset({"gt", "gte"})
"""Comparisons of conditions that hold for any faster burn too."""
Totals = Literal["seen", "known", "window"]
"""What the totals of a window stand for: what was seen of it; of a composite, all that its members have a history of;
of Timeslices every slice of the window, seen or not."""


@dataclass(frozen=True)
class Policy:
    """How objectives are judged."""

    rows: tuple[RowShare, ...] = WORKBOOK
    made_for_ms: int = WORKBOOK_MS
    """The period that the rows' windows were made for."""
    coverage_floor: Fraction = Fraction(9, 10)
    """A window with less of its time observed is unmeasured."""
    coverage_grace_ms: int = 10_000
    """Time that may be missing without being a gap: the round under way, which has not arrived yet."""
    min_bad: int = 3
    """Bad events in the long window that a page needs; with fewer it is a ticket."""
    min_total: int = 0
    """Events in the long window that a page needs; with fewer it is a ticket."""
    projection_ms: int = 2 * HOUR_MS
    """The projection page fires where the budget is gone within this."""


DEFAULT = Policy()


def table_rows(window_ms: int, policy: Policy = DEFAULT) -> tuple[BurnRow, ...]:
    """The rows of the policy's table for a period."""
    return burn_rows(window_ms, policy.rows, policy.made_for_ms)


def rows_of(objective: Objective, policy: Policy = DEFAULT) -> tuple[BurnRow, ...]:
    """The burn rows of an objective: those of the table, then the conditions of its own alert policies."""
    return (*table_rows(objective.period_ms, policy), *objective.conditions)


def too_few(counts: Counts, policy: Policy = DEFAULT) -> bool:
    """True where the window has too few events for a page."""
    return counts.bad_events < policy.min_bad or counts.all_events < policy.min_total


def covered(counts: Counts, policy: Policy = DEFAULT) -> bool:
    """True where enough of the window was observed for its counts to be believed."""
    if counts.observed_ms <= 0 or counts.expected_ms <= 0:
        return False
    floor = policy.coverage_floor
    seen_ms = counts.observed_ms + policy.coverage_grace_ms
    return seen_ms * floor.denominator >= floor.numerator * counts.expected_ms


def totals_of(objective: Objective) -> Totals:
    """What the totals of an objective's windows stand for."""
    if isinstance(objective.slices, Timeslices):
        return "window"
    return "known" if objective.members else "seen"


def judge_row(
    row: BurnRow, long: Counts, short: Counts, budget: Fraction, policy: Policy = DEFAULT, *, totals: Totals = "seen"
) -> RowResult:
    """One row: it fires where both windows burn faster than its factor, strictly.

    A condition of a policy has one window, and fires by its own comparison.

    Either window at or below the factor settles it, whatever the other's coverage. `measured` is False where the row
    can't be known, which freezes its alert: coverage below the floor; or, for a page, no traffic in the short window
    while the long one burns, for silence proves no recovery. A long window with a gap is no such reason where what
    was seen of it burns enough though all that was not seen were good: the row fires then, in part.
    """
    fires = (
        _condition(row, long, budget, policy, totals)
        if row.op is not None
        else _both(
            _long_exceeds(long, budget, row, policy, totals),
            _short_exceeds(short, budget, row, policy),
        )
    )
    return RowResult(
        row=row,
        long_burn=burn(long, budget),
        short_burn=burn(short, budget),
        long_counts=long,
        short_counts=short,
        fired=fires is True,
        measured=fires is not None,
        guarded=fires is True and row.road == "page" and too_few(long, policy),
        in_part=fires is True and not covered(long, policy),
    )


def _condition(row: BurnRow, counts: Counts, budget: Fraction, policy: Policy, totals: Totals) -> bool | None:
    """With a gap only that it burns as fast can be known: by what was seen, all else taken for good."""
    rate, whole = burn(counts, budget), covered(counts, policy)
    if rate is None:
        return False if whole else None
    if not whole:
        stood_for: Totals = "window" if totals == "window" else "known"
        part = Fraction(*_part(counts, row.long_ms, stood_for, whole=False))
        return True if row.op in GROWING and _compared(row, rate * part) else None
    return _compared(row, rate)


def _compared(row: BurnRow, rate: Fraction) -> bool:
    match row.op:
        case "lt":
            return rate < row.factor
        case "lte":
            return rate <= row.factor
        case "gte":
            return rate >= row.factor
        case _:
            return rate > row.factor


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return True if left and right else None


def _long_exceeds(counts: Counts, budget: Fraction, row: BurnRow, policy: Policy, totals: Totals) -> bool | None:
    """Whether the long window burns faster than the row's factor.

    One that history does not fill yet, or that has a gap, is held against the traffic that the whole window would have
    at the observed pace: the row trips at the share of the budget that it names, not at minutes of it. With a gap only
    that it burns can be known.
    """
    whole = covered(counts, policy)
    burns = counts.total > 0 and _beyond(counts, budget, row.factor, *_part(counts, row.long_ms, totals, whole=whole))
    return True if burns else False if whole else None


def _part(counts: Counts, long_ms: int, totals: Totals, *, whole: bool) -> tuple[int, int]:
    """The part of the window that its totals stand for, as (ms, of so many ms)."""
    seen_ms = min(counts.observed_ms, counts.expected_ms)
    match totals:
        case "seen":
            return (counts.expected_ms if whole else seen_ms), long_ms
        case "known":
            return (1, 1) if whole else (seen_ms, max(1, counts.expected_ms))
        case _:
            return 1, 1


def _short_exceeds(counts: Counts, budget: Fraction, row: BurnRow, policy: Policy) -> bool | None:
    if not covered(counts, policy):
        return None
    if counts.total <= 0:
        return None if row.road == "page" else False
    return _beyond(counts, budget, row.factor, 1, 1)


def _beyond(counts: Counts, budget: Fraction, limit: Fraction, seen: int, whole: int) -> bool:
    left = counts.bad * seen * budget.denominator * limit.denominator
    return left > limit.numerator * counts.total * whole * budget.numerator

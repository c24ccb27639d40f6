"""Burn-rate rows against counts, in three values: fires, does not fire, can't be known."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from slo.budget import burn
from slo.model import BurnRow, Counts, Objective, RowResult
from slo.rows import HOUR_MS, WORKBOOK, WORKBOOK_MS, RowShare, burn_rows


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


def judge_row(
    row: BurnRow, long: Counts, short: Counts, budget: Fraction, policy: Policy = DEFAULT, *, whole: bool = False
) -> RowResult:
    """One row: it fires where both windows burn faster than its factor, strictly.

    `whole`: totals are those of whole windows already, however young the history is. A condition of a policy has one
    window, and fires by its own comparison.

    Either window at or below the factor settles it, whatever the other's coverage. `measured` is False where the row
    can't be known, which freezes its alert: coverage below the floor; or, for a page, no traffic in the short window
    while the long one burns, for silence proves no recovery.
    """
    fires = (
        _condition(row, long, budget, policy)
        if row.op is not None
        else _both(
            _exceeds(long, budget, row, policy, young=not whole, silent=False),
            _exceeds(short, budget, row, policy, young=False, silent=None if row.road == "page" else False),
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
    )


def _condition(row: BurnRow, counts: Counts, budget: Fraction, policy: Policy) -> bool | None:
    if not covered(counts, policy):
        return None
    rate = burn(counts, budget)
    if rate is None:
        return False
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


def _exceeds(
    counts: Counts, budget: Fraction, row: BurnRow, policy: Policy, *, young: bool, silent: bool | None
) -> bool | None:
    """Whether the window burns faster than the row's factor; `silent` is the answer without traffic.

    `young`: a long window that history does not fill yet is held against the traffic that the whole window would have
    at the observed pace, so that the row trips at the share of the budget that it names, not at minutes of it.
    """
    if not covered(counts, policy):
        return None
    if counts.total <= 0:
        return silent
    if not counts.bad:
        return False
    seen, whole = (counts.expected_ms, row.long_ms) if young else (1, 1)
    limit = row.factor
    left = counts.bad * seen * budget.denominator * limit.denominator
    return left > limit.numerator * counts.total * whole * budget.numerator

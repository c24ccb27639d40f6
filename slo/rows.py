"""Burn-rate rows: pairs of windows and the budget share at which they trip, scaled to the objective's own window.

Source: Google, The Site Reliability Workbook, chapter 5, table 5-8 and the expression under it, whose third row is the
one of a day. A row is stored by the share p of the budget that is gone when its long window L trips, and the factor is
derived, f = p x P / L, so that the shares hold for every period P.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Literal, NamedTuple

from slo.model import Allowance, BurnRow, Indicator, MinuteSlices
from slo.text import duration, number, percent

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WORKBOOK_MS = 30 * DAY_MS
"""The period for which the workbook's windows were made."""
UNSCALED_FROM_MS = 28 * DAY_MS
"""Shorter periods scale their windows by P / 30 d."""
SHORT_FLOOR_MS = 2 * MINUTE_MS
"""Two slices of a minute: a shorter window can't be told from one bad minute."""


class RowShare(NamedTuple):
    """One row as data: windows at 30 d, and the budget share at which it trips."""

    name: str
    long_ms: int
    short_ms: int
    share: Fraction
    road: Literal["page", "ticket"]
    factor: Fraction | None = None
    """A factor that stands for every period; None where it is derived from the share."""
    source: str = ""
    """Who says so, where the row is not of a table."""


class RowTable(NamedTuple):
    """Rows as someone published them, with where, and the period that their windows were made for."""

    name: str
    source: str
    period_ms: int
    rows: tuple[RowShare, ...]


WORKBOOK = (
    RowShare("fast", HOUR_MS, 5 * MINUTE_MS, Fraction(2, 100), "page"),
    RowShare("slow", 6 * HOUR_MS, 30 * MINUTE_MS, Fraction(5, 100), "page"),
    RowShare("ticket-1d", DAY_MS, 2 * HOUR_MS, Fraction(10, 100), "ticket"),
    RowShare("ticket-3d", 3 * DAY_MS, 6 * HOUR_MS, Fraction(10, 100), "ticket"),
)


TABLES = (
    RowTable(
        "workbook",
        "Google, The Site Reliability Workbook (2018), chapter 5, table 5-8 and the expression under it",
        WORKBOOK_MS,
        WORKBOOK,
    ),
    RowTable(
        "sloth-7d",
        "slok/sloth, examples/windows/7d.yaml",
        7 * DAY_MS,
        (
            RowShare("fast", HOUR_MS, 5 * MINUTE_MS, Fraction(8, 100), "page"),
            RowShare("slow", 6 * HOUR_MS, 30 * MINUTE_MS, Fraction(125, 1000), "page"),
            RowShare("ticket-1d", DAY_MS, 2 * HOUR_MS, Fraction(20, 100), "ticket"),
            RowShare("ticket-3d", 3 * DAY_MS, 6 * HOUR_MS, Fraction(42, 100), "ticket"),
        ),
    ),
    RowTable(
        "pyrra",
        "pyrra-dev/pyrra, the windows and factors of its generated rules at 28 d; factor = share x P / L",
        28 * DAY_MS,
        (
            RowShare("fast", HOUR_MS, 5 * MINUTE_MS, Fraction(14, 672), "page"),
            RowShare("slow", 6 * HOUR_MS, 30 * MINUTE_MS, Fraction(42, 672), "page"),
            RowShare("ticket-1d", DAY_MS, 2 * HOUR_MS, Fraction(48, 672), "ticket"),
            RowShare("ticket-4d", 4 * DAY_MS, 6 * HOUR_MS, Fraction(96, 672), "ticket"),
        ),
    ),
)
"""Tables by name; objectives are judged by the workbook's where none is set."""


@lru_cache(maxsize=1024)
def burn_rows(
    window_ms: int, shares: tuple[RowShare, ...] = WORKBOOK, made_for_ms: int = WORKBOOK_MS
) -> tuple[BurnRow, ...]:
    """The rows for a period of `window_ms`: as they are from 28/30 of the period that they were made for on.

    For a shorter period every window is scaled by P over that period, with a floor for the short ones.
    """
    unscaled = window_ms * WORKBOOK_MS >= made_for_ms * UNSCALED_FROM_MS
    scale = Fraction(1) if unscaled else Fraction(window_ms, made_for_ms)
    return tuple(_row(share, scale, window_ms) for share in shares)


def _row(share: RowShare, scale: Fraction, window_ms: int) -> BurnRow:
    short_ms = max(SHORT_FLOOR_MS, int(share.short_ms * scale))
    long_ms = max(short_ms, int(share.long_ms * scale))
    if share.factor is not None:
        spent = budget_share(share.factor, long_ms, window_ms)
        return BurnRow(share.name, long_ms, short_ms, spent, share.factor, share.road)
    return BurnRow(share.name, long_ms, short_ms, share.share, share.share * window_ms / long_ms, share.road)


def budget_share(factor: Fraction, long_ms: int, window_ms: int) -> Fraction:
    """The share of the budget that is gone when a long window trips at `factor`: f x L / P."""
    return factor * long_ms / window_ms


def lint(
    rows: Sequence[BurnRow],
    window_ms: int,
    budget: Fraction,
    indicator: Indicator | None = None,
    sample_ms: int = 0,
) -> list[str]:
    """What is wrong with rows for this budget: one that can't be reached, one that fires while on budget, ...

    An allowance has no upper end, so that its rows can always be reached: pass its indicator. A row whose short window
    holds less than two samples (slices, minutes) of `sample_ms` can't be told from one bad sample.
    """
    bounded = not isinstance(indicator, Allowance)
    least_ms = 2 * max(sample_ms, MINUTE_MS if isinstance(indicator, MinuteSlices) else 0)
    return [
        *(text for row in rows if bounded and (text := _unreachable(row, budget))),
        *(text for row in rows if (text := _below_pace(row))),
        *(text for row in rows if (text := _misnamed(row, window_ms))),
        *(text for row in rows if (text := _too_short(row, least_ms))),
    ]


def condition_lint(rows: Sequence[BurnRow], budget: Fraction, indicator: Indicator | None = None) -> list[str]:
    """Conditions of alert policies that ask for a higher burn than there can be."""
    if isinstance(indicator, Allowance):
        return []
    high = [it for it in rows if it.op == "gte" and it.factor * budget > 1]
    return [text for row in rows if row.op == "gt" and (text := _unreachable(row, budget))] + [
        f"row {it.name} can never fire: {number(it.factor)}x of a budget of {percent(budget)} is "
        f"{percent(it.factor * budget)} of all events; use a stricter target"
        for it in high
    ]


def guard_lint(rows: Sequence[BurnRow], sample_ms: int, min_bad: int) -> list[str]:
    """Rows that never page, where samples (slices, minutes) are what is counted: too few can be bad in them."""
    return [
        f"row {it.name} can't page and is a ticket: its {duration(it.long_ms)} hold fewer than {min_bad} slices of "
        f"{duration(sample_ms)}, and a page needs as many that are bad"
        for it in rows
        if it.road == "page" and it.long_ms < min_bad * sample_ms
    ]


def projection_lint(window_ms: int, budget: Fraction, within_ms: int = 2 * HOUR_MS) -> str | None:
    """Whether a whole budget outlasts the projection page's time even while everything fails: P x b > within."""
    least = window_ms * budget
    if least <= within_ms:
        return None
    return (
        f"even while everything fails a whole budget lasts {duration(int(least))}: the page for a budget that is gone "
        f"within {duration(within_ms)} needs one that is almost spent"
    )


def _unreachable(row: BurnRow, budget: Fraction) -> str | None:
    if row.factor * budget < 1:
        return None
    return (
        f"row {row.name} can never fire: {number(row.factor)}x of a budget of {percent(budget)} is "
        f"{percent(row.factor * budget)} of all events; use a stricter target"
    )


def _below_pace(row: BurnRow) -> str | None:
    if row.factor >= 1:
        return None
    return f"row {row.name} fires at {number(row.factor, 3)}x, while the objective is still on budget"


def _misnamed(row: BurnRow, window_ms: int) -> str | None:
    real = budget_share(row.factor, row.long_ms, window_ms)
    if real == row.budget_share:
        return None
    return f"row {row.name} trips at {percent(real)} of the budget, not at {percent(row.budget_share)}"


def _too_short(row: BurnRow, least_ms: int) -> str | None:
    if row.short_ms >= least_ms:
        return None
    return f"row {row.name} has a short window of {duration(row.short_ms)}, less than two slices"

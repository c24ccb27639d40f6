"""SLI, error budget and its exhaustion: exact arithmetic on counts, no clock, no rounding."""

from __future__ import annotations

from fractions import Fraction

from slo.model import Counts, Objective

_NONE = Fraction(0)


def sli(counts: Counts) -> Fraction | None:
    """Good over total events of the window, None without traffic; ratios of parts are never averaged."""
    return None if counts.total <= 0 else 1 - Fraction(counts.bad, counts.total)


def sli_of(objective: Objective, counts: Counts) -> Fraction | None:
    """The good share of an objective's counts; None where nothing counts, and where there is none by definition.

    An allowance has none, nor has a composite of Occurrences; that of slices has the share that its slices missed.
    """
    if objective.members:
        return None if counts.missed is None else 1 - counts.missed
    return None if objective.allowance else sli(counts)


def burn(counts: Counts, budget: Fraction) -> Fraction | None:
    """How many times faster than allowed the budget burns: (bad / total) / budget; None without traffic."""
    if counts.total <= 0:
        return None
    if not counts.bad:
        return _NONE
    return Fraction(counts.bad * budget.denominator, counts.total * budget.numerator)


def remaining(counts: Counts, budget: Fraction) -> Fraction | None:
    """1 - bad / (total x budget), signed and never clamped; None without traffic.

    While history is younger than the objective's window, the budget is that of the total observed so far and no more:
    a young objective has a small budget, which one early failure may spend.
    """
    rate = burn(counts, budget)
    return None if rate is None else 1 - rate


def exhausted_in_ms(left: Fraction, rate: Fraction, history_ms: int, window_ms: int) -> Fraction | None:
    """Milliseconds until the budget of a rolling window is gone at burn `rate`, None where it is gone or not falling.

    Constant traffic, and no bad events among what leaves the window meanwhile (a clean tail). With a full history H = P
    it is R x P / burn. A younger one still grows, and its budget with it: R x H / (burn - 1) while that ends before the
    window is full, and (P - (1 - R) x H) / burn after. A burn of 1 or less is what the objective allows for ever.

    Source: SRE Workbook, chapter 5; bad(t) = budget x total(t) solved for t. R x P / burn differs from the often shown
    P / burn, which is the time from a full budget.
    """
    if left <= 0 or rate <= 1:
        return None
    growing = left * history_ms / (rate - 1)
    if history_ms + growing <= window_ms:
        return growing
    return whole_window_gone_in_ms(left, rate, history_ms, window_ms)


def whole_window_gone_in_ms(left: Fraction, rate: Fraction, history_ms: int, window_ms: int) -> Fraction:
    """Milliseconds until the budget of the whole window, at the observed traffic, is gone: (P - (1 - R) x H) / burn."""
    return (window_ms - (1 - left) * history_ms) / rate


def exhausted_in_period_ms(left: Fraction, rate: Fraction, history_ms: int, rest_ms: int) -> Fraction | None:
    """Milliseconds until the budget to date of a calendar's period is gone at burn `rate`, None where it outlasts it.

    Nothing leaves a calendar's window: bad(t) = budget x total(t) at R x H / (burn - 1), with constant traffic and a
    history H within the period. `rest_ms` is what is left of the period.
    """
    if left <= 0 or rate <= 1:
        return None
    growing = left * history_ms / (rate - 1)
    return growing if growing <= rest_ms else None

"""SLI, budget and exhaustion against computed values and a naive second implementation."""

from __future__ import annotations

from decimal import Decimal, getcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget import burn, exhausted_in_ms, remaining, sli, whole_window_gone_in_ms
from tests.slo.support import DAY, HOUR, counts


def test_one_idle_slice_among_good_ones_is_no_nan() -> None:
    """sloth #531, #133, #231."""
    slices = [(0, 1)] * 287 + [(0, 0)]
    whole = counts(sum(bad for bad, _ in slices), sum(total for _, total in slices))
    assert sli(whole) == 1
    assert remaining(whole, Fraction(1, 1000)) == 1


def test_busy_slices_weigh_more_than_idle_ones() -> None:
    """sloth #241, #618, #332."""
    slices = [(0, 10)] * 287 + [(50_000, 100_000)]
    whole = counts(sum(bad for bad, _ in slices), sum(total for _, total in slices))
    assert round(100 * (1 - (sli(whole) or 0)), 3) == Fraction("48.605")


def test_without_traffic_there_is_no_sli_no_burn_and_no_budget() -> None:
    nothing = counts(0, 0)
    assert (sli(nothing), burn(nothing, Fraction(1, 100)), remaining(nothing, Fraction(1, 100))) == (None, None, None)


def test_a_budget_overspent_is_negative_and_not_clamped() -> None:
    assert remaining(counts(30, 1000), Fraction(1, 100)) == -2


def test_ten_requests_an_hour_and_one_failure_burn_a_hundred_fold() -> None:
    assert burn(counts(1, 10), Fraction(1, 1000)) == 100
    month = counts(1, 7200, 30 * DAY)
    assert round(100 * (1 - (remaining(month, Fraction(1, 1000)) or 0)), 1) == Fraction("13.9")


def test_a_quarter_left_at_the_fast_rows_burn_lasts_twelve_and_a_half_hours() -> None:
    assert exhausted_in_ms(Fraction(1, 4), Fraction("14.4"), 30 * DAY, 30 * DAY) == Fraction("12.5") * HOUR


@pytest.mark.parametrize(
    ("budget", "hours"), [("0.001", Fraction("0.72")), ("0.005", Fraction("3.6")), ("0.01", Fraction("7.2"))]
)
def test_a_full_outage_spends_a_whole_budget_in_its_share_of_the_window(budget: str, hours: Fraction) -> None:
    assert exhausted_in_ms(Fraction(1), 1 / Fraction(budget), 30 * DAY, 30 * DAY) == hours * HOUR


@pytest.mark.parametrize(("left", "rate"), [("0", "5"), ("-1", "5"), ("0.5", "1"), ("0.5", "0.3"), ("1", "0")])
def test_a_budget_that_is_gone_or_holds_has_no_end(left: str, rate: str) -> None:
    assert exhausted_in_ms(Fraction(left), Fraction(rate), 30 * DAY, 30 * DAY) is None


def test_a_young_budget_grows_with_its_history_while_it_burns() -> None:
    # An hour old, half left, burning threefold: bad(t) = budget x total(t) after a quarter of an hour.
    assert exhausted_in_ms(Fraction(1, 2), Fraction(3), HOUR, 30 * DAY) == HOUR // 4


def _stepped(left: Fraction, rate: Fraction, history: int, window: int, step: Fraction) -> Fraction:
    """Forward in small steps with one unit of allowed badness per unit of time: the naive way."""
    bad, span, at = (1 - left) * history, Fraction(history), Fraction(0)
    while bad < span:
        at += step
        bad += rate * step
        span = min(Fraction(window), span + step)
    return at


@given(
    left=st.fractions(Fraction(1, 50), 1, max_denominator=50),
    rate=st.fractions(Fraction(11, 10), 50, max_denominator=10),
    history=st.integers(1, 100),
)
def test_the_formula_agrees_with_stepping_forward(left: Fraction, rate: Fraction, history: int) -> None:
    found = exhausted_in_ms(left, rate, history, 100)
    assert found is not None
    step = found / 64
    stepped = _stepped(left, rate, history, 100, step)
    assert 0 <= stepped - found <= step


@given(
    left=st.fractions(Fraction(1, 50), 1, max_denominator=50),
    rate=st.fractions(Fraction(11, 10), 50, max_denominator=10),
    history=st.integers(1, 100),
)
def test_the_whole_windows_budget_never_ends_before_the_one_so_far(
    left: Fraction, rate: Fraction, history: int
) -> None:
    found = exhausted_in_ms(left, rate, history, 100)
    assert found is not None
    assert whole_window_gone_in_ms(left, rate, history, 100) >= found


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.integers(1, 999_999))
def test_budget_and_burn_agree_with_long_decimals(bad: int, total: int, allowed_ppm: int) -> None:
    getcontext().prec = 80
    budget = Decimal(allowed_ppm) / Decimal(1_000_000)
    naive = Decimal(bad) / (Decimal(total) * budget)
    exact = burn(counts(bad, total), Fraction(allowed_ppm, 1_000_000))
    left = remaining(counts(bad, total), Fraction(allowed_ppm, 1_000_000))
    assert exact is not None
    assert left == 1 - exact
    assert abs(Decimal(exact.numerator) / Decimal(exact.denominator) - naive) < Decimal(10) ** -30

"""The true end of a budget whose window drops old slices, against a window that is pushed forward by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget import exhausted_in_ms, remaining
from slo.model import Counts
from slo.tail import Leaving, gone_in_ms
from tests.slo.support import DAY, HOUR, NOW

MONTH = 30 * DAY
BUDGET = Fraction(1, 1000)


def _own(bad: int, total: int, history_ms: int = MONTH) -> Counts:
    return Counts(NOW - MONTH, NOW, bad, total, history_ms, history_ms, 0, NOW - history_ms)


def _clean(hours: int, total: int) -> list[Leaving]:
    return [Leaving(HOUR, 0, total)] * hours


def test_with_a_clean_tail_it_is_the_closed_formula() -> None:
    own = _own(540_000, 720_000_000)  # a quarter left
    found = gone_in_ms(own, BUDGET, Fraction("14.4"), MONTH, _clean(100, 1_000_000))
    assert found == exhausted_in_ms(Fraction(1, 4), Fraction("14.4"), MONTH, MONTH) == Fraction("12.5") * HOUR


def test_an_old_outage_that_leaves_gives_its_budget_back() -> None:
    own = _own(540_000, 720_000_000)
    tail = [Leaving(HOUR, 0, 1_000_000)] * 10 + [Leaving(HOUR, 144_000, 1_000_000)] + _clean(200, 1_000_000)
    found = gone_in_ms(own, BUDGET, Fraction("14.4"), MONTH, tail)
    # ten more hours of the present burn (14,400 an hour) are paid by the 144,000 that leave
    assert found == Fraction("22.5") * HOUR


def test_busy_hours_that_leave_take_their_budget_with_them() -> None:
    own = _own(540_000, 720_000_000)
    found = gone_in_ms(own, BUDGET, Fraction("14.4"), MONTH, _clean(100, 3_000_000))
    assert found is not None
    assert found < Fraction("12.5") * HOUR


def test_a_young_history_grows_and_nothing_leaves_it() -> None:
    own = _own(5, 10_000, HOUR)
    found = gone_in_ms(own, BUDGET, Fraction(3), MONTH, [Leaving(HOUR, 0, 0)] * 700)
    assert found == exhausted_in_ms(Fraction(1, 2), Fraction(3), HOUR, MONTH)


def test_the_total_of_whole_slices_stays() -> None:
    slices = MONTH // 60_000
    own = _own(slices // 2000, slices)
    clean = gone_in_ms(own, BUDGET, Fraction(10), MONTH, [Leaving(HOUR, 0, 0)] * 720, whole=True)
    left = remaining(own, BUDGET)
    assert left is not None
    assert clean == left * MONTH / 10
    tail = [Leaving(HOUR, 1, 60)] * 10 + [Leaving(HOUR, 0, 60)] * 710
    dirty = gone_in_ms(own, BUDGET, Fraction(10), MONTH, tail, whole=True)
    assert dirty is not None
    assert dirty > clean


def test_where_the_tail_ends_before_nothing_is_said() -> None:
    assert gone_in_ms(_own(0, 720_000_000), BUDGET, Fraction(2), MONTH, _clean(24, 1_000_000)) is None
    assert gone_in_ms(_own(0, 720_000_000), BUDGET, Fraction(2), MONTH, []) is None


hours = st.lists(
    st.tuples(st.integers(0, 50), st.integers(50, 2000)).map(lambda it: Leaving(HOUR, *it)), min_size=24, max_size=24
)


@given(hours, st.fractions(Fraction(11, 10), 500), st.fractions(Fraction(1, 100), Fraction(1, 2), max_denominator=100))
def test_at_the_end_the_budget_is_gone_and_was_not_before(
    tail: list[Leaving], rate: Fraction, budget: Fraction
) -> None:
    """The whole window is known, hour by hour: it is pushed to the end that was told, and to just before it."""
    bad, total = sum(it.bad for it in tail), sum(it.total for it in tail)
    own = Counts(NOW - DAY, NOW, bad, total, DAY, DAY, 0, NOW - 2 * DAY)
    found = gone_in_ms(own, budget, rate, DAY, tail)

    def left(at_ms: Fraction) -> Fraction:
        gone = [
            (it, min(Fraction(1), max(Fraction(0), (at_ms - index * HOUR) / HOUR))) for index, it in enumerate(tail)
        ]
        pace = Fraction(total, DAY)
        new_bad = bad + rate * budget * pace * at_ms - sum(it.bad * share for it, share in gone)
        return budget * (total + pace * at_ms - sum(it.total * share for it, share in gone)) - new_bad

    if left(Fraction(0)) <= 0:
        return
    if found is None:
        assert all(left(Fraction(index * HOUR)) > 0 for index in range(25))
        return
    assert left(found) == 0
    assert all(left(found * part / 10) > 0 for part in range(10))


@pytest.mark.parametrize("rate", [Fraction(2), Fraction("14.4"), Fraction(1000)])
def test_an_even_past_at_half_the_budget_lasts_longer_than_a_clean_one(rate: Fraction) -> None:
    own = _own(360_000, 720_000_000)
    tail = [Leaving(HOUR, 500, 1_000_000)] * 720
    found, clean = gone_in_ms(own, BUDGET, rate, MONTH, tail), exhausted_in_ms(Fraction(1, 2), rate, MONTH, MONTH)
    assert found is not None
    assert clean is not None
    # what leaves is half the budget's pace: left / (burn - 1/2)
    assert found == Fraction(1, 2) * MONTH / (rate - Fraction(1, 2)) > clean

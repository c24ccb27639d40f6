"""Budgeting methods against the specification's own examples and against public reports."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.slices import Method, Occurrences, RatioTimeslices, Slice, Spent, Timeslices, holds, spent
from tests.slo.support import MINUTE

HALF = Timeslices(Fraction("0.95"), MINUTE)
RATIO = RatioTimeslices(MINUTE)
TWO_WEEKS = 14 * 24 * 60


def _ratio(found: Fraction | None) -> str:
    assert found is not None
    return f"{float(found):.5%}"


@pytest.mark.parametrize("method", [Occurrences(), HALF, RATIO])
def test_one_idle_slice_is_neither_bad_nor_undefined(method: Method) -> None:
    """sloth #531, #133, #231: 287 slices of 1/1 and one of 0/0 are 100 %."""
    found = spent(method, [Slice(0, 1)] * 287 + [Slice(0, 0)], 288)
    assert (found.sli, found.idle) == (1, 1)


def test_a_sum_is_no_mean_of_ratios() -> None:
    """sloth #241, #618, #332: 48.605 %, and 0.174 % is the mean of ratios."""
    slices = [Slice(0, 10)] * 287 + [Slice(50_000, 100_000)]
    assert _ratio(1 - (spent(Occurrences(), slices, 288).sli or 0)) == "48.60504%"
    assert _ratio(1 - (spent(RATIO, slices, 288).sli or 0)) == "0.17361%"


def test_one_bad_slice_of_an_hour_burns_one_sixtieth() -> None:
    """kibana PR #203279: one slice observed in an hour, and bad: 1.667, not 100."""
    found = spent(Timeslices(Fraction(99, 100), MINUTE), [None] * 59 + [Slice(1, 1)], 60)
    assert found.burn(Fraction(1, 100)) == Fraction(5, 3)
    assert (found.total, found.unmeasured) == (60, 59)


def test_two_weeks_at_95_percent_allow_16_hours_and_48_minutes_of_bad_slices() -> None:
    bad = 16 * 60 + 48
    found = spent(HALF, [Slice(1, 10)] * bad + [Slice(0, 10)] * (TWO_WEEKS - bad), TWO_WEEKS)
    assert found.burn(Fraction(5, 100)) == 1


def test_mean_of_slices_from_99_to_1_percent_allows_13_hours_and_42_minutes() -> None:
    """0.99 - 0.98 x n / N = 0.95 at n = 822.86 slices."""
    for bad, within in ((822, True), (823, False)):
        slices = [Slice(99, 100)] * bad + [Slice(1, 100)] * (TWO_WEEKS - bad)
        sli = spent(RATIO, slices, TWO_WEEKS).sli
        assert sli is not None
        assert (sli >= Fraction(95, 100)) == within


def test_a_week_at_99_95_percent_allows_five_bad_minutes() -> None:
    budget = Fraction(5, 10_000)
    assert budget * 7 * 24 * 60 * 60 == Fraction("302.4")  # 5 min 2.4 s
    for bad, within in ((5, True), (6, False)):
        burn = spent(HALF, [Slice(1, 1)] * bad + [Slice(0, 1)] * 100, 10_080).burn(budget)
        assert burn is not None
        assert (burn <= 1) == within


def test_exactly_the_slice_target_is_good() -> None:
    assert spent(HALF, [Slice(5, 100)], 1).bad == 0
    assert spent(HALF, [Slice(6, 100)], 1).bad == 1
    assert spent(Timeslices(Fraction(1), MINUTE), [Slice(0, 7), Slice(1, 10**9)], 2).bad == 1


@pytest.mark.parametrize("method", [Occurrences(), HALF, RATIO])
@pytest.mark.parametrize("slices", [[], [None], [Slice(0, 0)]])
def test_where_nothing_was_counted_there_is_no_sli(method: Method, slices: list[Slice | None]) -> None:
    found = spent(method, slices, 10)
    assert (found.sli, found.burn(Fraction(1, 100)), found.total) == (None, None, 0)


SLICES = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda it: Slice(it[0], sum(it)))),
    max_size=60,
)


@given(SLICES, st.integers(1, 100))
def test_all_methods_agree_with_a_second_computation(slices: list[Slice | None], percent: int) -> None:
    busy = [it for it in slices if it is not None and it.total]
    ratios = [Fraction(it.total - it.bad, it.total) for it in busy]
    expected = len(slices) + 5
    events = [False] * sum(it.total - it.bad for it in busy) + [True] * sum(it.bad for it in busy)
    assert spent(Occurrences(), slices, expected).sli == (
        None if not events else Fraction(events.count(False), len(events))
    )
    bad = [it for it in ratios if it < Fraction(percent, 100)]
    assert spent(Timeslices(Fraction(percent, 100), MINUTE), slices, expected).sli == (
        None if not busy else 1 - Fraction(len(bad), expected)
    )
    mean = sum(ratios, Fraction(0)) / len(ratios) if ratios else None
    assert spent(RATIO, slices, expected).sli == mean


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_what_timeslices_spend_never_falls_within_a_period(outcomes: list[bool]) -> None:
    before = Spent(Fraction(0), 0)
    for end in range(1, len(outcomes) + 1):
        found = spent(HALF, [Slice(int(bad), 1) for bad in outcomes[:end]], 100)
        assert found.total == 100
        assert found.bad >= before.bad
        before = found


@pytest.mark.parametrize(
    ("value", "op", "limit", "good"),
    [
        (0.3, "lte", "0.3", True),  # as doubles 0.3 lies below the decimal,
        (0.1, "lte", "0.1", True),  # and 0.1 above
        (0.30000000000000004, "lte", "0.3", False),
        (500.0, "lt", "500", False),
        (500.0, "gte", "500", True),
        (500.5, "gt", "500", True),
        (float("inf"), "lt", "1", False),
        (float("-inf"), "lte", "1", True),
        (float("inf"), "gte", "1", True),
        (float("nan"), "lt", "1", None),
    ],
)
def test_thresholds_are_compared_as_numbers(value: float, op: str, limit: str, good: bool | None) -> None:
    assert holds(value, op, Fraction(limit)) is good  # type: ignore[arg-type]

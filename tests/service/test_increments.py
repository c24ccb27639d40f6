"""Increments of one counter, and the columns that compute many at once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.increments import HIGHEST, NANO, Sample, billionths, half_even, split, steps

START = 1_760_000_000_000
counts = st.floats(0, HIGHEST, exclude_max=True, allow_nan=False)


@given(st.lists(counts | st.integers(0, 10**9).map(lambda n: (2 * n + 1) / 2e9), max_size=20))
def test_columns_split_a_value_as_exact_arithmetic_does(values: list[float]) -> None:
    units, nanos = split(np.array(values, np.float64))
    found = [int(unit) * NANO + int(nano) for unit, nano in zip(units, nanos, strict=True)]
    assert found == [round(Fraction(value) * NANO) for value in values] == [billionths(value) for value in values]


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.lists(counts, min_size=1, max_size=20))
def test_what_a_counter_rose_is_where_it_ended_however_often_it_was_read(values: list[float]) -> None:
    rising = sorted(values)
    samples = [Sample(START + at, value, START) for at, value in enumerate(rising)]
    assert sum(step.increment for step in steps(samples, None)) == billionths(rising[-1])


@pytest.mark.parametrize(
    ("before", "after", "increment"),
    [
        (Sample(0, 5.0), Sample(5_000, 8.0), 3),
        (Sample(0, 5.0), Sample(5_000, 4.0), 4),
        (Sample(0, 5.0, 0), Sample(5_000, 8.0, 1_000), 8),
        (Sample(0, 5.0, 1_000), Sample(5_000, 8.0, 1_000), 3),
        (Sample(0, 5.0, 1_000), Sample(5_000, 8.0, 999), 3),
        (Sample(0, 5.0, None), Sample(5_000, 8.0, 1_000), 3),
        (Sample(0, 5.0, 1_000), Sample(5_000, 8.0, None), 3),
        (Sample(0, 5.0), Sample(86_400_000, 8.0), 3),
        (Sample(0, 5.0), Sample(5_000, -2.0), 0),
        (Sample(0, -2.0), Sample(5_000, -1.0), 0),
        (Sample(0, -2.0), Sample(5_000, 3.0), 3),
        (Sample(0, 5.0), Sample(5_000, HIGHEST), 0),
        (Sample(0, HIGHEST), Sample(5_000, 3.0), 3),
    ],
)
def test_a_drop_or_a_later_start_counts_from_zero_all_else_the_difference(
    before: Sample, after: Sample, increment: int
) -> None:
    assert [step.increment for step in steps([after], before)] == [increment * NANO]


@pytest.mark.parametrize(
    ("age_ms", "counted", "covered_ms", "unknown"),
    [(0, 7, 0, False), (75_000, 7, 75_000, False), (75_001, 7, 0, False), (600_000, 7, 0, False),
     (600_001, 0, 0, True), (-1, 0, 0, True), (None, 0, 0, True)],
)  # fmt: skip
def test_a_first_sight_counts_from_zero_where_its_start_is_near(
    age_ms: int | None, counted: int, covered_ms: int, unknown: bool
) -> None:
    (step,) = steps([Sample(START, 7.0, None if age_ms is None else START - age_ms)], None)
    assert (step.increment, START - step.covered_from_ms, step.unknown) == (counted * NANO, covered_ms, unknown)


@pytest.mark.parametrize(("gap_ms", "covered_ms"), [(5_000, 5_000), (75_000, 75_000), (75_001, 0)])
def test_time_between_samples_is_covered_up_to_a_gap(gap_ms: int, covered_ms: int) -> None:
    (step,) = steps([Sample(START + gap_ms, 1.0)], Sample(START, 1.0))
    assert START + gap_ms - step.covered_from_ms == covered_ms

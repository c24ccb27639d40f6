"""Numbers as they are shown."""

from __future__ import annotations

from fractions import Fraction

import pytest

from slo.text import counted, duration, number, percent, times, utc


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ("0.999", "99.9 %"),
        ("1", "100 %"),
        ("0.99999", "99.999 %"),
        ("0.99999999", "99.999999 %"),
        ("0.999999999999", "100 %"),
        ("0", "0 %"),
        ("0.000004", "0.0004 %"),
        ("-0.745", "-74.5 %"),
        ("0.00125", "0.12 %"),
    ],
)
def test_a_ratio_reads_as_percent_and_almost_all_is_not_all(ratio: str, text: str) -> None:
    assert percent(Fraction(ratio)) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"),
        (500, "500 ms"),
        (2_500, "2.5 s"),
        (70_000, "1 min 10 s"),
        (300_000, "5 min"),
        (5_040_000, "1 h 24 min"),
        (60_480_000, "16 h 48 min"),
        (2_592_000_000, "30 d"),
    ],
)
def test_a_duration_reads_in_its_two_largest_units(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_burns_and_numbers_keep_two_decimals_at_most() -> None:
    assert times(Fraction("14.44")) == "14.44x"
    assert times(None) == "no traffic"
    assert number(Fraction(1, 3)) == "0.33"
    assert number(Fraction(-1, 1000)) == "0"


def test_a_moment_reads_in_utc_and_the_far_future_is_never() -> None:
    assert utc(1_767_225_600_000) == "2026-01-01 00:00:00 UTC"
    assert utc(10**18) == "never"


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(it, "restart") for it in (0, 1, 2)] == ["0 restarts", "1 restart", "2 restarts"]
    assert counted(2, "entry", "entries") == "2 entries"

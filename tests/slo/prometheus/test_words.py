"""Numbers, selectors and texts as PromQL writes them, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.model import Matcher, Selector
from slo.prometheus.words import compared, decimal, divided, literal, selector, total_of, window


@pytest.mark.parametrize(
    ("window_ms", "text"),
    [(300_000, "5m"), (3_600_000, "1h"), (84 * 60_000, "84m"), (259_200_000, "3d"), (70_000, "70s"), (1_500, "1500ms")],
)
def test_a_window_is_written_as_prometheus_writes_durations(window_ms: int, text: str) -> None:
    assert window(window_ms) == text


@given(st.integers(-(10**15), 10**15), st.integers(0, 15))
def test_a_decimal_keeps_every_digit(number: int, power: int) -> None:
    value = Fraction(number, 10**power)
    assert Fraction(decimal(value) or "none") == value


def test_what_has_no_end_as_a_decimal_is_divided_by_whole_numbers() -> None:
    assert decimal(Fraction(1, 3)) is None
    assert divided("x", Fraction(1, 36_000)) == "x * 36000 / 1"
    assert divided("x", Fraction(1, 1000)) == "x / 0.001"


def test_a_limit_is_compared_in_whole_numbers() -> None:
    assert compared("bad", ">", Fraction("14.4") * Fraction("0.001"), "total") == "bad * 10000 > total * 144"
    assert compared("bad", ">", Fraction(2, 3), "total") == "bad * 3 > total * 2"
    assert compared("burn", ">=", Fraction(14), "1") == "burn >= 14"


def test_selectors_keep_their_matchers_and_whole_bounds_are_found_as_either_prometheus_stores_them() -> None:
    matchers = (Matcher("service", "=", 'a"b\\c'), Matcher("code", "=~", "5.."), Matcher("le", "=", "0.5"))
    assert selector(Selector("x", matchers)) == r'x{service="a\"b\\c",code=~"5..",le="0.5"}'
    assert selector(Selector("x", (Matcher("le", "=", "300"),))) == 'x{le=~"300([.]0+)?"}'


def test_several_counters_are_summed_each_for_itself() -> None:
    assert total_of((Selector("a"), Selector("b")), "5m") == (
        'sum(label_replace(sum(increase(a[5m])), "part", "0", "", "")'
        ' or label_replace(sum(increase(b[5m])), "part", "1", "", ""))'
    )


def test_a_text_is_no_template() -> None:
    assert literal('{{ query "up" }}') == '{{ "{{" }} query "up" }}'

"""Lines as SVG paths."""

from __future__ import annotations

from dashboards import svg


def test_a_gap_breaks_the_line_in_two() -> None:
    assert svg.spark([1, 2, None, 2, 1], 40, 20).line.count("M") == 2


def test_no_value_at_all_draws_nothing() -> None:
    assert svg.spark([None, None], 40, 20).line == ""
    assert svg.spark([], 40, 20).line == ""


def test_a_value_between_two_gaps_is_still_seen() -> None:
    assert "L" in svg.spark([None, 3, None], 40, 20).line


def test_the_reference_is_left_out_where_it_lies_above_the_scale() -> None:
    assert svg.spark([1, 2], 40, 20, top=1.0, base=3.0).base_y is None
    assert svg.spark([0.1], 40, 20, base=1.0).base_y is not None


def test_values_beyond_the_scale_stay_in_the_box() -> None:
    assert svg.line([0, 500], 100, 50, 0, 100) == "M0.0 50.0L100.0 0.0"

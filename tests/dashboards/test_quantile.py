"""Quantiles from buckets."""

from __future__ import annotations

import pytest

from dashboards.quantile import quantile


def test_it_lies_within_its_bucket_by_share() -> None:
    assert quantile(0.5, {"1": 0.0, "2": 10.0, "+Inf": 10.0}) == pytest.approx(1.5)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(0.95, {"1": 0.0, "+Inf": 0.0}) is None
    assert quantile(0.95, {"1": None, "+Inf": None}) is None
    assert quantile(0.95, {}) is None


def test_above_the_last_bound_there_is_no_number() -> None:
    assert quantile(0.95, {"1": 1.0, "10": 1.0, "+Inf": 4.0}) is None


def test_a_bound_that_is_no_number_is_left_out() -> None:
    assert quantile(0.5, {"<b>": 9.0, "1": 4.0, "+Inf": 4.0}) == pytest.approx(0.5)

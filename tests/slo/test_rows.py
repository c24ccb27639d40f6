"""Rows against the workbook's numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import pytest

from slo.model import Allowance, BurnRow, Selector
from slo.rows import TABLES, WORKBOOK, budget_share, burn_rows, condition_lint, lint, projection_lint
from tests.slo.support import DAY, HOUR, MINUTE


def test_at_thirty_days_the_rows_are_those_of_the_workbook() -> None:
    assert [(it.name, it.long_ms, it.short_ms, it.factor, it.road) for it in burn_rows(30 * DAY)] == [
        ("fast", HOUR, 5 * MINUTE, Fraction("14.4"), "page"),
        ("slow", 6 * HOUR, 30 * MINUTE, Fraction(6), "page"),
        ("ticket-1d", DAY, 2 * HOUR, Fraction(3), "ticket"),
        ("ticket-3d", 3 * DAY, 6 * HOUR, Fraction(1), "ticket"),
    ]


@pytest.mark.parametrize(
    ("days", "factors"),
    [
        (28, ("13.44", "5.6", "2.8", "14/15")),
        (30, ("14.4", "6", "3", "1")),
        (31, ("14.88", "6.2", "3.1", "31/30")),
        (90, ("43.2", "18", "9", "3")),
    ],
)
def test_from_four_weeks_on_windows_stay_and_factors_follow_from_the_share(days: int, factors: tuple[str, ...]) -> None:
    rows = burn_rows(days * DAY)
    assert [it.factor for it in rows] == [Fraction(text) for text in factors]
    assert [it.long_ms for it in rows] == [it.long_ms for it in WORKBOOK]


def test_a_week_scales_the_windows_and_keeps_the_factors() -> None:
    rows = burn_rows(7 * DAY)
    assert [it.long_ms for it in rows] == [14 * MINUTE, 84 * MINUTE, 336 * MINUTE, 1008 * MINUTE]
    assert [it.factor for it in rows] == [Fraction("14.4"), Fraction(6), Fraction(3), Fraction(1)]
    assert [it.short_ms for it in rows] == [2 * MINUTE, 7 * MINUTE, 28 * MINUTE, 84 * MINUTE]  # 70 s raised to 2 min


@pytest.mark.parametrize("days", [1, 2, 3, 5, 7, 14, 27, 28, 29, 30, 31, 90, 365])
def test_every_row_trips_at_the_share_of_the_budget_that_it_names(days: int) -> None:
    for row in burn_rows(days * DAY):
        assert budget_share(row.factor, row.long_ms, days * DAY) == row.budget_share
        assert 2 * MINUTE <= row.short_ms <= row.long_ms


def test_the_workbooks_factor_on_a_week_is_flagged_as_the_share_that_it_really_is() -> None:
    """kibana #170830."""
    unscaled = BurnRow("fast", HOUR, 5 * MINUTE, Fraction(2, 100), Fraction("14.4"), "page")
    assert lint([unscaled], 7 * DAY, Fraction(1, 100)) == ["row fast trips at 8.57 % of the budget, not at 2 %"]


def test_a_target_of_ten_percent_makes_rows_that_can_never_fire() -> None:
    """sloth #341."""
    found = lint(burn_rows(30 * DAY), 30 * DAY, Fraction(9, 10))
    assert [text.split(":")[0] for text in found] == [
        "row fast can never fire",
        "row slow can never fire",
        "row ticket-1d can never fire",
    ]
    assert "14.4x of a budget of 90 % is 1296 % of all events" in found[0]


def test_the_fast_row_dies_just_below_a_target_of_93_06_percent() -> None:
    assert not lint(burn_rows(30 * DAY), 30 * DAY, 1 - Fraction("0.9306"))
    assert lint(burn_rows(30 * DAY), 30 * DAY, 1 - Fraction("0.9305"))


def test_an_allowance_has_no_upper_end_and_its_rows_can_be_reached() -> None:
    allowance = Allowance((Selector("restarts"),), (Selector("seconds"),))
    assert lint(burn_rows(30 * DAY), 30 * DAY, Fraction(9, 10), allowance) == []


def test_a_row_below_the_pace_of_the_budget_is_flagged() -> None:
    assert lint(burn_rows(28 * DAY), 28 * DAY, Fraction(1, 1000)) == [
        "row ticket-3d fires at 0.933x, while the objective is still on budget"
    ]


@pytest.mark.parametrize(
    ("name", "days", "factors"),
    [
        ("workbook", 30, ("14.4", "6", "3", "1")),
        ("sloth-7d", 7, ("13.44", "3.5", "1.4", "0.98")),
        ("pyrra", 28, ("14", "7", "2", "1")),
        ("pyrra", 7, ("14", "7", "2", "1")),
    ],
)
def test_every_table_gives_the_factors_of_its_source(name: str, days: int, factors: tuple[str, ...]) -> None:
    (table,) = [it for it in TABLES if it.name == name]
    rows = burn_rows(days * DAY, table.rows, table.period_ms)
    assert [it.factor for it in rows] == [Fraction(text) for text in factors]
    assert table.source


def test_sloths_slow_row_of_a_week_fires_on_budget() -> None:
    (table,) = [it for it in TABLES if it.name == "sloth-7d"]
    found = lint(burn_rows(7 * DAY, table.rows, table.period_ms), 7 * DAY, Fraction(1, 1000))
    assert found == ["row ticket-3d fires at 0.98x, while the objective is still on budget"]


def test_short_windows_of_less_than_two_samples_are_told() -> None:
    rows = burn_rows(30 * DAY)
    assert not lint(rows, 30 * DAY, Fraction(1, 1000), sample_ms=150_000)
    assert lint(rows, 30 * DAY, Fraction(1, 1000), sample_ms=150_001) == [
        "row fast has a short window of 5 min, less than two slices"
    ]


def test_a_page_for_a_budget_gone_in_two_hours_needs_99_72_percent() -> None:
    assert projection_lint(30 * DAY, Fraction(1, 360)) is None
    told = projection_lint(30 * DAY, Fraction(1, 1000) * 5)
    assert told is not None
    assert "a whole budget lasts 3 h 36 min" in told


def test_a_condition_that_asks_for_more_than_everything_can_never_hold() -> None:
    budget = Fraction(1, 10)

    def condition(op: Literal["lt", "lte", "gt", "gte"], factor: int) -> BurnRow:
        return BurnRow("hot", HOUR, HOUR, Fraction(0), Fraction(factor), "page", op)

    every = [condition(op, factor) for op in ("gt", "gte", "lt") for factor in (9, 10, 11)]  # type: ignore[arg-type]
    told = condition_lint(every, budget)
    assert [it.partition("x of")[0] for it in told] == [
        "row hot can never fire: 10", "row hot can never fire: 11", "row hot can never fire: 11",
    ]  # fmt: skip
    assert condition_lint(every, budget, Allowance((), ())) == []

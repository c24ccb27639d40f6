"""Objectives whose budget does not roll: their window, their rows, and when their budget is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from slo.budget import exhausted_in_period_ms
from slo.judge import judge, placed, windows
from slo.model import Counts, Objective
from slo.periods import CalendarPeriods
from slo.rows import burn_rows
from tests.slo.support import DAY, HOUR, MINUTE, counts, objective

BEGIN = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1000
MONTHLY = replace(objective(), calendar=CalendarPeriods(datetime(2026, 1, 1), "UTC", 1, "M"))


def _counted(of: Objective, now_ms: int, bad_per_million: int) -> dict[int, Counts]:
    """A million events an hour since a year ago."""
    first = BEGIN - 365 * DAY

    def of_window(ms: int) -> Counts:
        return Counts(now_ms - ms, now_ms, ms * bad_per_million // HOUR, ms * 1_000_000 // HOUR, ms, ms, 0, first)

    return {ms: of_window(ms) for ms in windows(of)}


def test_the_window_is_what_of_the_month_has_passed_and_the_rows_are_the_months() -> None:
    now = BEGIN + 10 * DAY
    found = placed(MONTHLY, now)
    assert (found.window_ms, found.whole_ms, found.period_ms) == (10 * DAY, 31 * DAY, 31 * DAY)
    assert {row.long_ms for row in burn_rows(31 * DAY)} < set(windows(found))
    rows = judge(found, _counted(found, now, 0), now).rows
    assert [it.row.factor for it in rows] == [Fraction(text) for text in ("14.88", "6.2", "3.1", "31/30")]


def test_what_rolls_is_left_as_it_is() -> None:
    assert placed(objective(), BEGIN) == objective()


def test_before_the_first_period_nothing_is_measured() -> None:
    early = placed(MONTHLY, BEGIN - 90 * DAY)
    assert early.unmeasurable == "Its first period begins at 2026-01-01 00:00:00 UTC."
    assert judge(early, {}, BEGIN - 90 * DAY).state == "unmeasured"


def test_a_new_period_begins_with_a_new_budget() -> None:
    """What was bad in the month before is not counted in this one."""
    now = BEGIN + HOUR
    found = placed(MONTHLY, now)
    counted = _counted(found, now, 0) | {DAY: counts(900_000, 24_000_000, DAY)}
    assert judge(found, counted, now).budget_remaining == 1


def test_the_budget_ends_within_the_period_or_not_at_all() -> None:
    now = BEGIN + 10 * DAY
    found = placed(MONTHLY, now)
    counted = _counted(found, now, 500)  # half of the budget to date
    for bad, gone_at in ((2000, now + 5 * DAY), (1200, None)):  # R x H / (burn - 1) = 5 d at 2x, 25 d at 1.2x
        fast = {HOUR: counts(bad, 1_000_000), 5 * MINUTE: counts(bad, 1_000_000, 5 * MINUTE)}
        assert judge(found, {**counted, **fast}, now).exhausted_at_ms == gone_at


@given(st.integers(1, 999), st.integers(1001, 100_000), st.integers(1, 31 * 24), st.integers(0, 31 * 24))
def test_the_formula_agrees_with_stepping_forward(spent: int, burn: int, hours: int, rest: int) -> None:
    """One event an hour; `spent` and `burn` in thousandths of what is allowed."""
    left, rate = 1 - Fraction(spent, 1000), Fraction(burn, 1000)
    found = exhausted_in_period_ms(left, rate, hours * HOUR, rest * HOUR)
    bad, allowed, step = Fraction(spent, 1000) * hours, Fraction(hours), 0
    while bad < allowed and step < rest:
        bad, allowed, step = bad + rate, allowed + 1, step + 1
    if found is None:
        assert bad < allowed or step == rest
    else:
        assert step - 1 < found / HOUR <= step


def test_what_is_spent_or_within_the_pace_has_no_end() -> None:
    assert exhausted_in_period_ms(Fraction(0), Fraction(5), HOUR, DAY) is None
    assert exhausted_in_period_ms(Fraction(1), Fraction(1), HOUR, DAY) is None

"""Everything a judgement says, computed a second time from single events, the naive way."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from slo.judge import judge, windows
from slo.model import Counts, Objective
from tests.slo.support import DAY, HOUR, MINUTE, NOW, objective

Event = tuple[int, bool]
"""Age in minutes, and whether it was bad."""

EVENTS = st.lists(st.tuples(st.integers(0, 45 * 24 * 60), st.booleans()), max_size=200)
RECENT = st.lists(st.tuples(st.integers(0, 90), st.booleans()), max_size=100)


def _count(events: list[Event], window_ms: int) -> Counts:
    inside = [bad for age, bad in events if age * MINUTE < window_ms]
    return Counts(NOW - window_ms, NOW, sum(inside), len(inside), window_ms, window_ms, 0, NOW - 400 * DAY)


def _burns_faster(events: list[Event], window_ms: int, allowed_of_1000: int, share_percent: int, long_ms: int) -> bool:
    """bad / total over the allowed share, against share x P / L, in integers alone."""
    inside = [bad for age, bad in events if age * MINUTE < window_ms]
    bad, total = sum(inside), len(inside)
    return total > 0 and bad * 1000 * 100 * long_ms > total * allowed_of_1000 * share_percent * 30 * DAY


@settings(max_examples=200)
@given(EVENTS, RECENT, st.integers(1, 200))
def test_sli_budget_and_rows_agree_with_a_second_computation(old: list[Event], new: list[Event], allowed: int) -> None:
    events = old + new
    of: Objective = objective(Fraction(allowed, 1000))
    found = judge(of, {ms: _count(events, ms) for ms in windows(of)}, NOW)
    month = [bad for age, bad in events if age < 30 * 24 * 60]
    if not month:
        assert (found.state, found.sli, found.budget_remaining) == ("no-traffic", None, None)
    else:
        assert found.sli is not None
        assert found.budget_remaining is not None
        assert found.sli * len(month) == sum(not bad for bad in month)
        assert (1 - found.budget_remaining) * len(month) * allowed == 1000 * sum(month)
        assert Decimal(found.sli.numerator) <= Decimal(found.sli.denominator)
    table = ((2, HOUR, 5 * MINUTE), (5, 6 * HOUR, 30 * MINUTE), (10, DAY, 2 * HOUR), (10, 3 * DAY, 6 * HOUR))
    for (share, long_ms, short_ms), row in zip(table, found.rows, strict=True):
        both = all(_burns_faster(events, ms, allowed, share, long_ms) for ms in (long_ms, short_ms))
        assert row.fired == both
        bad = sum(bad for age, bad in events if age * MINUTE < long_ms)
        assert row.guarded == (both and bad < 3 and row.row.road == "page")
    assert (found.state == "exhausted") == (bool(month) and sum(month) * 1000 >= len(month) * allowed)

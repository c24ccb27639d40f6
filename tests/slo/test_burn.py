"""Rows judged: strictness, coverage, silence, young history, the low-traffic guard."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from slo.burn import Policy, covered, judge_row
from slo.model import Counts, RowResult
from slo.rows import burn_rows
from tests.slo.support import DAY, HOUR, MINUTE, counts

FAST, SLOW, DAILY, _ = burn_rows(30 * DAY)
BUDGET = Fraction(1, 1000)


def fast(long: Counts, short: Counts, budget: Fraction = BUDGET) -> RowResult:
    return judge_row(FAST, long, short, budget)


def test_exactly_at_the_factor_it_does_not_fire() -> None:
    # 1.44 % of errors at 99.9 % is 14.4x to the digit; with binary floats the limit lies just below it.
    assert 0.0144 > 14.4 * ((100 - 99.9) / 100)
    at = fast(counts(144, 10_000), counts(12, 833, 5 * MINUTE))
    assert (at.long_burn, at.fired, at.measured) == (Fraction("14.4"), False, True)


def test_one_event_more_than_the_factor_fires() -> None:
    assert fast(counts(145, 10_000), counts(13, 833, 5 * MINUTE)).fired


def test_a_burn_of_14_44_is_not_rounded_down_to_the_limit() -> None:
    assert fast(counts(1444, 100_000), counts(1444, 100_000, 5 * MINUTE)).fired


def test_both_windows_must_burn() -> None:
    assert not fast(counts(500, 10_000), counts(1, 833, 5 * MINUTE)).fired
    assert not fast(counts(1, 10_000), counts(500, 833, 5 * MINUTE)).fired


def test_a_gap_in_a_window_freezes_a_row_that_might_fire() -> None:
    gap = fast(counts(500, 10_000), counts(50, 833, 5 * MINUTE, observed_ms=3 * MINUTE))
    assert (gap.fired, gap.measured) == (False, False)


def test_a_gap_in_the_long_window_does_not_hide_that_the_short_one_is_clean() -> None:
    clean = fast(counts(500, 10_000, observed_ms=HOUR // 2), counts(0, 833, 5 * MINUTE))
    assert (clean.fired, clean.measured) == (False, True)


def test_a_gap_hides_no_outage_that_has_spent_the_rows_share_of_the_budget_by_what_was_seen() -> None:
    """An agent that was away for 50 minutes: 10 min of errors, and the rest of the hour may have been good."""
    short = counts(250, 833, 5 * MINUTE)
    just = fast(counts(144, 1667, observed_ms=10 * MINUTE), short)
    more = fast(counts(145, 1667, observed_ms=10 * MINUTE), short)
    assert (just.fired, just.measured, just.in_part) == (False, False, False)
    assert (more.fired, more.measured, more.in_part) == (True, True, True)
    assert not fast(counts(145, 1667), short).in_part


def test_beside_a_gap_the_short_window_must_be_seen_all_the_same() -> None:
    blind = fast(counts(1000, 1667, observed_ms=10 * MINUTE), counts(50, 100, 5 * MINUTE, observed_ms=MINUTE))
    assert (blind.fired, blind.measured) == (False, False)


def test_beside_a_gap_each_kind_of_totals_is_held_against_what_it_lacks() -> None:
    """Of slices all are in the total, seen or not; a composite's members are held against the window already."""
    long, short = counts(12, 100, observed_ms=HOUR // 10, expected_ms=HOUR // 2), counts(1, 1, 5 * MINUTE)
    for totals, limit in (("seen", 12), ("known", 24), ("window", 120)):  # of the burn that was seen, 120
        at, below = (replace(FAST, factor=Fraction(it)) for it in (limit, limit - 1))
        assert judge_row(below, long, short, BUDGET, totals=totals).in_part  # type: ignore[arg-type]
        assert not judge_row(at, long, short, BUDGET, totals=totals).measured  # type: ignore[arg-type]


def test_coverage_of_exactly_the_floor_is_enough_and_the_round_under_way_is_no_gap() -> None:
    assert covered(counts(0, 1, HOUR, observed_ms=54 * MINUTE))
    assert covered(counts(0, 1, 2 * MINUTE, observed_ms=98_000))
    assert not covered(counts(0, 1, 2 * MINUTE, observed_ms=97_999))
    assert not covered(counts(0, 1, HOUR, observed_ms=0, expected_ms=1))
    assert not covered(counts(0, 0, HOUR, observed_ms=0, expected_ms=0, first_ms=None))


def test_one_bad_slice_seen_in_an_hour_does_not_page() -> None:
    sparse = fast(counts(1, 1, HOUR, observed_ms=MINUTE), counts(1, 1, 5 * MINUTE, observed_ms=MINUTE))
    assert (sparse.fired, sparse.measured) == (False, False)


def test_one_bad_slice_of_a_new_objective_counts_against_the_hour_that_its_row_speaks_of() -> None:
    new = fast(counts(1, 1, HOUR, expected_ms=MINUTE), counts(1, 1, 5 * MINUTE, expected_ms=MINUTE), Fraction(1, 100))
    assert new.long_burn == 100
    assert not new.fired


def test_a_young_objective_pages_where_the_rows_share_of_the_budget_is_gone() -> None:
    """Ten minutes old: a full outage at 99 % takes 8.64 minutes for 2 % of 30 days, at any age."""
    short = counts(5, 5, 5 * MINUTE)
    assert not fast(counts(8, 10, HOUR, expected_ms=10 * MINUTE), short, Fraction(1, 100)).fired
    assert fast(counts(9, 10, HOUR, expected_ms=10 * MINUTE), short, Fraction(1, 100)).fired


def test_fewer_than_three_bad_events_never_page_but_are_a_ticket() -> None:
    one = fast(counts(1, 10), counts(1, 1, 5 * MINUTE))
    three = fast(counts(3, 30), counts(3, 3, 5 * MINUTE))
    assert (one.long_burn, one.fired, one.guarded) == (100, True, True)
    assert (three.fired, three.guarded) == (True, False)


def test_a_ticket_row_needs_no_minimum() -> None:
    assert not judge_row(DAILY, counts(1, 10, DAY), counts(1, 2, 2 * HOUR), BUDGET).guarded


def test_traffic_that_stops_while_a_page_burns_proves_no_recovery() -> None:
    stopped = fast(counts(500, 10_000), counts(0, 0, 5 * MINUTE))
    assert (stopped.fired, stopped.measured) == (False, False)


def test_a_page_row_without_traffic_in_its_long_window_is_quiet() -> None:
    idle = fast(counts(0, 0), counts(0, 0, 5 * MINUTE))
    assert (idle.fired, idle.measured) == (False, True)


def test_a_ticket_row_clears_where_its_short_window_is_measured_and_empty() -> None:
    idle = judge_row(DAILY, counts(1, 10, DAY), counts(0, 0, 2 * HOUR), BUDGET)
    assert (idle.fired, idle.measured) == (False, True)


def test_half_an_hour_after_recovery_the_slow_row_is_quiet() -> None:
    assert not judge_row(SLOW, counts(900, 10_000, 6 * HOUR), counts(0, 833, 30 * MINUTE), BUDGET).fired


@given(
    st.tuples(*[st.integers(0, 10**9)] * 4),
    st.integers(1, 99_999),
)
def test_fully_observed_rows_fire_as_cross_multiplied_integers_say(parts: tuple[int, ...], per_100k: int) -> None:
    bad, good, short_bad, short_good = parts
    long, short = counts(bad, bad + good), counts(short_bad, short_bad + short_good, 5 * MINUTE)
    # bad / total / budget > 144 / 10, without a division
    fires = all(it.bad * 100_000 * 10 > 144 * it.total * per_100k for it in (long, short))
    assert fast(long, short, Fraction(per_100k, 100_000)).fired == (fires and long.total > 0 and short.total > 0)


@given(st.integers(0, HOUR), st.integers(0, 100), st.integers(0, 100))
def test_an_unmeasured_row_never_says_that_it_fires(observed_ms: int, bad: int, good: int) -> None:
    row = fast(counts(bad, bad + good, observed_ms=observed_ms), counts(5, 5, 5 * MINUTE), Fraction(1, 100))
    assert not (row.fired and not row.measured)
    if row.fired and observed_ms < 53 * MINUTE:
        assert bad * observed_ms * 100 * 10 > 144 * (bad + good) * HOUR


def test_floor_and_minimum_are_settings() -> None:
    lenient = Policy(coverage_floor=Fraction(1, 2), min_bad=1)
    half = judge_row(FAST, counts(1, 10, observed_ms=HOUR // 2), counts(1, 1, 5 * MINUTE), BUDGET, lenient)
    assert (half.fired, half.guarded) == (True, False)

"""States of a judgement, its budget, its projection."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from slo.ending import present_burn
from slo.judge import judge, windows
from slo.model import Allowance, Counts, Selector
from tests.slo.support import DAY, HOUR, MINUTE, NOW, counts, objective, steady

GOOD = objective()


def test_the_windows_are_those_of_all_rows_and_the_objectives_own() -> None:
    assert windows(GOOD) == (
        5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY, 30 * DAY
    )  # fmt: skip


def test_a_quiet_service_is_ok_and_keeps_its_budget() -> None:
    found = judge(GOOD, steady(GOOD), NOW)
    assert (found.state, found.budget_remaining, found.sli, found.exhausted_at_ms) == ("ok", 1, 1, None)
    assert found.reason == "100 % of the budget is left."


def test_five_percent_of_errors_burn_fifty_fold() -> None:
    found = judge(GOOD, {**steady(GOOD), HOUR: counts(5, 100), 5 * MINUTE: counts(50, 1000, 5 * MINUTE)}, NOW)
    assert found.state == "burning"
    assert dict(found.burns)[HOUR] == 50
    assert [it.row.name for it in found.rows if it.fired] == ["fast"]
    assert "burns 50x over 1 h and 50x over 5 min, above 14.4x" in found.reason


def test_what_is_spent_is_exhausted_even_while_it_burns() -> None:
    found = judge(GOOD, steady(GOOD, bad_per_million=50_000), NOW)
    assert (found.state, found.budget_remaining, found.exhausted_at_ms) == ("exhausted", -49, None)


def test_no_traffic_is_told_apart_from_health_and_from_blindness() -> None:
    found = judge(GOOD, steady(GOOD, per_hour=0), NOW)
    assert (found.state, found.sli, found.budget_remaining, found.coverage) == ("no-traffic", None, None, 1)


def test_a_short_window_with_a_gap_is_unmeasured() -> None:
    blind = {**steady(GOOD), 5 * MINUTE: counts(0, 100, 5 * MINUTE, observed_ms=2 * MINUTE)}
    found = judge(GOOD, blind, NOW)
    assert found.state == "unmeasured"
    assert found.reason == "Only 40 % of the last 5 min was observed."


def test_a_gap_in_a_long_window_alone_is_no_reason_to_be_blind_now() -> None:
    found = judge(GOOD, {**steady(GOOD), 3 * DAY: counts(0, 100, 3 * DAY, observed_ms=DAY)}, NOW)
    assert found.state == "ok"


def test_an_own_window_that_was_seen_in_part_says_so_beside_its_budget() -> None:
    found = judge(GOOD, {**steady(GOOD), 30 * DAY: counts(1, 2000, 30 * DAY, observed_ms=3 * DAY)}, NOW)
    assert (found.state, found.in_part) == ("ok", True)
    assert found.reason == "50 % of the budget is left by the 10 % of 30 d that was observed."
    assert not judge(GOOD, steady(GOOD), NOW).in_part


def test_nothing_seen_at_all_is_unmeasured() -> None:
    nothing = {ms: counts(0, 0, ms, observed_ms=0, expected_ms=0, first_ms=None) for ms in windows(GOOD)}
    found = judge(GOOD, nothing, NOW)
    assert (found.state, found.reason, found.coverage) == ("unmeasured", "No sample has been seen yet.", None)


def test_less_history_than_the_short_window_is_learning_and_fires_nothing() -> None:
    found = judge(GOOD, steady(GOOD, 1_000_000, history_ms=4 * MINUTE), NOW)
    assert found.state == "learning"
    assert not any(it.fired or it.measured for it in found.rows)
    assert not found.projected_gone


def test_what_nothing_can_measure_needs_no_counts_and_says_why() -> None:
    found = judge(objective(unmeasurable="No probe."), {}, NOW)
    assert (found.state, found.reason, found.sli, found.rows) == ("unmeasured", "No probe.", None, ())


def test_a_missing_window_is_an_error_and_no_zero() -> None:
    with pytest.raises(KeyError):
        judge(GOOD, {HOUR: counts(0, 1)}, NOW)


def test_an_allowance_burns_by_events_over_exposure() -> None:
    restarts = objective(Fraction(1, 36_000_000), 7, Allowance((Selector("r"),), (Selector("s"),)))
    found = {ms: counts(0, ms, ms) for ms in windows(restarts)} | {7 * DAY: counts(8, 7 * DAY, 7 * DAY)}
    judged = judge(restarts, found, NOW)
    assert judged.budget_remaining == 1 - Fraction(8) / Fraction("16.8")  # 168 instance-hours allow 16.8 restarts
    assert judged.sli is None


def test_one_restart_is_no_page_and_three_are() -> None:
    restarts = objective(Fraction(1, 36_000_000), 7, Allowance((Selector("r"),), (Selector("s"),)))
    for kills, guarded in ((1, True), (3, False)):
        found = {ms: counts(kills, ms, ms) for ms in windows(restarts)}
        fast = judge(restarts, found, NOW).rows[0]
        assert (fast.fired, fast.guarded) == (True, guarded)


def _almost_spent(hour: int, five: int) -> dict[int, Counts]:
    """99 % spent at 99.9 %; `hour` and `five` are bad events of a thousand."""
    month = counts(99_000, 100_000_000, 30 * DAY)
    return {30 * DAY: month, HOUR: counts(hour, 1000), 5 * MINUTE: counts(five, 1000, 5 * MINUTE)}


def test_a_budget_that_ends_within_two_hours_at_both_burns_is_projected_gone() -> None:
    found = judge(GOOD, {**steady(GOOD), **_almost_spent(4, 4)}, NOW)
    assert found.projected_gone
    assert found.state == "burning"
    assert found.exhausted_at_ms == NOW + 30 * DAY // 400  # 1 % x 30 d / 4 = 1.8 h
    assert not found.rows[0].fired


def test_a_short_window_that_calmed_down_takes_the_projection_back() -> None:
    found = judge(GOOD, {**steady(GOOD), **_almost_spent(4, 1)}, NOW)
    assert not found.projected_gone
    assert found.exhausted_at_ms is None
    assert present_burn(found.rows) == 1


def test_two_bad_events_project_nothing() -> None:
    few = {HOUR: counts(2, 200), 5 * MINUTE: counts(2, 200, 5 * MINUTE)}
    assert not judge(GOOD, {**steady(GOOD), **_almost_spent(0, 0), **few}, NOW).projected_gone


def test_a_gap_projects_nothing() -> None:
    gap = {HOUR: counts(4, 1000, observed_ms=HOUR // 2)}
    found = judge(GOOD, {**steady(GOOD), **_almost_spent(4, 4), **gap}, NOW)
    assert not found.projected_gone


def test_a_full_budget_at_99_percent_is_not_projected_gone_by_a_full_outage() -> None:
    lax = objective(Fraction(1, 100))
    outage = {HOUR: counts(1000, 1000), 5 * MINUTE: counts(1000, 1000, 5 * MINUTE)}
    assert not judge(lax, {**steady(lax), **outage}, NOW).projected_gone


def test_the_small_budget_of_a_young_objective_is_no_reason_to_page() -> None:
    """Two hours old, 0.15 % of errors at 99.9 %: gone by what was seen so far, hardly touched over 30 days."""
    found = judge(GOOD, steady(GOOD, 1_500, history_ms=2 * HOUR), NOW)
    assert found.state == "exhausted"
    assert not found.projected_gone
    assert not any(it.fired for it in found.rows)


def test_history_begins_at_the_first_sample() -> None:
    found = judge(GOOD, steady(GOOD, history_ms=3 * HOUR), NOW)
    assert found.since_ms == NOW - 3 * HOUR
    assert found.coverage == 1


def test_while_the_present_is_taken_out_nothing_can_be_told() -> None:
    of = objective()
    found = judge(of, steady(of, 50_000), NOW, paused="Taken out of the budget: new disks (ann).")
    assert (found.state, found.reason) == ("unmeasured", "Taken out of the budget: new disks (ann).")
    assert not any(it.fired or it.measured or it.guarded for it in found.rows)
    assert (found.exhausted_at_ms, found.projected_gone) == (None, False)
    assert found.sli == Fraction(95, 100), "what counted before is still known"


def test_a_budget_of_a_window_of_which_some_is_taken_out_lasts_as_long_as_what_is_left() -> None:
    """R x (P - taken) / burn: the budget is that of the time that counts."""
    of = objective(Fraction(1, 1000))
    history = steady(of, 2_000, per_hour=12_000_000)
    own, taken = history[of.window_ms], 10 * DAY
    kept = replace(own, bad=10, total=20_000, observed_ms=20 * DAY, expected_ms=20 * DAY, taken_ms=taken)
    found = judge(of, {**history, of.window_ms: kept}, NOW)
    assert found.budget_remaining == Fraction(1, 2)
    assert found.exhausted_at_ms == NOW + 20 * DAY // 2 // 2

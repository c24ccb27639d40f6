"""Composites by the specification's examples."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from alerts.rules_slo import of_judgement
from alerts.thresholds import DEFAULT as LIMITS
from slo.burn import Policy
from slo.composite import Member, composite_burn, composite_ratio, judge_composite, paid, payers
from slo.judge import judge
from slo.model import Judgement, Objective
from slo.slices import RatioTimeslices
from tests.slo.support import DAY, HOUR, MINUTE, NOW, objective, steady

P95 = Fraction(95, 100)


def test_members_burn_at_their_own_rate_times_their_weight() -> None:
    assert composite_burn([Member(Fraction(2)), Member(Fraction(3), Fraction(1, 2))]) == Fraction(7, 2)


def test_a_member_without_traffic_adds_nothing_and_none_with_any_is_no_burn() -> None:
    assert composite_burn([Member(Fraction(2)), Member(None)]) == 2
    assert composite_burn([Member(None)]) is None


def test_misses_of_ratios_add() -> None:
    assert composite_ratio([(P95, Fraction(1)), (P95, Fraction(1))]) == Fraction(90, 100)
    assert composite_ratio([(P95, Fraction(1)), (P95, Fraction(1, 2))]) == Fraction(925, 1000)


def test_any_members_bad_slice_is_bad_and_bad_once() -> None:
    bad = [np.array([False, True, False, True]), np.array([False, False, True, True])]
    assert payers(bad, [Fraction(100), Fraction(100)]).tolist() == [0, 1, 2, 1]


def test_a_slice_that_is_bad_for_several_is_paid_for_by_the_dearest() -> None:
    """At 99 % a slice costs 100, at 99.9 % and half the weight 500: 100 and twice 500, of three bad slices."""
    prices = [Fraction(100), Fraction(500)]
    bad = [np.array([True, True, False, False]), np.array([False, True, True, False])]
    assert payers(bad, prices).tolist() == [1, 2, 2, 0]
    assert paid(payers(bad, prices), prices) == (1100, 3)
    assert paid(payers([], []), []) == (0, 0)


def test_the_sli_of_ratios_is_what_the_misses_leave() -> None:
    """OpenSLO: 95 % and 95 % make 90 %, and 92.5 % where the second has a weight of one half."""
    for weights, sli in ((("1", "1"), "0.9"), (("1", "1/2"), "0.925")):
        of = replace(of_two(weights), slices=RatioTimeslices(MINUTE))
        found = judge_composite(of, [member("a", 50_000, "1/10"), member("b", 50_000, "1/10")], NOW)
        assert found.sli == Fraction(sli)


def of_two(weights: tuple[str, str] = ("1", "1/2")) -> Objective:
    members = tuple((name, Fraction(weight)) for name, weight in zip("ab", weights, strict=True))
    return replace(objective(Fraction(1)), slo="both", members=members)


def member(
    name: str, per_million: int, budget: str, history_ms: int = 400 * DAY, per_hour: int = 1_000_000
) -> Judgement:
    of = replace(objective(Fraction(budget)), slo=name, part_of="both")
    return judge(of, steady(of, per_million, history_ms=history_ms, per_hour=per_hour), NOW)


def test_a_composite_burns_as_its_members_do_together() -> None:
    """400 of a million at 99.9 % are a burn of 0.4, 8,000 at 99 % one of 0.8, which weighs half."""
    much = 12_000_000
    parts = [member("a", 400, "1/1000", per_hour=much), member("b", 8_000, "1/100", per_hour=much)]
    found = judge_composite(of_two(), parts, NOW)
    assert {burn for _, burn in found.burns} == {Fraction(8, 10)}
    assert found.budget_remaining == Fraction(2, 10)
    assert (found.state, found.sli) == ("ok", None)


def test_a_composite_pages_once_and_its_members_do_not() -> None:
    parts = [member("a", 8_000, "1/1000"), member("b", 80_000, "1/100")]
    assert not any(it.fired for part in parts for it in part.rows[:1])  # neither burns 14.4 times alone
    found = judge_composite(of_two(("1", "1")), parts, NOW)
    assert found.rows[0].long_burn == 16
    assert found.rows[0].fired
    assert of_judgement(found, LIMITS, NOW)[0].firing is True
    assert [of_judgement(it, LIMITS, NOW) for it in parts] == [[], []]


def test_a_composite_of_few_events_is_a_ticket() -> None:
    parts = [member("a", 20_000, "1/1000", per_hour=6_000), member("b", 0, "1/100", per_hour=6_000)]
    found = judge_composite(of_two(), parts, NOW, Policy(min_total=12_001))
    assert [(it.fired, it.guarded) for it in found.rows[:1]] == [(True, True)]


def test_a_young_composite_is_held_against_whole_windows_as_its_members_are() -> None:
    of = replace(objective(Fraction(1)), slo="both", members=(("a", Fraction(1)),))
    alone = member("a", 20_000, "1/1000", history_ms=30 * MINUTE)
    found = judge_composite(of, [alone], NOW)
    assert [it.fired for it in found.rows] == [it.fired for it in alone.rows] == [False] * 4
    older = member("a", 20_000, "1/1000", history_ms=HOUR)
    assert [it.fired for it in judge_composite(of, [older], NOW).rows] == [it.fired for it in older.rows]


@pytest.mark.parametrize("second", ["missing", "quiet"])
def test_a_member_that_is_not_measured_leaves_the_composite_so_and_a_quiet_one_does_not(second: str) -> None:
    quiet = member("b", 0, "1/100", per_hour=0)
    missing = judge(replace(quiet.objective, unmeasurable="Its query fails."), {}, NOW)
    found = judge_composite(of_two(), [member("a", 0, "1/1000"), missing if second == "missing" else quiet], NOW)
    if second == "missing":
        assert (found.state, found.reason) == ("unmeasured", "Its member b is not measured: Its query fails.")
    else:
        assert (found.state, found.budget_remaining) == ("ok", 1)


def test_a_composite_says_which_member_was_not_observed() -> None:
    of = replace(objective(Fraction(1, 100)), slo="b")
    whole = steady(of)
    unseen = {ms: replace(it, total=0, observed_ms=0, expected_ms=0, first_ms=None) for ms, it in whole.items()}
    silent = {ms: replace(it, observed_ms=it.observed_ms - min(ms, HOUR)) for ms, it in whole.items()}
    for counts, why in ((unseen, "No sample has been seen yet."), (silent, "Only 0 % of the last 5 min was observed.")):
        found = judge_composite(of_two(), [member("a", 0, "1/1000"), judge(of, counts, NOW)], NOW)
        assert (found.state, found.reason) == ("unmeasured", f"Its member b is not measured: {why}")


def test_what_is_taken_out_of_its_members_makes_a_composite_no_younger() -> None:
    """Ten days of thirty are taken out: the budget of twenty ends when that of a member alone does."""
    one = objective()
    counts = steady(one, 2_000)
    own = counts[one.window_ms]
    left = replace(own, bad=own.total // 20_000, expected_ms=20 * DAY, observed_ms=20 * DAY, taken_ms=10 * DAY)
    alone = judge(one, {**counts, one.window_ms: left}, NOW)
    members = replace(one, slo="c", members=(("test", Fraction(1)),), budget=Fraction(1))
    found = judge_composite(members, [alone], NOW)
    assert found.counts.taken_ms == 10 * DAY
    assert found.exhausted_at_ms == alone.exhausted_at_ms is not None

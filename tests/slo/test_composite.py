"""Composites by the specification's examples."""

from __future__ import annotations

from fractions import Fraction

from slo.composite import Member, composite_burn, composite_ratio, composite_slices
from slo.slices import Slice, Timeslices

P95 = Fraction(95, 100)
STRICT = Timeslices(Fraction(1), 60_000)


def test_members_burn_at_their_own_rate_times_their_weight() -> None:
    assert composite_burn([Member(Fraction(2)), Member(Fraction(3), Fraction(1, 2))]) == Fraction(7, 2)


def test_a_member_without_traffic_adds_nothing_and_none_with_any_is_no_burn() -> None:
    assert composite_burn([Member(Fraction(2)), Member(None)]) == 2
    assert composite_burn([Member(None)]) is None


def test_misses_of_ratios_add() -> None:
    assert composite_ratio([(P95, Fraction(1)), (P95, Fraction(1))]) == Fraction(90, 100)
    assert composite_ratio([(P95, Fraction(1)), (P95, Fraction(1, 2))]) == Fraction(925, 1000)


def test_any_members_bad_slice_is_bad_and_silence_is_not_health() -> None:
    good, bad, idle = Slice(0, 1), Slice(1, 1), Slice(0, 0)
    first = [good, bad, good, None, None, idle]
    other = [good, good, bad, bad, good, good]
    assert composite_slices([(STRICT, first), (STRICT, other)]) == [True, False, False, False, None, True]

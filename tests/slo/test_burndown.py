"""The burn-down begins where history does, and ends where the judgement is."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from slo.budget import remaining
from slo.burndown import burn_down
from slo.model import Counts
from tests.slo.support import HOUR, NOW, counts

BUDGET = Fraction(1, 100)


def _steps(parts: list[tuple[int, int]], first_ms: int | None = NOW - 1000 * HOUR) -> list[Counts]:
    begin = NOW - len(parts) * HOUR
    return [
        Counts(begin + i * HOUR, begin + (i + 1) * HOUR, bad, total, HOUR, HOUR, 0, first_ms)
        for i, (bad, total) in enumerate(parts)
    ]


def test_each_step_takes_its_share_of_the_budget() -> None:
    found = burn_down(_steps([(1, 100), (0, 100), (2, 200)]), BUDGET)
    assert [it.remaining for it in found.points] == [Fraction(3, 4), Fraction(3, 4), Fraction(1, 4)]
    assert [it.at_ms for it in found.points] == [NOW - 2 * HOUR, NOW - HOUR, NOW]


def test_steps_before_the_first_sample_are_left_out_and_it_says_so() -> None:
    found = burn_down(_steps([(0, 0), (0, 0), (1, 200)], NOW - HOUR - 1), BUDGET)
    assert [it.at_ms for it in found.points] == [NOW - HOUR, NOW]
    assert found.note.startswith("History begins at ")
    assert found.since_ms == NOW - HOUR - 1


def test_a_whole_window_says_that_it_is_whole() -> None:
    assert burn_down(_steps([(0, 1)]), BUDGET).note.startswith("The whole window since ")


def test_an_unmeasured_step_is_a_gap_and_no_value() -> None:
    first, second = _steps([(1, 100), (0, 100)])
    blind = Counts(first.since_ms, first.until_ms, 1, 100, 0, HOUR, 0, first.first_ms)
    assert [it.remaining for it in burn_down([blind, second], BUDGET).points] == [None, Fraction(1, 2)]


def test_nothing_seen_makes_no_points() -> None:
    found = burn_down(_steps([(0, 0)], None), BUDGET)
    assert (found.points, found.since_ms) == ((), None)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=50))
def test_the_last_point_is_the_judgements_budget_and_it_never_rises(parts: list[tuple[int, int]]) -> None:
    steps = _steps([(bad, bad + good) for bad, good in parts])
    found = [it.remaining for it in burn_down(steps, BUDGET).points]
    whole = counts(sum(it.bad for it in steps), sum(it.total for it in steps))
    assert found[-1] == remaining(whole, BUDGET)
    known = [it for it in found if it is not None]
    assert known == sorted(known, reverse=True)

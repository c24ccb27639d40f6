"""Covered time, against sets of milliseconds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.coverage import Run, joined, union, without

moments = st.integers(0, 60)
runs_of_any_order = st.lists(st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair))), max_size=8)


def milliseconds(runs: list[Run]) -> set[int]:
    return {at for begin, end in runs for at in range(begin + 1, end + 1)}


@given(runs_of_any_order, moments, moments)
def test_a_union_measures_each_moment_once(runs: list[Run], since: int, until: int) -> None:
    starts, ends = (np.array([run[at] for run in runs], np.int64) for at in (0, 1))
    expected = milliseconds(runs) & set(range(since + 1, until + 1))
    assert union(starts, ends).between(since, until) == len(expected)


@given(runs_of_any_order)
def test_joined_runs_are_disjoint_in_order_and_the_same_time(runs: list[Run]) -> None:
    found = joined(runs)
    assert milliseconds(found) == milliseconds(runs)
    assert all(before[1] < after[0] for before, after in pairwise(found))


@given(runs_of_any_order, moments, moments)
def test_what_is_taken_out_is_out_and_all_else_stays(runs: list[Run], one: int, other: int) -> None:
    since, until = min(one, other), max(one, other)
    rest = without(joined(runs), since, until)
    assert milliseconds(rest) == milliseconds(runs) - set(range(since + 1, until + 1))

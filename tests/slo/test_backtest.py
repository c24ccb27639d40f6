"""A backtest against the judgement of each minute, and what it says of known histories."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.backtest import History, backtest, row_by_row, sliced
from slo.burn import Policy, judge_row
from slo.model import Counts
from slo.rows import burn_rows
from slo.slices import Timeslices
from tests.slo.support import DAY, HOUR, MINUTE, objective

T0 = 1_760_000_040_000
Minute = tuple[int, int, int]
"""Bad, good, and observed seconds."""
MINUTES = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 5]), st.sampled_from([0, 3, 100]), st.sampled_from([60, 60, 60, 0, 30])),
    min_size=1,
    max_size=12,
)


def history(minutes: list[Minute], begin_ms: int = T0, first: int = 0) -> History:
    bad, good, seen = (np.array(column, np.int64) for column in zip(*minutes, strict=True))
    return History(begin_ms, MINUTE, bad, bad + good, seen * 1000, begin_ms + first * MINUTE)


def counts(of: History, window_ms: int, at: int) -> Counts:
    """Of the window that ends with step `at`."""
    end = int(of.ends_ms[at])
    low = max(0, at + 1 - window_ms // MINUTE)
    mine = slice(low, at + 1)
    assert of.first_ms is not None
    begin = min(end, max(end - window_ms, of.first_ms))
    bad, total, seen = (int(it[mine].sum()) for it in (of.bad, of.total, of.observed_ms))
    return Counts(end - window_ms, end, bad, total, seen, end - begin, 0, of.first_ms)


@settings(max_examples=60, deadline=None)
@given(MINUTES, st.integers(1, 60), st.sampled_from([Fraction(1, 1000), Fraction(1, 20), Fraction(1, 10**7)]))
def test_every_row_at_every_minute_is_what_judging_says(minutes: list[Minute], times: int, budget: Fraction) -> None:
    """Patterns are repeated, so that long windows have something to see."""
    of, told, policy = objective(budget), history(minutes * times), Policy(min_total=50)
    for found in row_by_row(of, told, policy):
        for at in range(0, len(told.bad), max(1, len(told.bad) // 25)):
            row = found.row
            one = judge_row(row, counts(told, row.long_ms, at), counts(told, row.short_ms, at), budget, policy)
            assert (found.fired[at], found.known[at], found.guarded[at]) == (one.fired, one.measured, one.guarded)


def test_numbers_beyond_64_bits_are_compared_exactly() -> None:
    of = objective(Fraction(1, 10**9 + 7))
    told = history([(10**9, 10**12, 60)] * 120)
    rows = row_by_row(of, told)
    assert all(it.fired[-1] for it in rows[:2])
    assert [it.row for it in rows] == list(burn_rows(of.window_ms))


def test_an_outage_of_ten_minutes_is_one_page_with_its_times() -> None:
    quiet, broken = [(0, 100, 60)] * (3 * 24 * 60), [(100, 0, 60)] * 10
    told = history([*quiet, *broken, *quiet])
    found = backtest(objective(), told, T0)
    (page,) = [it for it in found.alerts if it.road == "page"]
    begins = T0 + len(quiet) * MINUTE
    assert begins < page.opened_ms <= begins + 10 * MINUTE
    assert page.rows[0] == "fast"
    assert page.resolved_ms is not None
    assert begins + 10 * MINUTE < page.resolved_ms <= begins + 45 * MINUTE
    assert (found.bad, found.total) == (1000, (2 * len(quiet) + 10) * 100)
    assert found.sli == 1 - Fraction(1000, found.total)
    assert found.budget_left == 1 - Fraction(1000, found.total) * 1000
    assert found.least_left is not None
    assert found.budget_left is not None
    assert found.least_left < found.budget_left < 0
    assert found.coverage == 1
    assert found.suggested == Fraction(995, 1000)


def test_what_was_before_is_in_the_windows_and_not_in_what_is_told() -> None:
    told = history([(100, 0, 60)] * 30 + [(0, 100, 60)] * 300)
    since = T0 + 200 * MINUTE
    found = backtest(objective(), told, since)
    assert (found.since_ms, found.bad, found.total) == (since, 0, 130 * 100)
    assert not [it for it in found.alerts if it.road == "page" and it.resolved_ms is None]
    assert found.least_left == 1 - Fraction(30, 201) * 1000


def test_few_events_make_a_ticket_and_silence_freezes() -> None:
    lonely = [(0, 0, 60)] * 600 + [(1, 0, 60)] + [(0, 0, 60)] * 60
    assert {it.road for it in backtest(objective(), history(lonely), T0).alerts} == {"ticket"}
    gone = [(0, 100, 60)] * 600 + [(50, 50, 60)] * 20 + [(0, 0, 0)] * 600
    (page,) = [it for it in backtest(objective(), history(gone), T0).alerts if it.road == "page"]
    assert page.resolved_ms is None


def test_slices_are_folded_and_judged_by_the_slice() -> None:
    minutes = [(1, 9, 60)] * 5 + [(0, 10, 60)] * 5 + [(0, 0, 60)] * 5 + [(9, 1, 0)] * 5
    begin = T0 // (5 * MINUTE) * 5 * MINUTE
    rule = Timeslices(Fraction(95, 100), 5 * MINUTE)
    found = sliced(history(minutes, begin), rule)
    assert found.bad.tolist() == [1, 0, 0, 0]
    assert found.total.tolist() == [1, 1, 0, 0]
    of = replace(objective(Fraction(1, 100), days=1), slices=rule)
    told = backtest(of, history(minutes, begin), begin)
    assert told.budget_left == 1 - Fraction(1, 288) * 100


def test_nothing_stored_is_nothing_told() -> None:
    nothing = np.zeros(0, np.int64)
    found = backtest(objective(), History(T0, MINUTE, nothing, nothing, nothing, None), T0)
    assert (found.alerts, found.sli, found.budget_left, found.suggested) == ((), None, None, None)
    assert HOUR < DAY

"""A backtest against the judgement of each minute, and what it says of known histories."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.backtest import Backtest, backtest, judged_over, moments_of
from slo.backtest_rows import Rows
from slo.burn import DEFAULT, Policy
from slo.judge import judge, windows
from slo.model import BurnRow, Counts, Judgement, Objective
from slo.rows import WORKBOOK, burn_rows
from slo.slices import Timeslices
from slo.stepped_history import History
from slo.stepped_slices import sliced
from tests.slo.support import DAY, HOUR, MINUTE, RATIO, objective

T0 = 1_760_000_040_000
Minute = tuple[int, int, int]
"""Bad, good, and observed seconds."""
MINUTES = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 5]), st.sampled_from([0, 3, 100]), st.sampled_from([60, 60, 60, 0, 30])),
    min_size=1,
    max_size=12,
)
BUDGETS = st.sampled_from([Fraction(1, 1000), Fraction(1, 20), Fraction(1, 10**7)])
CONDITIONS = (
    BurnRow("quick", HOUR, HOUR, Fraction(0), Fraction(2), "page", "gte", 5 * MINUTE),
    BurnRow("slow", 5 * MINUTE, 5 * MINUTE, Fraction(0), Fraction(1), "ticket", "lt"),
)


def history(minutes: list[Minute], begin_ms: int = T0, first: int = 0) -> History:
    bad, good, seen = (np.array(column, np.int64) for column in zip(*minutes, strict=True))
    return History(begin_ms, MINUTE, bad, bad + good, seen * 1000, begin_ms + first * MINUTE)


def tried(of: Objective, told: History, since_ms: int = T0, **more: Any) -> Backtest:
    return backtest(of, [(of, told)], since_ms, int(told.ends_ms[-1]) if len(told.bad) else since_ms, **more)


def rows_over(of: Objective, told: History, policy: Policy = DEFAULT) -> Rows:
    found = judged_over(of, [(of, told)], moments_of([(of, told)], told.since_ms, int(told.ends_ms[-1])), policy)
    assert found is not None
    return found


def counts(of: History, window_ms: int, at: int) -> Counts:
    """Of the window that ends with step `at`."""
    end = int(of.ends_ms[at])
    low = max(0, at + 1 - window_ms // MINUTE)
    mine = slice(low, at + 1)
    assert of.first_ms is not None
    begin = min(end, max(end - window_ms, of.first_ms))
    bad, total, seen = (int(it[mine].sum()) for it in (of.bad, of.total, of.observed_ms))
    return Counts(end - window_ms, end, bad, total, seen, end - begin, 0, of.first_ms)


def one(of: Objective, told: History, at: int, policy: Policy) -> Judgement:
    by_window = {window: counts(told, window, at) for window in windows(of, policy)}
    return judge(of, by_window, int(told.ends_ms[at]), policy)


@settings(max_examples=60, deadline=None)
@given(MINUTES, st.integers(1, 60), BUDGETS, st.sampled_from([1, 7, 30]), st.booleans())
def test_every_row_at_every_minute_is_what_judging_says(
    minutes: list[Minute], times: int, budget: Fraction, days: int, asks: bool
) -> None:
    """Patterns are repeated, so that long windows have something to see."""
    of = replace(
        objective(budget, days), conditions=tuple(replace(it, after_ms=0) for it in CONDITIONS) if asks else ()
    )
    told, policy = history(minutes * times, first=3), Policy(min_total=50)
    found = rows_over(of, told, policy)
    for at in range(0, len(told.bad), max(1, len(told.bad) // 25)):
        right = one(of, told, at, policy)
        for row, result in zip(found.rows, right.rows, strict=True):
            assert row.row == result.row
            assert (row.fired[at], row.known[at]) == (result.fired, result.measured)
            assert row.guarded[at] == (result.guarded and result.fired)
        assert found.projected[at] == right.projected_gone
        left = 1 - found.own.exact(at) / budget if found.own.busy[at] else None
        assert left == right.budget_remaining


def test_numbers_beyond_64_bits_are_compared_exactly() -> None:
    of = objective(Fraction(1, 10**9 + 7))
    told = history([(10**9, 10**12, 60)] * 120)
    rows = rows_over(of, told).rows
    assert all(it.fired[-1] for it in rows[:2])
    assert [it.row for it in rows] == list(burn_rows(of.window_ms))


def test_a_burn_at_the_limit_does_not_fire_and_one_event_more_does() -> None:
    """14.4 x 0.1 % of 100,000 a minute is 1,440 of them."""
    at, above = ([(bad, 100_000 - bad, 60)] * 90 for bad in (1440, 1441))
    assert [bool(rows_over(objective(), history(it)).rows[0].fired[-1]) for it in (at, above)] == [False, True]


def test_an_outage_of_ten_minutes_is_one_page_with_its_times() -> None:
    quiet, broken = [(0, 100, 60)] * (3 * 24 * 60), [(100, 0, 60)] * 10
    told = history([*quiet, *broken, *quiet])
    found = tried(objective(), told)
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
    assert found.least_ms == begins + 10 * MINUTE
    assert found.coverage == 1
    assert found.suggested is not None
    assert (found.suggested.target, found.suggested.windows) == (Fraction(995, 1000), False)
    assert (found.line[0].left, found.line[-1].left) == (1, found.budget_left)


def test_of_a_query_no_more_is_observed_than_there_was() -> None:
    """What was asked stands behind windows alone; all of history is more than one of them."""
    told = history([(0, 1, 60)] * (3 * 24 * 60))
    flags = (np.zeros(len(told.bad), np.int64), np.ones(len(told.bad), np.int64))
    asked = replace(told, events=1, flags=flags)
    assert tried(objective(days=1), asked).coverage == 1
    half = replace(asked, observed_ms=np.where(np.arange(len(told.bad)) % 2 == 0, told.observed_ms, 0))
    assert tried(objective(days=1), half).coverage == Fraction(1, 2)


def test_what_was_before_is_in_the_windows_and_not_in_what_is_told() -> None:
    told = history([(100, 0, 60)] * 30 + [(0, 100, 60)] * 300)
    since = T0 + 200 * MINUTE
    found = tried(objective(), told, since)
    assert (found.since_ms, found.bad, found.total) == (since, 0, 130 * 100)
    assert not [it for it in found.alerts if it.road == "page" and it.resolved_ms is None]
    assert found.least_left == 1 - Fraction(30, 201) * 1000


def test_a_target_is_suggested_by_the_worst_window_and_not_by_the_mean() -> None:
    """One bad day of thirty: a window of a day spent on it what the mean says never was."""
    day = [(0, 100, 60)] * 1440
    told = history([*day * 10, *[(1, 99, 60)] * 1440, *day * 19])
    found = tried(objective(days=1), told).suggested
    assert found is not None
    assert (found.target, found.windows, found.spent) == (Fraction(98, 100), True, Fraction(1, 2))


def test_few_events_make_a_ticket_and_silence_freezes() -> None:
    lonely = [(0, 0, 60)] * 600 + [(1, 0, 60)] + [(0, 0, 60)] * 60
    assert {it.road for it in tried(objective(), history(lonely)).alerts} == {"ticket"}
    gone = [(0, 100, 60)] * 600 + [(50, 50, 60)] * 20 + [(0, 0, 0)] * 600
    (page,) = [it for it in tried(objective(), history(gone)).alerts if it.road == "page"]
    assert page.resolved_ms is None


def test_what_a_rule_of_its_own_pages_for_is_a_ticket_here() -> None:
    told = history([(0, 100, 60)] * 600 + [(100, 0, 60)] * 20 + [(0, 100, 60)] * 600)
    assert {it.road for it in tried(objective(), told).alerts} == {"page", "ticket"}
    assert {it.road for it in tried(objective(), told, no_page=True).alerts} == {"ticket"}
    assert tried(replace(objective(), part_of="both"), told).alerts == ()


def test_a_budget_that_is_soon_gone_pages_by_its_projection() -> None:
    told = history([(0, 100, 60)] * (30 * 1440) + [(100, 0, 60)] * 16)
    assert rows_over(objective(), told).projected.tolist()[-3:] == [False, True, True]
    alone = Policy(rows=(WORKBOOK[0]._replace(share=Fraction(1)),))  # a row that does not fire
    (page,) = [it for it in tried(objective(), told, policy=alone).alerts if it.road == "page"]
    assert page.rows == ("projection",)


def test_slices_are_folded_and_judged_by_the_slice() -> None:
    minutes = [(1, 9, 60)] * 5 + [(0, 10, 60)] * 5 + [(0, 0, 60)] * 5 + [(9, 1, 0)] * 5
    begin = T0 // (5 * MINUTE) * 5 * MINUTE
    rule = Timeslices(Fraction(95, 100), 5 * MINUTE)
    found = sliced(history(minutes, begin), rule, RATIO)
    assert (found.since_ms, found.bad.tolist(), found.total.tolist()) == (begin, [1, 0, 0, 0], [1, 1, 0, 0])
    late = sliced(history([(0, 1, 60), *minutes], begin - MINUTE), rule, RATIO)
    assert (late.since_ms, late.bad.tolist()) == (begin, [1, 0, 0, 0])
    of = replace(objective(Fraction(1, 100), days=1), slices=rule)
    told = tried(of, history(minutes, begin), begin)
    assert told.budget_left == 1 - Fraction(1, 288) * 100


def test_nothing_stored_is_nothing_told() -> None:
    nothing = np.zeros(0, np.int64)
    found = tried(objective(), History(T0, MINUTE, nothing, nothing, nothing, None))
    assert (found.alerts, found.sli, found.budget_left, found.suggested) == ((), None, None, None)
    assert HOUR < DAY

"""Conditions of alert policies, other tables, and the guard of few events."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from slo.burn import Policy
from slo.held import HeldConditions
from slo.judge import judge, windows
from slo.model import BurnRow, Judgement, Objective
from slo.rows import TABLES
from tests.slo.support import HOUR, MINUTE, NOW, objective, steady


def with_condition(op: str, threshold: int, after_ms: int = 0, lookback_ms: int = 2 * HOUR) -> Objective:
    row = BurnRow("mine", lookback_ms, lookback_ms, Fraction(0), Fraction(threshold), "ticket", op, after_ms)  # type: ignore[arg-type]
    return replace(objective(), conditions=(row,))


def fired(judgement: Judgement) -> bool:
    (row,) = [it for it in judgement.rows if it.row.name == "mine"]
    return row.fired


@pytest.mark.parametrize(
    ("op", "at", "below", "above"),
    [("gt", False, False, True), ("gte", True, False, True), ("lt", False, True, False), ("lte", True, True, False)],
)
def test_a_condition_is_compared_as_it_is_written(op: str, at: bool, below: bool, above: bool) -> None:
    of = with_condition(op, 2)
    assert 2 * HOUR in windows(of)
    for per_million, expected in ((2_000, at), (1_999, below), (2_001, above)):
        found = judge(of, steady(of, per_million), NOW)
        assert fired(found) == expected


def test_a_condition_that_holds_is_the_reason_of_the_state() -> None:
    of = with_condition("lt", 2)
    found = judge(of, steady(of, 500), NOW)
    assert found.state == "burning"
    assert found.reason == "The condition mine of its alert policy holds: 0.5x over 2 h, below 2x."
    waiting = with_condition("lt", 2, after_ms=MINUTE)
    assert judge(waiting, steady(waiting, 500), NOW).state == "ok"


def test_the_burn_rows_go_on_beside_a_condition() -> None:
    found = judge(of := with_condition("gt", 100), steady(of, 20_000), NOW)
    assert not fired(found)
    assert [it.row.name for it in found.rows if it.fired] == ["fast", "slow", "ticket-1d", "ticket-3d"]


def test_a_condition_without_traffic_or_coverage_does_not_fire() -> None:
    of = with_condition("lt", 2)
    counts = steady(of)
    assert fired(judge(of, counts, NOW))
    quiet = {ms: replace(it, bad=0, total=0) for ms, it in counts.items()}
    assert not fired(judge(of, quiet, NOW))
    blind = {ms: replace(it, observed_ms=it.observed_ms // 2) for ms, it in counts.items()}
    (row,) = judge(of, blind, NOW).rows[4:]
    assert (row.fired, row.measured) == (False, False)


def test_beside_a_gap_a_condition_holds_by_what_was_seen_where_all_else_may_have_been_good() -> None:
    of = with_condition("gte", 2)
    counts = steady(of, 4000)  # 4x, of which half the window was seen: 2x at the least
    half = {ms: replace(it, observed_ms=it.observed_ms // 2) for ms, it in counts.items()}
    (row,) = judge(of, half, NOW).rows[4:]
    assert (row.fired, row.measured, row.in_part) == (True, True, True)
    for op in ("gt", "lt", "lte"):
        (row,) = judge(with_condition(op, 2), half, NOW).rows[4:]
        assert (row.fired, row.measured) == (False, False)


def test_a_condition_fires_once_it_has_held_for_as_long_as_it_must() -> None:
    of, held = with_condition("gt", 1, after_ms=5 * MINUTE), HeldConditions()

    def at(minute: int, per_million: int) -> bool:
        now = NOW + minute * MINUTE
        return fired(held.of(judge(of, steady(of, per_million), now)))

    assert [at(minute, 3_000) for minute in (0, 4, 5, 9)] == [False, False, True, True]
    assert not at(10, 0)
    assert [at(minute, 3_000) for minute in (11, 15, 16)] == [False, False, True]


def test_a_moment_at_which_nothing_can_measure_it_does_not_end_what_holds() -> None:
    of, held = with_condition("gt", 1, after_ms=5 * MINUTE), HeldConditions()

    def at(minute: int, found: Judgement) -> Judgement:
        told = held.of(replace(found, at_ms=NOW + minute * MINUTE))
        held.settle()
        return told

    burning = judge(of, steady(of, 3_000), NOW)
    failed = judge(replace(of, unmeasurable="Its query can't be answered."), {}, NOW)
    assert not fired(at(0, burning))
    at(4, failed)
    assert fired(at(5, burning))
    at(6, failed)
    assert fired(at(7, burning))


def test_a_page_needs_as_many_events_as_are_asked_for() -> None:
    of = objective()
    few = {ms: replace(it, bad=5, total=20) for ms, it in steady(of).items()}
    for least, guarded in ((0, False), (20, False), (21, True)):
        rows = judge(of, few, NOW, Policy(min_total=least)).rows
        assert [it.guarded for it in rows] == [guarded, guarded, False, False]
        assert all(it.fired for it in rows)


def test_other_tables_have_their_own_windows_and_factors() -> None:
    pyrra = next(it for it in TABLES if it.name == "pyrra")
    policy = Policy(pyrra.rows, pyrra.period_ms)
    of = objective(days=28)
    counts = {
        ms: replace(next(iter(steady(of).values())), since_ms=NOW - ms, expected_ms=ms, observed_ms=ms)
        for ms in windows(of, policy)
    }
    rows = judge(of, counts, NOW, policy).rows
    assert [it.row.factor for it in rows] == [14, 7, 2, 1]

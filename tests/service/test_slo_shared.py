"""Objectives that count the same by other windows share what is kept, and take nothing from one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from service.judging import Judging
from service.slo_queries import QueriedCounts
from service.store import Store
from slo.judge import windows
from slo.model import Counts, EventRatio, Indicator, Matcher, Objective, QueryIndicator, Selector
from slo.slices import Timeslices
from tests.service.stores import T0, Clock, Point, batch, select, series
from tests.service.test_slo_queries import Answers, at

MINUTE, HOUR = 60_000, 3_600_000
NOW = T0 + 4 * HOUR
BAD = EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),))
SLICES = Timeslices(Fraction(9, 10), MINUTE)


def objective(name: str, window_ms: int, **more: object) -> Objective:
    found = Objective(name, "s", (), BAD, Fraction(1, 100), "99 %", window_ms, "X", slices=SLICES)
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Bad for its first half hour."""
    found = Store(tmp_path / "x.duckdb", Clock(NOW))
    points = []
    for rounds, ts in enumerate(range(T0, NOW + 10 * MINUTE, 15_000)):
        bad = min(rounds, 120)
        for code, value in (("500", bad), ("200", rounds - bad)):
            points.append(Point(series("requests_total", code=code), ts, float(value), T0, "counter"))
    found.append(batch(points))
    yield found
    found.close()


def test_who_has_a_shorter_window_takes_no_slices_from_who_has_a_longer_one(store: Store) -> None:
    members = [objective("m", 4 * HOUR, part_of="c"), objective("n", 4 * HOUR, part_of="c")]
    whole = objective("c", 4 * HOUR, members=(("m", Fraction(1)), ("n", Fraction(1))), budget=Fraction(1))
    alone = Judging(store).judged([*members, whole], NOW)
    judging = Judging(store)
    for now in (NOW, NOW):
        beside = judging.judged([*members, objective("other", HOUR), whole], now)
        assert beside[-1] == alone[-1]
    assert alone[-1].budget_remaining is not None
    assert alone[-1].budget_remaining < 0
    edges = [NOW - 4 * HOUR, NOW - 3 * HOUR, NOW]
    steps = judging.steps([whole], edges)[0]
    assert Fraction(steps[0].bad, steps[0].total) > 0


def test_the_longer_one_is_not_counted_anew_at_each_evaluation(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, real = list[int](), store.slices

    def slices(indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        counted.append(len(edges_ms) - 1)
        return real(indicators, edges_ms)

    monkeypatch.setattr(store, "slices", slices)
    judging, every = Judging(store), [objective("long", 4 * HOUR), objective("short", HOUR)]
    found = [judging.judged(every, NOW + minute * MINUTE) for minute in range(3)]
    assert sum(counted) <= 4 * 60 + 4
    for minute, judged in enumerate(found):
        assert [it.counts for it in judged] == [
            Judging(store).judged([it], NOW + minute * MINUTE)[0].counts for it in every
        ]
    counted.clear()
    judging.judged(every[1:], NOW + 4 * MINUTE)
    judging.judged(every[1:], NOW + 5 * MINUTE)
    assert len(judging._sliced._books[BAD, SLICES].bad) == 60, "what nobody asks for any more is let go of"


def test_queries_that_several_ask_by_other_windows_are_asked_once() -> None:
    answers, query = Answers({"r": at(*[[1.0]] * 300)}), QueryIndicator("raw-good", "r")
    every = [objective(name, hours * HOUR, query=query, slices=None) for name, hours in (("a", 4), ("b", 1))]
    queried = QueriedCounts(answers)
    for minute in (240, 241, 242):
        queried.begin()
        found = [queried.of(it, windows(it), T0 + minute * MINUTE) for it in every]
        alone = QueriedCounts(answers.__class__(answers.of))
        alone.begin()
        assert found == [alone.of(it, windows(it), T0 + minute * MINUTE) for it in every]
    lengths = [(last - first) // MINUTE + 1 for _, first, last in answers.asked]
    assert sorted(lengths)[-2:] == [10, 240]


def test_who_asks_for_less_knows_nothing_of_what_was_before(store: Store) -> None:
    answers, query = Answers({"r": at(*[[1.0]] * 60)}), QueryIndicator("raw-good", "r")
    queried = QueriedCounts(answers)
    queried.begin()
    long, short = (objective("x", hours * HOUR, query=query, slices=None) for hours in (4, 1))
    for of, first in ((long, T0), (short, None)):
        found = queried.of(of, windows(of), T0 + 180 * MINUTE)
        assert isinstance(found, list)
        assert found[-1].first_ms == first


def test_a_composite_whose_members_slices_are_not_kept_is_not_healthy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [objective("m", 4 * HOUR, part_of="c"), objective("n", 4 * HOUR, part_of="c")]
    members[1] = replace(members[1], slices=Timeslices(Fraction(1, 2), MINUTE))
    whole = objective("c", 4 * HOUR, members=(("m", Fraction(1)), ("n", Fraction(1))), budget=Fraction(1))
    judging = Judging(store)
    assert judging.judged([*members, whole], NOW)[-1].state == "exhausted"
    monkeypatch.setattr("service.slo_slices.MOST_KEPT", 300)
    *singles, found = judging.judged([*members, whole], NOW)
    assert [it.state for it in singles] == ["exhausted", "exhausted"]
    assert (found.state, found.reason) == ("unmeasured", "Slices of its members are more than are kept in memory.")
    monkeypatch.setattr("service.slo_slices.MOST_KEPT", 480)
    assert judging.judged([*members, whole], NOW)[-1].state == "exhausted"


def test_steps_before_the_window_are_judged_too_and_what_is_not_known_was_not_observed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging, of = Judging(store), objective("a", HOUR)
    before = judging.judged([of], NOW)
    edges = [T0 - HOUR, T0, T0 + HOUR, T0 + 2 * HOUR, NOW]
    steps = judging.steps([of], edges)[0]
    assert [(it.bad, it.total) for it in steps] == [(0, 0), (30, 60), (0, 60), (0, 120)]
    assert judging.judged([of], NOW) == before
    judging = Judging(store)
    judging.judged([of], NOW)
    monkeypatch.setattr(judging._sliced, "_seconds", -1.0)
    steps = judging.steps([of], edges)[0]
    assert [(it.bad, it.total) for it in steps[:3]] == [(0, 0)] * 3
    assert [it.observed_ms for it in steps] == [0, 0, 0, 0]
    assert [it.expected_ms for it in steps] == [0, HOUR, HOUR, 2 * HOUR]
    assert judging.steps([of], [NOW - HOUR, NOW])[0][0].observed_ms == HOUR


def test_the_tail_of_a_window_makes_nothing_be_counted_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, real = list[int](), store.slices

    def slices(indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        counted.append(len(edges_ms) - 1)
        return real(indicators, edges_ms)

    judging, of = Judging(store), objective("a", HOUR)
    judging.judged([of], NOW)
    monkeypatch.setattr(store, "slices", slices)
    found = judging._tail_steps([of], [NOW - 2 * HOUR, NOW - HOUR // 2, NOW])[0]
    assert sum(counted) == 2, "the steps' own events alone"
    assert [it.total for it in found] == [90, 30]

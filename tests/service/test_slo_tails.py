"""The end of a budget over a real store, with what leaves its window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from service import slo_tails
from service.judging import Judging
from service.slo_tails import Tails
from service.store import Store
from slo.judge import judge, windows
from slo.model import Counts, EventRatio, Judgement, Matcher, Objective, Selector
from slo.tail import gone_in_ms
from tests.service.stores import T0, Clock, Point, batch, select, series
from tests.slo.support import DAY, HOUR, MINUTE, NOW, objective, steady

UNTIL = T0 + DAY + 30 * MINUTE
RATIO = EventRatio((select("asked_total"),), bad=(Selector("asked_total", (Matcher("code", "=", "500"),)),))
OF = Objective("x", "s", (), RATIO, Fraction(1, 10), "90 %", DAY, "X")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A day of 40 requests a minute: bad ones in its first hour and in its last one."""
    found = Store(tmp_path / "x.duckdb", Clock(UNTIL))
    points, bad, good = [], 0, 0
    for minute in range(1, (UNTIL - T0) // MINUTE + 1):
        at_ms = T0 + minute * MINUTE
        failing = 30 if at_ms > UNTIL - HOUR else 40 if UNTIL - DAY < at_ms <= UNTIL - DAY + HOUR else 0
        bad, good = bad + failing, good + 40 - failing
        points += [
            Point(series("asked_total", code=code), at_ms, float(it), T0) for code, it in (("500", bad), ("200", good))
        ]
    found.append(batch(points))
    yield found
    found.close()


def _judged(store: Store, *objectives: Objective, at_ms: int = UNTIL) -> tuple[Judgement, ...]:
    return Judging(store).judged(objectives, at_ms)


def test_an_old_outage_that_leaves_gives_its_budget_back_before_it_ends(store: Store) -> None:
    (found,) = _judged(store, OF)
    assert found.ending == "tail"
    (counts,) = store.counts(RATIO, [DAY], UNTIL)
    edges = range(UNTIL - DAY, UNTIL - DAY + 12 * HOUR + 1, 5 * MINUTE)
    tail = [slo_tails.Leaving(5 * MINUTE, it.bad, it.total) for it in store.slices([RATIO], edges)[0]]
    whole = gone_in_ms(counts, OF.budget, Fraction(30, 4), DAY, tail)
    assert whole is not None
    assert found.exhausted_at_ms is not None
    assert abs(found.exhausted_at_ms - UNTIL - whole) <= 5 * MINUTE  # steps begin at multiples of five minutes
    clean = judge(OF, {ms: store.counts(RATIO, [ms], UNTIL)[0] for ms in windows(OF)}, UNTIL)
    assert clean.ending == "clean-tail"
    assert clean.exhausted_at_ms is not None
    assert clean.exhausted_at_ms + HOUR < found.exhausted_at_ms
    assert clean.projected_gone
    assert found.projected_gone  # the page is by the closed formula, as backtests have it


class Reader:
    """Counts what is read."""

    def __init__(self) -> None:
        self.read: list[tuple[int, int]] = []

    def __call__(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        self.read.append((len(objectives), len(edges_ms) - 1))
        pairs = list(pairwise(edges_ms))
        return [
            [Counts(since, until, 0, 1000, until - since, until - since) for since, until in pairs] for _ in objectives
        ]


def _burning(count: int, at_ms: int = NOW) -> list[Judgement]:
    of = objective()
    counts = steady(of, 14_400, per_hour=12_000_000)
    own = counts[of.window_ms]
    counts[of.window_ms] = replace(own, bad=own.total // 2000)
    return [replace(judge(replace(of, slo=str(it)), counts, NOW), at_ms=at_ms) for it in range(count)]


def test_a_tail_is_read_once_and_serves_while_it_reaches_far_enough() -> None:
    reader = Reader()
    tails = Tails(reader)
    for hours in (0, 1, 5):
        now_ms = NOW + hours * HOUR
        assert len(tails.of([replace(it, at_ms=now_ms, exhausted_at_ms=now_ms + DAY) for it in _burning(3)])) == 3
    assert reader.read == [(1, 60)] * 3  # two and a half days, by the hour
    tails.of([replace(it, exhausted_at_ms=NOW + 5 * DAY) for it in _burning(1)])
    assert reader.read[3:] == [(1, 60)]
    tails.of([replace(it, at_ms=NOW + 7 * HOUR, exhausted_at_ms=NOW + DAY) for it in _burning(1)])
    assert len(reader.read) == 5  # it is no longer fresh


def test_what_does_not_burn_is_not_read() -> None:
    reader = Reader()
    of = objective()
    assert Tails(reader).of([judge(of, steady(of), NOW), judge(objective(unmeasurable="No."), {}, NOW)]) == {}
    assert reader.read == []


def test_beyond_the_bound_they_come_in_the_next_evaluations_the_soonest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slo_tails, "MOST_READ", 2)
    monkeypatch.setattr(slo_tails, "MOST", 5)
    reader = Reader()
    tails = Tails(reader)
    burning = [replace(it, exhausted_at_ms=NOW + (9 - index) * HOUR) for index, it in enumerate(_burning(6))]
    assert [sorted(tails.of(burning)) for _ in range(3)] == [[4, 5], [2, 3, 4, 5], [1, 2, 3, 4, 5]]
    assert len(reader.read) == 5


def test_the_first_step_is_what_of_it_still_is_in_the_window() -> None:
    (found,) = Tails(Reader()).of([replace(it, exhausted_at_ms=NOW + DAY) for it in _burning(1, NOW + 60_000)]).values()
    assert found[0].ms == HOUR - (NOW + 60_000) % HOUR
    assert found[0].total == 1000 * found[0].ms // HOUR
    assert {it.ms for it in found[1:]} == {HOUR}

"""Slices and queries without what adjustments take out, against one slice after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.judging import Judging
from service.store import Store
from slo.adjust import Adjustment
from slo.model import EventRatio, Judgement, Objective, QueryIndicator
from slo.slices import RATIO_UNIT, RatioTimeslices, Timeslices
from tests.service.naive import Naive
from tests.service.stores import T0, Clock, Point, batch, series
from tests.service.test_adjusted import adjustment
from tests.service.test_slo_queries import Answers
from tests.service.test_slo_slices import BAD

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = T0 + 5 * HOUR + 12_345
RULES = [Timeslices(Fraction(9, 10), MINUTE), Timeslices(Fraction(99, 100), 7 * MINUTE), RatioTimeslices(5 * MINUTE)]
Rule = Timeslices | RatioTimeslices


class Told(NamedTuple):
    """What one slice spent, of how much, and what was measured of it."""

    bad: int
    total: int
    busy: bool


class World(NamedTuple):
    """A store with five hours in it, the same for the second implementation, and answers of queries."""

    store: Store
    naive: Naive
    answers: Answers
    known: dict[tuple[Rule, int], Told]
    """What the second implementation said of slices: no example changes it."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    random = Random(5)  # noqa: S311 - told again and again
    folder = Path(tmp_path_factory.mktemp("store"))
    found = World(Store(folder / "x.duckdb", Clock(NOW)), Naive(), Answers({"bad": {}, "all": {}}), {})
    values = {"200": 0, "500": 0}
    points = []
    for at in range(T0, NOW, 15_000):
        for code, most in (("200", 30), ("500", random.choice([0, 0, 0, 0, 9]))):
            values[code] += random.randint(0, most) if (at - T0) % HOUR > 8 * MINUTE else 0
            points.append(Point(series("requests_total", code=code), at, float(values[code]), T0 - 1))
    found.store.append(batch(points))
    found.naive.append(batch(points))
    for at in range((T0 - DAY) // MINUTE * MINUTE, NOW, MINUTE):
        if at > T0 and random.random() < 0.9:
            found.answers.of["all"][at] = [float(random.randint(0, 9))]
            found.answers.of["bad"][at] = [float(random.randint(0, 1))]
    yield found
    found.store.close()


def objective(rule: Rule | None, query: QueryIndicator | None = None) -> Objective:
    indicator = BAD if query is None else EventRatio(())
    return Objective("x", "api", (), indicator, Fraction(1, 100), "99 %", DAY, "X", slices=rule, query=query)


def of_store(world: World, rule: Rule) -> Callable[[int], Told]:
    def told(end: int) -> Told:
        if (rule, end) not in world.known:
            world.known[rule, end] = slice_of(end)
        return world.known[rule, end]

    def slice_of(end: int) -> Told:
        found = world.naive.counts(BAD, end - rule.slice_ms, end)
        if not found.observed_ms or 10 * found.observed_ms < 9 * found.expected_ms or not found.total:
            return Told(0, 0, False)
        if isinstance(rule, Timeslices):
            return Told(int(Fraction(found.total - found.bad, found.total) < rule.target), 1, True)
        return Told(round(Fraction(found.bad * RATIO_UNIT, found.total)), RATIO_UNIT, True)

    return told


def of_query(world: World) -> Callable[[int], Told]:
    def told(end: int) -> Told:
        (whole,), (bad,) = (world.answers.of[name].get(end, [0.0]) for name in ("all", "bad"))
        return Told(round(min(bad, whole)) * 10**9, round(whole) * 10**9, whole > 0)

    return told


def agree(judged: Judgement, told: Callable[[int], Told], slice_ms: int, adjustments: list[Adjustment]) -> None:
    rule, last = judged.objective.slices, NOW // slice_ms * slice_ms
    earliest = last - (DAY // slice_ms - 1) * slice_ms

    def owner(end: int) -> str | None:
        """The first adjustment that touches the slice."""
        touches = [it for it in adjustments if it.until_ms and it.since_ms < end and it.until_ms > end - slice_ms]
        return touches[0].id if touches else None

    def window(length_ms: int, *, own: bool) -> tuple[int, int]:
        size, end, mine = max(1, length_ms // slice_ms), last, list[int]()
        if own:
            mine = [it for it in range(last, last - size * slice_ms, -slice_ms) if owner(it) is None]
        while not own and len(mine) < size and end >= earliest:
            mine += [end] if owner(end) is None else []
            end -= slice_ms
        found = [it for it in map(told, mine) if it.busy]
        total = (len(mine) if own else size) if found else 0
        return sum(it.bad for it in found), total if isinstance(rule, Timeslices) else sum(it.total for it in found)

    assert (judged.counts.bad, judged.counts.total) == window(DAY, own=True)
    for row in judged.rows:
        assert (row.long_counts.bad, row.long_counts.total) == window(row.row.long_ms, own=row.row.long_ms == DAY)
        assert (row.short_counts.bad, row.short_counts.total) == window(row.row.short_ms, own=False)
    taken = {it.id: [0, 0] for it in judged.taken_out}
    for end in range(earliest, last + 1, slice_ms):
        mine = owner(end)
        if mine in taken:
            found = told(end)
            taken[mine][0] += found.bad
            taken[mine][1] += 1 if isinstance(rule, Timeslices) else found.total
    assert {it.id: [it.bad, it.total] for it in judged.taken_out} == taken


spans = st.tuples(st.integers(-30 * MINUTE, NOW - T0), st.integers(1, 40 * MINUTE) | st.just(3 * HOUR))
times = st.lists(spans.map(lambda it: (T0 + it[0], T0 + it[0] + it[1])), max_size=5)
slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(times, st.sampled_from(RULES))
def test_slices_are_those_of_a_second_implementation(
    world: World, taken: list[tuple[int, int]], rule: Timeslices | RatioTimeslices
) -> None:
    adjustments = [adjustment(at, *it) for at, it in enumerate(taken)]
    (found,) = Judging(world.store).judged([objective(rule)], NOW, tuple(adjustments))
    agree(found, of_store(world, rule), rule.slice_ms, adjustments)


@slow
@given(times)
def test_minutes_of_queries_are_those_of_a_second_implementation(world: World, taken: list[tuple[int, int]]) -> None:
    adjustments = [adjustment(at, *it) for at, it in enumerate(taken)]
    of = objective(None, QueryIndicator("bad", "bad", "all"))
    (found,) = Judging(world.store, world.answers).judged([of], NOW, tuple(adjustments))
    agree(found, of_query(world), MINUTE, adjustments)


def test_slices_of_queries_shrink_the_whole_by_what_is_taken_out(world: World) -> None:
    rule = Timeslices(Fraction(9, 10), MINUTE)
    of = objective(rule, QueryIndicator("bad", "bad", "all"))
    made = adjustment(1, T0 + HOUR + 1, T0 + 2 * HOUR)
    judging = Judging(world.store, world.answers)
    (before,), (after,) = judging.judged([of], NOW), judging.judged([of], NOW, (made,))
    touched = -(-(T0 + 2 * HOUR) // MINUTE) - (T0 + HOUR + 1) // MINUTE
    assert (before.counts.total, after.counts.total) == (1440, 1440 - touched)
    assert before.counts.bad == after.counts.bad + after.taken_out[0].bad
    assert after.taken_out[0].total == touched
    assert judging.judged([of], NOW) == (before,)


def test_of_a_calendars_period_the_slices_that_are_still_to_be_taken_out_count_from_the_start(world: World) -> None:
    of = replace(objective(RULES[0]), window_ms=5 * HOUR, whole_ms=DAY)
    past, ahead = adjustment(1, T0 + HOUR, T0 + 2 * HOUR), adjustment(2, NOW + HOUR, NOW + 3 * HOUR)
    beyond = adjustment(3, NOW - 5 * HOUR + DAY, NOW + DAY)
    judging = Judging(world.store)
    totals = [
        judging.judged([of], NOW, it)[0].counts.total for it in ((), (past,), (past, ahead), (past, ahead, beyond))
    ]
    assert totals[0] == 1440
    taken = [a - b for a, b in pairwise(totals)]
    assert [abs(it - minutes) <= 1 for it, minutes in zip(taken, (60, 120, 0), strict=True)] == [True] * 3
    (found,) = judging.judged([of], NOW, (past, ahead))
    assert [it.id for it in found.taken_out] == ["a1"], "what is still to come has taken out nothing yet"


def test_a_composite_leaves_out_what_its_members_do_and_pauses_with_them(world: World) -> None:
    weights = (("both-a", Fraction(1)), ("both-b", Fraction(1)))
    members = [replace(objective(None), slo=name, part_of="both") for name, _ in weights]
    both = Objective("both", "api", (), EventRatio(()), Fraction(1), "", DAY, "X", members=weights)
    judging = Judging(world.store)
    past = adjustment(1, T0 + HOUR, T0 + 2 * HOUR, slos=("both",))
    *parts, found = judging.judged([*members, both], NOW, (past,))
    assert {it.taken_out for it in parts} == {parts[0].taken_out}
    (told,) = found.taken_out
    assert (told.ms, told.bad, told.total) == (HOUR, 2 * parts[0].taken_out[0].bad, 2 * parts[0].taken_out[0].total)
    present = adjustment(2, T0 + HOUR, NOW + HOUR, slos=("both-a",))
    first, second, found = judging.judged([*members, both], NOW, (present,))
    assert (first.state, found.state, found.reason) == ("unmeasured", "unmeasured", first.reason)
    assert second.state != "unmeasured"
    assert not any(it.measured for it in found.rows)


def test_a_composite_of_slices_unites_those_that_count(world: World) -> None:
    rules = [Timeslices(Fraction(9, 10), MINUTE), Timeslices(Fraction(99, 100), MINUTE)]
    members = [replace(objective(it), slo=f"both-{at}", part_of="both") for at, it in enumerate(rules)]
    both = replace(objective(rules[0]), slo="both", members=tuple((it.slo, Fraction(1)) for it in members))
    adjustments = (
        adjustment(1, T0 + HOUR + 5, T0 + 2 * HOUR, slos=("both",)),
        adjustment(2, T0 + 3 * HOUR, T0 + 4 * HOUR, slos=("both-1",)),
    )
    *_, found = Judging(world.store).judged([*members, both], NOW, adjustments)
    told = [of_store(world, it) for it in rules]
    last = NOW // MINUTE * MINUTE

    def taken(end: int, *which: int) -> bool:
        mine = [adjustments[at] for at in which]
        return any(it.until_ms and it.since_ms < end and it.until_ms > end - MINUTE for it in mine)

    def bad(ends: Sequence[int]) -> int:
        return sum(told[0](it).bad or (not taken(it, 1) and told[1](it).bad) for it in ends)

    kept = [it for it in range(last, last - DAY, -MINUTE) if not taken(it, 0)]
    assert found.counts.missed == Fraction(bad(kept), len(kept))
    for row in found.rows:
        assert row.long_counts.missed == Fraction(bad(kept[: row.row.long_ms // MINUTE]), row.row.long_ms // MINUTE)


@pytest.mark.parametrize("rule", [None, *RULES])
def test_steps_leave_out_what_is_taken_out(world: World, rule: Rule | None) -> None:
    """Steps of whole slices add up to what the judgement of the same window counts."""
    of = objective(rule)
    adjustments = (adjustment(1, T0 + HOUR + 5, T0 + 2 * HOUR), adjustment(2, T0 + 3 * HOUR, T0 + 4 * HOUR + 7))
    judging = Judging(world.store)
    (found,) = judging.judged([of], NOW, adjustments)
    slice_ms = 1 if rule is None else rule.slice_ms
    last = NOW // slice_ms * slice_ms
    begin = last - DAY // slice_ms * slice_ms
    (steps,) = judging.steps([of], [begin, *range(T0 // slice_ms * slice_ms, last, 84 * MINUTE), last])
    assert sum(it.bad for it in steps) == found.counts.bad
    assert sum(it.taken_ms for it in steps) > 0
    if not isinstance(rule, Timeslices):
        assert sum(it.total for it in steps) == found.counts.total

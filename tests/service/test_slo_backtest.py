"""Backtests over a real store, against what judging counts at the same moments."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.judging import Judging
from service.promql.model import Answer, Matrix
from service.remote_api import RemoteApi
from service.remote_send import poster
from service.remote_store import Remote, RemoteStore
from service.slo_backtest import BacktestFault, Question, objectives_in, with_target
from service.slo_backtest import tried as tried_over
from service.slo_histories import Histories
from service.slo_revisions import revisions_of
from service.slo_slices import SlicedCounts
from service.store import Store
from service.store_append import Bounds
from slo.burn import Policy
from slo.compare import Tried
from slo.model import Allowance, EventRatio, Matcher, Objective, QueryIndicator, Selector
from slo.rows import WORKBOOK
from slo.slices import Timeslices
from slo.stepped import Windows
from slo.stepped_history import History
from tests.service.stores import T0, Clock, Point, batch, select, series
from tests.service.test_store_counts import Step, steps
from tests.slo.openslo.support import GOOD, with_line

BAD = EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),))
GOODS = EventRatio((select("seconds_total"),), good=(select("good_seconds_total"),))
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def tried(
    store: Store, asked: list[Objective], in_force: list[Objective], since_ms: int, until_ms: int, **more: Any
) -> list[Tried]:
    return tried_over(Histories(store), Question(asked, in_force, since_ms, until_ms, **more))


def objective(indicator: EventRatio = BAD, window_ms: int = 2 * HOUR, budget: Fraction = Fraction(1, 100)) -> Objective:
    return Objective("x", "s", (), indicator, budget, "99 %", window_ms, "X")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(steps, max_size=1), st.sampled_from([BAD, GOODS]))
def test_the_history_of_each_minute_is_what_the_store_counts(told: list[list[Step]], indicator: EventRatio) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "x.duckdb", Clock(T0 + 4 * HOUR))
        try:
            histories, of = Histories(store), objective(indicator)
            for step in [it for some in told for it in some]:
                if isinstance(step, list):
                    store.append(batch(step))
                elif step == "keep":
                    store.keep()
                histories.of([of], T0 + HOUR, T0 + 3 * HOUR)  # what is kept holds, or is read anew
            found = histories.of([of], T0 + HOUR, T0 + 3 * HOUR)[of]
            assert isinstance(found, History)
            edges = [found.since_ms, *found.ends_ms.tolist()]
            counted = store.slices([indicator], edges)[0] if len(edges) > 1 else []
            assert [it.observed_ms for it in counted] == found.observed_ms.tolist()
            every = Windows(of, found, found.ends_ms, 2 * HOUR)
            bad, total = every.counts(found.ends_ms - MINUTE)
            if not found.coarse_ms:
                assert [(it.bad, it.total) for it in counted] == list(zip(bad.tolist(), total.tolist(), strict=True))
        finally:
            store.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three hours of requests each 15 s; in the second hour ten minutes of errors."""
    found = Store(tmp_path / "x.duckdb", Clock(T0 + 4 * HOUR))
    points, bad, good = [], 0, 0
    for step in range(1, 3 * 240 + 1):
        failing = 300 <= step < 340
        bad, good = bad + 10 * failing, good + 10 * (not failing)
        for code, value in (("500", bad), ("200", good)):
            points.append(Point(series("requests_total", code=code), T0 + step * 15_000, float(value), T0))
    found.append(batch(points))
    return found


def test_an_outage_is_told_beside_what_is_in_force(store: Store) -> None:
    asked, other = objective(window_ms=DAY), replace(objective(window_ms=DAY), budget=Fraction(99, 100))
    (found,) = tried(store, [asked], [other], T0, T0 + 3 * HOUR)
    assert found.asked is not None
    assert found.in_force is not None
    assert (found.asked.bad, found.asked.total) == (400, 7200)
    assert [it.road for it in found.asked.alerts].count("page") == 1
    assert found.in_force.alerts == ()
    assert found.in_force.budget_left is not None
    assert found.asked.budget_left is not None
    assert found.in_force.budget_left > 0 > found.asked.budget_left
    assert found.difference is not None
    assert (found.difference.new, found.difference.gone, found.difference.both) == (found.asked.alerts, (), ())
    assert found.difference.budget_left == found.asked.budget_left - found.in_force.budget_left
    store.close()


def test_a_stricter_target_pages_sooner_and_says_by_how_much(store: Store) -> None:
    targets = [(Fraction(9999, 10_000), "99.99 %"), (Fraction(1, 100), "1 %")]
    (found,) = tried(
        store,
        [objective(window_ms=DAY)],
        [replace(objective(window_ms=DAY), budget=Fraction(1, 10))],
        T0,
        T0 + 3 * HOUR,
        targets=targets,
    )
    assert found.difference is not None
    assert found.difference.both
    assert all(it.sooner_ms >= 0 for it in found.difference.both)
    assert [it.objective.target_text for it in found.what_if] == ["99.99 %", "1 %"]
    assert [len(it.alerts) > 0 for it in found.what_if] == [True, False]


def test_other_burn_rows_are_tried_against_those_in_force(store: Store) -> None:
    lazy = Policy(rows=(WORKBOOK[0]._replace(share=Fraction(1)),), projection_ms=1)
    (found,) = tried(store, [objective(window_ms=DAY)], [objective(window_ms=DAY)], T0, T0 + 3 * HOUR, policy=lazy)
    assert found.asked is not None
    assert found.difference is not None
    assert {it.road for it in found.difference.gone} == {"page", "ticket"}


def test_members_are_tried_and_together_their_composite(store: Store) -> None:
    members = [replace(objective(), slo=f"x-{at}", part_of="x") for at in range(2)]
    both = replace(objective(EventRatio(())), budget=Fraction(1), members=(("x-0", Fraction(1)), ("x-1", Fraction(2))))
    whole, *parts = tried(store, [both, *members], [], T0, T0 + 3 * HOUR)
    left = [it.asked.budget_left for it in parts if it.asked is not None and it.asked.budget_left is not None]
    assert whole.asked is not None
    assert whole.asked.budget_left == 1 - (1 - left[0]) - 2 * (1 - left[1])
    assert [bool(it.asked and it.asked.alerts) for it in (whole, *parts)] == [True, False, False]
    (alone,) = tried(store, [both], [], T0, T0 + 3 * HOUR)
    assert alone.why_not == "One of its members is no objective of its own."
    (gone, *_) = tried(store, [both, replace(members[0], unmeasurable="No probe."), members[1]], [], T0, T0 + 3 * HOUR)
    assert gone.why_not == "Its member x-0 is not tried: No probe."


def test_a_composite_of_whose_members_one_was_never_seen_has_no_budget_left(store: Store) -> None:
    unseen = EventRatio((Selector("nowhere"),), bad=(Selector("nowhere_bad"),))
    members = [replace(objective(it), slo=f"x-{at}", part_of="x") for at, it in enumerate((BAD, unseen))]
    weights = tuple((it.slo, Fraction(1)) for it in members)
    both = replace(objective(EventRatio(())), budget=Fraction(1), members=weights)
    whole, seen, _ = tried(store, [both, *members], [], T0, T0 + 3 * HOUR)
    assert seen.asked is not None
    assert seen.asked.budget_left is not None
    assert whole.asked is not None
    assert (whole.asked.budget_left, whole.asked.least_left, whole.asked.coverage) == (None, None, None)
    assert {it.left for it in whole.asked.line} == {None}
    assert whole.asked.alerts == ()


def test_history_that_is_kept_in_five_minutes_is_tried_at_those(tmp_path: Path) -> None:
    clock = Clock(T0)
    found = Store(tmp_path / "old.duckdb", clock, Bounds(raw_ms=DAY, rollup_ms=40 * DAY))
    name, bad = series("requests_total", code="200"), series("requests_total", code="500")
    for day in range(3):
        begin = T0 + day * DAY
        clock.now_ms = begin + DAY
        found.append(
            batch(
                Point(it, begin + step * 60_000, float(rise * (day * 1440 + step)), T0)
                for step in range(1, 1441)
                for it, rise in ((name, 9), (bad, 1))
            )
        )
        found.keep()
    of = objective(window_ms=DAY)
    history = Histories(found).of([of], T0, T0 + 3 * DAY)[of]
    assert isinstance(history, History)
    assert T0 < history.coarse_ms < T0 + 3 * DAY
    (told,) = tried(found, [of], [], T0, T0 + 3 * DAY)
    assert told.asked is not None
    assert (told.asked.bad * 10, told.asked.total) == (told.asked.total, 3 * 14_400)
    assert {it.opened_ms % (5 * MINUTE) for it in told.asked.alerts} == {0}
    found.close()


def test_slices_whose_samples_are_gone_are_those_that_were_judged(tmp_path: Path) -> None:
    clock, rule = Clock(T0), Timeslices(Fraction(99, 100), MINUTE)
    found = Store(tmp_path / "old.duckdb", clock, Bounds(raw_ms=DAY, rollup_ms=40 * DAY))
    of = replace(objective(window_ms=4 * DAY, budget=Fraction(1, 2)), slices=rule)
    judging = Judging(found)
    for day in range(3):
        begin = T0 + day * DAY
        clock.now_ms = begin + DAY
        found.append(
            batch(
                Point(series("requests_total", code=code), begin + step * 60_000, float(day * 1440 + step), T0)
                for step in range(1, 1441)
                for code in ("200", "500")
            )
        )
        judging.judged([of], clock.now_ms)
        found.database.write(lambda cursor: judging.kept.written(judging.kept.write(cursor, clock.now_ms)))
        found.keep()
    oldest_ms = found.memory.layout.oldest_raw_ms()
    assert oldest_ms is not None
    assert oldest_ms > T0 + DAY
    (told,) = tried(found, [of], [], T0, T0 + 3 * DAY)
    last = Judging(found).judged([of], T0 + 3 * DAY)[0]
    assert told.asked is not None
    assert told.asked.budget_left == last.budget_remaining
    assert told.asked.bad == last.counts.bad > 2 * 1440
    found.close()


def test_slices_over_history_are_those_that_are_judged(store: Store) -> None:
    of = replace(objective(), slices=Timeslices(Fraction(99, 100), 5 * MINUTE))
    (found,) = tried(store, [of], [], T0, T0 + 3 * HOUR)
    until = found.asked.until_ms if found.asked else 0
    counts = store.counts(BAD, [2 * HOUR], until)
    (judged,) = SlicedCounts(store, revisions_of(store)).of(of, [2 * HOUR], counts, until)
    assert found.asked is not None
    assert found.asked.budget_left == 1 - Fraction(judged.bad, judged.total) * 100
    store.close()


def test_what_can_not_be_tried_says_why(store: Store) -> None:
    unmeasured = replace(objective(), unmeasurable="No probe.")
    (found,) = tried(store, [unmeasured], [], T0, T0 + HOUR)
    assert (found.asked, found.why_not) == (None, "No probe.")
    with pytest.raises(BacktestFault, match="201 objectives are more than 200"):
        tried(store, [objective()] * 201, [], T0, T0 + HOUR)
    store.close()


def test_files_are_read_and_targets_replaced() -> None:
    files, told = objectives_in([("a.yaml", GOOD)])
    assert not [it for it in told if it.level == "error"]
    (found,) = files.objectives
    assert with_target(found, Fraction(9995, 10_000), "99.95 %").budget == Fraction(1, 2000)
    allowance = replace(found, indicator=Allowance((), ()))
    assert with_target(allowance, Fraction(1, 2), "50 %") == allowance
    _, faults = objectives_in([("a.yaml", with_line("0.999", "7"))])
    assert [it.at.line for it in faults if it.level == "error"] == [28]


class Steady:
    """An engine whose every answer is 3 for errors and 100 for all."""

    def range(self, text: str, from_ms: int, to_ms: int, step_ms: int, *, max_seconds: float | None = None) -> Answer:
        ts = np.arange(from_ms, to_ms + 1, step_ms)
        values = np.full(len(ts), 3.0 if text == "errors" else 100.0)
        return Answer(Matrix([{}], np.array([0, len(ts)]), ts, values), (), (), len(ts))


def test_of_a_remote_store_queries_are_tried_and_counters_say_why_not(tmp_path: Path) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(503))) as client:
        remote = Remote(RemoteApi(client, "http://elsewhere"), poster(client, "http://elsewhere/api/v1/write"))
        there = RemoteStore(tmp_path / "x.duckdb", Clock(T0), remote)
        try:
            query = replace(objective(EventRatio(())), query=QueryIndicator("bad", "errors", "all"), slo="y")
            question = Question([objective(), query], [], T0 - HOUR, T0)
            counted, asked = tried_over(Histories(there, Steady()), question)
        finally:
            there.close()
    assert counted.why_not is not None
    assert "service.store: duckdb" in counted.why_not
    assert asked.asked is not None
    assert (asked.asked.sli, asked.asked.budget_left) == (Fraction(97, 100), -2)

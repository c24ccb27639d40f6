"""Backtests over a real store, against what judging counts at the same moments."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.slo_backtest import BacktestFault, histories, objectives_in, tried, with_target
from service.slo_slices import SlicedCounts, revisions_of
from service.store import Store
from slo.model import Allowance, EventRatio, Matcher, Objective, Selector
from slo.slices import Timeslices
from tests.service.stores import T0, Clock, Point, batch, select, series
from tests.service.test_store_counts import Step, steps
from tests.slo.openslo.support import GOOD, with_line

BAD = EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),))
GOODS = EventRatio((select("seconds_total"),), good=(select("good_seconds_total"),))
MINUTE, HOUR = 60_000, 3_600_000


def objective(indicator: EventRatio = BAD, window_ms: int = 2 * HOUR) -> Objective:
    return Objective("x", "s", (), indicator, Fraction(1, 100), "99 %", window_ms, "X")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(steps, max_size=1), st.sampled_from([BAD, GOODS]))
def test_the_history_of_each_minute_is_what_the_store_counts(told: list[list[Step]], indicator: EventRatio) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "x.duckdb", Clock(T0 + 4 * HOUR))
        try:
            for step in [it for some in told for it in some]:
                if isinstance(step, list):
                    store.append(batch(step))
                elif step == "keep":
                    store.keep()
            (found,) = histories(store, [objective(indicator)], T0 + HOUR, T0 + 3 * HOUR)
            edges = [found.since_ms, *found.ends_ms.tolist()]
            counted = store.slices([indicator], edges)[0] if len(edges) > 1 else []
            assert [it.observed_ms for it in counted] == found.observed_ms.tolist()
            for one, bad, total in zip(counted, found.bad.tolist(), found.total.tolist(), strict=True):
                assert abs(one.bad - Fraction(bad, found.events)) <= Fraction(1, 2)
                assert abs(one.total - Fraction(total, found.events)) <= Fraction(1, 2)
                assert found.events > 1 or (one.bad, one.total) == (bad, total)
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
    asked, other = objective(), replace(objective(), budget=Fraction(99, 100), target_text="1 %")
    (found,) = tried(store, [asked], [other], T0, T0 + 3 * HOUR)
    assert found.asked is not None
    assert found.in_force is not None
    assert (found.asked.bad, found.asked.total) == (400, 7200)
    assert [it.road for it in found.asked.alerts].count("page") == 1
    assert found.in_force.alerts == ()
    assert found.in_force.budget_left is not None
    assert found.asked.budget_left is not None
    assert found.in_force.budget_left > 0 > found.asked.budget_left
    store.close()


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
    files, faults = objectives_in([("a.yaml", GOOD)])
    assert not faults
    (found,) = files.objectives
    assert with_target(found, Fraction(9995, 10_000), "99.95 %").budget == Fraction(1, 2000)
    allowance = replace(found, indicator=Allowance((), ()))
    assert with_target(allowance, Fraction(1, 2), "50 %") == allowance
    _, faults = objectives_in([("a.yaml", with_line("0.999", "7"))])
    assert [it.at.line for it in faults] == [28]

"""A backtest over a store equals the evaluator run minute by minute over the same data, whatever is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.model import AlertBook
from alerts.rules_slo import of_judgement
from alerts.step import step
from alerts.thresholds import DEFAULT as LIMITS
from service.judging import Judging
from service.promql.engine import Engine
from service.slo_backtest import Question, tried
from service.slo_histories import Histories
from service.store import Store
from service.store_samples import StoreSamples
from slo.adjust import Adjustment
from slo.burn import Policy
from slo.judge import placed
from slo.model import (
    Allowance,
    BurnRow,
    EventRatio,
    Judgement,
    Matcher,
    MinuteSlices,
    Objective,
    QueryIndicator,
    Selector,
    Telling,
)
from slo.periods import CalendarPeriods
from slo.slices import RatioTimeslices, Timeslices
from tests.service.stores import T0, Clock, Point, batch, select, series

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
BAD = EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),))
GOOD = EventRatio((select("seconds_total"),), good=(select("good_seconds_total"),), scale=1000)
RESTARTS = Allowance((select("requests_total", code="500"),), (select("seconds_total"),))
DISK = MinuteSlices("gauge", select("free_bytes"), select("size_bytes"), Fraction(7, 10), complement=True)
STEAL = MinuteSlices("counter", select("good_seconds_total"), select("seconds_total"), Fraction(1, 2))
QUERY = QueryIndicator("bad", 'sum(rate(requests_total{code="500"}[2m]))', "sum(rate(requests_total[2m]))")
FREE = QueryIndicator("threshold", "free_bytes", op="gt", value=Fraction(30))
RAW = QueryIndicator("raw-good", "avg(free_bytes) / 100")
LATE = Telling((), True, True)
SILENT = (
    BurnRow("quiet", 10 * MINUTE, 10 * MINUTE, Fraction(0), Fraction(2), "page", "gt", 0, Telling((), False, True)),
    BurnRow(
        "late", 5 * MINUTE, 5 * MINUTE, Fraction(0), Fraction(1), "ticket", "gt", 4 * MINUTE, Telling((), True, True)
    ),
)
CONDITIONS = (
    BurnRow("quick", 10 * MINUTE, 10 * MINUTE, Fraction(0), Fraction(2), "page", "gte", 3 * MINUTE),
    BurnRow("slow", 5 * MINUTE, 5 * MINUTE, Fraction(0), Fraction(1), "ticket", "lt"),
)
FIVE = Timeslices(Fraction(9, 10), 5 * MINUTE)
BEGIN = T0 - 10 * MINUTE
"""When the evaluator begins, before the first sample."""
DAILY = CalendarPeriods(datetime(2025, 10, 1, 11, 0), "Europe/Berlin", 1, "d")
"""A period begins 43 minutes after T0."""
ODD = replace(DAILY, start=datetime(2025, 10, 1, 11, 3, 30))
"""One that begins within slices of five minutes, and is never as old as a row's window is long at a whole minute.

Then both are one window to the evaluator, at that moment, and to a backtest they are two.
"""


def objective(of: object = BAD, window_ms: int = DAY, budget: Fraction = Fraction(1, 20), **more: object) -> Objective:
    indicator = of if not isinstance(of, QueryIndicator) else EventRatio(())
    query = of if isinstance(of, QueryIndicator) else None
    found = Objective("x", "s", (), indicator, budget, "95 %", window_ms, "X", query=query)  # type: ignore[arg-type]
    return replace(found, **more)  # type: ignore[arg-type]


def composite(*parts: Objective) -> list[Objective]:
    members = [replace(it, slo=f"x-{at}", part_of="x") for at, it in enumerate(parts)]
    names = tuple((it.slo, Fraction(at, 2)) for at, it in enumerate(members, 1))
    of = {"slices": parts[0].slices, "calendar": parts[0].calendar}
    return [objective(EventRatio(()), budget=Fraction(1), members=names, **of), *members]


KINDS: dict[str, list[Objective]] = {
    "bad of all": [objective()],
    "good of all, in milliseconds": [objective(GOOD)],
    "an allowance": [objective(RESTARTS, budget=Fraction(1, 10**5))],
    "minutes of gauges": [objective(DISK, slo="node-disk")],
    "minutes of counters": [objective(STEAL)],
    "a ratio of queries": [objective(QUERY)],
    "a threshold": [objective(FREE, window_ms=3 * HOUR)],
    "a raw ratio in slices": [objective(RAW, slices=Timeslices(Fraction(7, 10), 5 * MINUTE))],
    "timeslices": [objective(slices=Timeslices(Fraction(9, 10), 5 * MINUTE))],
    "timeslices of a minute": [objective(GOOD, slices=Timeslices(Fraction(9, 10), MINUTE))],
    "ratio timeslices": [objective(slices=RatioTimeslices(10 * MINUTE))],
    "slices of an allowance": [objective(RESTARTS, slices=RatioTimeslices(5 * MINUTE))],
    "slices of minutes": [objective(DISK, slices=Timeslices(Fraction(3, 5), 5 * MINUTE))],
    "a calendar": [objective(calendar=DAILY)],
    "a calendar in slices": [objective(calendar=DAILY, slices=Timeslices(Fraction(9, 10), 5 * MINUTE))],
    "a calendar that begins within its slices": [objective(calendar=ODD, slices=RatioTimeslices(5 * MINUTE))],
    "a calendar of queries that begins within its slices": [
        objective(RAW, calendar=ODD, slices=Timeslices(Fraction(7, 10), 5 * MINUTE))
    ],
    "conditions": [objective(conditions=CONDITIONS, window_ms=30 * DAY)],
    "conditions of no data": [objective(conditions=SILENT)],
    "windows of no whole minutes": [objective(window_ms=13 * DAY, budget=Fraction(1, 1000))],
    "a composite": composite(objective(), objective(GOOD, budget=Fraction(1, 2)), objective(QUERY)),
    "a composite of ratio slices": composite(objective(slices=RatioTimeslices(5 * MINUTE)), objective(QUERY)),
    "a composite of slices": composite(
        objective(slices=FIVE), objective(GOOD, slices=FIVE, budget=Fraction(1, 3)), objective(QUERY, slices=FIVE)
    ),
    "a composite of slices by the calendar": composite(
        objective(slices=FIVE, calendar=DAILY), objective(DISK, slices=FIVE, calendar=DAILY)
    ),
}
Stretch = tuple[int, int, int, str]
"""Minutes, bad and good events a minute, and what happens."""
STRETCHES = st.lists(
    st.tuples(
        st.integers(1, 25), st.sampled_from([0, 0, 1, 7]), st.sampled_from([0, 3, 100]),
        st.sampled_from(["", "", "", "gap", "reset", "late"]),
    ),
    min_size=2, max_size=9,
)  # fmt: skip


def points(stretches: Sequence[Stretch]) -> list[Point]:
    """Samples each 20 s; time passes in a gap without any."""
    found, at, start, values = list[Point](), T0, T0 - 5_000, [0.0, 0.0, 0.0, 0.0]
    for minutes, bad, good, what in stretches:
        if what == "reset":
            values, start = [0.0, 0.0, 0.0, 0.0], at
        for _ in range(3 * minutes):
            at += 20_000
            values = [values[0] + bad, values[1] + good, values[2] + 20, values[3] + 20 * good / max(1, bad + good)]
            if what == "gap":
                continue
            names = [
                series("requests_total", code="500"), series("requests_total", code="200"),
                series("seconds_total"), series("good_seconds_total"),
            ]  # fmt: skip
            found += [Point(name, at, value, start) for name, value in zip(names, values, strict=True)]
            free = 40.0 if bad < good else 20.0
            found += [Point(series("free_bytes", disk="a"), at, free, None, "gauge")]
            found += [Point(series("size_bytes", disk="a"), at, 100.0, None, "gauge")]
    return found


def evaluated(
    store: Store,
    engine: Engine,
    every: Sequence[Objective],
    minutes: Sequence[int],
    policy: Policy,
    taken: tuple[Adjustment, ...],
) -> tuple[Judgement, set[tuple[str, int, int | None]]]:
    """The first objective's last judgement and all incidents, judged and stepped at each of the minutes."""
    judging, book = Judging(store, engine, policy), AlertBook()
    found: dict[str, tuple[str, int, int | None]] = {}
    last = None
    for now_ms in minutes:
        judged = judging.judged([placed(it, now_ms) for it in every], now_ms, taken)
        last = next(it for it in judged if it.objective.slo == every[0].slo)
        findings = [it for one in judged for it in of_judgement(one, LIMITS, now_ms)]
        book, changes = step(book, findings, (), now_ms)
        for it in (*(change.incident for change in changes), *book.incidents):
            found[it.id] = (it.road, it.opened_ms, it.resolved_ms)
    assert last is not None
    return last, set(found.values())


def twins(
    every: list[Objective], stretches: Sequence[Stretch], policy: Policy, taken: tuple[Adjustment, ...] = ()
) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "x.duckdb", Clock(T0 + DAY))
        try:
            told = points(stretches)
            if told:
                store.append(batch(told))
            engine = Engine(StoreSamples(store))
            until = T0 + (sum(it[0] for it in stretches) + 3) * MINUTE
            last, incidents = evaluated(store, engine, every, range(BEGIN + MINUTE, until + 1, MINUTE), policy, taken)
            question = Question(every, [], BEGIN, until, policy, policy, LIMITS.hold_ms, (), taken)
            for _ in range(2):  # the second time from what was kept
                histories = Histories(store, engine)
                found = next(it for it in tried(histories, question) if it.objective == every[0])
                assert found.asked is not None, found.why_not
                assert {(it.road, it.opened_ms, it.resolved_ms) for it in found.asked.alerts} == incidents
                assert found.asked.budget_left == last.budget_remaining
                assert found.asked.until_ms == until
        finally:
            store.close()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STRETCHES)
def test_each_kind_is_what_the_evaluator_would_have_judged(kind: str, stretches: list[Stretch]) -> None:
    twins(KINDS[kind], stretches, Policy(min_bad=2))


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_opens_and_resolves_as_the_evaluator_does(kind: str) -> None:
    stretches = [
        (40, 0, 100, ""),
        (15, 60, 3, ""),
        (9, 0, 100, ""),
        (4, 0, 0, "gap"),
        (2, 100, 3, ""),
        (40, 0, 100, ""),
    ]
    twins(KINDS[kind], stretches, Policy())


@pytest.mark.parametrize(
    "kind", ["bad of all", "a ratio of queries", "timeslices", "conditions", "a composite", "a composite of slices"]
)
def test_an_outage_after_a_gap_fires_as_the_evaluator_does(kind: str) -> None:
    twins(KINDS[kind], [(70, 0, 100, ""), (14, 0, 0, "gap"), (12, 60, 3, ""), (30, 0, 100, "")], Policy())


@pytest.mark.parametrize("kind", [it for it in KINDS if "composite of slices" not in it])
def test_what_adjustments_take_out_is_taken_out_of_a_try(kind: str) -> None:
    stretches = [(40, 0, 100, ""), (15, 60, 3, ""), (9, 0, 100, ""), (20, 100, 3, ""), (50, 0, 100, "")]
    times = [(T0 + 45 * MINUTE, T0 + 52 * MINUTE), (T0 + 70 * MINUTE, T0 + 95 * MINUTE)]
    taken = tuple(
        Adjustment(f"a{at}", "maintenance", (), (), (), since, until, "why", "who", 0)
        for at, (since, until) in enumerate(times)
    )
    twins(KINDS[kind], stretches, Policy(), taken)

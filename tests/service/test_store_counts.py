"""Counts of the store against a second implementation over the same samples, whatever came and in whatever order."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.store import Store
from slo.model import Allowance, EventRatio, Indicator, Matcher, MinuteSlices, Selector
from tests.service.naive import Naive
from tests.service.stores import T0, Clock, Point, batch, select, series

GOOD = [series("good_seconds_total", service="api", node=node) for node in ("n1", "n2")]
TOTAL = [series("seconds_total", service="api", node=node) for node in ("n1", "n2")]
BAD = [series("requests_total", service="api", code=code) for code in ("200", "500", "503")]
FREE = [series("free_bytes", node="n1", disk=disk) for disk in ("a", "b")]
SIZE = [series("size_bytes", node="n1", disk=disk) for disk in ("a", "b")]
COUNTERS = [*GOOD, *TOTAL, *BAD]
GAUGES = [*FREE, *SIZE]

INDICATORS: list[Indicator] = [
    EventRatio((select("seconds_total", service="api"),), good=(select("good_seconds_total"),), scale=1000),
    EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),)),
    EventRatio((select("nothing_total"),), bad=(select("requests_total", code="500"),)),
    Allowance((select("requests_total", code="500"),), (select("seconds_total"), select("good_seconds_total"))),
    MinuteSlices("gauge", select("free_bytes"), select("size_bytes"), Fraction(7, 10), complement=True),
    MinuteSlices("counter", select("good_seconds_total"), select("seconds_total"), Fraction(1, 20)),
]
WINDOWS = (1, 60_000, 300_000, 1_234_567, 3_600_000, 21_600_000, 30 * 86_400_000)

moments = st.integers(0, 4 * 3600 * 2).map(lambda halves: T0 + halves * 500) | st.integers(0, 120).map(
    lambda fives: T0 + fives * 5_000
)
thousandths = st.integers(0, 2_000_000).map(lambda n: n / 1000)
values = thousandths | st.integers(0, 2**53).map(float) | st.floats(0, 1e15, allow_nan=False, allow_subnormal=False)
starts = st.none() | st.sampled_from([T0, T0 - 30_000, T0 - 900_000]) | moments
counter_points = st.builds(Point, st.sampled_from(COUNTERS), moments, values, starts, st.just("counter"))
gauge_points = st.builds(
    lambda name, at, value: Point(name, at, value, None, "gauge"),
    st.sampled_from(GAUGES), moments, st.integers(0, 100).map(float),
)  # fmt: skip


@st.composite
def steady(draw: st.DrawFn) -> list[Point]:
    """A series that was read regularly, with what happens to counters: resets, restarts, gaps."""
    name = draw(st.sampled_from(COUNTERS))
    at, value = draw(moments), draw(thousandths)
    start = draw(starts)
    found = []
    for step in draw(
        st.lists(st.sampled_from(["rise", "rise", "rise", "same", "drop", "restart", "gap"]), max_size=40)
    ):
        at += 300_000 if step == "gap" else 5_000
        if step == "restart":
            start, value = at - 1_000, draw(thousandths)
        value = {"drop": value / 3, "same": value}.get(step, value + draw(st.integers(0, 5000)) / 1000)
        found.append(Point(name, at, value, start))
    return found


Step = list[Point] | Literal["keep", "reopen", "crash"]
steps = st.lists(
    steady() | st.lists(counter_points | gauge_points, max_size=12) | st.sampled_from(["keep", "reopen", "crash"]),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps, moments, moments)
def test_counts_are_those_of_a_second_implementation(told: list[Step], asked: int, earlier: int) -> None:
    with TemporaryDirectory() as folder:
        path, clock, naive = Path(folder) / "x.duckdb", Clock(T0 + 4 * 3_600_000), Naive()
        store = Store(path, clock)
        for step in told:
            match step:
                case "keep":
                    clock.now_ms += 130_000
                    store.keep()
                case "reopen":
                    store.close()
                    store = Store(path, clock)
                case "crash":
                    store.database.close()
                    store = Store(path, clock)
                    agree(store, naive, earlier)
                case list():
                    store.append(batch(step))
                    naive.append(batch(step))
        agree(store, naive, earlier)
        agree(store, naive, asked)
        agree(store, naive, clock.now_ms)
        store.close()


def agree(store: Store, naive: Naive, until: int) -> None:
    found = store.counts_of(INDICATORS, [WINDOWS] * len(INDICATORS), until)
    for indicator, counted in zip(INDICATORS, found, strict=True):
        assert counted == [naive.counts(indicator, it.since_ms, until) for it in counted], indicator
        assert [begin(until - window) for window in WINDOWS] == [begin(it.since_ms) for it in counted]
    edges = [until - 3_600_000, until - 1_800_000, until - 60_000, until]
    sliced = store.slices(INDICATORS, edges)
    assert sliced == [[naive.counts(it, a, b) for a, b in pairwise(edges)] for it in INDICATORS]


def begin(since_ms: int) -> int:
    """Where a window may begin that is told as `since_ms`: before the first day with samples at a bucket's begin."""
    return since_ms if since_ms >= T0 // 86_400_000 * 86_400_000 else since_ms // 300_000


def test_nothing_asked_is_nothing_counted(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb", Clock(T0))
    assert store.counts_of([], [], T0) == []
    store.close()

"""Sums that are kept between evaluations are those that are summed anew, whatever came in between."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import store_running
from service.store import Store
from service.store_running import MOST_CHANGES, NEVER, Changes
from slo.model import Allowance, Counts, EventRatio, Indicator, Matcher, MinuteSlices, Selector
from tests.service.stores import T0, Clock, Point, batch, select, series

APPS = [series("hits_total", app=app, code=code) for app in ("a", "b") for code in ("200", "500")]
TIME = [series("seconds_total", app=app) for app in ("a", "b")]
LATER = [series("hits_total", app="c", code="500"), series("seconds_total", app="c")]
BAD = Selector("hits_total", (Matcher("code", "=", "500"),))
INDICATORS: list[Indicator] = [
    EventRatio((select("hits_total", app="a"),), bad=(select("hits_total", app="a", code="500"),)),
    EventRatio((select("hits_total", app="b"),), good=(select("hits_total", app="b", code="200"),)),
    EventRatio((select("hits_total"),), bad=(BAD,)),
    EventRatio((select("seconds_total"),), good=(select("seconds_total", app="a"),), scale=1000),
    EventRatio((select("nothing_total"),), bad=(BAD,)),
    Allowance((BAD,), (select("seconds_total"),)),
    MinuteSlices("counter", select("seconds_total", app="a"), select("seconds_total"), 1),  # type: ignore[arg-type]
]
WINDOWS = (300_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 30 * 86_400_000)
BEGIN = T0 + 2 * 3_600_000

rounds = st.tuples(st.just("round"), st.integers(1, 8))
late = st.tuples(st.just("late"), st.integers(1, 7200))
acts = st.lists(
    rounds | rounds | rounds | late | st.tuples(st.sampled_from(["keep", "reopen", "drop", "new", "gone"]), st.just(0)),
    max_size=8,
)


class Load:
    """Counters that rise each round; restarts, late samples and new series as they are asked for."""

    def __init__(self, store: Store, clock: Clock, seed: int) -> None:
        self.store, self.clock, self.random = store, clock, np.random.default_rng(seed)
        self.series, self.values = [*APPS, *TIME], dict.fromkeys([*APPS, *TIME, *LATER], 0.0)
        self.starts = dict.fromkeys(self.values, T0 - 1_000)

    def round(self, lag_ms: int = 2_000) -> None:
        """A sample of each series, of a moment ago; now and then one begins anew."""
        points = []
        for it in self.series:
            at = self.clock.now_ms - int(self.random.integers(0, lag_ms))
            if self.random.random() < 0.05:
                self.values[it], self.starts[it] = 0.0, at - 500
            self.values[it] += int(self.random.integers(0, 9)) / (1 if it.metric == "hits_total" else 8)
            points.append(Point(it, at, self.values[it], self.starts[it]))
        self.store.append(batch(points))

    def late(self, by_s: int) -> None:
        """One sample of the past."""
        it = self.series[int(self.random.integers(len(self.series)))]
        at = self.clock.now_ms - by_s * 1_000 - int(self.random.integers(0, 1_000))
        self.store.append(batch([Point(it, at, float(self.random.integers(0, 50)), None)]))


def agree(store: Store, until_ms: int) -> None:
    """All at once, from what is kept, and each by itself, summed anew."""
    found = store.counts_of(INDICATORS, [WINDOWS] * len(INDICATORS), until_ms)
    assert found == [store.counts(it, WINDOWS, until_ms) for it in INDICATORS]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts, st.integers(0, 2**32 - 1))
def test_what_is_kept_is_what_is_summed_anew(told: list[tuple[str, int]], seed: int) -> None:
    with TemporaryDirectory() as folder:
        path, clock = Path(folder) / "x.duckdb", Clock(BEGIN)
        load = Load(Store(path, clock), clock, seed)
        for act, size in told:
            match act:
                case "round":
                    for _ in range(size):
                        clock.now_ms += 15_000
                        load.round()
                        agree(load.store, clock.now_ms)
                case "late":
                    load.late(size)
                case "new":
                    load.series = [*APPS, *TIME, *LATER]
                case "gone":
                    load.series = load.series[1:] or [*APPS]
                case "keep":
                    clock.now_ms += 400_000
                    load.store.keep()
                case "drop":
                    clock.now_ms += 86_400_000
                    load.store.keep()
                case _:
                    load.store.close()
                    load.store = Store(path, clock)
            agree(load.store, clock.now_ms)
            agree(load.store, clock.now_ms - 7_000)
        load.store.close()


@pytest.fixture
def load(tmp_path: Path) -> Load:
    clock = Clock(BEGIN)
    made = Load(Store(tmp_path / "x.duckdb", clock), clock, 1)
    for _ in range(100):
        clock.now_ms += 15_000
        made.round()
    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The spans of time of which increments are read."""
    found: list[tuple[int, int]] = []
    whole = store_running.rises

    def noted(moment: Any, ids: Any, since_ms: int, until_ms: int, rules: Any) -> Any:
        found.append((since_ms, until_ms))
        return whole(moment, ids, since_ms, until_ms, rules)

    monkeypatch.setattr(store_running, "rises", noted)
    return found


def test_a_month_of_which_there_are_minutes_is_read_for_minutes(load: Load, read: list[tuple[int, int]]) -> None:
    """Before anything is rolled up, too: a new service would look into 8,640 empty buckets each time."""
    agree(load.store, load.clock.now_ms)
    assert min(since for since, _ in read) > BEGIN - 300_000
    assert len(read) < 20
    load.store.close()


def test_what_did_not_change_is_not_read_again(load: Load, read: list[tuple[int, int]]) -> None:
    load.clock.now_ms = (load.clock.now_ms // 300_000 + 1) * 300_000 + 60_000
    agree(load.store, load.clock.now_ms)
    assert len(read) > 3
    read.clear()
    load.clock.now_ms += 15_000
    load.round()
    agree(load.store, load.clock.now_ms)
    assert all(until - since <= 18_000 for since, until in read)
    load.store.close()


def test_large_counts_stay_exact(tmp_path: Path) -> None:
    clock = Clock(BEGIN)
    store = Store(tmp_path / "x.duckdb", clock)
    store.append(batch([Point(it, BEGIN - 400_000, 0.0, BEGIN - 400_000) for it in APPS]))
    for n in range(1, 4):
        store.append(batch([Point(it, BEGIN - 400_000 + n * 60_000, n * 2.0**61, BEGIN - 400_000) for it in APPS]))
    agree(store, BEGIN)
    found = store.counts_of(INDICATORS, [WINDOWS] * len(INDICATORS), BEGIN)
    assert found[2][-1].total == 4 * 3 * 2**61
    store.close()


def test_who_asks_meanwhile_is_answered_anew(load: Load) -> None:
    entered, done = threading.Event(), threading.Event()

    def held() -> None:
        with load.store._running._lock:
            entered.set()
            done.wait(30.0)

    thread = threading.Thread(target=held)
    thread.start()
    assert entered.wait(30.0)
    agree(load.store, load.clock.now_ms)
    done.set()
    thread.join()
    load.store.close()


def test_changes_tell_the_earliest_between_two_versions_and_that_they_forgot() -> None:
    changes = Changes()
    assert changes.since(0, changes.version) == NEVER
    for at in (50, 30, 90):
        changes.came(at)
    assert [changes.since(since, until) for since, until in ((0, 1), (0, 3), (2, 3), (3, 3))] == [50, 30, 90, NEVER]
    for _ in range(3 * MOST_CHANGES):
        changes.came(100)
    assert changes.since(0, changes.version) == 0
    assert changes.since(changes.version - MOST_CHANGES, changes.version) == 100


LABELS = {"service": "shop/api", "node_id": "u1"}


def test_time_that_no_scrape_told_of_is_told_with_the_events_it_may_hide(tmp_path: Path) -> None:
    clock = Clock(BEGIN)
    store = Store(tmp_path / "x.duckdb", clock)
    hits = series("requests_total", container="api-1", **LABELS)
    seen, lost = (series(f"midwatch_container_{what}_seconds_total", **LABELS) for what in ("scraped", "unscraped"))
    start = BEGIN - 100_000
    for at, counted, told, gone in ((0, 0, 0.0, 0.0), (50_000, 500, 50.0, 0.0), (90_000, 500, 50.0, 4.5)):
        store.append(
            batch([Point(hits, start + at, float(counted), start), Point(seen, start + at, told, start),
                   Point(lost, start + at, gone, start)])
        )  # fmt: skip
    mine = EventRatio((select("requests_total", service="shop/api"),), bad=(select("requests_total", code="500"),))
    own = EventRatio((select("midwatch_container_scraped_seconds_total"),), bad=(BAD,))

    def told_of(found: list[Counts]) -> list[tuple[int, int]]:
        return [(it.unscraped_ms, it.unscraped_events) for it in found]

    many = store.counts_of([mine, own], [(20_000, 100_000)] * 2, BEGIN)
    assert told_of(many[0]) == [(4_500, 0), (4_500, 45)]
    assert told_of(many[1]) == [(0, 0)] * 2
    assert [told_of(store.counts(it, (20_000, 100_000), BEGIN)) for it in (mine, own)] == [told_of(it) for it in many]
    (sliced,) = store.slices([mine], [BEGIN - 100_000, BEGIN - 20_000, BEGIN])
    assert told_of(sliced) == [(0, 0), (4_500, 0)]
    store.close()

"""Blocks are sealed, days written anew, and nothing of any sample is lost or changed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import SelectFault, StoreUnavailable, TooManySamples
from service.model import Metadata
from service.samples import NAME, STALE_BITS, Matcher, Selected
from service.store import Store
from service.store_append import Bounds
from slo.model import EventRatio
from tests.service.stores import T0, Clock, Point, batch, select, series

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
BEGIN = T0 // DAY_MS * DAY_MS
NAMES = [series("requests_total", service="api", code=str(code)) for code in range(3)]
HEAT = series("heat", node="n1")
RATIO = EventRatio((select("requests_total"),), bad=(select("requests_total", code="2"),))


@pytest.fixture
def clock() -> Clock:
    return Clock(BEGIN + HOUR_MS)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "x.duckdb", clock)
    yield opened
    opened.close()


def everything(
    store: Store, since: int = BEGIN - DAY_MS, until: int = BEGIN + 40 * DAY_MS
) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    """Times and bits of all samples, by series."""
    return by_series(store.select((Matcher(NAME, "=~", ".+"),), since, until, 10**9))


def by_series(found: Selected) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    bits = found.values.view(np.uint64).tolist()
    rows = list(zip(found.ts_ms.tolist(), bits, strict=True))
    at = found.offsets.tolist()
    return {
        tuple(f"{k}={v}" for k, v in sorted(labels.items())): rows[at[i] : at[i + 1]]
        for i, labels in enumerate(found.labels)
    }


def told(points: list[Point]) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    found: dict[tuple[str, ...], dict[int, int]] = {}
    for it in points:
        key = tuple(f"{k}={v}" for k, v in sorted({NAME: it.series.metric, **dict(it.series.labels)}.items()))
        found.setdefault(key, {}).setdefault(it.ts_ms, int(np.array([it.value]).view(np.uint64)[0]))
    return {key: sorted(rows.items()) for key, rows in found.items()}


def live(store: Store, clock: Clock, hours: int, every: int = 60_000) -> list[Point]:
    """Hours of three counters and a gauge, kept as the service keeps them."""
    points: list[Point] = []
    for minute in range(1, hours * 60 * 60_000 // every + 1):
        at = BEGIN + minute * every
        clock.now_ms = at
        mine = [Point(name, at - n, float(minute * (n + 1)), BEGIN) for n, name in enumerate(NAMES)]
        mine.append(Point(HEAT, at, STALE if minute % 50 == 0 else 20 + minute % 7 / 10, None, "gauge"))
        store.append(batch(mine, minute))
        points += mine
        if minute * every % 300_000 == 0:
            store.keep()
    return points


def test_sealed_blocks_hold_every_sample_bit_for_bit_and_counts_stay(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    points = live(store, clock, 7)
    assert store.keeper.counts["sealed"] == 3
    assert sorted(store.memory.heads) == [BEGIN // 7_200_000 + 3]
    assert everything(store) == told(points)
    counted = store.counts(RATIO, [7 * HOUR_MS, 3 * HOUR_MS + 1234, 60_000], clock.now_ms)
    assert [(it.bad, it.total) for it in counted] == [(1260, 2520), (543, 1086), (3, 6)]
    store.close()
    again = Store(tmp_path / "x.duckdb", clock)
    assert everything(again) == told(points)
    assert again.counts(RATIO, [7 * HOUR_MS, 3 * HOUR_MS + 1234, 60_000], clock.now_ms) == counted
    again.close()


def test_what_comes_for_a_sealed_block_is_read_with_it_and_written_into_its_day_once_the_day_is_over(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    points = live(store, clock, 5)
    late = [Point(NAMES[0], BEGIN + 30_500, 0.25, BEGIN), Point(HEAT, BEGIN + 90_000, -0.0, None, "gauge")]
    other = [Point(series("heat", node="n2"), BEGIN + 60_000 * at, at / 3, None, "gauge") for at in range(1, 60)]
    store.append(batch([*late, *other]))
    points += [*late, *other]
    assert everything(store) == told(points)
    clock.now_ms = BEGIN + DAY_MS + 3 * HOUR_MS
    for _ in range(2):
        clock.now_ms += 300_000
        store.keep()
    assert store.keeper.counts["rewritten"] == 1
    assert not store.memory.heads
    assert everything(store) == told(points)
    clock.now_ms += 300_000
    store.keep()
    assert store.keeper.counts["rewritten"] == 1
    again = [Point(HEAT, BEGIN + 95_000, 7.0, None, "gauge")]
    store.append(batch(again))
    clock.now_ms += 300_000
    store.keep()
    assert store.keeper.counts["rewritten"] == 1, "nothing is written anew while samples still come"
    clock.now_ms += 300_000
    store.keep()
    assert store.keeper.counts["rewritten"] == 2
    assert everything(store) == told([*points, *again])
    store.close()
    store = Store(tmp_path / "x.duckdb", clock)
    assert everything(store) == told([*points, *again])
    store.close()


def test_a_day_sent_late_is_all_there_and_counted(store: Store, clock: Clock) -> None:
    away = series("requests_total", service="api", code="2", node="n9")
    live_points = live(store, clock, 26, 300_000)
    before = store.counts(RATIO, [26 * HOUR_MS], clock.now_ms)[0]
    late = [Point(away, BEGIN + 60_000 * at, float(3 * at), BEGIN) for at in range(1, 25 * 60)]
    for at in range(0, len(late), 50):
        store.append(batch(late[at : at + 50], at + 1, node_id="n9"))
    after = store.counts(RATIO, [26 * HOUR_MS], clock.now_ms)[0]
    assert (after.bad - before.bad, after.total - before.total) == (3 * (25 * 60 - 1),) * 2
    for _ in range(4):
        clock.now_ms += HOUR_MS
        store.keep()
    assert store.keeper.counts["rewritten"] >= 1
    assert store.counts(RATIO, [clock.now_ms - BEGIN], clock.now_ms)[0].total == after.total
    assert everything(store) == told([*live_points, *late])


def test_a_counter_goes_on_from_where_it_was_when_its_days_are_gone(store: Store, clock: Clock) -> None:
    store.append(batch([Point(NAMES[0], BEGIN + 60_000, 100.0, BEGIN)]))
    for day in range(1, 12):
        clock.now_ms = BEGIN + day * DAY_MS
        store.keep()
    assert store.keeper.dropped["samples:age"] == 1
    store.append(batch([Point(NAMES[0], clock.now_ms, 130.0, BEGIN)]))
    assert store.counts(RATIO, [60_000], clock.now_ms)[0].total == 30
    clock.now_ms += 600_000
    store.keep()
    assert store.counts(RATIO, [660_000], clock.now_ms)[0].total == 30


def test_a_series_that_ended_is_not_shown_any_more(store: Store, clock: Clock) -> None:
    at = clock.now_ms
    store.append(batch([Point(HEAT, at - 30_000, 4.5, None, "gauge"), Point(NAMES[0], at - 30_000, 4.0, BEGIN)]))
    store.append(batch([Point(HEAT, at - 10_000, STALE, None, "gauge"), Point(NAMES[0], at - 10_000, STALE, BEGIN)]))
    for moment, expected in ((at - 11_000, 1), (at, 0), (at + 1_000, 0)):
        assert len(store.instant(select("heat"), moment)) == expected
        assert len(store.instant(select("requests_total"), moment)) == expected
    store.append(batch([Point(HEAT, at, 5.0, None, "gauge")]))
    assert [it.value for it in store.instant(select("heat"), at)] == [5.0]
    assert tuple(store.range(select("heat"), at - 40_000, at, 10_000)[0].values) == (4.5, None, None, 5.0)


def test_a_selection_has_labels_and_samples_of_what_matches_alone(store: Store, clock: Clock) -> None:
    live(store, clock, 3, 300_000)
    found = store.select(
        (Matcher(NAME, "=", "requests_total"), Matcher("code", "!~", "0|1")), BEGIN, BEGIN + HOUR_MS, 99
    )
    assert found.labels == [{NAME: "requests_total", "service": "api", "code": "2"}]
    assert found.offsets.tolist() == [0, 12]
    assert (found.ts_ms[0], found.ts_ms[-1]) == (BEGIN + 299_998, BEGIN + HOUR_MS - 2)
    assert store.select((Matcher("node", "=", ""), Matcher("code", "=", "7")), BEGIN, clock.now_ms, 9).labels == []
    assert len(store.select((Matcher("node", "=", ""),), BEGIN, clock.now_ms, 999).labels) == 3
    with pytest.raises(TooManySamples, match="more than the 20 samples"):
        store.select((Matcher(NAME, "=", "requests_total"),), BEGIN, clock.now_ms, 20)
    with pytest.raises(SelectFault, match="no regular expression"):
        store.select((Matcher("code", "=~", "a("),), BEGIN, clock.now_ms, 20)


def test_what_senders_tell_of_metrics_is_kept_up_to_a_bound(tmp_path: Path, clock: Clock) -> None:
    def told_of(*metadata: Metadata) -> None:
        made = batch([])
        store.append(type(made)(**{**vars(made), "metadata": metadata}))

    store = Store(tmp_path / "x.duckdb", clock, Bounds(metadata=2))
    heat, cold = Metadata("heat", "gauge", "How hot.", "celsius"), Metadata("cold", "gauge", "", "")
    told_of(heat, cold, Metadata("more", "counter", "", ""))
    told_of(heat._replace(help="How hot it is."))
    store.close()
    store = Store(tmp_path / "x.duckdb", clock)
    assert store.metadata() == [cold, heat._replace(help="How hot it is.")] or {*store.metadata()} == {
        cold, heat._replace(help="How hot it is."),
    }  # fmt: skip
    store.close()


moments = st.integers(0, 30 * 60).map(lambda minute: BEGIN + minute * 60_000 + 1)
values = st.floats(allow_nan=False) | st.sampled_from([STALE, float("nan"), -0.0]) | st.integers(0, 1000).map(float)
gauges = st.builds(
    lambda name, at, value: Point(series("heat", node=name), at, value, None, "gauge"),
    st.sampled_from("abc"),
    moments,
    values,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(gauges, max_size=15) | st.sampled_from(["keep", "later", "reopen"]), max_size=10))
def test_whatever_comes_in_whatever_order_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[Point] | str]
) -> None:
    path, clock = tmp_path_factory.mktemp("store") / "x.duckdb", Clock(BEGIN + 31 * HOUR_MS)
    store, points = Store(path, clock), list[Point]()
    for step in steps:
        if isinstance(step, list):
            once = {(it.series, it.ts_ms): it for it in step}
            store.append(batch(once.values()))
            points += once.values()
        elif step == "reopen":
            store.close()
            store = Store(path, clock)
        else:
            clock.now_ms += 300_000 if step == "keep" else 9 * HOUR_MS
            store.keep()
        assert everything(store) == told(points)
    store.close()


def test_where_too_much_is_open_batches_are_told_to_come_again(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "x.duckdb", clock, Bounds(open_samples=5))
    many = [Point(HEAT, clock.now_ms - at, 1.0, None, "gauge") for at in range(6)]
    assert store.append(batch(many, 1))
    with pytest.raises(StoreUnavailable, match="open_samples"):
        store.append(batch([Point(HEAT, clock.now_ms + 1, 1.0, None, "gauge")], 2))
    assert store.counts_of_work()["turned_away"] == 1
    clock.now_ms += 4 * HOUR_MS
    store.keep()
    assert store.append(batch([Point(HEAT, clock.now_ms, 1.0, None, "gauge")], 2))
    store.close()

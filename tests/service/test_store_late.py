"""Late samples: found beside their neighbours alone, a bounded number at a time, each moment of a series once."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import store_late
from service.flat import Flat
from service.model import BatchIdentity, MetricBatch
from service.samples import STALE_BITS
from service.samples import Matcher as Wanted
from service.store import Store
from service.store_late import pieces
from service.store_near import Asked, near
from service.store_schema import BLOCK_MS
from slo.model import EventRatio
from tests.service.stores import T0, Clock, Point, batch, select, series

DAY_MS = 86_400_000
STALE = struct.unpack("<d", struct.pack("<q", STALE_BITS))[0]
MANY = [series("requests_total", code=str(at)) for at in range(40)]
RATIO = EventRatio((select("requests_total"),), bad=(select("requests_total", code="0"),))


@pytest.fixture
def clock() -> Clock:
    return Clock(T0 + DAY_MS)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "x.duckdb", clock)
    yield opened
    opened.close()


def stretch(number: int, of: int = 40) -> MetricBatch:
    """25 samples at 15 s of each of many series, one stretch after the other."""
    ats = range(25 * number, 25 * (number + 1))
    return batch([Point(it, T0 + 15_000 * at, float(at), T0) for at in ats for it in MANY[:of]])


class Counting:
    """A cursor that counts statements."""

    def __init__(self, cursor: Any) -> None:
        self.cursor, self.statements = cursor, 0

    def execute(self, *args: Any) -> Any:
        self.statements += 1
        return self.cursor.execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


def test_what_is_read_for_late_samples_does_not_grow_with_what_came_before(store: Store, clock: Clock) -> None:
    store.append(batch([Point(it, clock.now_ms, 1e6, T0) for it in MANY]))
    read = []
    for number in range(16):
        before = store.sample_counts["read_for_late"]
        store.append(stretch(number))
        read.append(store.sample_counts["read_for_late"] - before)
    assert store.sample_counts["late"] == 16 * 25 * len(MANY)
    assert max(read) <= 3 * 25 * len(MANY)
    assert store.counts(RATIO, [30 * DAY_MS], clock.now_ms)[0].total == len(MANY) * 10**6


def test_late_samples_beside_chunks_are_read_in_the_same_bounds(store: Store, clock: Clock) -> None:
    store.append(batch([Point(it, T0 + 15_000 * at, 0.0, T0) for at in (-300, -1, 5_000) for it in MANY]))
    store.keep()
    assert store.counts_of_work()["sealed"] >= 2
    read = []
    for number in range(8):
        before = store.sample_counts["read_for_late"]
        store.append(stretch(number))
        read.append(store.sample_counts["read_for_late"] - before)
    assert max(read) <= 3 * 25 * len(MANY)


@pytest.mark.parametrize("number", [0, 7])
def test_late_samples_take_as_many_statements_for_many_series_as_for_few(
    store: Store, clock: Clock, number: int
) -> None:
    store.append(batch([Point(it, clock.now_ms, 1e6, T0) for it in MANY]))
    for at in range(number):
        store.append(stretch(at))
    found = []
    for of in (4, 40):
        counting: list[Counting] = []

        def write(cursor: Any, of: int = of, counting: list[Counting] = counting) -> Any:
            counting.append(Counting(cursor))
            return store._write(counting[0], stretch(number, of))  # type: ignore[arg-type]

        with pytest.raises(_Undone):
            store.database.write(lambda cursor, it=write: _undo(it(cursor)))  # type: ignore[misc]
        found.append(counting[0].statements)
    assert found[0] == found[1] < 20


class _Undone(Exception):
    """Nothing of a transaction stays."""


def _undo(_: object) -> None:
    raise _Undone


def test_others_come_between_the_pieces_of_a_batch_of_late_samples(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_late, "MOST_LATE", 100)
    store.append(batch([Point(it, clock.now_ms, 1e6, T0) for it in MANY]))
    sizes: list[int] = []
    write = store._appender.write

    def noted(moment: Any, piece: MetricBatch) -> Any:
        sizes.append(len(piece.ts_ms))
        return write(moment, piece)

    monkeypatch.setattr(store._appender, "write", noted)
    stored = store.append_counted(stretch(0))
    assert (stored.new, stored.refused) == (True, {})
    assert (sum(sizes), max(sizes)) == (1_000, 100)
    assert store.append_counted(stretch(0)).refused == {"same_moment": 1_000}


def test_pieces_hold_each_sample_once_and_the_last_one_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_late, "MOST_LATE", 7)
    points = [Point(MANY[at % 5], T0 + at * 900_000, float(at), T0 if at % 2 else None) for at in range(60)]
    whole = batch(points, 3)
    found = pieces(whole, np.arange(60) % 4 != 0)
    assert [it.identity for it in found] == [*[None] * (len(found) - 1), BatchIdentity("n1", "s1", "metrics", 3)]
    assert all(len(it.ts_ms) <= 7 and len({ts // BLOCK_MS for ts in it.ts_ms}) == 1 for it in found[:-1])
    told = [
        Point(it.series[at], int(ts), float(value), start, it.kinds[at])
        for it in found
        for at, ts, value, start in zip(it.series_index, it.ts_ms, it.value, it.start_ms, strict=True)
    ]
    assert sorted(told, key=lambda it: it.ts_ms) == points


def test_an_identity_whose_batch_came_in_pieces_is_known_afterwards(store: Store, clock: Clock) -> None:
    store.append(batch([Point(MANY[0], clock.now_ms, 9.0, T0)], 1))
    late = [Point(MANY[0], T0 + at * 3_600_000, float(at), T0) for at in range(1, 9)]
    assert store.append(batch(late, 2))
    assert not store.append(batch(late, 2))
    assert store.counts(RATIO, [30 * DAY_MS], clock.now_ms)[0].total == 8


@pytest.mark.parametrize("late", [False, True])
def test_another_value_at_a_known_moment_is_told_apart_from_the_same_again(store: Store, late: bool) -> None:
    if late:
        store.append(batch([Point(MANY[0], T0 + 60_000, 9.0, None)]))
    assert store.append_counted(batch([Point(MANY[0], T0, 1.0, None)])).refused == {}
    assert store.append_counted(batch([Point(MANY[0], T0, 1.0, None)])).refused == {"same_moment": 1}
    assert store.append_counted(batch([Point(MANY[0], T0, 2.0, None)])).refused == {"conflict": 1}
    assert values(store) == [1.0, 9.0] if late else [1.0]


def test_within_a_request_too_the_first_value_of_a_moment_stands(store: Store) -> None:
    told = [Point(MANY[0], T0, value) for value in (4.0, 4.0, 5.0)]
    assert store.append_counted(batch(told)).refused == {"same_moment": 1, "conflict": 1}
    assert values(store) == [4.0]


@pytest.mark.parametrize("odd", [STALE, float("nan"), float("inf"), -0.0])
def test_what_is_no_number_is_told_apart_by_its_bits_too(store: Store, odd: float) -> None:
    gauge = series("load", node="n1")

    def told(value: float) -> dict[str, int]:
        return dict(store.append_counted(batch([Point(gauge, T0, value, None, "gauge")])).refused)

    assert [told(odd), told(odd), told(0.0), told(odd)] == [{}, {"same_moment": 1}, {"conflict": 1}, {"same_moment": 1}]


def values(store: Store) -> list[float]:
    found = store.select([Wanted("__name__", "=", "requests_total")], 0, T0 + DAY_MS, 10**6)
    return [float(it) for it in found.values]


moments = st.integers(0, 60).map(lambda n: T0 - 20_000_000 + n * 400_000) | st.integers(0, 40).map(
    lambda n: T0 + n * 500
)
told_points = st.lists(
    st.builds(
        lambda at, ts, value: Point(series("load", node=str(at)), ts, value, None, "gauge"),
        st.integers(0, 3), moments, st.sampled_from([1.0, 2.5, -3.0, STALE, float("nan"), float("inf")]),
    ),
    min_size=1, max_size=60,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(told_points | st.just("keep"), min_size=1, max_size=5), st.lists(moments, min_size=8, max_size=8))
def test_the_nearest_are_those_that_a_reading_of_all_finds(told: list[Any], asked: list[int]) -> None:
    with TemporaryDirectory() as folder:
        clock = Clock(T0 + 4 * 3_600_000)
        store = Store(Path(folder) / "x.duckdb", clock)
        for step in told:
            if step == "keep":
                clock.now_ms += DAY_MS // 2
                store.keep()
            else:
                store.append(batch(step))
        ids = store.directory.ids()
        pairs = np.sort(np.array(asked, np.int64).reshape(4, 2))[: len(ids)]

        def look(cursor: Any) -> tuple[Flat, Any]:
            moment = store.memory.moment_of_writer(cursor)
            return moment.samples(ids, 0, 2**60), near(moment, Asked(ids, pairs[:, 0], pairs[:, 1]))

        every, found = store.database.write(look) if len(ids) else (None, None)
        for at, number in enumerate(ids.tolist()):
            assert every is not None
            low, high = pairs[at].tolist()
            mine = every.where(every.series == number)
            finite = mine.finite()
            inside = mine.between(low - 1, high)
            expected = [*finite.between(0, low - 1).ts_ms[-1:], *inside.finite().ts_ms]
            expected += [*finite.between(high, 2**60).ts_ms[:1]]
            assert found.numbers.where(found.numbers.series == number).ts_ms.tolist() == [int(it) for it in expected]
            assert found.inside.where(found.inside.series == number).value.tobytes() == inside.value.tobytes()
        store.close()

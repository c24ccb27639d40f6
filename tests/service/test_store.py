"""The store by itself: identities, reading back, late samples, restarts, bounds, and what it says when it can't."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

import duckdb
import numpy as np
import pytest

from service import samples, store_db
from service.errors import StoreFault, StoreUnavailable
from service.increments import Floats
from service.model import MetricBatch
from service.store import Store
from service.store_append import Bounds
from service.store_db import Resources
from service.store_samples import StoreSamples
from slo.model import Allowance, EventRatio, Matcher, MinuteSlices, Selector
from tests.service.stores import T0, Clock, Point, batch, select, series

DAY_MS = 86_400_000
REQUESTS = series("requests_total", service="api", code="200")
ERRORS = series("requests_total", service="api", code="500")
ALL = select("requests_total")
RATIO = EventRatio((ALL,), bad=(select("requests_total", code="500"),))


@pytest.fixture
def clock() -> Clock:
    return Clock(T0 + 3_600_000)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "server" / "x.duckdb", clock)
    yield opened
    opened.close()


def rising(n: int, since: int = T0, step: int = 5_000, start: int | None = T0) -> list[Point]:
    return [Point(REQUESTS, since + step * at, float(10 * at), start) for at in range(1, n + 1)]


def total(store: Store, until: int = T0 + 3_600_000) -> int:
    return store.counts(RATIO, [until - T0 + 1_000], until)[0].total


def test_a_batch_that_comes_again_changes_nothing(store: Store) -> None:
    assert store.append(batch(rising(3), 1))
    assert store.append(batch([Point(REQUESTS, T0 + 20_000, 40.0, T0)], 2))
    before = store.counts(RATIO, [60_000, 3_600_000], T0 + 60_000)
    assert not store.append(batch(rising(3), 1))
    assert not store.append(batch([Point(REQUESTS, T0 + 25_000, 90.0, T0)], 2))
    assert store.counts(RATIO, [60_000, 3_600_000], T0 + 60_000) == before


def test_streams_are_told_apart_by_node_and_spool(store: Store) -> None:
    assert store.append(batch(rising(1), 5))
    assert store.append(batch([Point(ERRORS, T0 + 5_000, 1.0, T0)], 5, node_id="n2"))
    assert store.append(batch([Point(ERRORS, T0 + 10_000, 2.0, T0)], 1, spool_id="s2"))
    assert not store.append(batch(rising(2), 5))


def test_a_gap_in_the_sequence_is_taken_and_counted(store: Store) -> None:
    for sequence in (4, 5, 9):
        assert store.append(batch([Point(REQUESTS, T0 + sequence * 1000, float(sequence), T0)], sequence))
    assert store.streams.gaps["metrics"] == 1


def test_an_empty_batch_moves_its_stream(store: Store) -> None:
    assert store.append(batch([], 1))
    assert not store.append(batch(rising(1), 1))


def test_identities_counts_and_state_outlive_the_process(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.duckdb"
    store = Store(path, clock)
    store.append(batch(rising(100), 1))
    before = store.counts(RATIO, [60_000, 3_600_000], T0 + 500_000)
    store.close()
    again = Store(path, clock)
    assert again.counts(RATIO, [60_000, 3_600_000], T0 + 500_000) == before
    assert not again.append(batch(rising(100), 1))
    assert again.append(batch([Point(REQUESTS, T0 + 505_000, 1_007.0, T0)], 2))
    assert total(again) == 1_007
    again.close()


def test_the_counters_start_decides_what_a_first_sample_counts(store: Store) -> None:
    store.append(batch([Point(REQUESTS, T0, 15.0, T0 - 600_000), Point(ERRORS, T0, 15.0, T0 - 600_001)]))
    store.append(
        batch([Point(REQUESTS, T0 + 5_000, 21.0, T0 - 600_000), Point(ERRORS, T0 + 5_000, 16.0, T0 - 600_001)])
    )
    found = store.counts(RATIO, [60_000], T0 + 5_000)[0]
    assert (found.bad, found.total, found.unknown_starts) == (1, 22, 1)


@pytest.mark.parametrize(("start", "expected"), [(T0 + 61_000, 37), (None, 29)])
def test_the_first_increment_of_a_replacement_is_counted_where_its_start_is_known(
    store: Store, start: int | None, expected: int
) -> None:
    """Prometheus #1673, #3886, #12967: [3, 8, 15, 21, 21], then another series [8, 9, 13, 19, 19]."""
    other = series("requests_total", service="api", code="200", pod="b")
    store.append(batch([Point(REQUESTS, T0 + 12_000 * at, v, T0 - 1_000) for at, v in enumerate((3.0, 8, 15, 21, 21))]))
    store.append(
        batch([Point(other, T0 + 62_000 + 12_000 * at, v, start) for at, v in enumerate((8.0, 9, 13, 19, 19))])
    )
    since_first = store.counts(RATIO, [300_000], T0 + 120_000)[0].total - 3
    assert since_first == expected


def test_a_late_sample_changes_only_what_it_must(store: Store, clock: Clock) -> None:
    store.append(batch([*rising(3), *(Point(REQUESTS, T0 + 40_000, 5.0, T0) for _ in [0])]))
    assert total(store) == 35
    store.append(batch([Point(REQUESTS, T0 + 20_000, 33.0, T0)]))
    assert total(store) == 38
    assert [it.value for it in store.instant(ALL, clock.now_ms, 4_000_000)] == [5.0]
    assert store.sample_counts["late"] == 1


def test_a_late_sample_closes_a_gap_in_coverage(store: Store) -> None:
    store.append(batch([Point(REQUESTS, T0, 0.0, T0), Point(REQUESTS, T0 + 120_000, 1.0, T0)]))
    assert store.counts(RATIO, [120_000], T0 + 120_000)[0].observed_ms == 0
    store.append(batch([Point(REQUESTS, T0 + 60_000, 1.0, T0)]))
    assert store.counts(RATIO, [120_000], T0 + 120_000)[0].observed_ms == 120_000


def test_late_samples_reach_the_rollups(store: Store, clock: Clock) -> None:
    store.append(batch([Point(REQUESTS, T0, 0.0, T0), Point(REQUESTS, T0 + 1_800_000, 7.0, T0)]))
    clock.now_ms += 3 * 3_600_000
    store.keep()
    store.append(batch([Point(REQUESTS, T0 + 60_000, 100.0, T0)]))
    assert store.counts(RATIO, [30 * DAY_MS], clock.now_ms)[0].total == 107


def test_what_can_not_be_stored_is_left_out_and_counted(store: Store, clock: Clock) -> None:
    gauge = series("temperature", service="api")
    stored = store.append_counted(
        batch([
            Point(REQUESTS, clock.now_ms + 600_001, 1.0), Point(REQUESTS, clock.now_ms - 8 * DAY_MS, 1.0),
            Point(REQUESTS, T0 + 3, 2.0), Point(REQUESTS, T0 + 3, 3.0),
            Point(gauge, T0, float("inf"), None, "gauge"), Point(gauge, T0 + 1, -40.0, None, "gauge"),
        ])
    )  # fmt: skip
    assert stored.refused == {"in_future": 1, "too_old": 1, "conflict": 1}
    assert [it.value for it in store.instant(ALL, clock.now_ms, 4_000_000)] == [2.0]
    assert [it.value for it in store.instant(select("temperature"), clock.now_ms, 4_000_000)] == [-40.0]


ODD = [4.0, -3.0, 9.5e18, float("nan"), float("inf"), -1.0, -2.0, 6.0]


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), (0, 7, 3, 1, 5, 2, 6, 4)])
@pytest.mark.parametrize("rolled", [False, True])
def test_a_counter_keeps_values_that_no_counter_has_and_counts_nothing_from_them(
    store: Store, clock: Clock, order: Sequence[int], rolled: bool
) -> None:
    store.append(batch([Point(REQUESTS, T0 - 60_000, 1.0), Point(REQUESTS, T0 + 3_000_000, 6.5)]))
    if rolled:
        clock.now_ms += 3 * 3_600_000
        store.keep()
    for at in order:
        assert not store.append_counted(batch([Point(REQUESTS, T0 + 60_000 * at, ODD[at])])).refused
    assert store.counts(EventRatio((ALL,), bad=(ALL,), scale=10), [30 * DAY_MS], clock.now_ms)[0].total == 95
    (found,) = kept(store)
    assert np.array_equal(found, [1.0, *ODD, 6.5], equal_nan=True)


def kept(store: Store) -> list[Floats]:
    matcher = samples.Matcher("__name__", "=", "requests_total")
    found = StoreSamples(store).select((matcher,), T0 - DAY_MS, T0 + DAY_MS, 1_000)
    return np.split(found.values, found.offsets[1:-1])


def test_a_series_stays_what_it_was_first_told_to_be(store: Store) -> None:
    store.append(batch([Point(REQUESTS, T0, 5.0, T0)]))
    store.append(batch([Point(REQUESTS, T0 + 5_000, 8.0, None, "gauge"), Point(ERRORS, T0, 1.0, None, "gauge")]))
    store.append(batch([Point(ERRORS, T0 + 5_000, 9.0, T0)]))
    assert total(store) == 8


def test_series_beyond_the_bound_are_refused_and_known_ones_go_on(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "x.duckdb", clock, Bounds(series=2))
    many = [series("requests_total", service="api", code=str(at)) for at in range(5)]
    first = store.append_counted(batch([Point(it, T0, 1.0, T0) for it in many]))
    second = store.append_counted(batch([Point(it, T0 + 5_000, 4.0, T0) for it in many]))
    assert (first.refused, second.refused, len(store.directory)) == ({"series_limit": 3}, {"series_limit": 3}, 2)
    assert total(store) == 8
    store.close()


def test_selectors_match_as_in_promql(store: Store) -> None:
    store.append(batch([Point(REQUESTS, T0, 1.0), Point(ERRORS, T0, 1.0), Point(series("requests_total"), T0, 1.0)]))

    def found(*matchers: Matcher) -> int:
        return len(store.instant(Selector("requests_total", matchers), T0))

    assert found() == 3
    assert found(Matcher("code", "=~", "5..")) == 1
    assert found(Matcher("code", "=~", "5")) == 0
    assert found(Matcher("code", "!~", "5..")) == 2
    assert found(Matcher("code", "=", "")) == 1
    assert found(Matcher("code", "!=", "200"), Matcher("service", "=", "api")) == 1


def test_instant_looks_back_half_open(store: Store) -> None:
    store.append(batch([Point(REQUESTS, T0, 1.0)]))
    assert [(it.ts_ms, it.value) for it in store.instant(ALL, T0, 1)] == [(T0, 1.0)]
    assert store.instant(ALL, T0 + 1_000, 1_000) == []
    assert store.instant(ALL, T0 - 1, 1_000_000) == []


def test_a_range_has_the_last_value_and_the_increase_of_each_step(store: Store) -> None:
    store.append(batch([*rising(4), *rising(2, T0 + 200_000, start=T0 + 200_000)]))
    last = store.range(ALL, T0, T0 + 30_000, 10_000)[0]
    added = store.range(ALL, T0, T0 + 30_000, 10_000, "increase")[0]
    assert tuple(last.values) == (20.0, 40.0, None)
    assert tuple(added.values) == (20.0, 20.0, None)
    later = store.range(ALL, T0, T0 + 250_000, 50_000, "increase")[0]
    assert tuple(later.values) == (40.0, None, None, None, 20.0)


def test_a_series_that_stands_still_added_nothing_but_was_there(store: Store) -> None:
    store.append(batch([Point(REQUESTS, T0 + 5_000 * at, 3.0, T0 - DAY_MS) for at in range(13)]))
    assert tuple(store.range(ALL, T0, T0 + 60_000, 30_000, "increase")[0].values) == (0.0, 0.0)


def test_increases_come_from_rollups_once_single_samples_are_gone(store: Store, clock: Clock) -> None:
    store.append(batch(rising(240)))
    end = T0 // 300_000 * 300_000 + 1_500_000
    before = store.range(ALL, end - 1_500_000, end, 300_000, "increase")
    clock.now_ms += 9 * DAY_MS
    assert {it.kind for it in store.keep()} == {"samples"}
    assert store.range(ALL, end - 1_500_000, end, 300_000, "increase") == before
    assert store.range(ALL, end - 1_500_000, end, 300_000) == []


def test_a_window_into_time_without_single_samples_says_where_it_begins(store: Store, clock: Clock) -> None:
    store.append(batch(rising(240)))
    clock.now_ms += 9 * DAY_MS
    store.keep()
    found = store.counts(RATIO, [clock.now_ms - T0 - 601_000], clock.now_ms)[0]
    assert found.since_ms == (T0 + 601_000) // 300_000 * 300_000
    assert found.total == 2400 - 10 * ((found.since_ms - T0) // 5_000)


def test_minutes_stay_judged_once_their_samples_are_gone(tmp_path: Path, clock: Clock) -> None:
    minutes = MinuteSlices("gauge", select("free"), select("size"), Fraction(7, 10), complement=True)
    store = Store(tmp_path / "x.duckdb", clock)
    points = [
        Point(series(name), T0 + at * 30_000, float(value), None, "gauge")
        for at in range(1, 20)
        for name, value in (("free", 10 if at < 6 else 90), ("size", 100))
    ]
    store.append(batch(points))
    before = store.counts(minutes, [3_600_000], T0 + 3_600_000)[0]
    clock.now_ms += 600_000
    store.keep()
    clock.now_ms += 9 * DAY_MS
    store.keep()
    store.close()
    store = Store(tmp_path / "x.duckdb", clock)
    after = store.counts(minutes, [clock.now_ms - T0], clock.now_ms)[0]
    assert (before.bad, before.total) == (after.bad, after.total) == (2, 10)
    store.close()


def test_the_bound_of_the_disk_takes_the_oldest_days_first(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "x.duckdb", clock, Bounds(disk_bytes=1))
    for day in range(3):
        clock.now_ms = T0 + day * DAY_MS + 1
        store.append(batch([Point(REQUESTS, T0 + day * DAY_MS, 1.0 + day, T0)]))
    store.database.checkpoint()
    dropped = store.keep()
    assert [it.reason for it in dropped] == ["disk", "disk"]
    assert [it.ts_ms for it in store.instant(ALL, clock.now_ms, 7 * DAY_MS)] == [T0 + 2 * DAY_MS]
    assert store.dropped["samples:disk"] == 2
    store.close()


def test_series_of_dead_containers_are_forgotten_with_their_samples(store: Store, clock: Clock) -> None:
    dead = series("container_cpu_usage_seconds_total", id="/docker/a")
    store.append(batch([Point(dead, T0, 1.0, T0), *rising(1)]))
    clock.now_ms += 10 * DAY_MS
    store.keep()
    assert store.directory.metrics() == ["requests_total"]
    assert store.append(batch([Point(dead, clock.now_ms, 2.0, clock.now_ms - 1_000)]))
    exposure = Allowance((select("container_cpu_usage_seconds_total"),), (ALL,))
    assert store.counts(exposure, [60_000], clock.now_ms)[0].bad == 2


def test_an_increment_is_exact_beyond_what_floats_can_add(store: Store) -> None:
    """0.1 added ten thousand times is 1000, and one more than 2**53 is one more."""
    huge = series("requests_total", service="api", code="201")
    store.append(batch([Point(REQUESTS, T0 + at, at / 10, T0) for at in range(10_001)]))
    store.append(batch([Point(huge, T0, 2.0**53, T0), Point(huge, T0 + 1, 2.0**53 + 2, T0)]))
    assert total(store) == 1_000 + 2**53 + 2


def test_another_process_that_has_the_file_is_named(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.duckdb"
    code = f"import duckdb,sys; c=duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreFault) as caught:
            Store(path, clock)
        assert f"process {holder.pid} has it open" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_file_that_is_no_database_is_told_with_the_remedy(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "x.duckdb"
    path.write_bytes(b"hello " * 4000)
    with pytest.raises(StoreFault, match=r"not a valid DuckDB database file.*move it away"):
        Store(path, clock)
    assert path.read_bytes() == b"hello " * 4000


def test_a_file_of_another_version_is_not_touched(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "x.duckdb", clock)
    store.database.write(lambda cursor: cursor.execute("UPDATE meta SET version = 99"))
    store.close()
    with pytest.raises(StoreFault, match="version 99"):
        Store(tmp_path / "x.duckdb", clock)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become someone else")
def test_a_folder_without_permission_is_told_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)
    code = (
        "import os, pathlib, sys\n"
        "from service.store import Store\n"
        "from service.errors import StoreFault\n"
        "os.setuid(65534)\n"
        "try: Store(pathlib.Path(sys.argv[1]), lambda: 0)\n"
        "except StoreFault as fault: print(fault)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder / "x.duckdb")], capture_output=True, text=True, check=False
    )
    assert "can't be opened" in found.stdout, found.stderr
    assert "choose a folder of yours with --data" in found.stdout
    assert found.stdout.count("\n") == 1


def test_a_database_that_gave_up_is_opened_anew_with_all_that_was_acknowledged(store: Store) -> None:
    def give_up(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute("DELETE FROM series")
        raise duckdb.FatalException("the database has been invalidated")

    store.append(batch(rising(20), 1))
    before = store.counts(RATIO, [60_000, 3_600_000], T0 + 100_000)
    with pytest.raises(StoreUnavailable, match="invalidated"):
        store.database.write(give_up)
    assert store.database.fault is not None
    assert store.counts(RATIO, [60_000, 3_600_000], T0 + 100_000) == before
    assert not store.append(batch(rising(20), 1))
    assert store.append(batch([Point(ERRORS, T0 + 105_000, 3.0, T0 + 104_000)], 2))
    assert store.database.fault is None
    assert store.counts(RATIO, [60_000], T0 + 105_000)[0].bad == 3


def test_a_database_that_can_not_be_opened_anew_at_once_is_tried_again_with_each_write(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def give_up(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute("DELETE FROM series")
        raise duckdb.FatalException("the database has been invalidated")

    def fails(*_: object) -> duckdb.DuckDBPyConnection:
        raise StoreFault("No space left")

    store.append(batch(rising(20), 1))
    with monkeypatch.context() as patched:
        patched.setattr(store_db, "_connect", fails)
        with pytest.raises(StoreUnavailable, match="free some space"):
            store.database.write(give_up)
        with pytest.raises(StoreUnavailable, match="free some space"):
            store.append(batch(rising(21), 2))
        with pytest.raises(StoreUnavailable, match="can't be read now"):
            store.range(ALL, T0, T0 + 60_000, 60_000)
        with pytest.raises(StoreUnavailable, match="free some space"):
            store.append(batch(rising(21), 2))
    assert [it.getMessage() for it in caplog.records] == ["No space left"], "once, not for each write"
    assert store.append(batch(rising(21), 2))
    assert total(store) == 210


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_refuses_a_batch_whole_and_takes_it_again_later(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        store = Store(disk / "x.duckdb", clock, resources=Resources(checkpoint_mb=64))
        many = [series("requests_total", service="api", code=f"{at}") for at in range(2_000)]

        def numbered(at: int) -> MetricBatch:
            return batch([Point(it, T0 + at * 5_000, value(n, at), T0) for n, it in enumerate(many)], at)

        def value(n: int, at: int) -> float:
            """Rising, and so that nothing makes it small."""
            return at + Random(f"{n}.{at}").random()  # noqa: S311

        taken = 0
        with pytest.raises(StoreUnavailable, match="free some space"):
            for at in range(1, 400):
                store.append(numbered(at))
                taken = at
        for _ in range(20):
            with pytest.raises(StoreUnavailable):
                store.append(numbered(taken + 1))
        assert len(caplog.records) <= 2, "not a line for each batch that is refused"
        assert store.database.fault is not None
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        store.append(numbered(taken + 1))
        assert store.database.fault is None
        assert not store.append(numbered(taken + 1))
        each = store.range(ALL, T0, T0 + 5_000 * (taken + 1), 5_000)
        assert all(None not in line.values for line in each)
        assert total(store) == round(sum(value(n, taken + 1) for n in range(2_000)))
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("many", [1_100, 5_000])
def test_a_batch_may_bring_more_new_series_than_the_index_has_room_for(store: Store, many: int) -> None:
    """While slices are kept, which look at what is new of their metrics."""
    disk = MinuteSlices("gauge", select("used_bytes"), select("size_bytes"), Fraction(7, 10))
    store.counts(disk, [120_000], T0)
    found = [Point(series(f"m{n % 7}", service="api", n=str(n)), T0, 1.0, None, "gauge") for n in range(many)]
    assert store.append_counted(batch([*found, Point(REQUESTS, T0, 5.0, T0 - 1)])).refused == {}
    assert len(store.directory) == many + 1

"""A file of every earlier version is brought up to date, with all that it counted."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from service import store_migrate
from service.errors import StoreFault
from service.model import RangeSeries
from service.store import Store
from slo.model import Counts, EventRatio, Selector
from tests.service import version1
from tests.service.stores import T0, Clock, Point, batch, select, series

NAMES = [series("requests_total", service="api", code=str(code)) for code in (200, 500)]
RATIO = EventRatio((select("requests_total"),), bad=(select("requests_total", code="500"),))
HOUR_MS = 3_600_000
POINTS = [
    *(
        Point(name, T0 + 60_000 * at, float(at * (n + 1)) + 0.1, T0)
        for n, name in enumerate(NAMES)
        for at in range(200)
    ),
    *(Point(series("heat", node="n1"), T0 + 60_000 * at, at / 7, None, "gauge") for at in range(200)),
]
UNTIL = T0 + 200 * 60_000
ROLLED = (UNTIL - 600_000) // 300_000 * 300_000


def asked(store: Store) -> tuple[list[Counts], list[RangeSeries]]:
    windows = [60_000, 1_234_567, 2 * HOUR_MS, 4 * HOUR_MS]
    return store.counts(RATIO, windows, UNTIL), store.range(Selector("heat"), T0 - 1, UNTIL, 60_000)


def test_a_file_of_version_1_answers_as_if_all_had_come_today(tmp_path: Path) -> None:
    clock = Clock(UNTIL)
    version1.write(tmp_path / "old.duckdb", POINTS, ROLLED)
    old, new = Store(tmp_path / "old.duckdb", clock), Store(tmp_path / "new.duckdb", clock)
    new.append(batch(POINTS, 1))
    assert asked(old) == asked(new)
    assert not old.append(batch([], 1)), "the stream is known"
    for store in (old, new):
        clock.now_ms = UNTIL
        store.append(batch([Point(NAMES[0], UNTIL, 500.1, T0)], 2))
        for _ in range(4):
            clock.now_ms += HOUR_MS
            store.keep()
        assert not store.memory.heads
    assert asked(old) == asked(new)
    tables = old.database.write(lambda it: it.execute("SELECT table_name FROM duckdb_tables()").fetchall())
    assert not [name for (name,) in tables if name.startswith(("samples_", "increments_"))]
    for store in (old, new):
        store.close()


def test_a_migration_that_was_broken_off_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day_later = [it._replace(ts_ms=it.ts_ms + 86_400_000, value=it.value + 1000) for it in POINTS]
    clock = Clock(UNTIL + 86_400_000)
    version1.write(tmp_path / "old.duckdb", [*POINTS, *day_later], ROLLED)
    whole, days = store_migrate._frames_of_day, list[int]()

    def breaks(connection: duckdb.DuckDBPyConnection, day: int) -> None:
        days.append(day)
        whole(connection, day)
        if len(days) == 2:
            raise duckdb.IOException("no more")

    monkeypatch.setattr(store_migrate, "_frames_of_day", breaks)
    with pytest.raises(StoreFault):
        Store(tmp_path / "old.duckdb", clock)
    store, new = Store(tmp_path / "old.duckdb", clock), Store(tmp_path / "new.duckdb", clock)
    assert days == [days[0], days[0] + 1, days[0] + 1]
    new.append(batch([*POINTS, *day_later], 1))
    assert asked(store) == asked(new)
    for it in (store, new):
        it.close()

"""Writes a database file as version 1 of the schema left it: samples and increments as rows."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import duckdb

from service.increments import Sample, billionths, steps
from tests.service.stores import Point

TABLES = (
    "meta(version INTEGER NOT NULL)",
    "batches(node_id VARCHAR, spool_id VARCHAR, signal VARCHAR, sequence BIGINT, gaps BIGINT, received_ms BIGINT)",
    "series(series_id UINTEGER, metric VARCHAR, labels VARCHAR, counter BOOLEAN)",
    "series_state(series_id UINTEGER, first_ms BIGINT, first_from_ms BIGINT, baseline BOOLEAN, last_ms BIGINT, "
    "last_value DOUBLE, last_start_ms BIGINT, run_from_ms BIGINT)",
    "replayed(day INTEGER, known_rows BIGINT)",
    "runs(series_id UINTEGER, from_ms BIGINT, to_ms BIGINT)",
    "periods(kind VARCHAR, period INTEGER)",
    "rolled(until_ms BIGINT)",
    "minute_slices(indicator VARCHAR, minute_ms BIGINT, bad BOOLEAN)",
)
COLUMNS = {
    "samples": "series_id UINTEGER, ts_ms BIGINT, value DOUBLE, start_ms BIGINT",
    "increments": "series_id UINTEGER, ts_ms BIGINT, units BIGINT, nanos BIGINT",
    "fives": "series_id UINTEGER, ts_ms BIGINT, units BIGINT, nanos BIGINT",
    "hours": "series_id UINTEGER, ts_ms BIGINT, units BIGINT, nanos BIGINT",
    "logs": "at_ms BIGINT, node VARCHAR, node_id VARCHAR, service VARCHAR, container VARCHAR, id VARCHAR, "
    "stream VARCHAR, body VARCHAR, severity VARCHAR",
}
DAY_MS = 86_400_000
PERIOD_MS = {"samples": DAY_MS, "increments": DAY_MS, "logs": DAY_MS, "fives": 30 * DAY_MS, "hours": 30 * DAY_MS}


def write(path: Path, points: list[Point], rolled_ms: int) -> None:
    """The file after these samples came in order, all of them in one batch of node n1, rolled up until then."""
    with duckdb.connect(str(path), config={"storage_compatibility_version": "v1.4.0"}) as connection:
        for table in TABLES:
            connection.execute(f"CREATE TABLE {table}")
        for kind, columns in COLUMNS.items():
            connection.execute(f"CREATE TABLE {kind}_0({columns})")
        connection.execute("INSERT INTO meta VALUES (1)")
        connection.execute("INSERT INTO batches VALUES ('n1', 's1', 'metrics', 1, 0, 0)")
        connection.execute("INSERT INTO rolled VALUES (?)", [rolled_ms])
        for number, series in enumerate(dict.fromkeys(it.series for it in points), 1):
            mine = [it for it in points if it.series == series]
            labels = json.dumps(series.labels, ensure_ascii=False, separators=(",", ":"))
            counter = mine[0].kind == "counter"
            connection.execute("INSERT INTO series VALUES (?, ?, ?, ?)", [number, series.metric, labels, counter])
            for it in mine:
                row = [number, it.ts_ms, it.value, it.start_ms]
                into = _table(connection, "samples", it.ts_ms)
                connection.execute(f"INSERT INTO {into} VALUES (?, ?, ?, ?)", row)  # noqa: S608
            begin = mine[0].ts_ms
            for one, other in pairwise(mine):
                if other.ts_ms - one.ts_ms > 75_000:
                    connection.execute("INSERT INTO runs VALUES (?, ?, ?)", [number, begin, one.ts_ms])
                    begin = other.ts_ms
            if counter:
                _count(connection, number, mine, rolled_ms)


def _count(connection: duckdb.DuckDBPyConnection, number: int, points: list[Point], rolled_ms: int) -> None:
    for step in steps([Sample(it.ts_ms, it.value, it.start_ms) for it in points], None):
        units = divmod(step.increment, billionths(1.0))
        rows = [("increments", step.ts_ms)]
        rows += [(kind, -(-step.ts_ms // size) * size) for kind, size in (("fives", 300_000), ("hours", 3_600_000))]
        for kind, at in rows:
            until = {"hours": rolled_ms // 3_600_000 * 3_600_000, "fives": rolled_ms}.get(kind, at)
            if at <= until and step.increment:
                into = _table(connection, kind, at)
                connection.execute(f"INSERT INTO {into} VALUES (?, ?, ?, ?)", [number, at, *units])  # noqa: S608


def _table(connection: duckdb.DuckDBPyConnection, kind: str, at_ms: int) -> str:
    period = at_ms // PERIOD_MS[kind]
    known = connection.execute("SELECT 1 FROM periods WHERE kind = ? AND period = ?", [kind, period]).fetchall()
    if not known:
        connection.execute(f"CREATE TABLE {kind}_{period}({COLUMNS[kind]})")
        connection.execute("INSERT INTO periods VALUES (?, ?)", [kind, period])
    return f"{kind}_{period}"

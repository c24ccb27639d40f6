"""From the tables of earlier versions to those of today; each step is a transaction, gone on with after a crash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from service.flat import NONE, Flat
from service.flat_frame import pack
from service.model import Series
from service.store_schema import BLOCK_MS, BLOCKS_PER_DAY, JUDGED, TABLES, VERSION, create, table
from service.store_series import Directory, decode_labels

_LOG = logging.getLogger(__name__)
_FRAME_ROWS = 500_000
OLDEST: Final = 1
"""The oldest version that can be brought up to date."""


def migrate(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Bring the tables of an earlier version up to date."""
    for step in range(version, VERSION):
        _LOG.warning("tables of version %d are brought to version %d; this may take a while", step, step + 1)
        _STEPS[step](connection)
        connection.execute("UPDATE meta SET version = ?", [step + 1])


def _to_2(connection: duckdb.DuckDBPyConnection) -> None:
    """Samples from rows to frames; single increments go, for they follow from samples."""
    connection.execute("BEGIN")
    _group_series(connection)
    connection.execute("DROP TABLE IF EXISTS replayed")
    connection.execute("COMMIT")
    for name in TABLES:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name}")
    days = connection.execute("SELECT period FROM periods WHERE kind = 'samples' ORDER BY period").fetchall()
    for (day,) in days:
        connection.execute("BEGIN")
        _frames_of_day(connection, int(day))
        connection.execute("COMMIT")
    connection.execute("BEGIN")
    for (day,) in connection.execute("SELECT period FROM periods WHERE kind = 'increments'").fetchall():
        connection.execute(f"DROP TABLE increments_{int(day)}")
    connection.execute("DELETE FROM periods WHERE kind = 'increments'")
    for kind in ("samples", "increments"):
        connection.execute(f"DROP TABLE IF EXISTS {kind}_0")
    connection.execute("COMMIT")


def _to_3(connection: duckdb.DuckDBPyConnection) -> None:
    """Judgements get their counts; of those that are stored they are not known."""
    connection.execute("BEGIN")
    names = {row[1] for row in connection.execute("PRAGMA table_info('judgements')").fetchall()}
    for column in JUDGED.split(", ") if names else ():
        if column.split()[0] not in names:
            connection.execute(f"ALTER TABLE judgements ADD COLUMN {column}")
    connection.execute("COMMIT")


def _group_series(connection: duckdb.DuckDBPyConnection) -> None:
    names = {row[1] for row in connection.execute("PRAGMA table_info('series')").fetchall()}
    if "grp" in names:
        return
    rows = connection.execute("SELECT series_id, metric, labels FROM series ORDER BY series_id").fetchall()
    named = [(number, Series(metric, decode_labels(labels))) for number, metric, labels in rows]
    groups = Directory().grouped(named)
    found = pa.table({
        "series_id": pa.array([number for number, _ in named], pa.uint32()), "grp": pa.array(groups, pa.uint32()),
    })  # fmt: skip
    connection.register("found", found)
    connection.execute("CREATE TABLE grouped AS SELECT series.*, found.grp FROM series JOIN found USING (series_id)")
    connection.unregister("found")
    connection.execute("DROP TABLE series")
    connection.execute("ALTER TABLE grouped RENAME TO series")


def _frames_of_day(connection: duckdb.DuckDBPyConnection, day: int) -> None:
    for block in range(day * BLOCKS_PER_DAY, (day + 1) * BLOCKS_PER_DAY):
        rows = connection.execute(
            f"SELECT series_id, ts_ms, value, coalesce(start_ms, {NONE}) AS start_ms FROM samples_{day} "  # noqa: S608
            "WHERE ts_ms >= ? AND ts_ms < ? ORDER BY series_id, ts_ms",
            [block * BLOCK_MS, (block + 1) * BLOCK_MS],
        ).fetchnumpy()
        flat = Flat(*(np.asarray(it) for it in rows.values()))
        flat = flat._replace(series=flat.series.astype(np.int64))
        if not flat.size:
            continue
        connection.execute(create("head", block))
        connection.execute("INSERT INTO periods VALUES ('head', ?)", [block])
        for at in range(0, flat.size, _FRAME_ROWS):
            part = flat.where(slice(at, at + _FRAME_ROWS))
            into = f"{table('head', block)}(n, data)"
            connection.execute(f"INSERT INTO {into} VALUES (?, ?)", [part.size, pack(part)])  # noqa: S608
    connection.execute(f"DROP TABLE samples_{day}")
    connection.execute("DELETE FROM periods WHERE kind = 'samples' AND period = ?", [day])


_STEPS: Final[Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]]] = {1: _to_2, 2: _to_3}

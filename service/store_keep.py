"""What the store does from time to time: roll up, note the state, drop what is too old or too much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from service.store_append import Bounds
from service.store_db import Cursor
from service.store_layout import Layout, drop, ensure, read_layout
from service.store_schema import FIVE_MS, HOUR_MS, PERIOD_MS, bucket_end, period_of, table
from service.store_state import NONE, Columns, SeriesState

SETTLE_MS = 120_000
"""A bucket is rolled up this long after its end; what comes later is added to it."""
MINUTES_KEPT_MS = 40 * 86_400_000


class Dropped(NamedTuple):
    """What retention or the bound of the disk took: tables by kind and period."""

    kind: str
    period: int
    reason: str


def roll_up(cursor: Cursor, now_ms: int) -> int:
    """Sum finished buckets into the rollups; up to where it is done now."""
    layout = read_layout(cursor)
    until = (now_ms - SETTLE_MS) // FIVE_MS * FIVE_MS
    if until <= layout.rolled_ms:
        return layout.rolled_ms
    since = layout.rolled_ms or min(layout.oldest_ms("increments") or until, until)
    layout = _rolled(cursor, layout, "increments", "fives", FIVE_MS, since, until)
    hours = (since // HOUR_MS * HOUR_MS, until // HOUR_MS * HOUR_MS)
    _rolled(cursor, layout, "fives", "hours", HOUR_MS, *hours)
    cursor.execute("DELETE FROM rolled")
    cursor.execute("INSERT INTO rolled VALUES (?)", [until])
    return until


def _rolled(cursor: Cursor, layout: Layout, source: str, into: str, size: int, since: int, until: int) -> Layout:
    first, last = period_of(into, bucket_end(since + 1, size)), period_of(into, until)
    for period in range(first, last + 1) if since < until else ():
        begin, end = max(since, period * PERIOD_MS[into] - size), min(until, (period + 1) * PERIOD_MS[into] - size)
        if begin >= end or not layout.within(source, begin, end):
            continue
        layout = ensure(cursor, layout, into, period)
        cursor.execute(
            f"INSERT INTO {table(into, period)} "  # noqa: S608 - names of tables and integers of ours
            f"SELECT series_id, (ts_ms + {size - 1}) // {size} * {size} AS bucket, sum(units), sum(nanos) "
            f"FROM ({layout.source(source, begin, end)}) GROUP BY ALL"
        )
    return layout


def note_state(cursor: Cursor, state: SeriesState, ids: Iterable[int]) -> None:
    """Write the state of every series anew, and which rows it knows."""
    numbers = np.array(sorted(ids), np.int64)
    numbers = numbers[state.columns.last_ms[numbers] != NONE]
    columns = {name: getattr(state.columns, name)[numbers] for name in Columns.__annotations__}
    cursor.register("states", pa.table({"series_id": numbers.astype(np.uint32), **columns}))
    cursor.execute("CREATE OR REPLACE TABLE series_state AS SELECT * FROM states")
    cursor.unregister("states")
    cursor.execute("DELETE FROM replayed")
    for period in read_layout(cursor).periods["samples"]:
        cursor.execute(f"INSERT INTO replayed SELECT ?, count(*) FROM {table('samples', period)}", [period])  # noqa: S608


def drop_old(cursor: Cursor, bounds: Bounds, now_ms: int) -> list[Dropped]:
    """Drop tables of periods that are over their time."""
    layout = read_layout(cursor)
    dropped = []
    for kind, kept_ms in (
        ("samples", bounds.raw_ms),
        ("increments", bounds.raw_ms),
        ("logs", bounds.raw_ms),
        ("fives", bounds.rollup_ms),
        ("hours", bounds.rollup_ms),
        ("spans", bounds.raw_ms),
    ):
        for period in layout.periods[kind]:
            if (period + 1) * PERIOD_MS[kind] < now_ms - kept_ms:
                layout = drop(cursor, layout, kind, period)
                dropped.append(Dropped(kind, period, "age"))
    oldest = now_ms - bounds.rollup_ms
    cursor.execute("DELETE FROM runs WHERE to_ms < ?", [oldest])
    cursor.execute("DELETE FROM minute_slices WHERE minute_ms < ?", [now_ms - MINUTES_KEPT_MS])
    cursor.execute("DELETE FROM events WHERE at_ms < ?", [oldest])
    cursor.execute("DELETE FROM judgements WHERE at_ms < ?", [oldest])
    cursor.execute("DELETE FROM incidents WHERE resolved_ms < ?", [oldest])
    cursor.execute("DELETE FROM silences WHERE ends_ms < ?", [oldest])
    cursor.execute("DELETE FROM outbox WHERE coalesce(delivered_ms, given_up_ms) < ?", [now_ms - bounds.raw_ms])
    cursor.execute("DELETE FROM services WHERE gone_ms < ?", [oldest])
    return dropped


def drop_most(cursor: Cursor, bounds: Bounds) -> Dropped | None:
    """Drop the oldest day of samples and logs where the file uses more than its bound; None where it does not."""
    if used_bytes(cursor) <= bounds.disk_bytes:
        return None
    layout = read_layout(cursor)
    days = sorted({day for kind in ("samples", "increments", "logs", "spans") for day in layout.periods[kind]})
    if len(days) > 1:
        for kind in ("samples", "increments", "logs", "spans"):
            if days[0] in layout.periods[kind]:
                layout = drop(cursor, layout, kind, days[0])
        return Dropped("samples", days[0], "disk")
    months = layout.periods["fives"]
    if len(months) > 1:
        drop(cursor, layout, "fives", months[0])
        return Dropped("fives", months[0], "disk")
    return None


def used_bytes(cursor: Cursor) -> int:
    """Bytes of the file's blocks that are in use."""
    rows = cursor.execute("SELECT block_size * used_blocks FROM pragma_database_size()").fetchall()
    return int(rows[0][0]) if rows else 0

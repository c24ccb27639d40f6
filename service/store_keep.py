"""What the store does from time to time: roll up, note the state, drop what is too old or too much."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from service.flat import NONE, Flat, Ints
from service.increments import Rules
from service.store_append import Bounds
from service.store_db import Cursor
from service.store_layout import TEMPLATE, Layout, drop, drop_day, ensure
from service.store_rises import Rises, rises
from service.store_schema import BLOCK_MS, DAY_MS, FIVE_MS, HOUR_MS, PERIOD_MS, bucket_end, period_of, table
from service.store_state import Columns, SeriesState
from service.store_view import Moment
from service.store_write import write_buckets

SETTLE_MS = 120_000
"""A bucket is rolled up this long after its end; what comes later is added to it."""
MINUTES_KEPT_MS = 40 * 86_400_000


_NOTHING = Rises(*(np.zeros(0, np.int64),) * 4)


class Dropped(NamedTuple):
    """What retention or the bound of the disk took: tables by kind and period."""

    kind: str
    period: int
    reason: str


def due_ms(now_ms: int) -> int:
    """Up to where increments are rolled up."""
    return (now_ms - SETTLE_MS) // FIVE_MS * FIVE_MS


def risen(moment: Moment, ids: Ints, until_ms: int, rules: Rules) -> Rises:
    """What these series counted since the last roll-up, in buckets of five minutes."""
    since = moment.layout.rolled_ms or min(moment.layout.oldest_raw_ms() or until_ms, until_ms)
    parts = []
    for begin in range(since, until_ms, BLOCK_MS):
        parts.append(rises(moment, ids, begin, min(begin + BLOCK_MS, until_ms), rules).by_bucket(FIVE_MS))
    return Rises(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else _NOTHING


def roll_up(cursor: Cursor, layout: Layout, found: Rises, until_ms: int) -> Layout:
    """Write what finished buckets hold, and sum it for finished hours; the layout after it."""
    since = layout.rolled_ms
    layout = write_buckets(cursor, layout, "fives", found)
    layout = _hours(cursor, layout, since // HOUR_MS * HOUR_MS, until_ms // HOUR_MS * HOUR_MS)
    cursor.execute("DELETE FROM rolled")
    cursor.execute("INSERT INTO rolled VALUES (?)", [until_ms])
    return layout.rolled(until_ms)


def _hours(cursor: Cursor, layout: Layout, since: int, until: int) -> Layout:
    size = PERIOD_MS["hours"]
    oldest = layout.oldest_ms("fives")
    since = max(since, oldest - HOUR_MS) if oldest is not None else until
    for period in range(period_of("hours", bucket_end(since + 1, HOUR_MS)), period_of("hours", until) + 1):
        begin, end = max(since, period * size - HOUR_MS), min(until, (period + 1) * size - HOUR_MS)
        if begin >= end or not layout.within("fives", begin, end):
            continue
        layout = ensure(cursor, layout, "hours", period)
        cursor.execute(
            f"INSERT INTO {table('hours', period)} "  # noqa: S608 - names of tables and integers of ours
            f"SELECT series_id, (ts_ms + {HOUR_MS - 1}) // {HOUR_MS} * {HOUR_MS} AS bucket, sum(units), sum(nanos) "
            f"FROM ({layout.source('fives', begin, end)}) GROUP BY ALL"
        )
    return layout


def note_state(cursor: Cursor, layout: Layout, state: SeriesState, ids: Iterable[int]) -> None:
    """Write the state of every series anew, and which rows it knows."""
    numbers = np.array(sorted(ids), np.int64)
    numbers = numbers[state.columns.last_ms[numbers] != NONE]
    columns = {name: getattr(state.columns, name)[numbers] for name in Columns.__annotations__}
    cursor.register("states", pa.table({"series_id": numbers.astype(np.uint32), **columns}))
    cursor.execute("CREATE OR REPLACE TABLE series_state AS SELECT * FROM states")
    cursor.unregister("states")
    cursor.execute("DELETE FROM replayed")
    for block in layout.periods["head"]:
        cursor.execute(f"INSERT INTO replayed SELECT ?, count(*) FROM {table('head', block)}", [block])  # noqa: S608


def overdue(layout: Layout, bounds: Bounds, now_ms: int) -> list[Dropped]:
    """Which tables of periods are over their time; those of samples by their day."""
    found = [Dropped("samples", it, "age") for it in layout.raw_days() if (it + 1) * DAY_MS < now_ms - bounds.raw_ms]
    kept = {"logs": bounds.raw_ms, "spans": bounds.raw_ms, "fives": bounds.rollup_ms, "hours": bounds.rollup_ms}
    for kind, kept_ms in kept.items():
        ends = ((it, (it + 1) * PERIOD_MS[kind]) for it in layout.periods[kind])
        found += [Dropped(kind, period, "age") for period, end in ends if end < now_ms - kept_ms]
    return found


def drop_old(
    cursor: Cursor, layout: Layout, bounds: Bounds, now_ms: int, last_of_heads: Callable[[int], Flat]
) -> tuple[Layout, list[Dropped]]:
    """Drop tables of periods that are over their time, and delete such rows of the others."""
    dropped = overdue(layout, bounds, now_ms)
    for it in dropped:
        if it.kind == "samples":
            layout = let_go(cursor, layout, it.period, last_of_heads(it.period))
        else:
            layout = drop(cursor, layout, it.kind, it.period)
    _delete_old(cursor, bounds, now_ms)
    return layout, dropped


def let_go(cursor: Cursor, layout: Layout, day: int, in_heads: Flat) -> Layout:
    """Drop the samples of a day; what its series came to stays, for what they count next."""
    columns = {**in_heads._asdict(), "series": in_heads.series.astype(np.uint32)}
    cursor.register("in_heads", pa.table(columns))
    stats = table("stats", day) if day in layout.periods["stats"] else table("stats", TEMPLATE)
    cursor.execute(
        "CREATE OR REPLACE TABLE carry AS SELECT series_id, max(ts_ms) AS ts_ms, arg_max(value, ts_ms) AS value, "  # noqa: S608
        "arg_max(start_ms, ts_ms) AS start_ms FROM (SELECT * FROM carry UNION ALL SELECT * FROM in_heads UNION ALL "
        f"SELECT series_id, last_ms, last_value, coalesce(last_start_ms, {NONE}) FROM {stats} "
        "WHERE last_ms IS NOT NULL) GROUP BY series_id"
    )
    cursor.unregister("in_heads")
    return drop_day(cursor, layout, day)


def read_carry(cursor: Cursor) -> Flat:
    """The last samples before the oldest day that is kept."""
    rows = cursor.execute("SELECT * FROM carry").fetchnumpy()
    series, ts_ms, value, start_ms = (np.asarray(it) for it in rows.values())
    return Flat(series.astype(np.int64), ts_ms, value, start_ms)


def _delete_old(cursor: Cursor, bounds: Bounds, now_ms: int) -> None:
    oldest = now_ms - bounds.rollup_ms
    cursor.execute("DELETE FROM runs WHERE to_ms < ?", [oldest])
    cursor.execute("DELETE FROM minute_slices WHERE minute_ms < ?", [now_ms - MINUTES_KEPT_MS])
    cursor.execute("DELETE FROM events WHERE at_ms < ?", [oldest])
    cursor.execute("DELETE FROM incidents WHERE resolved_ms < ?", [oldest])
    cursor.execute("DELETE FROM silences WHERE ends_ms < ?", [oldest])
    cursor.execute("DELETE FROM outbox WHERE coalesce(delivered_ms, given_up_ms) < ?", [now_ms - bounds.raw_ms])
    cursor.execute("DELETE FROM services WHERE gone_ms < ?", [oldest])


def drop_most(cursor: Cursor, layout: Layout, last_of_heads: Callable[[int], Flat]) -> tuple[Layout, list[Dropped]]:
    """Drop the oldest day of samples and logs, or where there is but one the oldest month of rollups."""
    days = sorted({*layout.raw_days(), *layout.periods["logs"], *layout.periods["spans"]})
    if len(days) > 1:
        layout = let_go(cursor, layout, days[0], last_of_heads(days[0]))
        for kind in ("logs", "spans"):
            if days[0] in layout.periods[kind]:
                layout = drop(cursor, layout, kind, days[0])
        return layout, [Dropped("samples", days[0], "disk")]
    months = layout.periods["fives"]
    if len(months) > 1:
        return drop(cursor, layout, "fives", months[0]), [Dropped("fives", months[0], "disk")]
    return layout, []


def used_bytes(cursor: Cursor) -> int:
    """Bytes of the file's blocks that are in use."""
    rows = cursor.execute(
        "SELECT block_size * used_blocks FROM pragma_database_size() WHERE database_name = current_database()"
    ).fetchall()
    return int(rows[0][0]) if rows else 0

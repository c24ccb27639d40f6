"""Rows appended to the store's tables: frames of heads, buckets of rollups, columns of any."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from service.flat import Flat
from service.flat_frame import pack
from service.increments import Floats, Ints
from service.store_db import Cursor
from service.store_layout import Layout, ensure
from service.store_rises import Rises, is_rolled
from service.store_schema import FIVE_MS, HOUR_MS, PERIOD_MS, table
from service.streams import Written


def write_frame(cursor: Cursor, layout: Layout, block: int, flat: Flat, written: Written | None) -> Layout:
    """Append samples of one block to its head, with how far their stream has come."""
    layout = ensure(cursor, layout, "head", block)
    key, mark = written or ((None,) * 3, (None,) * 3)
    row = [flat.size, pack(flat), *key, *mark]
    cursor.execute(f"INSERT INTO {table('head', block)} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
    return layout


def write_rises(cursor: Cursor, layout: Layout, found: Rises) -> Layout:
    """Add increments to those buckets that are rolled up already; of the others nothing is written."""
    mine = is_rolled(found.ts_ms, layout.rolled_ms)
    if not mine.any():
        return layout
    hours_until = layout.rolled_ms // HOUR_MS * HOUR_MS
    for kind, size in (("fives", FIVE_MS), ("hours", HOUR_MS)):
        ends = -(-found.ts_ms // size) * size
        mask = mine if kind == "fives" else mine & (ends <= hours_until)
        layout = write_buckets(cursor, layout, kind, Rises(*(it[mask] for it in found._replace(ts_ms=ends))))
    return layout


def write_buckets(cursor: Cursor, layout: Layout, kind: str, found: Rises) -> Layout:
    """Append rows to the rollups of a kind; times are ends of its buckets."""
    periods = found.ts_ms // PERIOD_MS[kind]
    for period in np.unique(periods).tolist():
        layout = ensure(cursor, layout, kind, period)
        series, ts_ms, units, nanos = (it[periods == period] for it in found)
        columns = {"series_id": series.astype(np.uint32), "ts_ms": ts_ms, "units": units, "nanos": nanos}
        insert(cursor, table(kind, period), columns)
    return layout


def insert(cursor: Cursor, into: str, columns: Mapping[str, Ints | Floats | pa.Array]) -> None:
    """Append rows, given as columns, to a table."""
    cursor.register("incoming", pa.table(dict(columns)))
    cursor.execute(f"INSERT INTO {into} SELECT * FROM incoming")  # noqa: S608 - a name of ours
    cursor.unregister("incoming")

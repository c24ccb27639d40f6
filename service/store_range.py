"""Samples at a moment, and series on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from service.increments import NANO
from service.model import InstantPoint, RangeSeries
from service.store_db import Cursor
from service.store_layout import Layout
from service.store_series import Directory, Ids
from service.store_sums import by_series

Runs = dict[int, list[tuple[int, int]]]


def instant(
    cursor: Cursor, layout: Layout, directory: Directory, ids: Ids, at_ms: int, lookback_ms: int
) -> list[InstantPoint]:
    """The last sample of each series in `(at - lookback, at]`."""
    rows = _grouped(cursor, layout, ids, at_ms - lookback_ms, at_ms, "0")
    return [InstantPoint(directory.series(number), ts, value) for number, _, ts, value in rows]


def last_values(
    cursor: Cursor, layout: Layout, directory: Directory, ids: Ids, since_ms: int, until_ms: int, step_ms: int
) -> list[RangeSeries]:
    """Per series the last sample of each step; None where it has none."""
    slot = f"(ts_ms - {int(since_ms)} - 1) // {int(step_ms)}"
    size = -(-(until_ms - since_ms) // step_ms)
    found: dict[int, list[float | None]] = {}
    for number, at, _, value in _grouped(cursor, layout, ids, since_ms, until_ms, slot):
        found.setdefault(number, [None] * size)[at] = value
    return [RangeSeries(directory.series(number), tuple(values)) for number, values in sorted(found.items())]


def increases(
    cursor: Cursor, layout: Layout, directory: Directory, ids: Ids, edges_ms: Sequence[int], runs: Runs
) -> list[RangeSeries]:
    """Per series what it added in each step; None where the step holds none of its covered time."""
    summed = by_series(cursor, layout, ids, edges_ms)
    found = []
    for number, added in summed.items():
        seen = _seen(runs.get(number, []), edges_ms)
        values = tuple(n / NANO if n or there else None for n, there in zip(added, seen, strict=True))
        if any(value is not None for value in values):
            found.append(RangeSeries(directory.series(number), values))
    return found


def _seen(runs: Sequence[tuple[int, int]], edges_ms: Sequence[int]) -> list[bool]:
    """For each step whether a run reaches into it."""
    edges = np.asarray(edges_ms, np.int64)
    seen = np.zeros(len(edges) - 1, np.bool_)
    for begin, end in runs:
        if end > edges[0] and begin <= edges[-1]:
            first = max(0, int(np.searchsorted(edges, min(begin + 1, end), side="left")) - 1)
            seen[first : int(np.searchsorted(edges, end, side="left"))] = True
    return seen.tolist()


def _grouped(
    cursor: Cursor, layout: Layout, ids: Ids, since_ms: int, until_ms: int, slot: str
) -> list[tuple[int, int, int, float]]:
    cursor.register("asked", pa.table({"series_id": ids.astype(np.uint32)}))
    rows = cursor.execute(
        f"SELECT series_id, {slot} AS slot, max(ts_ms), arg_max(value, ts_ms) FROM "  # noqa: S608 - integers of ours
        f"({layout.source('samples', since_ms, until_ms)}) WHERE series_id IN (SELECT series_id FROM asked) "
        "GROUP BY ALL ORDER BY series_id"
    ).fetchall()
    cursor.unregister("asked")
    return rows

"""Sums of increments between moments: whole buckets from the rollups, the edges from single increments; exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from service.increments import NANO
from service.store_db import Cursor
from service.store_layout import Layout
from service.store_schema import FIVE_MS, HOUR_MS, bucket_end
from service.store_series import Ids

_MOST_CASES = 24


class Piece(NamedTuple):
    """A stretch of time `(since, until]` that is read from one kind of table."""

    kind: str
    since_ms: int
    until_ms: int


def settled(layout: Layout, edges_ms: Sequence[int]) -> list[int]:
    """The edges, those so old that single increments are gone moved back to the begin of their bucket."""
    oldest = layout.oldest_ms("samples")
    limit = min(layout.rolled_ms, oldest) if oldest is not None else layout.rolled_ms * bool(layout.periods["fives"])
    return [edge // FIVE_MS * FIVE_MS if edge < limit else edge for edge in edges_ms]


def pieces(edges_ms: Sequence[int], rolled_ms: int) -> list[Piece]:
    """How `(first edge, last edge]` is read, so that no bucket holds an edge within."""
    found: list[Piece] = []
    for since, until in pairwise(edges_ms):
        _cut(since, until, rolled_ms, found)
    merged: list[Piece] = []
    for piece in found:
        if merged and merged[-1].kind == piece.kind and merged[-1].until_ms == piece.since_ms:
            merged[-1] = Piece(piece.kind, merged[-1].since_ms, piece.until_ms)
        else:
            merged.append(piece)
    return merged


def _cut(since: int, until: int, rolled_ms: int, found: list[Piece]) -> None:
    for kind, size in (("hours", HOUR_MS), ("fives", FIVE_MS)):
        begin, end = bucket_end(since, size), min(until, rolled_ms) // size * size
        if begin < end:
            _cut(since, begin, rolled_ms, found)
            found.append(Piece(kind, begin, end))
            _cut(end, until, rolled_ms, found)
            return
    if since < until:
        found.append(Piece("increments", since, until))


def sums(cursor: Cursor, layout: Layout, parts: Sequence[Ids], edges_ms: Sequence[int]) -> list[list[int]]:
    """Billionths that the series of each part added in each slot `(edges[i], edges[i + 1]]`; edges ascend."""
    table = [[0] * (len(edges_ms) - 1) for _ in parts]
    members = _members(parts)
    if members.num_rows == 0 or len(edges_ms) < 2:
        return table
    by_kind: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces(edges_ms, layout.rolled_ms):
        by_kind[piece.kind].append(piece)
    cursor.register("members", members)
    rows = " UNION ALL ".join(layout.source(*piece) for them in by_kind.values() for piece in them)
    found = cursor.execute(
        "WITH summed AS (SELECT series_id, slot, sum(units) AS units, sum(nanos) AS nanos FROM "  # noqa: S608
        f"(SELECT series_id, units, nanos, {_slot(edges_ms)} AS slot FROM ({rows}) "
        "WHERE series_id IN (SELECT series_id FROM members)) GROUP BY ALL) "
        "SELECT part, slot, sum(units), sum(nanos) FROM summed JOIN members USING (series_id) GROUP BY ALL"
    ).fetchall()
    cursor.unregister("members")
    for part, slot, units, nanos in found:
        table[part][slot] += int(units) * NANO + int(nanos)
    return table


def by_series(cursor: Cursor, layout: Layout, ids: Ids, edges_ms: Sequence[int]) -> dict[int, list[int]]:
    """The same for each series alone, by its number."""
    numbers = ids.tolist()
    found = sums(cursor, layout, [ids[at : at + 1] for at in range(len(numbers))], edges_ms)
    return dict(zip(numbers, found, strict=True))


def _members(parts: Sequence[Ids]) -> pa.Table:
    part = np.repeat(np.arange(len(parts)), [len(ids) for ids in parts])
    ids = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return pa.table({"part": part, "series_id": ids.astype(np.uint32)})


def _slot(edges_ms: Sequence[int]) -> str:
    """An expression for the slot of a row's `ts_ms`."""
    widths = {end - begin for begin, end in pairwise(edges_ms)}
    if len(widths) == 1:
        return f"(ts_ms - {int(edges_ms[0])} - 1) // {int(widths.pop())}"
    if len(edges_ms) <= _MOST_CASES:
        cases = " ".join(f"WHEN ts_ms <= {int(edge)} THEN {at}" for at, edge in enumerate(edges_ms[1:-1]))
        return f"CASE {cases} ELSE {len(edges_ms) - 2} END"
    inner = ", ".join(str(int(edge)) for edge in edges_ms[1:-1])
    return f"len(list_filter([{inner}], lambda edge: edge < ts_ms))"

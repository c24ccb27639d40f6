"""Sums of increments between moments: whole buckets from the rollups, the edges from single samples; exact."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from service.flat import within
from service.increments import NANO, Rules
from service.store_layout import Layout
from service.store_rises import Rises, rises
from service.store_schema import FIVE_MS, HOUR_MS, bucket_end
from service.store_series import Ids
from service.store_view import Moment

_MOST_CASES = 24


class Piece(NamedTuple):
    """A stretch of time `(since, until]` that is read from one kind of table, or from samples."""

    kind: str
    since_ms: int
    until_ms: int


class Members(NamedTuple):
    """Which parts series belong to, ascending by series; a series may be in several."""

    part: Ids
    series: Ids


def settled(layout: Layout, edges_ms: Sequence[int]) -> list[int]:
    """The edges, those so old that single samples are gone moved back to the begin of their bucket."""
    oldest = layout.oldest_raw_ms()
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
        found.append(Piece("samples", since, until))


def sums(moment: Moment, parts: Sequence[Ids], edges_ms: Sequence[int], rules: Rules) -> list[list[int]]:
    """Billionths that the series of each part added in each slot `(edges[i], edges[i + 1]]`; edges ascend."""
    table = [[0] * (len(edges_ms) - 1) for _ in parts]
    members = members_of(parts)
    if not len(members.series) or len(edges_ms) < 2:
        return table
    cut = pieces(edges_ms, moment.layout.rolled_ms)
    whole = [it for it in cut if it.kind != "samples"]
    for part, slot, units, nanos in from_rollups(moment, members, whole, edges_ms):
        table[part][slot] += int(units) * NANO + int(nanos)
    every = np.unique(members.series)
    for piece in cut:
        if piece.kind == "samples":
            _add(table, members, rises(moment, every, piece.since_ms, piece.until_ms, rules), edges_ms)
    return table


def from_rollups(
    moment: Moment, members: Members, cut: Sequence[Piece], edges_ms: Sequence[int]
) -> list[tuple[int, int, int, int]]:
    """(part, slot, whole units, billionths) of the buckets of these pieces."""
    if not cut:
        return []
    cursor = moment.writing()
    cursor.register("members", pa.table({"part": members.part, "series_id": members.series.astype(np.uint32)}))
    rows = " UNION ALL ".join(moment.layout.source(*piece) for piece in cut)
    found = cursor.execute(
        "WITH summed AS (SELECT series_id, slot, sum(units) AS units, sum(nanos) AS nanos FROM "  # noqa: S608
        f"(SELECT series_id, units, nanos, {_slot(edges_ms)} AS slot FROM ({rows}) "
        "WHERE series_id IN (SELECT series_id FROM members)) GROUP BY ALL) "
        "SELECT part, slot, sum(units), sum(nanos) FROM summed JOIN members USING (series_id) GROUP BY ALL"
    ).fetchall()
    cursor.unregister("members")
    return found


def _add(table: list[list[int]], members: Members, found: Rises, edges_ms: Sequence[int]) -> None:
    """Add increments to the slots of the parts that their series belong to; no sum overflows."""
    low = np.searchsorted(members.series, found.series, side="left")
    counts = np.searchsorted(members.series, found.series, side="right") - low
    part = members.part[np.repeat(low, counts) + within(counts)]
    slot = np.repeat(np.searchsorted(np.asarray(edges_ms), found.ts_ms, side="left") - 1, counts)
    key = part * (len(edges_ms) - 1) + slot
    used, at = np.unique(key, return_inverse=True)
    totals = []
    for values in (found.units >> 32, found.units & 0xFFFFFFFF, found.nanos):
        total = np.zeros(len(used), np.int64)
        np.add.at(total, at, np.repeat(values, counts))
        totals.append(total.tolist())
    for where, high, lower, nanos in zip(used.tolist(), *totals, strict=True):
        table[where // (len(edges_ms) - 1)][where % (len(edges_ms) - 1)] += ((high << 32) + lower) * NANO + nanos


def by_series(moment: Moment, ids: Ids, edges_ms: Sequence[int], rules: Rules) -> dict[int, list[int]]:
    """The same for each series alone, by its number."""
    numbers = ids.tolist()
    found = sums(moment, [ids[at : at + 1] for at in range(len(numbers))], edges_ms, rules)
    return dict(zip(numbers, found, strict=True))


def members_of(parts: Sequence[Ids]) -> Members:
    """Which parts each series is of."""
    part = np.repeat(np.arange(len(parts)), [len(ids) for ids in parts])
    ids = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    order = np.argsort(ids, kind="stable")
    return Members(part[order], ids[order])


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

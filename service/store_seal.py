"""Sealing: an open block becomes chunks and statistics; a finished day is written anew, with what came late in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.chunk import Chunk, decode, encode
from service.flat import NONE, Flat, Floats, Ints, heads, joined, ordered, picked, within
from service.store_db import Cursor
from service.store_layout import Layout, Sealed, drop, ensure
from service.store_schema import BLOCK_MS, BLOCKS_PER_DAY, create, table

SEAL_AFTER_MS = 600_000
"""A block is sealed this long after its end, a day written anew this long after the seal of its last block."""
LIVE_LEVEL, FINAL_LEVEL = 3, 9
FINAL_BLOCKS = 6
"""Blocks of a chunk of a finished day."""
_AT_ONCE = 64
"""Chunks that are written in one transaction."""


@dataclass
class Sheaf:
    """Chunks and statistics, ready to be written."""

    block: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    n: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    stats: list[pa.Table] = field(default_factory=list)

    def add(self, block: int, group: int, flat: Flat, level: int) -> None:
        """Encode the ordered samples of one group."""
        if flat.size:
            self.block.append(block)
            self.group.append(group)
            self.n.append(flat.size)
            self.data.append(encode(flat, level))
            self.stats.append(statistics(block, flat))

    def write(self, cursor: Cursor, chunks: str, stats: str) -> None:
        """Append all to these tables."""
        if not self.data:
            return
        rows = pa.table({
            "block": pa.array(self.block, pa.int32()), "grp": pa.array(self.group, pa.uint32()),
            "n": pa.array(self.n, pa.uint32()), "data": pa.array(self.data, pa.binary()),
        })  # fmt: skip
        for into, incoming in ((chunks, rows), (stats, pa.concat_tables(self.stats))):
            cursor.register("incoming", incoming)
            cursor.execute(f"INSERT INTO {into} SELECT * FROM incoming")  # noqa: S608 - names of ours
            cursor.unregister("incoming")


def seal(block: int, runs: Sequence[Flat], groups: Ints) -> Iterator[Sheaf]:
    """A block's samples as chunks, some groups at a time; `groups` is by the series' numbers."""
    ids = np.unique(np.concatenate([run.series[heads(run.series)] for run in runs])) if runs else np.zeros(0, np.int64)
    of_id = groups[ids]
    every = np.unique(of_id)
    for at in range(0, len(every), _AT_ONCE):
        mine = ids[np.isin(of_id, every[at : at + _AT_ONCE])]
        sheaf = Sheaf()
        for group, flat in by_group(ordered(joined([picked(run, mine) for run in runs])), groups):
            sheaf.add(block, group, flat, LIVE_LEVEL)
        yield sheaf


def by_group(flat: Flat, groups: Ints) -> Iterator[tuple[int, Flat]]:
    """Ordered samples by group, ordered within."""
    at = heads(flat.series)
    ends = np.append(at[1:], flat.size)
    of_series = groups[flat.series[at]] if flat.size else at
    for group in np.unique(of_series).tolist():
        mine = np.flatnonzero(of_series == group)
        if len(mine) == mine[-1] - mine[0] + 1:
            yield group, flat.where(slice(at[mine[0]], ends[mine[-1]]))
        else:
            lengths = (ends - at)[mine]
            yield group, flat.where(np.repeat(at[mine], lengths) + within(lengths))


def begin_seal(cursor: Cursor, layout: Layout, block: int) -> Layout:
    """Make room for a block's chunks, which nobody reads before `end_seal`; the layout after it."""
    day = block // BLOCKS_PER_DAY
    layout = ensure(cursor, ensure(cursor, layout, "chunks", day), "stats", day)
    for kind in ("chunks", "stats"):
        cursor.execute(f"DELETE FROM {table(kind, day)} WHERE block = ?", [block])  # noqa: S608 - of a seal that failed
    return layout


def write_sheaf(cursor: Cursor, block: int, sheaf: Sheaf) -> None:
    """Write some chunks of a block."""
    day = block // BLOCKS_PER_DAY
    sheaf.write(cursor, table("chunks", day), table("stats", day))


def end_seal(cursor: Cursor, layout: Layout, block: int, frames: int) -> Layout:
    """Set the chunks of a block in the place of the first `frames` rows of its head; the layout after it."""
    place = Sealed(block, 1)
    cursor.execute("INSERT INTO sealed VALUES (?, ?, ?)", [block, *place])
    return cut_head(cursor, replace(layout, sealed={**layout.sealed, block: place}), block, frames)


def cut_head(cursor: Cursor, layout: Layout, block: int, frames: int) -> Layout:
    """Leave of a head only what came after its first `frames` rows; without any the table goes."""
    head = table("head", block)
    left = cursor.execute(f"SELECT * FROM {head} ORDER BY rowid OFFSET ?", [frames]).fetchall()  # noqa: S608
    layout = drop(cursor, layout, "head", block)
    if left:
        layout = ensure(cursor, layout, "head", block)
    for row in left:
        cursor.execute(f"INSERT INTO {head} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(row))  # noqa: S608 - a name of ours
    return layout


def days_due(layout: Layout, until_ms: int, quiet: frozenset[int]) -> list[int]:
    """Days to be written anew: all blocks over and sealed, and never written anew, or late samples in it and quiet."""
    found = []
    for day in layout.periods["chunks"]:
        blocks = range(day * BLOCKS_PER_DAY, (day + 1) * BLOCKS_PER_DAY)
        over = blocks.stop * BLOCK_MS + SEAL_AFTER_MS + BLOCK_MS <= until_ms
        late = [block for block in blocks if block in layout.periods["head"]]
        live = any(layout.sealed[block].edition == 1 for block in blocks if block in layout.sealed)
        if over and (live or late) and all(block in quiet for block in late):
            found.append(day)
    return found


def rewritten(cursor: Cursor, layout: Layout, day: int, late: Mapping[int, Flat], groups: Ints) -> Iterator[Sheaf]:
    """A day's chunks anew, a few at a time: longer ones, with the late samples in their places."""
    rest = dict(by_group(ordered(joined(list(late.values()))), groups)) if late else {}
    rows = cursor.execute(f"SELECT DISTINCT grp FROM {table('chunks', day)} ORDER BY grp").fetchall()  # noqa: S608
    sheaf = Sheaf()
    for group in sorted({*rest, *(row[0] for row in rows)}):
        old = [it.flat() for it in _chunks_of(cursor, day, group)]
        whole = ordered(joined([*old, *([rest[group]] if group in rest else [])]))
        for first in range(day * BLOCKS_PER_DAY, (day + 1) * BLOCKS_PER_DAY, FINAL_BLOCKS):
            piece = whole.between(first * BLOCK_MS - 1, (first + FINAL_BLOCKS) * BLOCK_MS - 1)
            sheaf.add(first, group, piece, FINAL_LEVEL)
        if len(sheaf.data) >= _AT_ONCE:
            yield sheaf
            sheaf = Sheaf()
    yield sheaf


def _chunks_of(cursor: Cursor, day: int, group: int) -> list[Chunk]:
    rows = cursor.execute(
        f"SELECT data FROM {table('chunks', day)} WHERE grp = ? ORDER BY block",  # noqa: S608 - a name of ours
        [group],
    ).fetchall()
    return [decode(data) for (data,) in rows]


def make_anew(cursor: Cursor, day: int) -> tuple[str, str]:
    """Empty tables that a day is written into, made anew; their names."""
    names = []
    for kind in ("chunks", "stats"):
        name = f"{table(kind, day)}_anew"
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(create(kind, day).replace(table(kind, day), name))
        names.append(name)
    return names[0], names[1]


def put_anew(cursor: Cursor, layout: Layout, day: int) -> Layout:
    """Set the tables that were written anew in the place of the day's."""
    for kind in ("chunks", "stats"):
        layout = ensure(cursor, layout, kind, day)
        cursor.execute(f"DROP TABLE {table(kind, day)}")
        cursor.execute(f"ALTER TABLE {table(kind, day)}_anew RENAME TO {table(kind, day)}")
    blocks = range(day * BLOCKS_PER_DAY, (day + 1) * BLOCKS_PER_DAY)
    edition = 1 + max((layout.sealed[block].edition for block in blocks if block in layout.sealed), default=1)
    cursor.execute("DELETE FROM sealed WHERE block >= ? AND block < ?", [blocks.start, blocks.stop])
    places = {block: Sealed(block - (block - blocks.start) % FINAL_BLOCKS, edition) for block in blocks}
    incoming = pa.table({
        "block": pa.array(list(places), pa.int32()),
        "chunk": pa.array([it.chunk for it in places.values()], pa.int32()),
        "edition": pa.array([it.edition for it in places.values()], pa.int32()),
    })  # fmt: skip
    cursor.register("incoming", incoming)
    cursor.execute("INSERT INTO sealed SELECT * FROM incoming")
    cursor.unregister("incoming")
    return replace(layout, sealed={**layout.sealed, **places})


def leftovers(cursor: Cursor) -> None:
    """Drop what a rewrite that was broken off left behind."""
    rows = cursor.execute("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%\\_anew' ESCAPE '\\'")
    for (name,) in rows.fetchall():
        cursor.execute(f'DROP TABLE "{name}"')


def statistics(block: int, flat: Flat) -> pa.Table:
    """One row per series of ordered samples, over those that are numbers."""
    flat = flat.finite()
    at = heads(flat.series)
    n = np.diff(np.append(at, flat.size))
    last = at + n - 1
    ids, value = flat.series[at], flat.value
    steps = np.zeros(flat.size)
    steps[1:] = value[1:] - value[:-1]
    steps[at] = 0.0
    columns: dict[str, NDArray[Any]] = {
        "n": n.astype(np.uint32), "first_ms": flat.ts_ms[at], "last_ms": flat.ts_ms[last], "first_value": value[at],
        "last_value": value[last], "last_start_ms": flat.start_ms[last],
    }  # fmt: skip
    if len(at):
        rises = np.where(steps < 0, value, steps)
        columns |= {
            "low": np.minimum.reduceat(value, at), "high": np.maximum.reduceat(value, at),
            "total": _sums(value, at), "increase": _sums(rises, at),
            "resets": np.add.reduceat((steps < 0).astype(np.uint32), at),
        }  # fmt: skip
    else:
        columns |= {name: np.zeros(0) for name in ("low", "high", "total", "increase")}
        columns["resets"] = np.zeros(0, np.uint32)
    found = pa.table({"block": pa.array(np.full(len(ids), block), pa.int32()), "series_id": ids.astype(np.uint32)})
    for name, values in columns.items():
        kind = pa.uint32() if name in ("n", "resets") else None
        found = found.append_column(name, pa.array(values, kind, mask=_unknown(name, values)))
    return found


def _sums(values: Floats, at: Ints) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        found: Floats = np.add.reduceat(values, at)
    return found


def _unknown(name: str, values: NDArray[Any]) -> NDArray[np.bool_] | None:
    return values == NONE if name == "last_start_ms" else None

"""Which tables of periods exist, as of one transaction, and the parts of queries that read across them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from service.store_db import Cursor
from service.store_schema import BLOCKS_PER_DAY, DAY_MS, PERIOD_MS, create, period_of, table

TEMPLATE = 0
"""The period whose table always exists and is empty: what is read where nothing else is."""


class Sealed(NamedTuple):
    """Where the sealed samples of a block are: in the chunks whose first block this is, in their latest edition."""

    chunk: int
    edition: int


@dataclass(frozen=True)
class Layout:
    """The periods that have tables, by kind, which blocks are sealed, and up to when increments are rolled up."""

    periods: Mapping[str, tuple[int, ...]]
    rolled_ms: int
    sealed: Mapping[int, Sealed] = field(default_factory=dict)

    def raw_days(self) -> list[int]:
        """Days of which there are single samples, ascending."""
        return sorted({*self.periods["chunks"], *(block // BLOCKS_PER_DAY for block in self.periods["head"])})

    def oldest_raw_ms(self) -> int | None:
        """Where the oldest day with single samples begins, None where there is none."""
        days = self.raw_days()
        return days[0] * DAY_MS if days else None

    def oldest_ms(self, kind: str) -> int | None:
        """Where the oldest table of a kind begins, None where there is none."""
        return min(self.periods[kind]) * PERIOD_MS[kind] if self.periods[kind] else None

    def within(self, kind: str, since_ms: int, until_ms: int) -> list[int]:
        """Periods that hold moments of `(since, until]`, ascending."""
        first, last = period_of(kind, since_ms), period_of(kind, until_ms)
        return [period for period in self.periods[kind] if first <= period <= last]

    def source(self, kind: str, since_ms: int, until_ms: int, at: str = "ts_ms", columns: str = "*") -> str:
        """A query for all rows of a kind within `(since, until]`."""
        periods = self.within(kind, since_ms, until_ms) or [TEMPLATE]
        where = f"{at} > {int(since_ms)} AND {at} <= {int(until_ms)}"
        return " UNION ALL ".join(f"SELECT {columns} FROM {table(kind, it)} WHERE {where}" for it in periods)  # noqa: S608

    def rolled(self, until_ms: int) -> Layout:
        """The same, rolled up until then."""
        return replace(self, rolled_ms=until_ms)


def read_layout(cursor: Cursor) -> Layout:
    """The layout as this transaction sees it."""
    found: dict[str, list[int]] = {kind: [] for kind in PERIOD_MS}
    for kind, period in cursor.execute("SELECT kind, period FROM periods").fetchall():
        found[kind].append(period)
    rolled = cursor.execute("SELECT max(until_ms) FROM rolled").fetchall()[0][0]
    sealed = {block: Sealed(*rest) for block, *rest in cursor.execute("SELECT * FROM sealed").fetchall()}
    return Layout({kind: tuple(sorted(them)) for kind, them in found.items()}, rolled or 0, sealed)


def marks(layout: Layout) -> str:
    """A query for all rows that tell how far streams have come: beside the frames of open blocks, and noted."""
    columns = "node_id, spool_id, signal, sequence, gaps, received_ms"
    heads = (table("head", block) for block in layout.periods["head"])
    beside = (f"SELECT {columns} FROM {it} WHERE node_id IS NOT NULL" for it in heads)  # noqa: S608
    return " UNION ALL ".join((f"SELECT {columns} FROM batches", *beside))  # noqa: S608


def make_templates(cursor: Cursor) -> None:
    """Make the empty tables that always exist."""
    for kind in PERIOD_MS:
        cursor.execute(create(kind, TEMPLATE))


def ensure(cursor: Cursor, layout: Layout, kind: str, period: int) -> Layout:
    """The layout with the table of that period, made where it was missing."""
    if period in layout.periods[kind]:
        return layout
    cursor.execute(create(kind, period))
    cursor.execute("INSERT INTO periods VALUES (?, ?)", [kind, period])
    periods = {**layout.periods, kind: tuple(sorted({*layout.periods[kind], period}))}
    return replace(layout, periods=periods)


def drop(cursor: Cursor, layout: Layout, kind: str, period: int) -> Layout:
    """The layout without the table of that period, which is dropped with all its rows."""
    cursor.execute(f"DROP TABLE IF EXISTS {table(kind, period)}")
    cursor.execute("DELETE FROM periods WHERE kind = ? AND period = ?", [kind, period])
    kept = tuple(it for it in layout.periods[kind] if it != period)
    return replace(layout, periods={**layout.periods, kind: kept})


def drop_day(cursor: Cursor, layout: Layout, day: int) -> Layout:
    """The layout without the single samples of a day."""
    blocks = range(day * BLOCKS_PER_DAY, (day + 1) * BLOCKS_PER_DAY)
    for block in blocks:
        if block in layout.periods["head"]:
            layout = drop(cursor, layout, "head", block)
    for kind in ("chunks", "stats"):
        if day in layout.periods[kind]:
            layout = drop(cursor, layout, kind, day)
    cursor.execute("DELETE FROM sealed WHERE block >= ? AND block < ?", [blocks.start, blocks.stop])
    return replace(layout, sealed={block: it for block, it in layout.sealed.items() if block not in blocks})

"""Which tables of periods exist, as of one transaction, and the parts of queries that read across them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.store_db import Cursor
from service.store_schema import PERIOD_MS, create, period_of, table

TEMPLATE = 0
"""The period whose table always exists and is empty: what is read where nothing else is."""


@dataclass(frozen=True)
class Layout:
    """The periods that have tables, by kind, and up to when increments are rolled up."""

    periods: Mapping[str, tuple[int, ...]]
    rolled_ms: int

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


def read_layout(cursor: Cursor) -> Layout:
    """The layout as this transaction sees it."""
    found: dict[str, list[int]] = {kind: [] for kind in PERIOD_MS}
    for kind, period in cursor.execute("SELECT kind, period FROM periods").fetchall():
        found[kind].append(period)
    rolled = cursor.execute("SELECT max(until_ms) FROM rolled").fetchall()[0][0]
    return Layout({kind: tuple(sorted(them)) for kind, them in found.items()}, rolled or 0)


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
    return Layout({**layout.periods, kind: tuple(sorted({*layout.periods[kind], period}))}, layout.rolled_ms)


def drop(cursor: Cursor, layout: Layout, kind: str, period: int) -> Layout:
    """The layout without the table of that period, which is dropped with all its rows."""
    cursor.execute(f"DROP TABLE IF EXISTS {table(kind, period)}")
    cursor.execute("DELETE FROM periods WHERE kind = ? AND period = ?", [kind, period])
    kept = tuple(it for it in layout.periods[kind] if it != period)
    return Layout({**layout.periods, kind: kept}, layout.rolled_ms)

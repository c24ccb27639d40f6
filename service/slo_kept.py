"""Judged slices of whole days, kept in the database: what samples no longer tell is known over a restart.

A slice is always judged from samples where these are there. What is kept stands in only where they are gone, so that
nothing here is ever newer, or other, than what late samples made of a day.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from service.ports import ask
from service.store_db import Cursor, Database

DAY_MS: Final = 86_400_000
MOST_ROWS: Final = 100_000
"""Days of all objectives that are kept; beyond, those of what is judged no more go first, then the oldest."""
LONGEST_DAYS: Final = 367
"""The longest window that is judged, and a day."""
Row = list[int]
"""What one slice counted, in whole numbers that its reader knows."""


class Day(NamedTuple):
    """The slices that end in one day (UTC), of one objective's indicator and rule."""

    key: str
    day: int
    data: bytes


class KeptSlices:
    """The days that are stored, read once for each key; to be used by one thread at a time."""

    def __init__(self, database: Database | None = None) -> None:
        """Without a database nothing is kept."""
        self._database = database
        self._days: dict[str, dict[int, bytes]] = {}
        self._fresh: dict[tuple[str, int], bytes] = {}
        self._first: dict[str, int] = {}
        self.dropped = 0
        """Days that had to go for the bound, since this began."""

    def day(self, key: str, day: int) -> list[Row] | None:
        """The slices of a day as they were judged, None where that is not known."""
        data = self._of(key).get(day)
        return None if data is None else json.loads(zlib.decompress(data))

    def has(self, key: str, day: int) -> bool:
        """True where that day is known."""
        return day in self._of(key)

    def put(self, key: str, first_day: int, days: Iterable[tuple[int, Callable[[], Sequence[Row]]]]) -> None:
        """Note whole days as they are judged now, to be stored where they are new; `first_day` is still needed."""
        known = self._of(key)
        self._first[key] = first_day
        for day, rows in days:
            data = zlib.compress(json.dumps(list(rows()), separators=(",", ":")).encode())
            if known.get(day) != data:
                known[day] = self._fresh[key, day] = data

    def write(self, cursor: Cursor, now_ms: int) -> list[Day]:
        """Store what is new and let go of what no window needs; what is returned is to be given to `written`."""
        fresh = [Day(key, day, data) for (key, day), data in self._fresh.items()]
        if fresh:
            names = [[it.key for it in fresh], [it.day for it in fresh]]
            cursor.execute(
                "DELETE FROM kept_slices WHERE (key, day) IN (SELECT unnest(?::VARCHAR[]), unnest(?::INTEGER[]))", names
            )
            cursor.execute(
                "INSERT INTO kept_slices SELECT unnest(?::VARCHAR[]), unnest(?::INTEGER[]), unnest(?::BLOB[])",
                [*names, [it.data for it in fresh]],
            )
        cursor.execute("DELETE FROM kept_slices WHERE day < ?", [now_ms // DAY_MS - LONGEST_DAYS])
        if self._first:
            cursor.execute(
                "DELETE FROM kept_slices USING (SELECT unnest(?::VARCHAR[]) AS key, unnest(?::INTEGER[]) AS day) AS own"
                " WHERE kept_slices.key = own.key AND kept_slices.day < own.day",
                [list(self._first), list(self._first.values())],
            )
        rows = _stored(cursor)
        _bounded(cursor, list(self._first))
        self.dropped += rows - _stored(cursor)
        return fresh

    def written(self, days: Sequence[Day]) -> None:
        """Those days are stored."""
        for it in days:
            if self._fresh.get((it.key, it.day)) == it.data:
                del self._fresh[it.key, it.day]

    def forget(self, key: str) -> None:
        """Let go of what is in memory of a key."""
        self._days.pop(key, None)
        self._first.pop(key, None)

    def _of(self, key: str) -> dict[int, bytes]:
        if key not in self._days:
            database, found = self._database, dict[int, bytes]()
            if database is not None:
                sql = "SELECT day, data FROM kept_slices WHERE key = ?"
                found = {day: bytes(data) for day, data in ask(database, lambda it: it.execute(sql, [key]).fetchall())}
            self._days[key] = found | {day: data for (name, day), data in self._fresh.items() if name == key}
        return self._days[key]


class StoredSlices(KeptSlices):
    """What is stored, to be read alone: what is tried keeps nothing for what is judged."""

    def put(self, key: str, first_day: int, days: Iterable[tuple[int, Callable[[], Sequence[Row]]]]) -> None:
        """Nothing."""


def _bounded(cursor: Cursor, used: Sequence[str]) -> None:
    """Keep within the bound."""
    ((rows,),) = cursor.execute("SELECT count(*) FROM kept_slices").fetchall()
    if rows <= MOST_ROWS:
        return
    cursor.execute("DELETE FROM kept_slices WHERE key NOT IN (SELECT unnest(?::VARCHAR[]))", [list(used)])
    cursor.execute(
        "DELETE FROM kept_slices WHERE rowid IN (SELECT rowid FROM kept_slices ORDER BY day DESC, key OFFSET ?)",
        [MOST_ROWS],
    )


def _stored(cursor: Cursor) -> int:
    ((rows,),) = cursor.execute("SELECT count(*) FROM kept_slices").fetchall()
    return int(rows)


def key_of(*what: object) -> str:
    """What tells slices apart: their indicator and by which rule they are judged."""
    return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


def day_of(index: int, slice_ms: int) -> int:
    """The day in which a slice ends; one that ends at midnight is of the day before."""
    return (index * slice_ms - 1) // DAY_MS


def slices_of(day: int, slice_ms: int) -> tuple[int, int]:
    """The slices of a day, from the first to one beyond the last."""
    return day * DAY_MS // slice_ms + 1, (day + 1) * DAY_MS // slice_ms + 1

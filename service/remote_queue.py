"""What waits to be forwarded, in the database: as durable as all else, written in the transaction of its batch.

Rows live in tables of a segment each: a table is dropped when all of it is sent, which is what frees its space.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, NamedTuple

from service.errors import StoreUnavailable
from service.store_db import Cursor, Database

TABLES: Final = ("forward_segments(segment BIGINT)", "forward_sent(position BIGINT)")
SEGMENT_ROWS: Final = 1_000
_COLUMNS = "(position BIGINT, at_ms BIGINT, samples BIGINT, body BLOB USING COMPRESSION uncompressed)"


class Bounds(NamedTuple):
    """What may wait: bytes, and how long in milliseconds."""

    bytes: int = 2 << 30
    age_ms: int = 2 * 86_400_000


class Entry(NamedTuple):
    """One request that waits, compressed; positions ascend without gaps."""

    position: int
    at_ms: int
    samples: int
    size: int


class Queue:
    """Requests in the order in which they came; written on the writing thread, read and dropped on one other."""

    def __init__(self, database: Database, bounds: Bounds) -> None:
        self.bounds = bounds
        self.written = threading.Event()
        """Set when something was written."""
        self._database = database
        self._lock = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._bytes = 0
        self._next = 1
        self._segment: int | None = None
        """The segment whose table is there for certain."""
        database.write(self.load)

    def size(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def oldest_ms(self) -> int | None:
        """Since when the first one waits."""
        with self._lock:
            return self._waiting[0].at_ms if self._waiting else None

    def write(self, cursor: Cursor, body: bytes, samples: int, at_ms: int) -> Entry:
        """Write a request in the cursor's transaction; raises StoreUnavailable where too much waits already."""
        if self._bytes + len(body) > self.bounds.bytes:
            raise StoreUnavailable(
                f"{self._bytes} bytes wait to be forwarded, as many as may (service.remote.queue_bytes): "
                "the remote store must take some first"
            )
        position = self._next
        segment = position // SEGMENT_ROWS
        if segment != self._segment:
            _ensure(cursor, segment)
        cursor.execute(f"INSERT INTO {_table(segment)} VALUES (?, ?, ?, ?)", [position, at_ms, samples, body])  # noqa: S608
        return Entry(position, at_ms, samples, len(body))

    def take(self, entry: Entry) -> None:
        """Take a request into memory, once its transaction is on disk."""
        with self._lock:
            self._waiting.append(entry)
            self._bytes += entry.size
            self._next = entry.position + 1
            self._segment = entry.position // SEGMENT_ROWS
        self.written.set()

    def first(self, samples: int, bytes_: int) -> tuple[list[Entry], list[bytes]]:
        """The first requests, at least one where any waits, up to so many samples and bytes; and their bodies."""
        with self._lock:
            chosen: list[Entry] = []
            for entry in self._waiting:
                total = sum(it.samples for it in chosen) + entry.samples
                size = sum(it.size for it in chosen) + entry.size
                if chosen and (total > samples or size > bytes_ or len(chosen) >= SEGMENT_ROWS):
                    break
                chosen.append(entry)
        return chosen, self._bodies(chosen)

    def expired(self, now_ms: int) -> list[Entry]:
        """Requests at the front that have waited too long."""
        found: list[Entry] = []
        with self._lock:
            for entry in self._waiting:
                if entry.at_ms > now_ms - self.bounds.age_ms:
                    break
                found.append(entry)
        return found

    def forget(self, entries: list[Entry]) -> None:
        """Note durably that these, the first ones, wait no more."""
        last = entries[-1].position

        def write(cursor: Cursor) -> None:
            cursor.execute("UPDATE forward_sent SET position = ?", [last])
            for (segment,) in cursor.execute("SELECT segment FROM forward_segments").fetchall():
                if (segment + 1) * SEGMENT_ROWS <= last + 1:
                    cursor.execute(f"DROP TABLE IF EXISTS {_table(segment)}")
                    cursor.execute("DELETE FROM forward_segments WHERE segment = ?", [segment])

        self._database.write(write)
        with self._lock:
            while self._waiting and self._waiting[0].position <= last:
                self._bytes -= self._waiting.popleft().size

    def _bodies(self, entries: list[Entry]) -> list[bytes]:
        if not entries:
            return []
        first, last = entries[0].position, entries[-1].position
        segments = range(first // SEGMENT_ROWS, last // SEGMENT_ROWS + 1)
        rows = " UNION ALL ".join(f"SELECT position, body FROM {_table(it)}" for it in segments)  # noqa: S608
        sql = f"SELECT position, body FROM ({rows}) WHERE position BETWEEN ? AND ? ORDER BY position"  # noqa: S608
        with self._database.read(lambda cursor: cursor.execute(sql, [first, last]).fetchall()) as (_, found):
            return [bytes(body) for _, body in found]

    def load(self, cursor: Cursor) -> None:
        """Make the tables where they are missing, and read what waits."""
        for table in TABLES:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        if not cursor.execute("SELECT position FROM forward_sent").fetchall():
            cursor.execute("INSERT INTO forward_sent VALUES (0)")
        ((sent,),) = cursor.execute("SELECT max(position) FROM forward_sent").fetchall()
        segments = cursor.execute("SELECT segment FROM forward_segments ORDER BY segment").fetchall()
        found: list[Entry] = []
        for (segment,) in segments:
            rows = cursor.execute(
                f"SELECT position, at_ms, samples, octet_length(body) FROM {_table(segment)} "  # noqa: S608
                "WHERE position > ? ORDER BY position",
                [sent],
            ).fetchall()
            found.extend(Entry(*row) for row in rows)
        with self._lock:
            self._waiting = deque(found)
            self._bytes = sum(it.size for it in found)
            self._next = 1 + max([sent, *(it.position for it in found)])
            self._segment = None


def _ensure(cursor: Cursor, segment: int) -> None:
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {_table(segment)}{_COLUMNS}")
    known = cursor.execute("SELECT count(*) FROM forward_segments WHERE segment = ?", [segment]).fetchall()
    if not known[0][0]:
        cursor.execute("INSERT INTO forward_segments VALUES (?)", [segment])


def _table(segment: int) -> str:
    return f"forward_{int(segment)}"

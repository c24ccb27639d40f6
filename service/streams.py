"""Streams of batches: the highest sequence of each, so that a repeat changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pyarrow as pa

from service.model import BatchIdentity
from service.store_db import Cursor
from service.store_layout import marks, read_layout

Key = tuple[str, str, str]
_COLUMNS = "node_id, spool_id, signal, sequence, gaps, received_ms"


class Mark(NamedTuple):
    """How far a stream has come."""

    sequence: int
    gaps: int
    """How often its sequence was not the next one."""
    received_ms: int


Written = tuple[Key, Mark]


class Streams:
    """All streams; bounded: the one that was heard longest ago is forgotten first."""

    def __init__(self, most: int) -> None:
        self.gaps: Counter[str] = Counter()
        """Gaps by signal since this process began."""
        self._most = most
        self._marks: dict[Key, Mark] = {}

    def seen(self, identity: BatchIdentity) -> bool:
        """True where this batch, or a later one of its stream, is stored."""
        mark = self._marks.get(identity[:3])
        return mark is not None and identity.sequence <= mark.sequence

    def behind(self, identity: BatchIdentity) -> bool:
        """True where a later batch of its stream is stored: a repeat, or one that came out of its order."""
        mark = self._marks.get(identity[:3])
        return mark is not None and identity.sequence < mark.sequence

    def write(self, cursor: Cursor, identity: BatchIdentity, now_ms: int) -> Written:
        """Write how far the stream has come, in the cursor's transaction."""
        key, mark = written = self.marked(identity, now_ms)
        cursor.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", [*key, *mark])
        return written

    def marked(self, identity: BatchIdentity, now_ms: int) -> Written:
        """How far the stream has come with this batch; to be written by the caller."""
        before = self._marks.get(identity[:3])
        gap = before is not None and identity.sequence != before.sequence + 1
        return identity[:3], Mark(identity.sequence, (before.gaps if before else 0) + gap, now_ms)

    def apply(self, written: Written | None) -> None:
        """Take what was written into memory."""
        if written is None:
            return
        key, mark = written
        before = self._marks.pop(key, None)
        self.gaps[key[2]] += mark.gaps - (before.gaps if before else 0)
        self._marks[key] = mark
        while len(self._marks) > self._most:
            del self._marks[next(iter(self._marks))]

    def load(self, cursor: Cursor) -> None:
        """Read what is stored."""
        rows = cursor.execute(
            "SELECT node_id, spool_id, signal, max(sequence), max(gaps), max(received_ms) AS heard "  # noqa: S608
            f"FROM ({marks(read_layout(cursor))}) GROUP BY ALL ORDER BY heard"
        ).fetchall()
        self._marks = {(node, spool, signal): Mark(*rest) for node, spool, signal, *rest in rows[-self._most :]}

    def compact(self, cursor: Cursor) -> None:
        """Write the table anew with one row per stream."""
        rows = [(*key, *mark) for key, mark in self._marks.items()]
        columns = list(zip(*rows, strict=True)) or [()] * 6
        kinds = [pa.string()] * 3 + [pa.int64()] * 3
        names = _COLUMNS.split(", ")
        found = {name: pa.array(it, kind) for name, it, kind in zip(names, columns, kinds, strict=True)}
        cursor.register("noted", pa.table(found))
        cursor.execute("CREATE OR REPLACE TABLE batches AS SELECT * FROM noted")
        cursor.unregister("noted")

    def heard_ms(self) -> dict[str, int]:
        """When each node's newest batch of metrics was stored, by node_id."""
        found: dict[str, int] = {}
        for (node_id, _, signal), mark in list(self._marks.items()):
            if signal == "metrics":
                found[node_id] = max(mark.received_ms, found.get(node_id, 0))
        return found

"""Storing events, log lines and spans: a batch with its identity in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from service import roster
from service.model import BatchIdentity, EventRow, LogBatch, LogRow, SpanRow, TraceBatch
from service.store_db import Cursor, Database
from service.store_layout import ensure, read_layout
from service.store_schema import period_of, table
from service.streams import Streams, Written

_EVENT_COLUMNS = ("name", "at_ms", "node", "node_id", "service", "container", "id", "image", "body", "attributes")
_LINE_COLUMNS = ("at_ms", "node", "node_id", "service", "container", "id", "stream", "text", "severity")
_SPAN_COLUMNS = (
    "trace_id", "span_id", "parent_id", "name", "node", "node_id", "service", "start_ms", "end_ms", "ok", "attributes",
)  # fmt: skip
_FUTURE_MS = 600_000


class _Done(NamedTuple):
    """What a transaction wrote."""

    new: bool
    identity: Written | None = None


class Records:
    """Appends what is not a sample; safe to use from any thread. Times ahead of the clock are moved to it."""

    def __init__(self, database: Database, streams: Streams, clock: Callable[[], int]) -> None:
        self._database, self._streams, self._clock = database, streams, clock

    def append_logs(self, batch: LogBatch) -> bool:
        """Store events and lines, and what the events tell of services; False where the batch was seen before."""

        def write(cursor: Cursor) -> None:
            _append(cursor, "events", _EVENT_COLUMNS, batch.events)
            _append_lines(cursor, batch.lines, self._clock() + _FUTURE_MS)
            roster.learn(cursor, batch.events)

        return self._once(batch.identity, write)

    def append_spans(self, batch: TraceBatch) -> bool:
        """Store spans; False where the batch was seen before."""
        return self._once(batch.identity, lambda cursor: _append(cursor, "spans", _SPAN_COLUMNS, batch.spans))

    def _once(self, identity: BatchIdentity | None, write: Callable[[Cursor], None]) -> bool:
        def run(cursor: Cursor) -> _Done:
            if identity is not None and self._streams.seen(identity):
                return _Done(False)
            write(cursor)
            return _Done(True, self._streams.write(cursor, identity, self._clock()) if identity else None)

        return self._database.write(run, lambda done: self._streams.apply(done.identity)).new


def _append_lines(cursor: Cursor, lines: Sequence[LogRow], latest_ms: int) -> None:
    by_period: dict[int, list[LogRow]] = {}
    for line in lines:
        by_period.setdefault(period_of("logs", min(max(line.at_ms, 1), latest_ms)), []).append(line)
    layout = read_layout(cursor)
    for period, them in by_period.items():
        layout = ensure(cursor, layout, "logs", period)
        _append(cursor, table("logs", period), _LINE_COLUMNS, them)


def _append(
    cursor: Cursor, into: str, names: Sequence[str], rows: Sequence[EventRow] | Sequence[LogRow] | Sequence[SpanRow]
) -> None:
    if not rows:
        return
    columns = {name: pa.array([_cell(getattr(row, name)) for row in rows]) for name in names}
    cursor.register("incoming", pa.table(columns))
    cursor.execute(f"INSERT INTO {into} SELECT * FROM incoming")  # noqa: S608 - a name of ours
    cursor.unregister("incoming")


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value

"""Storing events, log lines and spans: a batch with its identity in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from service import roster
from service.model import BatchIdentity, EventRow, LogBatch, LogRow, SpanRow, TraceBatch
from service.store_append import Bounds, Stored
from service.store_db import Cursor, Database
from service.store_layout import ensure, read_layout
from service.store_schema import period_of, table
from service.store_widen import widen
from service.streams import Streams, Written

_EVENT_COLUMNS = ("name", "at_ms", "node", "node_id", "service", "container", "id", "image", "body", "attributes")
_LINE_COLUMNS = (
    "at_ms", "node", "node_id", "service", "container", "id", "stream", "text", "severity", "trace_id",
    "span_id",
)  # fmt: skip
_SPAN_COLUMNS = (
    "trace_id", "span_id", "parent_id", "name", "node", "node_id", "service", "start_ms", "end_ms", "ok", "attributes",
)  # fmt: skip
_TYPES = {"at_ms": pa.int64(), "start_ms": pa.int64(), "end_ms": pa.int64(), "ok": pa.bool_()}
DEFAULT_BOUNDS = Bounds()


class _Done(NamedTuple):
    """What a transaction wrote."""

    stored: Stored
    identity: Written | None = None


class Records:
    """Appends what is not a sample; safe to use from any thread.

    What is told to be of the future is taken as of now, or it would be the newest for ever; lines and spans that are
    older than they are kept are left out.
    """

    def __init__(
        self, database: Database, streams: Streams, clock: Callable[[], int], kept_ms: int = DEFAULT_BOUNDS.raw_ms
    ) -> None:
        self._database, self._streams, self._clock, self._kept_ms = database, streams, clock, kept_ms
        database.write(widen)

    def append_logs(self, batch: LogBatch) -> Stored:
        """Store events and lines durably, and what the events tell of services. Raises StoreUnavailable."""
        now = self._clock()
        events = [replace(it, at_ms=now) if it.at_ms > now else it for it in batch.events]
        lines = [replace(it, at_ms=now) if it.at_ms > now else it for it in batch.lines]
        kept = [it for it in lines if it.at_ms > now - self._kept_ms]

        def write(cursor: Cursor) -> None:
            _append(cursor, "events", _EVENT_COLUMNS, events)
            _append_lines(cursor, kept)
            roster.learn(cursor, events)

        return self._once(batch.identity, write, len(lines) - len(kept))

    def append_spans(self, batch: TraceBatch) -> Stored:
        """Store spans durably. Raises StoreUnavailable."""
        now = self._clock()
        spans = [replace(it, start_ms=min(it.start_ms, now), end_ms=min(it.end_ms, now)) for it in batch.spans]
        kept = [it for it in spans if it.end_ms > now - self._kept_ms]
        left_out = len(batch.spans) - len(kept)
        return self._once(batch.identity, lambda cursor: _append_spans(cursor, kept), left_out)

    def _once(self, identity: BatchIdentity | None, write: Callable[[Cursor], None], left_out: int) -> Stored:
        def run(cursor: Cursor) -> _Done:
            if identity is not None and self._streams.seen(identity):
                return _Done(Stored(False))
            write(cursor)
            written = self._streams.write(cursor, identity, self._clock()) if identity else None
            return _Done(Stored(True, {"too_old": left_out} if left_out else {}), written)

        return self._database.write(run, lambda done: self._streams.apply(done.identity)).stored


def _append_lines(cursor: Cursor, lines: Sequence[LogRow]) -> None:
    by_period: dict[int, list[LogRow]] = {}
    for line in lines:
        by_period.setdefault(period_of("logs", line.at_ms), []).append(line)
    layout = read_layout(cursor)
    for period, them in by_period.items():
        layout = ensure(cursor, layout, "logs", period)
        _append(cursor, table("logs", period), _LINE_COLUMNS, them)


def _append_spans(cursor: Cursor, spans: Sequence[SpanRow]) -> None:
    """A span is of the day on which it ended."""
    by_period: dict[int, list[SpanRow]] = {}
    for span in spans:
        by_period.setdefault(period_of("spans", span.end_ms), []).append(span)
    layout = read_layout(cursor)
    for period, them in by_period.items():
        layout = ensure(cursor, layout, "spans", period)
        _append(cursor, table("spans", period), _SPAN_COLUMNS, them)


def _append(
    cursor: Cursor, into: str, names: Sequence[str], rows: Sequence[EventRow] | Sequence[LogRow] | Sequence[SpanRow]
) -> None:
    if not rows:
        return
    columns = {
        name: pa.array([_cell(getattr(row, name)) for row in rows], _TYPES.get(name, pa.string())) for name in names
    }
    cursor.register("incoming", pa.table(columns))
    cursor.execute(f"INSERT INTO {into} SELECT * FROM incoming")  # noqa: S608 - a name of ours
    cursor.unregister("incoming")


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value

"""What the store holds of a time range, as Arrow: a piece at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from service.flat import NONE, Flat
from service.store import Store
from service.store_layout import read_layout
from service.store_schema import BLOCK_MS
from service.store_series import Ids

_SERIES_AT_ONCE = 2_000
_ROWS_AT_ONCE = 65_536
_MOMENT = pa.timestamp("ms", "UTC")
SAMPLES: Final = pa.schema([
    ("series_id", pa.uint32()), ("ts", _MOMENT), ("value", pa.float64()), ("start", _MOMENT),
])  # fmt: skip
SERIES: Final = pa.schema([
    ("series_id", pa.uint32()), ("metric", pa.string()), ("labels", pa.map_(pa.string(), pa.string())),
    ("counter", pa.bool_()),
])  # fmt: skip
ROWS: Final[Mapping[str, str]] = {
    "events": "at_ms", "logs": "at_ms", "spans": "end_ms", "judgements": "at_ms", "incidents": "opened_ms",
}  # fmt: skip
"""Tables of rows, and by which column they lie in a time range."""
_ROWS_OF: Final = {"judgements": "(SELECT * FROM judgement_hours UNION ALL SELECT * FROM judgements)"}
TABLES: Final = ("series", "samples", *ROWS)


def stream(store: Store, name: str, since_ms: int, until_ms: int) -> Iterator[bytes]:
    """One of TABLES within `(since, until]` as an Arrow IPC stream, in pieces."""
    schema, batches = _batches(store, name, since_ms, until_ms)
    sink = _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file of which what was written can be taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep some bytes."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is to be closed."""

    def taken(self) -> bytes:
        """What was written since this was asked last."""
        found, self._parts = b"".join(self._parts), []
        return found


def _batches(store: Store, name: str, since_ms: int, until_ms: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    match name:
        case "samples":
            return SAMPLES, _samples(store, since_ms, until_ms)
        case "series":
            return SERIES, _series(store, since_ms, until_ms)
        case _:
            rows = _rows(store, name, since_ms, until_ms)
            return next(rows).schema, rows  # the first piece is empty and tells the columns


def _active(store: Store, since_ms: int, until_ms: int) -> Ids:
    """Series that may have samples in the range."""
    ids, columns = store.directory.ids(), store.state.columns
    last = np.maximum(columns.last_ms[ids], store.state.odd_ms[ids])
    first = columns.first_ms[ids]
    found: Ids = ids[((last > since_ms) | (last == NONE)) & ((first <= until_ms) | (first == NONE))]
    return found


def _samples(store: Store, since_ms: int, until_ms: int) -> Iterator[pa.RecordBatch]:
    ids = _active(store, since_ms, until_ms)
    begins = [since_ms, *range((since_ms // BLOCK_MS + 1) * BLOCK_MS - 1, until_ms, BLOCK_MS)]
    for begin, end in zip(begins, [*begins[1:], until_ms], strict=True):
        for at in range(0, len(ids), _SERIES_AT_ONCE):
            mine = ids[at : at + _SERIES_AT_ONCE]
            with store.memory.reading(lambda: None) as (moment, _):
                flat = moment.samples(mine, begin, end)
            if flat.size:
                yield _sample_batch(flat)


def _sample_batch(flat: Flat) -> pa.RecordBatch:
    columns = [
        pa.array(flat.series.astype(np.uint32)), pa.array(flat.ts_ms).cast(_MOMENT), pa.array(flat.value),
        pa.array(flat.start_ms, mask=flat.start_ms == NONE).cast(_MOMENT),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=SAMPLES)


def _series(store: Store, since_ms: int, until_ms: int) -> Iterator[pa.RecordBatch]:
    ids = _active(store, since_ms, until_ms)
    for at in range(0, len(ids), _SERIES_AT_ONCE):
        mine = ids[at : at + _SERIES_AT_ONCE]
        known = {number: series for number, series in store.directory.named(mine.tolist()) if series is not None}
        columns = [
            pa.array(list(known), pa.uint32()),
            pa.array([it.metric for it in known.values()], pa.string()),
            pa.array([list(it.labels) for it in known.values()], SERIES.field("labels").type),
            pa.array(store.state.counter[list(known)]),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=SERIES)


def _rows(store: Store, name: str, since_ms: int, until_ms: int) -> Iterator[pa.RecordBatch]:
    column = ROWS[name]
    with store.database.read(read_layout) as (cursor, layout):
        if name in layout.periods:
            query = layout.source(name, since_ms, until_ms, column)
        else:
            rows = _ROWS_OF.get(name, name)
            query = f"SELECT * FROM {rows} WHERE {column} > {int(since_ms)} AND {column} <= {int(until_ms)}"  # noqa: S608
        reader = cursor.sql(query).to_arrow_reader(_ROWS_AT_ONCE)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)
        yield from reader

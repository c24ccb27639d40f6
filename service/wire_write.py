"""Remote write by the compiled readers: what they know at once, and what they ask the other reader for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from google.protobuf.message import DecodeError

from service.decode import IngestRefused
from service.model import Metadata, MetricBatch, MetricType
from service.remote_write import (
    Version,
    Written,
    decode,
    family,
    kind_of,
    metadata_by_symbols,
    named,
    named_by_symbols,
    type_of,
)
from service.remote_write_proto import SERIES_1, SERIES_2, Request
from service.wire_fast import EMPTY, MOST_LEFT, FastWire, New, Scanned
from service.wire_jit import kernel
from service.wire_table import BEGIN, Found, Ints

_SAMPLE_BYTES = 2
_SYMBOL_BYTES = 2


class WriteReader:
    """Reads bodies of `/api/v1/write`; safe to use from any thread."""

    def __init__(self, fast: FastWire) -> None:
        self._fast = fast

    def read(self, body: bytes, version: Version, sender: str, known: Mapping[str, MetricType]) -> Written | None:
        """The samples of an uncompressed body; None where the other reader must read it. Raises as they do."""
        fast = self._fast
        scan = kernel("scan_write_1" if version == "1.0" else "scan_write_2")
        if scan is None or not fast.ready or not body:
            return None
        rows = fast.rows(len(body) // _SAMPLE_BYTES + 1)
        left = np.empty((min(len(body) // 2 + 1, MOST_LEFT), 2), np.int64)
        names = np.empty((len(body) // _SYMBOL_BYTES + 1 if version == "2.0" else 1, 2), np.uint64)
        arrays = [rows, left] if version == "1.0" else [rows, names, left]
        count, frames, *symbols_end = scan(np.frombuffer(body, np.uint8), fast.table.key, *arrays)
        if not fast.checked(count):
            return None
        symbols = body[: symbols_end[0]] if symbols_end else b""
        one = _Body(body, symbols, version, Scanned(rows, count, left[:frames], version == "2.0"), fast, known)
        one.read_left()
        batch = fast.batch(one.scanned, sender, None, one.resolve, one.rest)
        return None if batch is None else one.written(batch)


class _Body:
    """One body while it is read."""

    def __init__(
        self,
        body: bytes,
        symbols: bytes,
        version: Version,
        scanned: Scanned,
        fast: FastWire,
        known: Mapping[str, MetricType],
    ) -> None:
        self.scanned = scanned
        self._body, self._symbols, self._version, self._fast, self._known = body, symbols, version, fast, known
        self._left: Written | None = None

    def resolve(self, asked: Ints) -> New:
        """The series of rows; 400 where their bytes are none."""
        places = self.scanned.rows[asked, BEGIN:].tolist()
        pieces = [self._body[begin:end] for begin, end in places]
        try:
            return self._first(pieces) if self._version == "1.0" else self._second(pieces)
        except DecodeError as fault:
            said = f"the body is not a message of remote write {self._version}: {fault}"
            raise IngestRefused(400, said) from fault

    def read_left(self) -> None:
        """Read what the compiled reader left."""
        frames = [self._body[begin:end] for begin, end in self.scanned.left.tolist()]
        if frames:
            self._left = decode(self._symbols + b"".join(frames), self._version, self._fast.limits, self._known)

    def rest(self, _: Found) -> MetricBatch:
        """What the compiled reader left."""
        return EMPTY if self._left is None else self._left.batch

    def written(self, batch: MetricBatch) -> Written:
        """The batch, and what is not kept here."""
        left = self._left
        return Written(batch, left.histograms if left else 0, left.exemplars if left else 0)

    def _first(self, pieces: Sequence[bytes]) -> New:
        series, kinds = [], []
        for piece in pieces:
            found = named(SERIES_1.FromString(piece).labels, self._fast.limits)
            series.append(found)
            if isinstance(found, str):
                kinds.append(False)
            else:
                told = self._known.get(found.metric) or self._known.get(family(found.metric))
                kinds.append(kind_of(found.metric, told) == "counter")
        return New(series, kinds)

    def _second(self, pieces: Sequence[bytes]) -> New:
        symbols = list(Request.FromString(self._symbols).symbols)
        series, kinds, metadata = [], [], list[Metadata]()
        for piece in pieces:
            one = SERIES_2.FromString(piece)
            found = named_by_symbols(one, symbols, self._fast.limits)
            series.append(found)
            if isinstance(found, str):
                kinds.append(False)
                continue
            kinds.append(kind_of(found.metric, type_of(one.metadata.type)) == "counter")
            told = metadata_by_symbols(found.metric, one, symbols, self._fast.limits)
            metadata += [told] if told else []
        return New(series, kinds, tuple(metadata))

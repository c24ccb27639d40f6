"""Requests of Prometheus remote write for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cramjam

from service.remote_write_proto import Request, WriteRequest

V1 = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
V2 = {"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "content-encoding": "snappy"}
Sample = tuple[int, float]


def packed(plain: bytes) -> bytes:
    """In snappy's block format."""
    return bytes(cramjam.snappy.compress_raw(plain))


def first(*series: tuple[Mapping[str, str], Sequence[Sample]]) -> Any:
    """A request of 1.0."""
    request = WriteRequest()
    for labels, samples in series:
        added = request.timeseries.add()
        for name, value in labels.items():
            added.labels.add(name=name, value=value)
        for ts_ms, value in samples:
            added.samples.add(timestamp=ts_ms, value=value)
    return request


def second(*series: tuple[Mapping[str, str], Sequence[Sample]], type_: int = 0, created: int = 0) -> Any:
    """A request of 2.0."""
    request, symbols = Request(), {"": 0}
    for labels, samples in series:
        added = request.timeseries.add(created_timestamp=created)
        added.metadata.type = type_
        added.metadata.help_ref = symbols.setdefault("Help.", len(symbols))
        for text in (it for pair in labels.items() for it in pair):
            added.labels_refs.append(symbols.setdefault(text, len(symbols)))
        for ts_ms, value in samples:
            added.samples.add(timestamp=ts_ms, value=value)
    request.symbols.extend(symbols)
    return request

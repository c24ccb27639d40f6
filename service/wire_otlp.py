"""OTLP metrics by the compiled reader: what it knows at once, and what it asks the other reader for."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from service.decode import parse
from service.decode_metrics import TARGET_INFO, samples
from service.deltas import Turn
from service.model import BatchIdentity, MetricBatch, Series
from service.wire_fast import EMPTY, MOST_LEFT, FastWire, New, Scanned
from service.wire_jit import kernel
from service.wire_table import BEGIN, PLACE, Found, Ints

_POINT_BYTES = 11
_METRIC_BYTES = 8
_MOST_RESOURCE_BYTES = 8_192
_MOST_RESOURCES = 5_000
_MS = 1_000_000
_DATA = {1: 0x2A, 2: 0x3A, 3: 0x3A}
_SUM = {1: b"", 2: b"\x10\x02", 3: b"\x10\x02\x18\x01"}
GAUGE: tuple[Literal["gauge"], ...] = ("gauge",)
_LAST = struct.Struct("<BQBQBdBB")


class _Target(NamedTuple):
    """What a resource tells beside its identity: the series of its `target_info`, or that it can't be taken."""

    series: Series | None
    refused: bool


class OtlpReader:
    """Reads bodies of `/v1/metrics`; safe to use from any thread."""

    def __init__(self, fast: FastWire) -> None:
        self._fast = fast
        self._targets: dict[bytes, _Target] = {}
        """By the bytes of a resource; of the table's generation."""

    def read(self, body: bytes, identity: BatchIdentity | None, sender: str, turn: Turn) -> MetricBatch | None:
        """The batch of an uncompressed body; None where the other reader must read it. Raises as they do."""
        fast, scan = self._fast, kernel("scan_otlp")
        if scan is None or not fast.ready or not body:
            return None
        rows = fast.rows(len(body) // _POINT_BYTES + 1)
        metrics = np.empty((min(len(body) // _METRIC_BYTES, len(rows)) + 2, 7), np.int64)
        left = np.empty((min(len(body) // 2 + 1, MOST_LEFT), 2), np.int64)
        count, frames = scan(np.frombuffer(body, np.uint8), fast.table.key, rows, metrics, left)
        if not fast.checked(count):
            return None
        one = _Body(body, Scanned(rows, count, left[:frames]), metrics, self)
        if not one.within():
            return None
        rest = one.rest(turn)
        found = fast.batch(one.scanned, sender, identity, one.resolve, lambda found: one.with_targets(rest, found))
        if found is None:
            turn.forget()
        return found

    def target(self, resource: bytes) -> _Target | None:
        """What is known of a resource."""
        return self._targets.get(resource)

    def learn(self, resource: bytes, told: _Target) -> None:
        """Remember it."""
        if len(self._targets) >= _MOST_RESOURCES:
            self._targets.clear()
        self._targets[resource] = told

    def slowly(self, body: bytes, turn: Turn) -> MetricBatch:
        """By the other reader."""
        return samples(parse(ExportMetricsServiceRequest, body), None, self._fast.limits, turn)


class _Body:
    """One body while it is read."""

    def __init__(self, body: bytes, scanned: Scanned, metrics: Ints, reader: OtlpReader) -> None:
        self.scanned = scanned
        self._body, self._metrics, self._reader = body, metrics, reader
        owners = metrics[scanned.rows[: scanned.size, PLACE], 3] if scanned.size else np.zeros(0, np.int64)
        self._begins = np.flatnonzero(np.diff(owners, prepend=-1))
        """The first row of each resource."""

    def within(self) -> bool:
        """Whether resources are as small as what is remembered of them."""
        firsts = self._metrics[self.scanned.rows[self._begins, PLACE]]
        return not len(firsts) or int((firsts[:, 4] - firsts[:, 3]).max()) <= _MOST_RESOURCE_BYTES

    def resolve(self, asked: Ints) -> New | None:
        """The series of rows, read as one request in which the row's place is the time; None where that can't be."""
        batch = self._reader.slowly(b"".join(self._request(asked)), Turn({}, threading.Lock()))
        if set(batch.refused) - {"labels"}:
            return None
        series: list[Series | str] = ["labels"] * len(asked)
        counters = [False] * len(asked)
        for index, ts_ms in zip(batch.series_index, batch.ts_ms, strict=True):
            at = int(ts_ms) - 1
            if isinstance(series[at], str):  # a second one is the resource's target_info
                series[at], counters[at] = batch.series[int(index)], batch.kinds[int(index)] == "counter"
        return New(series, counters, batch.metadata)

    def rest(self, turn: Turn) -> MetricBatch:
        """What the compiled reader left."""
        frames = [self._body[begin:end] for begin, end in self.scanned.left.tolist()]
        return self._reader.slowly(b"".join(frames), turn) if frames else EMPTY

    def with_targets(self, left: MetricBatch, found: Found) -> MetricBatch:
        """The same, and `target_info` of the resources that the compiled reader read."""
        if not len(self._begins):
            return left
        newest = np.maximum.reduceat(np.where(found.places >= 0, found.ts_ms, -1), self._begins)
        series, index, times = list(left.series), list[int](left.series_index), list[int](left.ts_ms)
        refused = Counter(left.refused)
        for row, at_ms in zip(self._begins.tolist(), newest.tolist(), strict=True):
            told = self._target(row)
            if at_ms >= 0 and told.refused:
                refused[TARGET_INFO] += 1
            elif at_ms >= 0 and told.series is not None:
                index.append(len(series))
                series.append(told.series)
                times.append(at_ms)
        more = len(series) - len(left.series)
        return MetricBatch(
            None, series, [*left.kinds, *(GAUGE * more)], index, times, [*left.value, *([1.0] * more)],
            [*left.start_ms, *([None] * more)], dict(refused), left.metadata,
        )  # fmt: skip

    def _target(self, row: int) -> _Target:
        begin, end = self._metrics[self.scanned.rows[row, PLACE], 3:5].tolist()
        resource = self._body[begin:end]
        told = self._reader.target(resource)
        if told is None:
            metric = _field(0x0A, b"x") + _field(0x2A, _field(0x0A, _LAST.pack(0x11, 0, 0x19, _MS, 0x21, 1.0, 0x40, 0)))
            body = _field(0x0A, _field(0x0A, resource) + _field(0x12, _field(0x12, metric)))
            batch = self._reader.slowly(body, Turn({}, threading.Lock()))
            told = _Target(batch.series[1] if len(batch.series) > 1 else None, TARGET_INFO in batch.refused)
            self._reader.learn(resource, told)
        return told

    def _request(self, asked: Ints) -> Iterator[bytes]:
        """Resources, scopes and metrics are written once for neighbours; a time of `n` ms is the n-th asked, from 1."""
        body, place = self._body, self.scanned.rows[asked, BEGIN:].tolist()
        heads = self._metrics[self.scanned.rows[asked, PLACE]].tolist()
        both = [(tuple(head), at) for at, head in enumerate(heads)]
        for (resource, resource_end), of_resource in groupby(both, lambda it: it[0][3:5]):
            scopes = b""
            for (scope, scope_end), of_scope in groupby(of_resource, lambda it: it[0][5:7]):
                metrics = b""
                for (head, head_end, kind), of_metric in groupby(of_scope, lambda it: it[0][:3]):
                    points = b"".join(
                        _field(0x0A, body[place[at][0] : place[at][1]] + _last(at + 1)) for _, at in of_metric
                    )
                    metrics += _field(0x12, body[head:head_end] + _field(_DATA[kind], points + _SUM[kind]))
                whose = _field(0x0A, body[scope:scope_end]) if scope_end else b""
                scopes += _field(0x12, whose + metrics)
            yield _field(0x0A, (_field(0x0A, body[resource:resource_end]) if resource_end else b"") + scopes)


def _last(at: int) -> bytes:
    """Fields behind those of a point, which hold instead of them: no start, the time, a value, no flags."""
    return _LAST.pack(0x11, 0, 0x19, at * _MS, 0x21, 1.0, 0x40, 0)


def _field(tag: int, content: bytes) -> bytes:
    length, prefix = len(content), bytearray((tag,))
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + content

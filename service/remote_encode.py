"""Batches as messages of Prometheus remote write 1.0: protobuf by hand, compressed as snappy's block format.

The message is `WriteRequest{repeated TimeSeries timeseries = 1}`, `TimeSeries{repeated Label labels = 1; repeated
Sample samples = 2}`, `Label{string name = 1; string value = 2}`, `Sample{double value = 1; int64 timestamp = 2}`. Since
repeated fields of joined messages are joined, requests are put together by joining their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cramjam
import numpy as np
from numpy.typing import NDArray

from service.model import Series

MOST_KEPT = 200_000
_VALUE = struct.Struct("<d")
_SIZE = 18
"""Bytes of a sample with its tag and length, at usual moments."""
_LENGTHS = tuple(bytes((it,)) if it < 0x80 else bytes((it & 0x7F | 0x80, it >> 7)) for it in range(1 << 14))


class Encoded(NamedTuple):
    """An uncompressed request, and how many samples are in it."""

    body: bytes
    samples: int


class Encoder:
    """Encodes series by series; the labels of series that were seen are kept as bytes, up to a bound."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._labels: dict[Series, bytes] = {}
        self._most = most_kept

    def encode(
        self,
        series: Sequence[Series],
        index: NDArray[np.int64],
        ts_ms: NDArray[np.int64],
        value: NDArray[np.float64],
    ) -> Encoded:
        """Samples as columns of one length, `index` into `series`; each series once, its samples ascending in time."""
        if (np.diff(index) < 0).any() or (np.diff(ts_ms)[np.diff(index) == 0] < 0).any():
            order = np.lexsort((ts_ms, index))
            index, ts_ms, value = index[order], ts_ms[order], value[order]
        bounds = np.flatnonzero(np.append(True, np.diff(index) != 0)) if len(index) else np.zeros(0, np.int64)
        samples = _packed(ts_ms, value) if _usual(ts_ms) else None
        parts = []
        for begin, end in zip(bounds.tolist(), [*bounds[1:].tolist(), len(index)], strict=True):
            inner = samples[begin * _SIZE : end * _SIZE] if samples is not None else _samples(ts_ms, value, begin, end)
            parts.append(_field(0x0A, self._labels_of(series[int(index[begin])]) + inner))
        return Encoded(b"".join(parts), len(index))

    def _labels_of(self, series: Series) -> bytes:
        kept = self._labels.get(series)
        if kept is None:
            pairs = sorted([("__name__", series.metric), *series.labels])
            kept = b"".join(_field(0x0A, _text(0x0A, name) + _text(0x12, value)) for name, value in pairs if value)
            if len(self._labels) >= self._most:
                self._labels.clear()
            self._labels[series] = kept
        return kept


def compressed(body: bytes) -> bytes:
    """A request in snappy's block format."""
    return bytes(cramjam.snappy.compress_raw(body))


def inflated(body: bytes) -> bytes:
    """What `compressed` was given."""
    return bytes(cramjam.snappy.decompress_raw(body))


def parts_of(body: bytes) -> list[bytes]:
    """The series of a request of ours, each a request by itself."""
    return list(_split(body))


def samples_in(part: bytes) -> int:
    """How many samples a request of ours holds."""
    return sum(_samples_of(inner) for inner in map(_content, _split(part)))


def halves(body: bytes) -> tuple[bytes, bytes] | None:
    """A request of ours as two: by series, or by samples where it holds one series; None where it can't be parted."""
    series = parts_of(body)
    if len(series) > 1:
        middle = len(series) // 2
        return b"".join(series[:middle]), b"".join(series[middle:])
    fields = list(_fields(_content(series[0])))
    labels = b"".join(one for tag, one in fields if tag == 0x0A)
    samples = [one for tag, one in fields if tag == 0x12]
    if len(samples) < 2:
        return None
    middle = len(samples) // 2
    first, second = b"".join(samples[:middle]), b"".join(samples[middle:])
    return _field(0x0A, labels + first), _field(0x0A, labels + second)


def _usual(ts_ms: NDArray[np.int64]) -> bool:
    """Whether all moments take six bytes: those from 1971 to 2109."""
    return bool(((ts_ms >= 1 << 35) & (ts_ms < 1 << 42)).all())


def _packed(ts_ms: NDArray[np.int64], value: NDArray[np.float64]) -> bytes:
    """The bytes of samples, `_SIZE` each."""
    found = np.empty((len(ts_ms), _SIZE), np.uint8)
    found[:, :3] = (0x12, _SIZE - 2, 0x09)
    found[:, 3:11] = np.ascontiguousarray(value, "<f8").view(np.uint8).reshape(-1, 8)
    found[:, 11] = 0x10
    for at in range(6):
        found[:, 12 + at] = (ts_ms >> 7 * at) & 0x7F | (0x80 if at < 5 else 0)
    return found.tobytes()


def _samples(ts_ms: NDArray[np.int64], value: NDArray[np.float64], begin: int, end: int) -> bytes:
    return b"".join(map(_sample, ts_ms[begin:end].tolist(), value[begin:end].tolist()))


def _sample(ts_ms: int, value: float) -> bytes:
    inner = b"\x09" + _VALUE.pack(value) + b"\x10" + _varint(ts_ms & 0xFFFFFFFFFFFFFFFF)
    return _field(0x12, inner)


def _text(tag: int, text: str) -> bytes:
    return _field(tag, text.encode("utf-8", "replace"))


def _field(tag: int, content: bytes) -> bytes:
    return _LENGTHS[tag] + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 1 << 14:
        return _LENGTHS[number]
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _fields(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Each field of a message that has none but nested ones: its tag, and all its bytes."""
    at = 0
    while at < len(body):
        size, begin = _read_varint(body, at + 1)
        yield body[at], body[at : begin + size]
        at = begin + size


def _split(body: bytes) -> Iterator[bytes]:
    return (one for _, one in _fields(body))


def _content(field: bytes) -> bytes:
    _, begin = _read_varint(field, 1)
    return field[begin:]


def _samples_of(series: bytes) -> int:
    return sum(tag == 0x12 for tag, _ in _fields(series))

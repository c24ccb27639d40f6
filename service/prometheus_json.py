"""Results as Prometheus's HTTP API writes them: numbers and times to the letter, and fast for many points."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from service.promql.model import Answer, Matrix, Result, Scalar, Text, Vector

CHUNK_BYTES: Final = 1 << 18
_SPECIAL: Final = {math.inf: "+Inf", -math.inf: "-Inf"}


def number(value: float) -> str:
    """A value as Go's `strconv` writes it: shortest, with an exponent below 1e-6 and from 1e21 on."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return _SPECIAL[value]
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace(".0e", "e").removesuffix(".0")
    text = repr(value)
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def numbers(values: NDArray[np.float64]) -> pa.Array:
    """The same of many values, as an Arrow array of texts."""
    found = pc.cast(pa.array(values), pa.string())
    size = np.abs(values)
    odd = ~(((size >= 1e-6) & (size < 1e10)) | ((values == 0) & ~np.signbit(values)))
    if not odd.any():
        return found
    whole = odd & (size < 2.0**53) & (size >= 1) & (values == np.floor(values))
    if whole.any():
        found = pc.replace_with_mask(
            found, pa.array(whole), pc.cast(pa.array(values[whole].astype(np.int64)), pa.string())
        )
    rest = odd & ~whole
    if rest.any():
        found = pc.replace_with_mask(found, pa.array(rest), pa.array([number(it) for it in values[rest].tolist()]))
    return found


def seconds(at_ms: int) -> str:
    """A moment in seconds, with three digits behind the point where it is no whole second."""
    sign, at_ms = ("-", -at_ms) if at_ms < 0 else ("", at_ms)
    return f"{sign}{at_ms // 1000}.{at_ms % 1000:03d}" if at_ms % 1000 else f"{sign}{at_ms // 1000}"


def envelope(data: Any, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> bytes:
    """An answer without samples."""
    body: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        body["warnings"] = list(warnings)
    if infos:
        body["infos"] = list(infos)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def failure(kind: str, message: str) -> bytes:
    """An answer that says why there is none."""
    body = {"status": "error", "errorType": kind, "error": message}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def answer(found: Answer, stats: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The body of a query's answer in pieces, so that no long one stands whole in memory."""
    return _joined(_answer(found, stats))


def _answer(found: Answer, stats: Mapping[str, Any] | None) -> Iterator[bytes]:
    yield b'{"status":"success","data":{"resultType":"' + _kind(found.result) + b'","result":'
    yield from _result(found.result)
    if stats is not None:
        yield b',"stats":' + json.dumps(stats).encode()
    yield b"}"
    for name, texts in (("warnings", found.warnings), ("infos", found.infos)):
        if texts:
            yield f',"{name}":{json.dumps(list(texts), ensure_ascii=False)}'.encode("utf-8", "replace")
    yield b"}"


def _kind(result: Result) -> bytes:
    match result:
        case Matrix():
            return b"matrix"
        case Vector():
            return b"vector"
        case Scalar():
            return b"scalar"
        case Text():
            return b"string"


def _result(result: Result) -> Iterator[bytes]:
    match result:
        case Matrix():
            yield from _matrix(result)
        case Vector():
            yield from _vector(result)
        case Scalar():
            yield f'[{seconds(result.at_ms)},"{number(result.value)}"]'.encode()
        case Text():
            text = json.dumps(result.value, ensure_ascii=False)
            yield f"[{seconds(result.at_ms)},{text}]".encode("utf-8", "replace")


def _vector(result: Vector) -> Iterator[bytes]:
    at = seconds(result.at_ms)
    texts = numbers(np.asarray(result.values, np.float64)).to_pylist()
    yield b"["
    for index, (labels, text) in enumerate(zip(result.labels, texts, strict=True)):
        yield f'{"," if index else ""}{{"metric":{_labels(labels)},"value":[{at},"{text}"]}}'.encode("utf-8", "replace")
    yield b"]"


def _matrix(result: Matrix) -> Iterator[bytes]:
    yield b"["
    times = _Times()
    for index, labels in enumerate(result.labels):
        begin, end = int(result.offsets[index]), int(result.offsets[index + 1])
        yield f'{"," if index else ""}{{"metric":{_labels(labels)},"values":['.encode("utf-8", "replace")
        if end > begin:
            # every pair begins with a comma, the first one's is left out
            yield _pairs(times.before(result.ts_ms[begin:end]), np.asarray(result.values[begin:end], np.float64))[1:]
        yield b"]}"
    yield b"]"


def _pairs(before: pa.Array, values: NDArray[np.float64]) -> bytes:
    joined = pc.binary_join_element_wise(before, numbers(values), '"]', "")
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.combine_chunks()
    ends = np.frombuffer(joined.buffers()[1], np.int32)
    return bytes(joined.buffers()[2])[ends[joined.offset] : ends[joined.offset + len(joined)]]


class _Times:
    """What stands before the values; series of one grid share it."""

    def __init__(self) -> None:
        self._ts = np.zeros(0, np.int64)
        self._texts: pa.Array = pa.array([], pa.string())

    def before(self, ts_ms: NDArray[np.int64]) -> pa.Array:
        """`,[time,"` for each moment."""
        if len(ts_ms) != len(self._ts) or not np.array_equal(ts_ms, self._ts):
            self._ts, self._texts = ts_ms, pa.array([f',[{seconds(it)},"' for it in ts_ms.tolist()], pa.string())
        return self._texts


def _labels(labels: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(labels.items())), ensure_ascii=False, separators=(",", ":"))


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) >= CHUNK_BYTES:
            yield bytes(found)
            found.clear()
    if found:
        yield bytes(found)

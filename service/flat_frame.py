"""One commit's samples as a frame: columns as they came, in byte planes, lightly compressed; bit-exact."""

from __future__ import annotations

import struct

import numpy as np
import zstandard

from service.flat import Flat, planes, unplanes

_HEAD = struct.Struct("<BIBBq")
_VERSION = 1
_LEVEL = 1


def pack(flat: Flat) -> bytes:
    """The frame of samples; times must lie within 49 days of each other."""
    low = int(flat.ts_ms.min()) if flat.size else 0
    moments = flat.ts_ms - low
    if flat.size and int(moments.max()) >= 2**32:
        raise ValueError("the samples of one frame lie within 49 days")
    wide = bool(flat.size) and int(flat.series.max()) >= 2**32
    one_start = flat.size == 0 or bool((flat.start_ms == flat.start_ms[0]).all())
    starts = flat.start_ms[:1] if one_start else np.diff(flat.start_ms, prepend=np.int64(0))
    parts = (
        _steps(flat.series, np.dtype("<u8") if wide else np.dtype("<u4")),
        _steps(moments, np.dtype("<u4")),
        planes(np.ascontiguousarray(flat.value, "<f8")),
        planes(np.ascontiguousarray(starts, "<i8")),
    )
    body = zstandard.ZstdCompressor(_LEVEL).compress(b"".join(parts))
    return _HEAD.pack(_VERSION, flat.size, wide, one_start, low) + body


def unpack(frame: bytes) -> Flat:
    """The samples of a frame; raises ValueError where it is none."""
    version, n, wide, one_start, low = _HEAD.unpack_from(frame)
    if version != _VERSION:
        raise ValueError(f"frames of version {version} are not known here")
    data = np.frombuffer(zstandard.ZstdDecompressor().decompress(frame[_HEAD.size :]), np.uint8)
    width = 8 if wide else 4
    a, b, c = width * n, (width + 4) * n, (width + 12) * n
    series = np.cumsum(unplanes(data[:a], f"<u{width}"), dtype=f"<u{width}").astype(np.int64)
    moments = np.cumsum(unplanes(data[a:b], "<u4"), dtype="<u4").astype(np.int64)
    starts = unplanes(data[c:], "<i8")
    start_ms = np.full(n, starts[0]) if one_start and n else np.cumsum(starts)
    return Flat(series, moments + low, unplanes(data[b:c], "<f8"), start_ms)


def _steps(values: np.ndarray[tuple[int], np.dtype[np.int64]], dtype: np.dtype[np.unsignedinteger]) -> bytes:
    whole = values.astype(dtype)
    steps = whole.copy()
    steps[1:] -= whole[:-1]
    return planes(steps)

"""Decoding rows of a chunk: compiled by numba where it is ready, else by numpy; both give the same bits."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.flat import Floats, Ints

POWERS: Floats = np.power(10.0, np.arange(16), dtype=np.float64)


class RowTable(NamedTuple):
    """Where the planes of each row are in a chunk's inflated bytes, and how they become values."""

    data: NDArray[np.uint8]
    place: Ints
    """The first byte of a row's first plane."""
    stride: Ints
    """How far a row's planes lie apart."""
    width: Ints
    """Bytes of a difference; 0 where a row's values are all the same."""
    exponent: Ints
    """-1 where integers are the values' own bits."""
    first: Ints
    """The first integer."""


def table(data: NDArray[np.uint8], at: int, widths: Ints, exponents: Ints, firsts: Ints, counts: Ints) -> RowTable:
    """The table of rows whose planes begin at byte `at`, by width, rows in order within a width."""
    place, stride = np.zeros(len(widths), np.int64), np.zeros(len(widths), np.int64)
    for width in (1, 2, 4, 8):
        mine = np.flatnonzero(widths == width)
        total = int(counts[mine].sum())
        place[mine] = at + np.cumsum(counts[mine]) - counts[mine]
        stride[mine] = total
        at += width * total
    return RowTable(data, place, stride, widths, exponents, firsts)


class Part(NamedTuple):
    """Which samples of which rows are asked for, and where they go."""

    rows: Ints
    low: Ints
    """The first sample of each row that is asked for."""
    high: Ints
    """The one behind the last."""
    into: Ints
    """Where the first goes; the others follow it."""


def fill(row: RowTable, axis_at: Ints, axis_ms: Ints, part: Part, ts_ms: Ints, values: Floats) -> None:
    """Decode a part: times from their axes, values from their planes; `axis_at` is per asked row."""
    run = _compiled.run or twin
    run(
        row.data, row.place, row.stride, row.width, row.exponent, row.first, POWERS,
        axis_at, axis_ms, part.rows, part.low, part.high, part.into, ts_ms, values,
    )  # fmt: skip


Kernel = Callable[..., None]


class _Compiled:
    """The compiled kernel, once there is one."""

    run: Kernel | None = None
    lock = threading.Lock()


_compiled = _Compiled()


class Stop(Protocol):
    """What says that the process is to end; `threading.Event` is one."""

    def is_set(self) -> bool:
        """True once it is to end."""
        ...


def warm(stop: Stop | None = None, cache_dir: Path | None = None) -> int:
    """Compile, or load what was compiled before into `cache_dir`; 1 where it is ready.

    It takes seconds where nothing is cached: numpy serves meanwhile. Safe to call twice.
    """
    with _compiled.lock:
        if _compiled.run is None and not (stop is not None and stop.is_set()):
            if cache_dir is not None:
                importlib.import_module("numba.core.config").CACHE_DIR = str(cache_dir)  # type: ignore[attr-defined]
            _compiled.run = _compile()
    return int(_compiled.run is not None)


def _compile() -> Kernel:
    import numba

    kernel: Kernel = numba.njit(nogil=True, cache=True)(_decode)
    one = np.zeros(1, np.int64)
    data = np.frombuffer(bytes(8), np.uint8)
    for width in (0, 1, 2, 4, 8):
        kernel(
            data, one, one + 1, one + width, one, one, POWERS,
            one, one, one, one, one + 1, one, one.copy(), np.zeros(1),
        )  # fmt: skip
    return kernel


def twin(
    data: NDArray[np.uint8], place: Ints, stride: Ints, width: Ints, exponent: Ints, first: Ints, powers: Floats,
    axis_at: Ints, axis_ms: Ints, rows: Ints, low: Ints, high: Ints, into: Ints, ts_ms: Ints, values: Floats,
) -> None:  # fmt: skip
    """The same in numpy."""
    bits = values.view(np.int64)
    for k, row in enumerate(rows.tolist()):
        since, until, to, begin, size = int(low[k]), int(high[k]), int(into[k]), int(place[row]), int(width[row])
        n, axis = until - since, int(axis_at[k])
        ts_ms[to : to + n] = axis_ms[axis + since : axis + until]
        if size:
            cells = [data[begin + b * stride[row] :][:until] for b in range(size)]
            steps = np.ascontiguousarray(np.stack(cells, axis=1)).view(f"<i{size}").reshape(-1).astype(np.int64)
            whole = (np.cumsum(steps) + first[row])[since:]
        else:
            whole = np.full(n, first[row])
        if exponent[row] < 0:
            bits[to : to + n] = whole
        else:
            values[to : to + n] = whole / powers[exponent[row]]


def _decode(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    data, place, stride, width, exponent, first, powers,
    axis_at, axis_ms, rows, low, high, into, ts_ms, values,
):  # fmt: skip
    bits = values.view(np.int64)
    for k in range(len(rows)):
        row, since, until = rows[k], low[k], high[k]
        to, axis = into[k] - since, axis_at[k]
        at, gap, size, whole = place[row], stride[row], width[row], first[row]
        raw, power = exponent[row] < 0, powers[max(exponent[row], 0)]
        for j in range(since, until):
            ts_ms[to + j] = axis_ms[axis + j]
        for j in range(until):
            if size == 1:
                whole += np.int64(np.int8(data[at + j]))
            elif size == 2:
                whole += np.int64(np.int16(np.uint16(data[at + j]) | np.uint16(data[at + gap + j]) << np.uint16(8)))
            elif size:
                step = np.uint64(0)
                for b in range(size):
                    step |= np.uint64(data[at + b * gap + j]) << np.uint64(8 * b)
                whole += np.int64(np.int32(np.uint32(step))) if size == 4 else np.int64(step)
            if j >= since:
                if raw:
                    bits[to + j] = whole
                else:
                    values[to + j] = whole / power

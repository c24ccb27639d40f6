"""Sealed chunks: the samples of a group of series as one compressed frame; pure, bit-exact.

Each series is a row. Its values are integers `rint(v * 10^e)` where that gives every value back, bit for bit, else the
values' own 64 bits; kept are the first integer and the differences, in planes of their bytes by the width that a row
needs. Rows read at the same moments share one time axis: a first moment, a step, and what each moment is off it. Values
that would spoil a row (markers of staleness, NaN, infinities, minus zero) are listed beside it with their bits, and so
are the moments from which a counter has another start.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from service import chunk_kernels
from service.flat import NONE, Flat, Floats, Ints, offsets, planes, unplanes, within

VERSION = 1
WIDTHS = (1, 2, 4, 8)
MOST_EXPONENT = 9
_EXACT = 2.0**53
_HEAD = struct.Struct("<BIIIII")
_STEP_LIMIT = 2000


def encode(flat: Flat, level: int = 3) -> bytes:
    """A frame of ordered samples (by series, then time, no moment of a series twice)."""
    at = offsets(flat.series)
    counts = np.diff(at)
    clean, odd = _cleaned(flat.value, at, counts)
    exponents = _exponents(clean, at, counts)
    firsts, steps, widths = _steps(clean, exponents, at, counts)
    axes = _axes(flat.ts_ms, at)
    starts = _start_changes(flat.start_ms, at)
    head = _HEAD.pack(VERSION, len(counts), len(axes.first), flat.size, len(odd), len(starts))
    rows = (
        planes(np.diff(flat.series[at[:-1]], prepend=np.int64(0)).astype("<u8")),
        planes(axes.of_row.astype("<u4")),
        exponents.astype(np.int8).tobytes(),
        widths.astype(np.uint8).tobytes(),
        planes(firsts.astype("<i8")),
    )
    lists = (
        planes(np.diff(odd, prepend=np.int64(0)).astype("<u4")),
        planes(np.ascontiguousarray(flat.value[odd]).view("<u8")),
        planes(np.diff(starts, prepend=np.int64(0)).astype("<u4")),
        planes(flat.start_ms[starts].astype("<i8")),
    )
    body = (*rows, *axes.header(), *lists, *_by_width(steps, np.repeat(widths, counts)), *axes.planes())
    return head + zstandard.ZstdCompressor(level).compress(b"".join(body))


def _cleaned(values: Floats, at: Ints, counts: Ints) -> tuple[Floats, Ints]:
    """Values with those replaced that would spoil a row by the one before them; where those are."""
    good = np.isfinite(values) & ~((values == 0) & np.signbit(values))
    if good.all():
        return values, np.zeros(0, np.int64)
    before = np.maximum.accumulate(np.where(good, np.arange(len(values)), -1))
    known = before >= np.repeat(at[:-1], counts)
    return np.where(known, values[np.maximum(before, 0)], 0.0), np.flatnonzero(~good)


def _exponents(values: Floats, at: Ints, counts: Ints) -> Ints:
    """Per row the least e for which every `rint(v * 10^e) / 10^e` is v again; -1 where there is none."""
    found = np.full(len(counts), -1, np.int64)
    left = np.arange(len(counts))
    for exponent in range(MOST_EXPONENT + 1):
        likely = left[_whole(values[at[left]], exponent) & _whole(values[at[left + 1] - 1], exponent)]
        if len(likely):
            mask = np.zeros(len(counts), np.bool_)
            mask[likely] = True
            mine = values if mask.all() else values[np.repeat(mask, counts)]
            begins = np.cumsum(counts[likely]) - counts[likely]
            fits = likely[np.logical_and.reduceat(_whole(mine, exponent), begins)]
            found[fits] = exponent
            left = left[found[left] < 0]
        if not len(left):
            break
    return found


def _whole(values: Floats, exponent: int) -> NDArray[np.bool_]:
    power = 10.0**exponent
    with np.errstate(over="ignore"):
        scaled = np.rint(values * power)
    found: NDArray[np.bool_] = (np.abs(scaled) < _EXACT) & (scaled / power == values)
    return found


def _steps(values: Floats, exponents: Ints, at: Ints, counts: Ints) -> tuple[Ints, Ints, Ints]:
    """The first integer of each row, the differences (0 at a row's first value), and the bytes a row's need."""
    each = np.repeat(exponents, counts)
    power = 10.0 ** np.maximum(each, 0)
    raw = each < 0
    whole = np.rint(np.where(raw, 0.0, values) * power).astype(np.int64)
    whole = np.where(raw, np.ascontiguousarray(values).view(np.int64), whole)
    steps = np.zeros(len(values), np.int64)
    with np.errstate(over="ignore"):
        steps[1:] = whole[1:] - whole[:-1]
    steps[at[:-1]] = 0
    most = np.maximum.reduceat(_size(steps), at[:-1]) if len(counts) else counts
    return whole[at[:-1]], steps, np.where((exponents < 0) & (most > 0), 8, _width(most))


def _size(values: Ints) -> Ints:
    """What decides how many bytes a value needs, of either sign; 0 for 0 alone."""
    found: Ints = np.where(values < 0, ~values, values) | (values != 0)
    return found


def _width(most: Ints) -> Ints:
    return np.select([most == 0, most < 2**7, most < 2**15, most < 2**31], [0, 1, 2, 4], 8).astype(np.int64)


def _by_width(values: Ints, widths: Ints) -> list[bytes]:
    return [planes(values[widths == width].astype(f"<i{width}")) for width in WIDTHS]


class _Axes(NamedTuple):
    """The time axes of a chunk, each once, and which one each row has."""

    of_row: Ints
    first: Ints
    step: Ints
    length: Ints
    width: Ints
    off: Ints
    """How far each moment is off its axis' regular ones, axis after axis."""

    def header(self) -> list[bytes]:
        """What is known of each axis."""
        return [
            planes(self.first.astype("<i8")),
            planes(self.step.astype("<i8")),
            planes(self.length.astype("<u4")),
            self.width.astype(np.uint8).tobytes(),
        ]

    def planes(self) -> list[bytes]:
        """The moments themselves."""
        return _by_width(self.off, np.repeat(self.width, self.length))


def _axes(ts_ms: Ints, at: Ints) -> _Axes:
    numbers: dict[bytes, int] = {}
    spans: list[tuple[int, int]] = []
    of_row = []
    for begin, end in zip(at[:-1].tolist(), at[1:].tolist(), strict=True):
        key = ts_ms[begin:end].tobytes()
        number = numbers.setdefault(key, len(numbers))
        if number == len(spans):
            spans.append((begin, end))
        of_row.append(number)
    first, step, width, off = [], [], [], []
    for begin, end in spans:
        its = ts_ms[begin:end]
        first.append(int(its[0]))
        step.append(_step(its))
        off.append(its - its[0] - np.arange(len(its)) * step[-1])
        width.append(int(_size(off[-1]).max()))
    return _Axes(
        np.array(of_row, np.int64), np.array(first, np.int64), np.array(step, np.int64),
        np.array([end - begin for begin, end in spans], np.int64), _width(np.array(width, np.int64)),
        np.concatenate(off) if off else np.zeros(0, np.int64),
    )  # fmt: skip


def _step(ts_ms: Ints) -> int:
    if len(ts_ms) < 2:
        return 0
    between = np.diff(ts_ms)
    middle = int(np.partition(between, len(between) // 2)[len(between) // 2])
    return (middle + 500) // 1000 * 1000 if middle >= _STEP_LIMIT else middle


def _start_changes(start_ms: Ints, at: Ints) -> Ints:
    """Samples from which their row has another start than before; a row begins with an unknown one."""
    before = np.empty_like(start_ms)
    before[1:] = start_ms[:-1]
    before[at[:-1]] = NONE
    return np.flatnonzero(start_ms != before)


@dataclass(frozen=True)
class Chunk:
    """An inflated chunk: rows in the order of their series' numbers, each decoded when it is asked for."""

    series: Ints
    """One per row, ascending."""
    axis: Ints
    """Which time axis a row has."""
    axis_at: Ints
    """Where each axis begins in `axis_ms`, and the end of the last."""
    axis_ms: Ints
    row: chunk_kernels.RowTable
    odd: Ints
    """Positions of listed values, of all samples in their order."""
    odd_bits: NDArray[np.uint64]
    start: Ints
    start_ms: Ints
    """The same of counters' starts, from where they hold on."""

    @property
    def counts(self) -> Ints:
        """Samples per row."""
        found: Ints = np.diff(self.axis_at)[self.axis]
        return found

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return 200 * 8 + 60 * len(self.series) + 8 * len(self.axis_ms) + self.row.data.nbytes + 16 * len(self.odd)

    def span(self, rows: Ints, since_ms: int, until_ms: int) -> tuple[Ints, Ints]:
        """Of each of these rows its samples in `(since, until]`: the first one, and the one behind the last."""
        axes = self.axis[rows]
        if not len(self.axis_ms) or (since_ms < self.axis_ms.min() and self.axis_ms.max() <= until_ms):
            return np.zeros(len(rows), np.int64), self.counts[rows]
        low, high = np.zeros((2, len(self.axis_at) - 1), np.int64)
        for axis in np.unique(axes).tolist():
            mine = self.axis_ms[self.axis_at[axis] : self.axis_at[axis + 1]]
            low[axis], high[axis] = np.searchsorted(mine, (since_ms, until_ms), side="right")
        return low[axes], high[axes]

    def fill(self, part: chunk_kernels.Part, ts_ms: Ints, values: Floats) -> None:
        """Decode these samples to their places."""
        chunk_kernels.fill(self.row, self.axis_at[self.axis[part.rows]], self.axis_ms, part, ts_ms, values)
        if len(self.odd):
            self._fill_odd(part, values)

    def starts(self, rows: Ints, low: Ints, high: Ints) -> Ints:
        """Counters' starts of these samples of these rows, row after row."""
        at = np.concatenate([[0], np.cumsum(self.counts)])
        every = np.full(int(at[-1]), NONE, np.int64)
        if len(self.start):
            row = np.searchsorted(at, self.start, side="right") - 1
            ends = np.minimum(np.append(self.start[1:], at[-1]), at[row + 1])
            lengths = ends - self.start
            every[np.repeat(self.start, lengths) + within(lengths)] = np.repeat(self.start_ms, lengths)
        found: Ints = every[np.repeat(at[rows] + low, high - low) + within(high - low)]
        return found

    def flat(self, rows: Ints | None = None) -> Flat:
        """The samples of these rows, or of all."""
        rows = np.arange(len(self.series)) if rows is None else rows
        counts = self.counts[rows]
        into = np.cumsum(counts) - counts
        size = int(counts.sum())
        ts_ms, values = np.empty(size, np.int64), np.empty(size)
        nothing = np.zeros(len(rows), np.int64)
        self.fill(chunk_kernels.Part(rows, nothing, counts, into), ts_ms, values)
        return Flat(np.repeat(self.series[rows], counts), ts_ms, values, self.starts(rows, nothing, counts))

    def _fill_odd(self, part: chunk_kernels.Part, values: Floats) -> None:
        at = np.concatenate([[0], np.cumsum(self.counts)])
        row = np.searchsorted(at, self.odd, side="right") - 1
        asked = np.full(len(self.series), -1, np.int64)
        asked[part.rows] = np.arange(len(part.rows))
        number, place = asked[row], self.odd - at[row]
        mine = number >= 0
        mine[mine] = (place[mine] >= part.low[number[mine]]) & (place[mine] < part.high[number[mine]])
        number, place = number[mine], place[mine]
        values.view(np.uint64)[part.into[number] + place - part.low[number]] = self.odd_bits[mine]


class _Reader:
    """Takes one column after the other from inflated bytes."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.data, self.at = data, 0

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        """A column in planes."""
        size = np.dtype(dtype).itemsize * count
        found = unplanes(self.data[self.at : self.at + size], dtype)
        self.at += size
        return found


def decode(frame: bytes) -> Chunk:
    """The chunk of a frame; raises ValueError where it is none."""
    version, n, n_axes, _, n_odd, n_starts = _HEAD.unpack_from(frame)
    if version != VERSION:
        raise ValueError(f"chunks of version {version} are not known here")
    reader = _Reader(np.frombuffer(zstandard.ZstdDecompressor().decompress(frame[_HEAD.size :]), np.uint8))
    series = np.cumsum(reader.take("<u8", n).astype(np.int64))
    axis, exponents = reader.take("<u4", n).astype(np.int64), reader.take("i1", n).astype(np.int64)
    widths, firsts = reader.take("u1", n).astype(np.int64), reader.take("<i8", n)
    first, step = reader.take("<i8", n_axes), reader.take("<i8", n_axes)
    length, axis_width = reader.take("<u4", n_axes).astype(np.int64), reader.take("u1", n_axes).astype(np.int64)
    odd, odd_bits = np.cumsum(reader.take("<u4", n_odd).astype(np.int64)), reader.take("<u8", n_odd)
    start, start_ms = np.cumsum(reader.take("<u4", n_starts).astype(np.int64)), reader.take("<i8", n_starts)
    counts = length[axis]
    table = chunk_kernels.table(reader.data, reader.at, widths, exponents, firsts, counts)
    reader.at += int((widths * counts).sum())
    off = np.zeros(int(length.sum()), np.int64)
    each = np.repeat(axis_width, length)
    for width in WIDTHS:
        mine = each == width
        off[mine] = reader.take(f"<i{width}", int(mine.sum()))
    axis_ms = off + np.repeat(first, length) + within(length) * np.repeat(step, length)
    axis_at = np.concatenate([[0], np.cumsum(length)])
    return Chunk(series, axis, axis_at, axis_ms, table, odd, odd_bits, start, start_ms)

"""Columns to bytes: all that stands between the numbers of a shape's samples is made once and kept.

A number point is 27 bytes (18 without a start) between two byte strings that depend on its name and labels alone. Those
of one shape are one `struct` format, so that a container's samples are packed by one call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

from agent.columns import Columns, Shape, Starts
from agent.model import Labels

Template = Callable[[str, Labels, bool, bool], tuple[bytes, bytes]]
"""From name, labels, whether it counts and whether it has a start to what stands before and after the numbers."""

_NS_PER_MS = 1_000_000
_START_TAG, _TIME_TAG, _DOUBLE_TAG = b"\x11", b"\x19", b"\x21"
MOST_FRAMES = 1024
_COUNTER_SLOTS, _GAUGE_SLOTS = 6, 4
_COUNTER_BYTES, _GAUGE_BYTES = 26, 17
"""What the numbers of a sample take, with the tags between them."""
_TIME, _DOUBLE = struct.Struct("<Q"), struct.Struct("<d")
_WORTH_PARTS = 3
"""Columns that are the same so often are cut into what stands between their times."""


class _Frame:
    """How the samples of one shape are packed: those with a start first, then those without."""

    def __init__(self, shape: Shape, started: bool, template: Template) -> None:
        keys = shape.keys
        first = [n for n, key in enumerate(keys) if key.counter and started]
        rest = [n for n, key in enumerate(keys) if not (key.counter and started)]
        self._started, self._split = len(first), len(first) * _COUNTER_SLOTS
        self._order = itemgetter(*first, *rest) if len(keys) > 1 else tuple
        self._first = first
        parts = [template(*keys[n], n in set(first)) for n in (*first, *rest)]
        tags = [_START_TAG] * len(first) + [_TIME_TAG] * len(rest)
        befores = (b"", *(tail for _, tail in parts))
        fixed = [before + head + tag for before, (head, _), tag in zip(befores, parts, tags, strict=False)]
        counters, gauges, end = fixed[: len(first)], fixed[len(first) :], befores[-1]
        self._slots: list[Any] = [
            *chain.from_iterable((one, 0, _TIME_TAG, 0, _DOUBLE_TAG, 0.0) for one in counters),
            *chain.from_iterable((one, 0, _DOUBLE_TAG, 0.0) for one in gauges),
            end,
        ]
        formats = [f"{len(one)}sQcQcd" for one in counters] + [f"{len(one)}sQcd" for one in gauges]
        self._struct = struct.Struct("<" + "".join(formats) + f"{len(end)}s")
        sizes = [*(len(one) + _COUNTER_BYTES for one in counters), *(len(one) + _GAUGE_BYTES for one in gauges)]
        self._times = [at - _TIME.size - _DOUBLE.size - 1 for at in accumulate(sizes)]
        self._end = end

    def pack(self, columns: Columns) -> bytes:
        """The samples, each framed as a field of its scope."""
        steady = columns.steady
        if steady is None:
            return self._packed(columns)
        steady.times += 1
        if steady.times < _WORTH_PARTS:
            return self._packed(columns)
        if not steady.parts:
            steady.parts = self._parts(self._packed(columns))
        steady.parts[-1] = _DOUBLE_TAG + _DOUBLE.pack(columns.values[-1]) + self._end
        return _TIME.pack(columns.at_ms * _NS_PER_MS).join(steady.parts)

    def _parts(self, packed: bytes) -> list[bytes]:
        """What stands between the times of the samples, which are all the same moment."""
        ends = [*self._times, len(packed)]
        return [
            packed[before:at] for before, at in zip((0, *(at + _TIME.size for at in self._times)), ends, strict=True)
        ]

    def _packed(self, columns: Columns) -> bytes:
        slots, split, started = self._slots.copy(), self._split, self._started
        values, at = self._order(columns.values), columns.at_ms * _NS_PER_MS
        if started:
            slots[1:split:_COUNTER_SLOTS] = self._starts(columns.start_ms)
            slots[3:split:_COUNTER_SLOTS] = [at] * started
            slots[5:split:_COUNTER_SLOTS] = values[:started]
        rest = len(values) - started
        slots[split + 1 : -1 : _GAUGE_SLOTS] = [at] * rest
        slots[split + 3 : -1 : _GAUGE_SLOTS] = values[started:]
        return self._struct.pack(*slots)

    def _starts(self, start_ms: Starts) -> list[int]:
        """Of each sample that counts, in nanoseconds."""
        if isinstance(start_ms, tuple):
            return [start_ms[n] * _NS_PER_MS for n in self._first]
        return [(start_ms or 0) * _NS_PER_MS] * self._started


class Frames:
    """Packs columns; keeps how each shape is packed, up to a bound."""

    def __init__(self, template: Template) -> None:
        self._frame = lru_cache(maxsize=MOST_FRAMES)(lambda shape, started: _Frame(shape, started, template))

    def pack(self, columns: Columns) -> bytes:
        """All samples as fields of their scope, those that count first."""
        if not columns.values:
            return b""
        return self._frame(columns.shape, columns.start_ms is not None).pack(columns)

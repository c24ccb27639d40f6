"""What is stored around late samples: those between them, the last before and the first after, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.chunk import Chunk
from service.chunk_kernels import Part
from service.flat import NONE, Flat, Ints, bisected, joined, ordered, within
from service.store_schema import BLOCK_MS, BLOCKS_PER_DAY, table
from service.store_view import Moment, by_group

_MARGIN = 8
"""Samples read on either side at first: the next one may be no number."""
_NEVER = 2**62


class Asked(NamedTuple):
    """Series (ascending), and of each the first and the last moment that is asked about."""

    ids: Ints
    low: Ints
    high: Ints

    def where(self, mask: Ints) -> Asked:
        """Those alone."""
        return Asked(self.ids[mask], self.low[mask], self.high[mask])


class Near(NamedTuple):
    """What was found, and how much was read for it."""

    inside: Flat
    """All samples within the asked moments, those that are no numbers too."""
    numbers: Flat
    """Numbers alone: those within, with the last before and the first after, by series and time."""
    read: int


def near(moment: Moment, asked: Asked) -> Near:
    """The stored samples around the asked moments of each series."""
    found = _Found(asked)
    units = _units(moment)
    begin, end = _unit_of(moment, int(asked.low.min())), _unit_of(moment, int(asked.high.max()))
    for unit in (it for it in units if begin <= it <= end):
        _look(moment, unit, found, np.arange(len(asked.ids)))
    _before(moment, [it for it in units if it < begin], begin, found)
    _after(moment, [it for it in units if it > end], _end_ms(moment, end), found)
    return found.result()


class _Found:
    """Collects samples, and knows of each series how near its neighbours are."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.before_ms: Ints = np.full(len(asked.ids), NONE, np.int64)
        self.after_ms: Ints = np.full(len(asked.ids), _NEVER, np.int64)
        self.read = 0
        self._parts: list[Flat] = []

    def add(self, flat: Flat, of: Ints) -> None:
        """Take samples, each of the asked series of that place; at one moment what comes first stands."""
        self._parts.append(flat)
        good = np.isfinite(flat.value)
        ts, of = flat.ts_ms[good], of[good]
        older, newer = ts < self.asked.low[of], ts > self.asked.high[of]
        np.maximum.at(self.before_ms, of[older], ts[older])
        np.minimum.at(self.after_ms, of[newer], ts[newer])

    def result(self) -> Near:
        """What is near, of all that was collected."""
        asked = self.asked
        every = ordered(joined(self._parts))
        of = np.searchsorted(asked.ids, every.series)
        inside = (every.ts_ms >= asked.low[of]) & (every.ts_ms <= asked.high[of])
        beside = (every.ts_ms == self.before_ms[of]) | (every.ts_ms == self.after_ms[of])
        return Near(every.where(inside), every.where(inside | beside).finite(), self.read)


class _Source(Protocol):
    """Samples of some series, each in a row of its own, by time."""

    ts_ms: Ints
    begin: Ints
    """Where the row of each asked series begins in `ts_ms`, and where it ends; the same where there is none."""
    end: Ints

    def take(self, rows: Ints, low: Ints, high: Ints) -> Flat:
        """Those from `low` up to `high` (places in `ts_ms`) of each of these asked series."""
        ...


class _OfRun:
    """A run in memory."""

    def __init__(self, run: Flat, ids: Ints) -> None:
        self._run, self.ts_ms = run, run.ts_ms
        self.begin: Ints = np.searchsorted(run.series, ids, side="left")
        self.end: Ints = np.searchsorted(run.series, ids, side="right")

    def take(self, rows: Ints, low: Ints, high: Ints) -> Flat:
        """Samples by their places."""
        return self._run.where(np.repeat(low, high - low) + within(high - low))


class _OfChunk:
    """A sealed chunk."""

    def __init__(self, chunk: Chunk, ids: Ints) -> None:
        self._chunk, self._ids, self.ts_ms = chunk, ids, chunk.axis_ms
        at = np.minimum(np.searchsorted(chunk.series, ids), len(chunk.series) - 1)
        there = chunk.series[at] == ids
        self._row = at
        self.begin: Ints = np.where(there, chunk.axis_at[chunk.axis[at]], 0)
        self.end: Ints = np.where(there, chunk.axis_at[chunk.axis[at] + 1], 0)

    def take(self, rows: Ints, low: Ints, high: Ints) -> Flat:
        """Samples by their places on their axis."""
        row, lengths = self._row[rows], high - low
        since, until = low - self.begin[rows], high - self.begin[rows]
        ts_ms, values = np.empty(int(lengths.sum()), np.int64), np.empty(int(lengths.sum()))
        self._chunk.fill(Part(row, since, until, np.cumsum(lengths) - lengths), ts_ms, values)
        starts = self._chunk.starts(row, since, until)
        return Flat(np.repeat(self._ids[rows], lengths), ts_ms, values, starts)


def _look(moment: Moment, unit: int, found: _Found, mine: Ints) -> None:
    """Take what one chunk, and the heads beside it, have near of those asked series."""
    ids = found.asked.ids[mine]
    groups = by_group(moment.groups_of(ids))
    for key, chunk in moment.chunks(ids, [unit]) or ():
        if chunk is not None and len(chunk.series):
            members = groups[key.group]
            _take(_OfChunk(chunk, ids[members]), found, mine[members])
    for block in _blocks(moment, unit):
        for run in moment.heads[block]:
            _take(_OfRun(run, ids), found, mine)


def _take(source: _Source, found: _Found, mine: Ints) -> None:
    """First a few samples on either side; all of the row of series where these few are no numbers."""
    low = bisected(source.ts_ms, source.begin, source.end, found.asked.low[mine])
    high = bisected(source.ts_ms, source.begin, source.end, found.asked.high[mine] + 1)
    rows = np.flatnonzero(source.end > source.begin)
    for margin in (_MARGIN, _NEVER):
        if not len(rows):
            return
        since = np.maximum(low[rows] - margin, source.begin[rows])
        until = np.minimum(high[rows] + margin, source.end[rows])
        flat = source.take(rows, since, until)
        of = np.repeat(mine[rows], until - since)
        found.read += flat.size
        found.add(flat, of)
        older = _has_number(flat, until - since, flat.ts_ms < found.asked.low[of])
        newer = _has_number(flat, until - since, flat.ts_ms > found.asked.high[of])
        wanting = (~older & (since > source.begin[rows])) | (~newer & (until < source.end[rows]))
        rows = rows[wanting]


def _has_number(flat: Flat, lengths: Ints, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    good = np.concatenate([[0], np.cumsum(mask & np.isfinite(flat.value))])
    ends = np.cumsum(lengths)
    found: NDArray[np.bool_] = good[ends] > good[ends - lengths]
    return found


def _before(moment: Moment, earlier: Sequence[int], begin: int, found: _Found) -> None:
    """The last numbers before the chunk or block that begins with the asked moments."""
    first = moment.state.columns.first_ms[found.asked.ids]
    left = np.flatnonzero((found.before_ms == NONE) & (first != NONE) & (first < found.asked.low))
    if not len(left):
        return
    ids = found.asked.ids[left]
    told = joined([moment.state.carry.before(ids, begin * BLOCK_MS - 1), moment.stats_before(ids, begin * BLOCK_MS)])
    found.read += told.size
    found.add(told, np.searchsorted(found.asked.ids, told.series))
    for unit in reversed(earlier):
        open_ = left[found.before_ms[left] < _end_ms(moment, unit)]
        if not len(open_):
            break
        _look_at_heads(moment, unit, found, open_)


def _after(moment: Moment, later: Sequence[int], end_ms: int, found: _Found) -> None:
    """The first numbers after the chunk or block that the asked moments end with."""
    last = moment.state.columns.last_ms[found.asked.ids]
    left = np.flatnonzero((found.after_ms == _NEVER) & (last > found.asked.high))
    for unit in later:
        open_ = left[found.after_ms[left] == _NEVER]
        if not len(open_):
            break
        _look_at_heads(moment, unit, found, open_)
    if len(left):
        _chunks_after(moment, end_ms, found, left)


def _look_at_heads(moment: Moment, unit: int, found: _Found, mine: Ints) -> None:
    for block in _blocks(moment, unit):
        for run in moment.heads[block]:
            _take(_OfRun(run, found.asked.ids[mine]), found, mine)


def _chunks_after(moment: Moment, end_ms: int, found: _Found, left: Ints) -> None:
    """Look at the first chunk that has a later number of each series, where it may be nearer than what is found."""
    known, cursor = {it.chunk for it in moment.layout.sealed.values()}, moment.writing()
    for day in moment.layout.within("stats", end_ms, _NEVER):
        left = left[found.after_ms[left] >= day * BLOCKS_PER_DAY * BLOCK_MS]
        if not len(left):
            break
        cursor.register("asked", pa.table({"series_id": found.asked.ids[left].astype(np.uint32)}))
        rows = cursor.execute(
            f"SELECT series_id, min(block) FROM {table('stats', day)} WHERE block >= {end_ms // BLOCK_MS} "  # noqa: S608
            "AND series_id IN (SELECT series_id FROM asked) AND first_ms IS NOT NULL GROUP BY ALL"
        ).fetchnumpy()
        cursor.unregister("asked")
        series, blocks = (np.asarray(it).astype(np.int64) for it in rows.values())
        for block in (it for it in np.unique(blocks).tolist() if it in known):
            mine = np.searchsorted(found.asked.ids, np.sort(series[blocks == block]))
            nearer = mine[found.after_ms[mine] >= block * BLOCK_MS]
            if len(nearer):
                _look(moment, block, found, nearer)


def _units(moment: Moment) -> list[int]:
    """The first blocks of all chunks and of heads beside none, ascending."""
    sealed = moment.layout.sealed
    return sorted({*(it.chunk for it in sealed.values()), *(_chunk_of(moment, it) for it in moment.heads)})


def _chunk_of(moment: Moment, block: int) -> int:
    sealed = moment.layout.sealed.get(block)
    return sealed.chunk if sealed else block


def _unit_of(moment: Moment, at_ms: int) -> int:
    return _chunk_of(moment, at_ms // BLOCK_MS)


def _blocks(moment: Moment, unit: int) -> list[int]:
    """The heads beside a chunk, or the one that stands alone."""
    near_by = range(unit, unit + BLOCKS_PER_DAY)
    return [block for block in near_by if block in moment.heads and _chunk_of(moment, block) == unit]


def _end_ms(moment: Moment, unit: int) -> int:
    blocks = [it for it in range(unit, unit + BLOCKS_PER_DAY) if _chunk_of(moment, it) == unit]
    return (max(blocks, default=unit) + 1) * BLOCK_MS

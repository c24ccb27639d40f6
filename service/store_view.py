"""Samples as of one moment of the store: from heads in memory and sealed chunks, by series and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from service.chunk import Chunk, decode
from service.chunk_kernels import Part
from service.errors import TooManySamples
from service.flat import NONE, Flat, Floats, Ints, empty, joined, ordered, within
from service.store_db import Cursor
from service.store_layout import Layout
from service.store_planes import Key, PlaneCache
from service.store_schema import BLOCK_MS, BLOCKS_PER_DAY, DAY_MS, period_of, table
from service.store_state import SeriesState

_LONG = 64
"""From so many samples of a series on, those of each series are copied at once."""
_MANY = 64
"""From so many series on, a run is first cut to the time that is asked."""


class _Source(Protocol):
    """Some samples of some of the asked series."""

    counts: Ints
    """Samples per asked series."""

    def fill(self, into: Ints, ts_ms: Ints, values: Floats, starts: Ints | None) -> None:
        """Write those of each asked series from its place on."""
        ...


class _FromRun:
    """Samples of a run in memory."""

    def __init__(self, run: Flat, ids: Ints) -> None:
        self._run = run
        self._low = np.searchsorted(run.series, ids, side="left")
        self.counts: Ints = np.searchsorted(run.series, ids, side="right") - self._low

    def fill(self, into: Ints, ts_ms: Ints, values: Floats, starts: Ints | None) -> None:
        """Write those of each asked series from its place on."""
        if int(self.counts.sum()) > _LONG * int((self.counts > 0).sum()):
            self._copy(into, ts_ms, values, starts)
            return
        each = within(self.counts)
        to, of = np.repeat(into, self.counts) + each, np.repeat(self._low, self.counts) + each
        ts_ms[to], values[to] = self._run.ts_ms[of], self._run.value[of]
        if starts is not None:
            starts[to] = self._run.start_ms[of]

    def _copy(self, into: Ints, ts_ms: Ints, values: Floats, starts: Ints | None) -> None:
        """The same, series by series."""
        run, asked = self._run, np.flatnonzero(self.counts)
        rows = zip(self._low[asked].tolist(), self.counts[asked].tolist(), into[asked].tolist(), strict=True)
        for at, n, to in rows:
            ts_ms[to : to + n], values[to : to + n] = run.ts_ms[at : at + n], run.value[at : at + n]
            if starts is not None:
                starts[to : to + n] = run.start_ms[at : at + n]


class _FromChunk:
    """Samples of a sealed chunk, of the asked time alone."""

    def __init__(self, chunk: Chunk, ids: Ints, mine: Ints, since_ms: int, until_ms: int) -> None:
        """`mine`: which of the asked series are of the chunk's group."""
        at = np.searchsorted(chunk.series, ids[mine])
        there = at < len(chunk.series)
        there[there] = chunk.series[at[there]] == ids[mine[there]]
        self._chunk, self._rows, self._asked = chunk, at[there], mine[there]
        self._low, self._high = chunk.span(self._rows, since_ms, until_ms)
        self.counts: Ints = np.zeros(len(ids), np.int64)
        self.counts[self._asked] = self._high - self._low

    def fill(self, into: Ints, ts_ms: Ints, values: Floats, starts: Ints | None) -> None:
        """Write those of each asked series from its place on."""
        places = into[self._asked]
        self._chunk.fill(Part(self._rows, self._low, self._high, places), ts_ms, values)
        if starts is not None:
            lengths = self._high - self._low
            told = self._chunk.starts(self._rows, self._low, self._high)
            starts[np.repeat(places, lengths) + within(lengths)] = told


@dataclass(frozen=True)
class Gathered:
    """Samples of asked series: those of series i are at `offsets[i]:offsets[i + 1]`."""

    offsets: Ints
    ts_ms: Ints
    values: Floats
    starts: Ints | None

    def flat(self, ids: Ints) -> Flat:
        """The same with the series of each sample."""
        starts = np.full(len(self.ts_ms), NONE, np.int64) if self.starts is None else self.starts
        return Flat(np.repeat(ids, np.diff(self.offsets)), self.ts_ms, self.values, starts)


@dataclass(frozen=True)
class Moment:
    """One moment of the store, and how its samples are read."""

    cursor: Cursor | None
    """In a transaction of that moment; None where what is in memory must do, see `complete`."""
    layout: Layout
    heads: Mapping[int, tuple[Flat, ...]]
    groups: Ints
    """The group of each series, by its number."""
    state: SeriesState
    cache: PlaneCache

    def writing(self) -> Cursor:
        """The cursor, where there must be one."""
        if self.cursor is None:
            raise LookupError("this moment has no cursor")
        return self.cursor

    def samples(self, ids: Ints, since_ms: int, until_ms: int) -> Flat:
        """The samples of these series (ascending) within `(since, until]`, by series and time."""
        return self.gather(ids, since_ms, until_ms, starts=True).flat(ids)

    def gather(self, ids: Ints, since_ms: int, until_ms: int, starts: bool = False, limit: int = 2**62) -> Gathered:
        """The same as columns; raises TooManySamples where their blocks hold more than `limit`."""
        sources = self._sources(ids, since_ms, until_ms)
        if sources is None:
            raise LookupError("a chunk is not in memory, and nothing was given to read it from")
        counts = sum((it.counts for it in sources), np.zeros(len(ids), np.int64))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        size = int(offsets[-1])
        if size > limit + _slack(counts):
            raise TooManySamples(_too_many(len(ids), limit))
        ts_ms, values = np.empty(size, np.int64), np.empty(size)
        start_ms = np.empty(size, np.int64) if starts else None
        into = offsets[:-1].copy()
        for it in sources:
            it.fill(into, ts_ms, values, start_ms)
            into += it.counts
        found = Gathered(offsets, ts_ms, values, start_ms)
        if any(isinstance(it, _FromRun) for it in sources):
            found = _in_order(_trimmed(found, since_ms, until_ms))
        if len(found.ts_ms) > limit:
            raise TooManySamples(_too_many(len(ids), limit))
        return found

    def complete(self, ids: Ints, since_ms: int, until_ms: int) -> bool:
        """True where all that `gather` needs is in memory."""
        return self._sources(ids, since_ms, until_ms) is not None

    def before(self, ids: Ints, at_ms: int) -> Flat:
        """The last sample at or before a moment of each of these series that has one; numbers alone."""
        first = self.state.columns.first_ms[ids]
        left = ids[(first != NONE) & (first <= at_ms)]
        found = [_last(self.samples(left, self._begin(at_ms) - 1, at_ms).finite())]
        left = np.setdiff1d(left, found[0].series)
        if len(left):
            found.append(self._earlier(left, self._begin(at_ms)))
        return ordered(joined(found))

    def _begin(self, at_ms: int) -> int:
        """Where the block or the chunk that holds a moment begins."""
        block = period_of("head", at_ms)
        sealed = self.layout.sealed.get(block)
        return (sealed.chunk if sealed else block) * BLOCK_MS

    def _earlier(self, ids: Ints, before_ms: int) -> Flat:
        """The last number before a block or chunk begins."""
        heads = [run for block, runs in self.heads.items() if block * BLOCK_MS < before_ms for run in runs]
        sources = [_FromRun(run, ids) for run in heads]
        rows = [_all(it, ids).finite() for it in sources if it.counts.any()]
        best = [_last(ordered(joined(rows)))] if rows else []
        best.append(self.state.carry.before(ids, before_ms))
        best.append(self.stats_before(ids, before_ms))
        every = joined(best)
        return _last(every.where(np.lexsort((every.ts_ms, every.series))).between(NONE, before_ms - 1))

    def stats_before(self, ids: Ints, before_ms: int) -> Flat:
        """The last number of each series in chunks that begin earlier, from the statistics, newest days first."""
        block, found = before_ms // BLOCK_MS, [empty()]
        for day in reversed(self.layout.within("stats", 0, before_ms)):
            if not len(ids) or self.cursor is None:
                break
            self.cursor.register("asked", pa.table({"series_id": ids.astype(np.uint32)}))
            rows = self.cursor.execute(
                "SELECT series_id, max(last_ms), arg_max(last_value, last_ms), "  # noqa: S608 - names and a number of ours
                f"arg_max(coalesce(last_start_ms, {NONE}), last_ms) FROM {table('stats', day)} WHERE block < {block} "
                "AND series_id IN (SELECT series_id FROM asked) AND last_ms IS NOT NULL GROUP BY ALL"
            ).fetchnumpy()
            self.cursor.unregister("asked")
            columns = [np.asarray(it) for it in rows.values()]
            found.append(Flat(columns[0].astype(np.int64), columns[1], columns[2], columns[3]))
            ids = np.setdiff1d(ids, found[-1].series)
        return joined(found)

    def _sources(self, ids: Ints, since_ms: int, until_ms: int) -> list[_Source] | None:
        blocks = _blocks(self.layout, self.heads, since_ms, until_ms)
        chunks = self.chunks(ids, blocks)
        if chunks is None:
            return None
        sources: list[_Source] = []
        mine_of = by_group(self.groups_of(ids))
        sources += [
            _FromChunk(chunk, ids, mine_of[key.group], since_ms, until_ms) for key, chunk in chunks if chunk is not None
        ]
        for block in blocks:
            for run in self.heads.get(block, ()):
                mine = run.between(since_ms, until_ms) if len(ids) > _MANY and _cuts(block, since_ms, until_ms) else run
                sources.append(_FromRun(mine, ids))
        return [it for it in sources if it.counts.any()]

    def groups_of(self, ids: Ints) -> Ints:
        """The group of each series; one that is younger than this moment is in no chunk, whichever is looked at."""
        found: Ints = self.groups[np.minimum(ids, len(self.groups) - 1)]
        return found

    def chunks(self, ids: Ints, blocks: Sequence[int]) -> list[tuple[Key, Chunk | None]] | None:
        """The chunks of these blocks with any of these series, by time; None where one must be read and can't be."""
        groups = np.unique(self.groups_of(ids)).tolist()
        sealed = sorted({self.layout.sealed[block] for block in blocks if block in self.layout.sealed})
        keys = [Key(it.chunk, it.edition, group) for it in sealed for group in groups]
        found, missing = self.cache.get(keys)
        if missing:
            if self.cursor is None:
                return None
            read = fetch(self.cursor, missing)
            self.cache.put(read.items())
            found |= read
        return [(key, found[key]) for key in keys]


def fetch(cursor: Cursor, keys: Sequence[Key]) -> dict[Key, Chunk | None]:
    """Chunks from their tables; None where a group has none there."""
    found: dict[Key, Chunk | None] = dict.fromkeys(keys)
    editions = {key.chunk: key.edition for key in keys}
    for day in sorted({key.chunk // BLOCKS_PER_DAY for key in keys}):
        mine = [key for key in keys if key.chunk // BLOCKS_PER_DAY == day]
        rows = cursor.execute(
            f"SELECT block, grp, data FROM {table('chunks', day)} WHERE grp IN {_listed(it.group for it in mine)} "  # noqa: S608
            f"AND block IN {_listed(it.chunk for it in mine)}"
        ).fetchall()
        for block, group, data in rows:
            key = Key(block, editions[block], group)
            if key in found:
                found[key] = decode(data)
    return found


def _listed(numbers: Iterable[int]) -> str:
    return "(" + ", ".join(str(int(it)) for it in sorted(set(numbers))) + ")"


def _blocks(layout: Layout, heads: Mapping[int, tuple[Flat, ...]], since_ms: int, until_ms: int) -> list[int]:
    """Blocks with samples within `(since, until]`, ascending."""
    first, last = period_of("head", since_ms + 1), period_of("head", until_ms)
    if last - first < len(layout.sealed) + len(heads):
        return [it for it in range(first, last + 1) if it in layout.sealed or it in heads]
    return sorted(it for it in {*layout.sealed, *heads} if first <= it <= last)


def by_group(groups: Ints) -> dict[int, Ints]:
    """Which places have each group."""
    if not len(groups):
        return {}
    order = np.argsort(groups, kind="stable")
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return {
        int(groups[order[begin]]): order[begin:end]
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(order)], strict=True)
    }


def _cuts(block: int, since_ms: int, until_ms: int) -> bool:
    return since_ms >= block * BLOCK_MS or until_ms < (block + 1) * BLOCK_MS - 1


def _all(source: _FromRun, ids: Ints) -> Flat:
    size = int(source.counts.sum())
    ts_ms, values, starts = np.empty(size, np.int64), np.empty(size), np.empty(size, np.int64)
    source.fill(np.cumsum(source.counts) - source.counts, ts_ms, values, starts)
    return Flat(np.repeat(ids, source.counts), ts_ms, values, starts)


def _last(flat: Flat) -> Flat:
    """The last sample of each series of ordered samples."""
    tail = np.ones(flat.size, np.bool_)
    tail[:-1] = flat.series[1:] != flat.series[:-1]
    return flat.where(tail)


def _trimmed(found: Gathered, since_ms: int, until_ms: int) -> Gathered:
    inside = (found.ts_ms > since_ms) & (found.ts_ms <= until_ms)
    if inside.all():
        return found
    kept = np.concatenate([[0], np.cumsum(inside)])
    starts = None if found.starts is None else found.starts[inside]
    return Gathered(kept[found.offsets], found.ts_ms[inside], found.values[inside], starts)


def _in_order(found: Gathered) -> Gathered:
    """By time within each series, of several samples at one moment the first that came."""
    back = np.flatnonzero(found.ts_ms[1:] <= found.ts_ms[:-1]) + 1
    if np.isin(back, found.offsets).all():
        return found
    tidy = ordered(found.flat(np.arange(len(found.offsets) - 1)))
    offsets = np.searchsorted(tidy.series, np.arange(len(found.offsets)))
    return Gathered(offsets, tidy.ts_ms, tidy.value, None if found.starts is None else tidy.start_ms)


def _slack(counts: Ints) -> int:
    """How many samples of the first and last block may lie outside of what was asked: all of two chunks."""
    return 2 * int(DAY_MS // 1000) * int((counts > 0).sum())


def _too_many(series: int, limit: int) -> str:
    return f"{series} series hold more than the {limit} samples that may be read at once; ask for fewer or less time"

"""Sums of increments that are kept between evaluations: exact, and made anew from where anything came since.

A window's edges move by seconds while buckets of five minutes stand still. So of each bucket that an edge lies in, and
of those that are not rolled up yet, the increments are kept in order of time, each with the sum of all before it: what
was counted between two moments of a bucket is a difference of two sums. What whole buckets sum up to is kept until
an edge comes into another bucket. Whatever comes with a time that is kept, late or not, makes what is later
than it be read again; nothing is kept when series come or go, or when another file takes the place of this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.flat import NONE, Ints
from service.increments import NANO, Rules
from service.store_known import Group
from service.store_rises import Rises, rises
from service.store_schema import FIVE_MS
from service.store_series import Ids
from service.store_sums import Members, Piece, from_rollups, members_of, pieces
from service.store_view import Moment

Exact = NDArray[np.object_]
"""Python's integers."""
MOST_CHANGES: Final = 4_096
"""Changes that are remembered one by one; what is older than those is made anew."""
MOST_KEPT: Final = 20_000_000
"""Increments that are kept, 40 bytes each."""
_SPAN: Final = FIVE_MS + 1
_LOW: Final = 0xFFFFFFFF
_LARGE: Final = 8_000_000_000
NEVER: Final = 2**62


class Changes:
    """How early the samples were that came, by version; told by the writing thread alone."""

    def __init__(self) -> None:
        self._earliest: list[int] = []
        self._first = 0

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._first + len(self._earliest)

    def came(self, earliest_ms: int) -> None:
        """Samples came of which this is the earliest."""
        if len(self._earliest) >= 2 * MOST_CHANGES:
            self._earliest, self._first = self._earliest[MOST_CHANGES:], self._first + MOST_CHANGES
        self._earliest.append(earliest_ms)

    def since(self, version: int, until: int) -> int:
        """The earliest of what came after one version, up to another; 0 where that is too long ago."""
        first, earliest = self._first, self._earliest
        return 0 if version < first else min(earliest[version - first : until - first], default=NEVER)


class _Totals(NamedTuple):
    """Sums of increments: high and low halves of whole units, and billionths; none overflows."""

    high: Ints
    low: Ints
    nanos: Ints


class _Bucket:
    """Increments of one bucket `(begin, begin + 5 min]` up to a moment, by series and time, with sums of all before."""

    def __init__(self, begin_ms: int) -> None:
        self.begin_ms = self.until_ms = begin_ms
        self._key = np.zeros(0, np.int64)
        self._units, self._nanos = self._key, self._key
        self._sums = self._summed()

    def __len__(self) -> int:
        return len(self._key)

    def cut(self, until_ms: int) -> None:
        """Forget what is later than a moment."""
        if until_ms >= self.until_ms:
            return
        self.until_ms = max(self.begin_ms, until_ms)
        self._take(self._key % _SPAN <= self.until_ms - self.begin_ms)

    def extend(self, series: Ids, found: Rises, until_ms: int) -> None:
        """Add what came up to a later moment."""
        self.until_ms = until_ms
        if not len(found.series):
            return
        key = np.searchsorted(series, found.series) * _SPAN + (found.ts_ms - self.begin_ms)
        self._key = np.concatenate([self._key, key])
        self._units = np.concatenate([self._units, found.units])
        self._nanos = np.concatenate([self._nanos, found.nanos])
        self._take(np.argsort(self._key, kind="stable"))

    def between(self, series: int, since_ms: int, until_ms: int) -> _Totals:
        """Per series what was counted within `(since, until]`."""
        base = np.arange(series) * _SPAN - self.begin_ms
        low = np.searchsorted(self._key, base + since_ms, side="right")
        high = np.searchsorted(self._key, base + until_ms, side="right")
        return _Totals(*(it[high] - it[low] for it in self._sums))

    def _take(self, which: Ints | NDArray[np.bool_]) -> None:
        self._key, self._units, self._nanos = self._key[which], self._units[which], self._nanos[which]
        self._sums = self._summed()

    def _summed(self) -> _Totals:
        def running(values: Ints) -> Ints:
            found = np.zeros(len(values) + 1, np.int64)
            np.cumsum(values, out=found[1:])
            return found

        return _Totals(running(self._units >> 32), running(self._units & _LOW), running(self._nanos))


@dataclass(frozen=True)
class _Rolled:
    """What whole buckets summed up to per part and slot."""

    key: object
    until_ms: int
    version: int
    table: Exact


class Running:
    """The sums of one group of parts; what is asked while another thread asks is made anew."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._group: Group | None = None
        self._members = Members(np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._series: Ids = np.zeros(0, np.int64)
        self._buckets: dict[int, tuple[_Bucket, int]] = {}
        self._rolled: _Rolled | None = None

    def forget(self) -> None:
        """Nothing that was kept holds any more."""
        with self._lock:
            self._group = None

    def sums(
        self, group: Group, parts: Callable[[], list[Ids]], moment: Moment, edges: Sequence[int], rules: Rules,
        version: int,
    ) -> Exact | None:  # fmt: skip
        """Billionths that each part counted in each slot `(edges[i], edges[i + 1]]`; edges ascend.

        `version` is that of the changes at that moment. None where another thread is at it.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._group is not group:
                self._begin(group, parts())
            return self._sums(moment, edges, rules, version)
        finally:
            self._lock.release()

    def _begin(self, group: Group, parts: list[Ids]) -> None:
        self._group, self._buckets, self._rolled = group, {}, None
        self._parts, self._members = len(parts), members_of(parts)
        self._series = np.unique(self._members.series)
        self._place = np.searchsorted(self._series, self._members.series)
        order = np.argsort(self._members.part, kind="stable")
        self._place, of_part = self._place[order], self._members.part[order]
        self._used, self._first = np.unique(of_part, return_index=True)

    def _sums(self, moment: Moment, edges: Sequence[int], rules: Rules, version: int) -> Exact:
        table: Exact = np.zeros((self._parts, max(0, len(edges) - 1)), object)
        if not len(self._series) or len(edges) < 2:
            return table
        cut = pieces(edges, moment.layout.rolled_ms)
        whole = tuple(it for it in cut if it.kind != "samples")
        if whole:
            table += self._whole(moment, whole, edges, version)
        slots, first_ms = np.asarray(edges), self._first_ms(moment)
        fresh: dict[int, tuple[_Bucket, int]] = {}
        for piece in cut:
            if piece.kind == "samples":
                for since, until in _within(piece, edges, first_ms):
                    slot = int(np.searchsorted(slots, until)) - 1
                    self._add(table, slot, self._between(moment, since, until, rules, version, fresh))
        self._buckets = fresh if sum(len(it) for it, _ in fresh.values()) <= MOST_KEPT else {}
        return table

    def _first_ms(self, moment: Moment) -> int:
        """The first sample of any series; NEVER where none has one."""
        found = moment.state.columns.first_ms[self._series]
        return int(found[found != NONE].min(initial=NEVER))

    def _whole(self, moment: Moment, whole: tuple[Piece, ...], edges: Sequence[int], version: int) -> Exact:
        """What is rolled up; an edge within a bucket parts whole ones as that bucket's begin does."""
        periods = moment.layout.periods
        key = whole, tuple(edge // FIVE_MS for edge in edges), periods["fives"], periods["hours"]
        kept, until = self._rolled, max(it.until_ms for it in whole)
        if kept is None or kept.key != key or self._since(kept.version, version) <= kept.until_ms:
            table: Exact = np.zeros((self._parts, len(edges) - 1), object)
            for part, slot, units, nanos in from_rollups(moment, self._members, whole, edges):
                table[part, slot] += int(units) * NANO + int(nanos)
            kept = self._rolled = _Rolled(key, until, version, table)
        return kept.table

    def _since(self, kept: int, version: int) -> int:
        """How early anything changed between what is kept and a moment, whichever is the earlier one."""
        return self._changes.since(min(kept, version), max(kept, version))

    def _between(
        self, moment: Moment, since: int, until: int, rules: Rules, version: int, fresh: dict[int, tuple[_Bucket, int]]
    ) -> _Totals:
        number = -(-until // FIVE_MS)
        bucket, at = fresh.get(number) or self._buckets.get(number) or (_Bucket((number - 1) * FIVE_MS), version)
        bucket.cut(self._since(at, version) - 1)
        if bucket.until_ms < until:
            bucket.extend(self._series, rises(moment, self._series, bucket.until_ms, until, rules), until)
        fresh[number] = bucket, version
        return bucket.between(len(self._series), since, until)

    def _add(self, table: Exact, slot: int, found: _Totals) -> None:
        """Add what each series counted to the parts that it belongs to."""
        high, low, nanos = (np.add.reduceat(it[self._place], self._first) for it in found)
        if bool((np.abs(high) < 1).all()) and bool((np.abs(low) < _LARGE).all()):
            table[self._used, slot] += (low * NANO + nanos).astype(object)
        else:
            units = (high.astype(object) << 32) + low.astype(object)
            table[self._used, slot] += units * NANO + nanos.astype(object)


def _within(piece: Piece, edges: Sequence[int], first_ms: int) -> list[tuple[int, int]]:
    """A piece as stretches of one bucket and one slot each; none of the time before the first sample."""
    begin = max(piece.since_ms, min(first_ms - 1, piece.until_ms))
    inner = {at for at in edges if begin < at < piece.until_ms}
    marks = range((begin // FIVE_MS + 1) * FIVE_MS, piece.until_ms, FIVE_MS)
    bounds = sorted({begin, piece.until_ms, *inner, *marks})
    return list(pairwise(bounds))

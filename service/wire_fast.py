"""Batches by the compiled readers: samples as arrays, series by their hash, the rest by the other readers.

A body's simple parts never become messages. A series that is seen for the first time is read by the other readers, who
alone know the rules of names and labels; so both ways give the same series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.decode import IngestRefused, Limits
from service.flat import NONE
from service.model import BatchIdentity, Metadata, MetricBatch, Series
from service.quota import Quota
from service.series_book import SeriesBook
from service.wire_jit import kernel
from service.wire_table import HIGH, LOW, ROW_WORDS, Found, Ints, Picked, WireTable

MOST_LEFT = 100_000
"""Frames of one body that are left to the other readers; beyond, they read all of it."""
_FULL = -2


class Numbers(Protocol):
    """The store's directory, as far as it is asked here."""

    epoch: int

    def numbers_of(self, found: Sequence[Series], /) -> list[int]:
        """The number of each series, 0 where it is not known."""
        ...


class Scanned(NamedTuple):
    """What a compiled reader found, and the frames that it left."""

    rows: Ints
    size: int
    left: Ints
    any_start: bool = False
    """Whether rows of gauges may have a start, which means nothing."""


class New(NamedTuple):
    """Series that were not in the table: for each of the rows asked about a series or why it can't be taken."""

    series: Sequence[Series | str]
    counters: Sequence[bool]
    metadata: Sequence[Metadata] = ()


class FastWire:
    """What the compiled readers need between requests; safe to use from any thread."""

    def __init__(self, limits: Limits, quota: Quota, book: SeriesBook, directory: Numbers, most: int) -> None:
        """At most `most` hashes are kept."""
        self.limits = limits
        self.table = WireTable(most)
        self._quota, self._book, self._directory = quota, book, directory
        self._generation, self._epoch = book.generation, directory.epoch
        self._counter = np.zeros(1024, np.bool_)
        self._stored = np.zeros(1024, np.int64)

    @property
    def ready(self) -> bool:
        """Whether the compiled readers are there."""
        return kernel("scan_otlp") is not None and self.limits.series >= self.limits.points

    def rows(self, room: int) -> Ints:
        """Empty rows for a body that holds at most `room` samples."""
        return np.empty((min(room, self.limits.points), ROW_WORDS), np.int64)

    def checked(self, count: int) -> bool:
        """False where a body is left to the other readers as a whole; 413 where it has too many samples."""
        if count == _FULL:
            raise IngestRefused(413, f"the batch has more than the {self.limits.points} samples taken at once")
        return count >= 0

    def batch(
        self,
        scanned: Scanned,
        sender: str,
        identity: BatchIdentity | None,
        resolve: Callable[[Ints], New | None],
        more: Callable[[Found], MetricBatch],
    ) -> MetricBatch | None:
        """The whole batch; None where the other readers must read it.

        `resolve` reads the series of rows that are not known, `more` gives what is not in the rows. Raises OverQuota.
        """
        with self._quota.lock:
            self._renew()
            found, told = self.table.look_up(scanned.rows, scanned.size), Counter[str]()
            metadata: Sequence[Metadata] = ()
            if len(found.misses):
                new = self._learn(scanned.rows, found, sender, resolve)
                if new is None:
                    return None
                metadata = new.metadata
                found = self.table.look_up(scanned.rows, scanned.size)
                if len(found.misses):
                    return None
            self._quota.touch(sender, found.numbers)
            further = more(found)
            if len(further.series):
                self._quota.series(sender, further.series)
            numbers = self._numbers(found.numbers)
            kinds = self._counter[found.numbers].astype(np.int64)
            series = self._book.series
            told.update(self.table.refused(found.places) if scanned.size and found.places.min() < 0 else {})
        return _joined(scanned, found, identity, series, kinds, numbers, further, self._epoch, told, metadata,
                       self._directory)  # fmt: skip

    def _renew(self) -> None:
        """What was numbered before the book or the store began anew is forgotten."""
        if self._book.generation != self._generation:
            self._generation = self._book.generation
            self.table.clear()
            self._stored[:] = 0
        if self._directory.epoch != self._epoch:
            self._epoch = self._directory.epoch
            self._stored[:] = 0

    def _learn(self, rows: Ints, found: Found, sender: str, resolve: Callable[[Ints], New | None]) -> New | None:
        _, first = np.unique(rows[found.misses, LOW], return_index=True)
        asked = found.misses[np.sort(first)]
        new = resolve(asked)
        if new is None:
            return None
        good = [it for it in new.series if not isinstance(it, str)]
        numbers = iter(self._quota.series(sender, good).tolist())
        self._renew()
        given = [self.table.refusal(it) if isinstance(it, str) else next(numbers) for it in new.series]
        self._reserve()
        for number, counter in zip(given, new.counters, strict=True):
            if number >= 0:
                self._counter[number] = counter
        words = rows[asked].view(np.uint64)
        self.table.put(words[:, LOW].copy(), words[:, HIGH].copy(), np.array(given, np.int64))
        return new

    def _reserve(self) -> None:
        while len(self._counter) < len(self._book):
            self._counter = np.concatenate([self._counter, np.zeros_like(self._counter)])
            self._stored = np.concatenate([self._stored, np.zeros_like(self._stored)])

    def _numbers(self, numbers: Ints) -> Ints:
        """The store's numbers of series of the book."""
        stored: Ints = self._stored[numbers]
        unknown = np.flatnonzero(stored == 0)
        if len(unknown):
            series = [self._book.series[it] for it in numbers[unknown].tolist()]
            stored[unknown] = self._directory.numbers_of(series)
            self._stored[numbers[unknown]] = stored[unknown]
        return stored


def _joined(
    scanned: Scanned,
    found: Found,
    identity: BatchIdentity | None,
    series: Sequence[Series],
    counters: Ints,
    numbers: Ints,
    more: MetricBatch,
    epoch: int,
    refused: Counter[str],
    metadata: Sequence[Metadata],
    directory: Numbers,
) -> MetricBatch:
    columns: list[NDArray[Any]] = [found.places, found.ts_ms, found.value, found.start_ms]
    if scanned.any_start and len(counters):
        columns[3] = np.where(counters[np.maximum(found.places, 0)] == 1, columns[3], NONE)
    if refused:
        kept = found.places >= 0
        columns = [it[kept] for it in columns]
    if len(more.series):
        further = _arrays(more, len(found.numbers))
        columns = [np.concatenate(pair) for pair in zip(columns, further, strict=True)]
        numbers = np.concatenate([numbers, np.array(directory.numbers_of(more.series), np.int64)])
    places, ts_ms, value, start_ms = columns
    return MetricBatch(
        identity=identity,
        series=Picked(series, found.numbers, more.series),
        kinds=Picked(("gauge", "counter"), counters, more.kinds),
        series_index=places,
        ts_ms=ts_ms,
        value=value,
        start_ms=start_ms,
        refused=dict(Counter(more.refused) + refused),
        metadata=(*metadata, *more.metadata),
        numbers=numbers,
        epoch=epoch,
    )


def _arrays(batch: MetricBatch, offset: int) -> list[NDArray[Any]]:
    starts = [NONE if start is None else start for start in batch.start_ms]
    return [
        np.asarray(batch.series_index, np.int64) + offset,
        np.asarray(batch.ts_ms, np.int64),
        np.asarray(batch.value, np.float64),
        np.asarray(starts, np.int64),
    ]


EMPTY = MetricBatch(None, (), (), (), (), (), ())
"""Nothing."""

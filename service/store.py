"""The store: samples, increments and covered time behind `service.model.SampleStore`; one file, one writer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from service.bucket_spans import BucketSpans
from service.errors import StoreUnavailable
from service.flat import NONE
from service.increments import DEFAULT as RULES
from service.increments import Rules
from service.model import InstantPoint, Metadata, MetricBatch, RangeSeries
from service.samples import Matcher, Selected
from service.store_append import Appender, Bounds, Plan, Stored
from service.store_counts import Reading, slice_counts, window_counts
from service.store_db import DEFAULT as RESOURCES
from service.store_db import Cursor, Database, Resources
from service.store_keep import Dropped, used_bytes
from service.store_keeper import Keeper
from service.store_known import Covers, Group, Known, KnownBook
from service.store_layout import make_templates
from service.store_memory import Memory
from service.store_range import increases, instant, last_values
from service.store_running import Running
from service.store_seal import leftovers
from service.store_slices import SliceBook
from service.store_sums import settled
from slo.model import Counts, Indicator, Selector

_LOG = logging.getLogger(__name__)
DEFAULT_BOUNDS = Bounds()


class Store:
    """Samples in DuckDB. Safe to use from any thread: writes run one after another, reads beside them."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        bounds: Bounds = DEFAULT_BOUNDS,
        rules: Rules = RULES,
        resources: Resources = RESOURCES,
    ) -> None:
        """Open or make the file; `clock` gives milliseconds UTC. Raises StoreFault."""
        self.database = Database(path, resources)
        self.memory = Memory(self.database, bounds, rules)
        self.directory, self.state, self.streams = self.memory.directory, self.memory.state, self.memory.streams
        self._bounds, self._rules = bounds, rules
        self._slices = SliceBook(self.directory)
        self._indicators, self._covers = KnownBook(self.directory), Covers()
        self._running = Running(self.memory.changes)
        self._buckets = BucketSpans(self.directory)
        self._appender = Appender(
            self.directory, self.state, self.streams, self.memory.metadata, bounds, rules, clock,
            watched=self._slices.metrics,
        )  # fmt: skip
        self.keeper = Keeper(self.database, self.memory, self._slices, bounds, rules, clock)
        self.database.write(make_templates)
        self.database.write(leftovers)
        self.database.write(self.memory.load)
        self.database.reopened = self.memory.load

    @property
    def dropped(self) -> Counter[str]:
        """Tables dropped since this process began, by `kind:reason`."""
        return self.keeper.dropped

    @property
    def sample_counts(self) -> Counter[str]:
        """Samples since this process began: `stored`, and of them `late`."""
        return self._appender.counts

    @property
    def bounds(self) -> Bounds:
        """The bounds that hold."""
        return self._bounds

    def append(self, batch: MetricBatch) -> bool:
        """Store the batch durably; False where its identity was seen before. Raises StoreUnavailable."""
        return self.append_counted(batch).new

    def append_counted(self, batch: MetricBatch) -> Stored:
        """Store the batch durably; whether it was new, and how many points were left out, by reason."""
        if self.memory.open_samples() > self._bounds.open_samples:
            self.keeper.counts["turned_away"] += 1
            raise StoreUnavailable(
                f"more than {self._bounds.open_samples} samples are not sealed yet; try again later, send less, or "
                "raise service.memory.open_samples"
            )
        refused: Counter[str] = Counter()
        for piece in self._appender.pieces(batch):
            stored = self.database.write(lambda cursor, it=piece: self._write(cursor, it), self._apply).stored  # type: ignore[misc]
            refused.update(stored.refused)
        return stored._replace(refused=dict(refused))

    def instant(self, selector: Selector, at_ms: int, lookback_ms: int = 300_000) -> list[InstantPoint]:
        """The last sample of each series in `(at - lookback, at]`."""
        ids = self.directory.select(selector)
        columns = self.state.columns
        if len(ids) and int(np.maximum(columns.last_ms[ids], self.state.odd_ms[ids]).max()) <= at_ms:
            there = (columns.last_ms[ids] > at_ms - lookback_ms) & (columns.last_ms[ids] > self.state.odd_ms[ids])
            last = [(number, self.state.last(number)) for number in ids[there].tolist()]
            return [InstantPoint(self.directory.series(number), it.ts_ms, it.value) for number, it in last if it]
        with self.memory.reading(lambda: self.directory.select(selector)) as (moment, ids):
            return instant(moment, self.directory, ids, at_ms, lookback_ms)

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """The samples in `(since, until]` of all series that match; raises SelectFault, TooManySamples."""
        ids, found = self.memory.gather(tuple(matchers), since_ms, until_ms, limit)
        there = np.diff(found.offsets) > 0
        offsets = np.append(found.offsets[:-1][there], found.offsets[-1:])
        return Selected(self.directory.full_labels(ids[there]), offsets, found.ts_ms, found.values)

    def metadata(self) -> list[Metadata]:
        """What senders told of metrics."""
        return list(self.memory.metadata.values())

    def recent_labels(self, metric: str, since_ms: int) -> list[Mapping[str, str]]:
        """The labels of those series of a metric that had a sample after `since`."""
        last_ms = self.state.columns.last_ms
        return [it for number, it in self.directory.labels_of(metric).items() if last_ms[number] > since_ms]

    def bounds_since(self, metric: str) -> Mapping[tuple[str, str], int]:
        """From when on all of a service's histograms have a bound, by (service, `le`); absent where always."""
        self._buckets.shape(metric)  # takes longer than writes are to wait
        with self.database.still():
            return self._buckets.since_ms(metric, self.state.columns)

    def range(
        self, selector: Selector, since_ms: int, until_ms: int, step_ms: int, of: Literal["last", "increase"] = "last"
    ) -> list[RangeSeries]:
        """Per series and step `(t - step, t]` the last value, or the summed increments; None where there is none."""
        with self.memory.reading(lambda: self.directory.select(selector)) as (moment, ids):
            if of == "last":
                return last_values(moment, self.directory, ids, since_ms, until_ms, step_ms)
            runs = {number: self.state.runs(number) for number in ids.tolist()}
            edges = [*range(since_ms, until_ms, step_ms), until_ms]
            return increases(moment, self.directory, ids, edges, runs, self._rules)

    def counts(self, indicator: Indicator, windows_ms: Sequence[int], until_ms: int) -> list[Counts]:
        """Exact counts of each window `(until - window, until]`, in the order asked.

        A window that begins where single increments are gone already begins at a multiple of five minutes: see its
        `since_ms`.
        """
        return self.counts_of([indicator], [windows_ms], until_ms)[0]

    def counts_of(
        self, indicators: Sequence[Indicator], windows_ms: Sequence[Sequence[int]], until_ms: int
    ) -> list[list[Counts]]:
        """The counts of many indicators in one reading, each with its own windows."""
        with self._reading(indicators) as reading:
            return window_counts(reading, windows_ms, until_ms, self._running)

    def slices(self, indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Exact counts of each slice `(edges[i], edges[i + 1]]` of each indicator; edges ascend."""
        with self._reading(indicators) as reading:
            return slice_counts(reading, edges_ms)

    def moved(self, edges_ms: Sequence[int]) -> list[int]:
        """The edges as counting moves them: back to the begin of their bucket, where single samples are gone."""
        return settled(self.memory.layout, edges_ms)

    def counts_of_work(self) -> dict[str, int]:
        """Blocks sealed, days written anew, batches turned away, chunks let go of from memory, since this began."""
        return {**dict.fromkeys(("sealed", "rewritten", "turned_away"), 0), **self.keeper.counts,
                "evicted": self.memory.planes.evicted}  # fmt: skip

    def keep(self) -> list[Dropped]:
        """Roll up, seal, note the state, drop what is too old or too much; to be called every few minutes."""
        return self.keeper.keep()

    def used_bytes(self) -> int:
        """Bytes of the file that are in use."""
        with self.database.read(used_bytes) as (_, found):
            return found

    def span(self) -> tuple[int | None, int | None]:
        """(oldest first sight of any series, newest sample of any)."""
        columns = self.state.columns
        firsts = columns.first_ms[columns.first_ms != NONE]
        lasts = columns.last_ms[columns.last_ms != NONE]
        return (int(firsts.min()) if len(firsts) else None, int(lasts.max()) if len(lasts) else None)

    def close(self) -> None:
        """Note the state, which only makes the next start faster, and let go of the file."""
        try:
            self.database.write(lambda cursor: self.keeper.note(cursor, self.memory.layout))
        except StoreUnavailable as fault:
            _LOG.warning("%s", fault)
        self.database.close()

    def _write(self, cursor: Cursor, batch: MetricBatch) -> Plan:
        plan = self._appender.write(self.memory.moment_of_writer(cursor), batch)
        for name, first_ms in self._slices.disturbed(plan.stored.earliest_ms):
            cursor.execute("DELETE FROM minute_slices WHERE indicator = ? AND minute_ms >= ?", [name, first_ms])
        return plan

    def _apply(self, plan: Plan) -> None:
        self._appender.apply(plan)
        self.memory.take(plan)
        self._slices.disturbed(plan.stored.earliest_ms)

    @contextmanager
    def _reading(self, indicators: Sequence[Indicator]) -> Iterator[Reading]:
        def look() -> tuple[Group, list[Known], int, int]:
            group = self._indicators.group(indicators)
            return group, group.known(self.state, self._covers), self._slices.version, self.memory.changes.version

        with self.memory.reading(look) as (moment, (group, found, version, changes)):
            yield Reading(moment, self._rules, group, found, self._slices, version, changes)

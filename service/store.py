"""The store: samples, increments and covered time behind `service.model.SampleStore`; one file, one writer."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from service.errors import StoreUnavailable
from service.increments import DEFAULT as RULES
from service.increments import Rules
from service.model import InstantPoint, MetricBatch, RangeSeries, Series
from service.store_append import Appender, Bounds, Plan, Stored, take
from service.store_batch import Rows, added
from service.store_counts import Reading, known, slice_counts, window_counts
from service.store_db import DEFAULT as RESOURCES
from service.store_db import Cursor, Database, Resources
from service.store_keep import Dropped, drop_most, drop_old, note_state, roll_up, used_bytes
from service.store_layout import Layout, make_templates, read_layout
from service.store_range import increases, instant, last_values
from service.store_schema import table
from service.store_series import Directory, Ids, decode_labels
from service.store_slices import SliceBook
from service.store_state import NONE, SeriesState
from service.streams import Streams
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
        self.directory = Directory()
        self.state = SeriesState()
        self.streams = Streams(bounds.streams)
        self.dropped: Counter[str] = Counter()
        """Tables dropped since this process began, by `kind:reason`."""
        self._clock, self._bounds, self._rules = clock, bounds, rules
        self._slices = SliceBook(self.directory)
        self._appender = Appender(
            self.directory, self.state, self.streams, bounds, rules, clock, watched=self._slices.metrics
        )
        self._keeping = threading.Lock()
        self.database.write(make_templates)
        self.database.write(self._load)
        self.database.reopened = self._load

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
        return self.database.write(lambda cursor: self._write(cursor, batch), self._apply).stored

    def instant(self, selector: Selector, at_ms: int, lookback_ms: int = 300_000) -> list[InstantPoint]:
        """The last sample of each series in `(at - lookback, at]`."""
        ids = self.directory.select(selector)
        columns = self.state.columns
        if len(ids) and int(columns.last_ms[ids].max()) <= at_ms:
            seen = ids[columns.last_ms[ids] > at_ms - lookback_ms].tolist()
            last = [(number, self.state.last(number)) for number in seen]
            return [InstantPoint(self.directory.series(number), it.ts_ms, it.value) for number, it in last if it]
        with self._moment(selector) as (cursor, layout, ids):
            return instant(cursor, layout, self.directory, ids, at_ms, lookback_ms)

    def recent_labels(self, metric: str, since_ms: int) -> list[Mapping[str, str]]:
        """The labels of those series of a metric that had a sample after `since`."""
        last_ms = self.state.columns.last_ms
        return [it for number, it in self.directory.labels_of(metric).items() if last_ms[number] > since_ms]

    def range(
        self, selector: Selector, since_ms: int, until_ms: int, step_ms: int, of: Literal["last", "increase"] = "last"
    ) -> list[RangeSeries]:
        """Per series and step `(t - step, t]` the last value, or the summed increments; None where there is none."""
        with self._moment(selector) as (cursor, layout, ids):
            if of == "last":
                return last_values(cursor, layout, self.directory, ids, since_ms, until_ms, step_ms)
            runs = {number: self.state.runs(number) for number in ids.tolist()}
            edges = [*range(since_ms, until_ms, step_ms), until_ms]
            return increases(cursor, layout, self.directory, ids, edges, runs)

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
            return window_counts(reading, windows_ms, until_ms)

    def slices(self, indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Exact counts of each slice `(edges[i], edges[i + 1]]` of each indicator; edges ascend."""
        with self._reading(indicators) as reading:
            return slice_counts(reading, edges_ms)

    def keep(self) -> list[Dropped]:
        """Roll up, note the state, drop what is too old or too much; to be called every few minutes."""
        with self._keeping:
            now = self._clock()
            until = self.database.write(lambda cursor: self._roll_up(cursor, now), self._slices.saved)
            _LOG.debug("rolled up until %d", until)
            dropped = self.database.write(lambda cursor: drop_old(cursor, self._bounds, now))
            while (most := self.database.write(lambda cursor: drop_most(cursor, self._bounds))) is not None:
                dropped.append(most)
                self.database.checkpoint()
            self.database.write(self._forget_dead, self._forgotten)
            self.dropped.update(f"{it.kind}:{it.reason}" for it in dropped)
            return dropped

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
            self.database.write(lambda cursor: note_state(cursor, self.state, self.directory.numbers()))
        except StoreUnavailable as fault:
            _LOG.warning("%s", fault)
        self.database.close()

    def _write(self, cursor: Cursor, batch: MetricBatch) -> Plan:
        plan = self._appender.write(cursor, batch)
        for name, first_ms in self._slices.disturbed(plan.stored.earliest_ms):
            cursor.execute("DELETE FROM minute_slices WHERE indicator = ? AND minute_ms >= ?", [name, first_ms])
        return plan

    def _apply(self, plan: Plan) -> None:
        self._appender.apply(plan)
        self._slices.disturbed(plan.stored.earliest_ms)

    def _roll_up(self, cursor: Cursor, now_ms: int) -> int:
        until = roll_up(cursor, now_ms)
        note_state(cursor, self.state, self.directory.numbers())
        self.streams.compact(cursor)
        for name, minute_ms, bad in self._slices.unsaved(until):
            cursor.execute("INSERT INTO minute_slices VALUES (?, ?, ?)", [name, minute_ms, bad])
        return until

    def _forget_dead(self, cursor: Cursor) -> list[int]:
        """Series that nothing can ask for any more: their samples are gone, and no rollup counts for an objective."""
        now, last_ms = self._clock(), self.state.columns.last_ms
        raw, rollup = now - self._bounds.raw_ms - 86_400_000, now - self._bounds.rollup_ms
        dead = [
            number
            for number, series in self.directory.items()
            if last_ms[number] < (raw if series.metric.startswith("container_") else rollup)
        ]
        for number in dead:
            for name in ("series", "runs", "series_state"):
                cursor.execute(f"DELETE FROM {name} WHERE series_id = ?", [number])  # noqa: S608 - names of ours
        return dead

    def _forgotten(self, dead: list[int]) -> None:
        self.directory.remove(dead)
        self.state.forget(dead)

    @contextmanager
    def _moment(self, selector: Selector) -> Iterator[tuple[Cursor, Layout, Ids]]:
        def look(cursor: Cursor) -> tuple[Layout, Ids]:
            return read_layout(cursor), self.directory.select(selector)

        with self.database.read(look) as (cursor, (layout, ids)):
            yield cursor, layout, ids

    @contextmanager
    def _reading(self, indicators: Sequence[Indicator]) -> Iterator[Reading]:
        def look(cursor: Cursor) -> Reading:
            found = [known(it, self.directory, self.state) for it in indicators]
            return Reading(cursor, read_layout(cursor), found, self._slices, self._slices.version)

        with self.database.read(look) as (_, reading):
            yield reading

    def _load(self, cursor: Cursor) -> None:
        """Read series, states and runs, and go through the samples that came after the state was noted."""
        self.directory.clear()
        self.state.clear()
        rows = cursor.execute("SELECT series_id, metric, labels, counter FROM series").fetchall()
        self.directory.add((number, Series(metric, decode_labels(labels))) for number, metric, labels, _ in rows)
        self.state.reserve(self.directory.next_id)
        self.state.counter[[number for number, *_ in rows]] = [counter for *_, counter in rows]
        # rows of one series are read in the order in which they were written: the last one holds
        for row in cursor.execute("SELECT * FROM series_state ORDER BY rowid").fetchall():
            self.state.put(row)
        closed = cursor.execute("SELECT series_id, from_ms, to_ms FROM runs ORDER BY ALL").fetchall()
        self.state.close_runs(closed)
        self.streams.load(cursor)
        layout, known_rows = read_layout(cursor), dict(cursor.execute("SELECT * FROM replayed").fetchall())
        for period in layout.periods["samples"]:
            self._replay(cursor, period, known_rows.get(period, 0))

    def _replay(self, cursor: Cursor, period: int, known_rows: int) -> None:
        found = cursor.execute(
            f"SELECT series_id, ts_ms, value, coalesce(start_ms, {NONE}) AS start_ms "  # noqa: S608 - names of ours
            f"FROM {table('samples', period)} WHERE rowid >= ? ORDER BY series_id, ts_ms",
            [known_rows],
        ).fetchnumpy()
        ids = np.asarray(found["series_id"], np.int64)
        rows = Rows(
            ids,
            np.asarray(found["ts_ms"], np.int64),
            np.asarray(found["value"], np.float64),
            np.asarray(found["start_ms"], np.int64),
            self.state.counter[ids],
        )
        rows = rows.where(rows.ts_ms > self.state.columns.last_ms[rows.series])
        take(self.state, added(rows, self.state.columns, {}, self._rules))

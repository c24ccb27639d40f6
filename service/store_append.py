"""Storing one batch of samples: all of it, with its identity, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from service.increments import NANO, Floats, Ints, Rules
from service.model import MetricBatch, Series
from service.store_batch import Added, Rows, added, ordered, rows_of, screened
from service.store_db import Cursor
from service.store_late import Mended, mend
from service.store_layout import Layout, ensure, read_layout
from service.store_schema import FIVE_MS, HOUR_MS, PERIOD_MS, table
from service.store_series import Directory, encode_labels
from service.store_state import FIRST_SIGHT, NONE, SeriesState
from service.streams import Streams, Written


@dataclass(frozen=True)
class Bounds:
    """Bounds of the store; what is beyond is refused or dropped, and counted."""

    series: int = 200_000
    raw_ms: int = 7 * 86_400_000
    """How long samples, increments and log lines are kept."""
    rollup_ms: int = 400 * 86_400_000
    """How long rollups, events, judgements and resolved incidents are kept."""
    disk_bytes: int = 20 * 2**30
    """What the file may use; beyond, the oldest days of samples and logs go first."""
    streams: int = 10_000
    """Streams of batches whose highest sequence is remembered."""


class Stored(NamedTuple):
    """How a batch was taken: `new` is False where its identity was seen before; points left out, by reason."""

    new: bool
    refused: Mapping[str, int] = {}
    earliest_ms: Mapping[str, int] = {}
    """The earliest sample of each metric that is watched."""


@dataclass
class Plan:
    """What a transaction wrote, to be taken into memory once it is durable."""

    stored: Stored
    identity: Written | None = None
    new_series: list[tuple[int, Series]] = field(default_factory=list)
    added: Added | None = None
    mended: list[Mended] = field(default_factory=list)
    samples: int = 0


@dataclass
class Appender:
    """Stores batches; its methods run on the writing thread alone."""

    directory: Directory
    state: SeriesState
    streams: Streams
    bounds: Bounds
    rules: Rules
    clock: Callable[[], int]
    watched: Callable[[], frozenset[str]]
    """Metrics of which is to be told how early a batch reaches."""
    counts: Counter[str] = field(default_factory=Counter)
    """Samples stored, and of them those that came late, since this process began."""

    def write(self, cursor: Cursor, batch: MetricBatch) -> Plan:
        """Write a batch in the cursor's transaction; nothing in memory has changed yet."""
        now = self.clock()
        if batch.identity is not None and self.streams.seen(batch.identity):
            return Plan(Stored(False))
        layout = read_layout(cursor)
        rows, refused = screened(rows_of(batch), now - self.bounds.raw_ms, now)
        earliest = _earliest(batch, rows, self.watched())
        rows, new_series, over = self._numbered(batch, rows)
        if over:
            refused["series_limit"] = over
        rows, other = screened(self._of_kind(rows, batch, new_series), now - self.bounds.raw_ms, now)
        refused |= other
        rows, twice = ordered(rows)
        if twice:
            refused["same_moment"] = twice
        plan = Plan(Stored(True, refused, earliest), new_series=new_series)
        _write_series(cursor, batch, new_series)
        self._write_rows(cursor, layout, rows, plan)
        if batch.identity is not None:
            plan.identity = self.streams.write(cursor, batch.identity, now)
        return plan

    def apply(self, plan: Plan) -> None:
        """Take a written batch into memory."""
        self.counts.update({"stored": plan.samples, "late": sum(len(it.samples) for it in plan.mended)})
        self.streams.apply(plan.identity)
        self.directory.add(plan.new_series)
        for mended in plan.mended:
            self.state.put(mended.row)
            self.state.replace_closed(mended.series_id, mended.closed)
        if plan.added is not None:
            take(self.state, plan.added)
            self.state.close_runs(plan.added.closed)

    def _numbered(self, batch: MetricBatch, rows: Rows) -> tuple[Rows, list[tuple[int, Series]], int]:
        """Rows by the numbers of their series; new series are numbered up to the bound, the rest is left out."""
        numbers = np.array(self.directory.numbers_of(batch.series), np.int64)
        missing = np.unique(rows.series[numbers[rows.series] == 0]).tolist() if len(rows) else []
        new: dict[Series, int] = {}
        room = self.bounds.series - len(self.directory)
        for index in missing:
            series = batch.series[index]
            if series not in new and len(new) < room:
                new[series] = self.directory.next_id + len(new)
            numbers[index] = new.get(series, 0)
        found = Rows(numbers[rows.series], rows.ts_ms, rows.value, rows.start_ms, rows.counter)
        kept = found.series > 0
        return found.where(kept), [(number, series) for series, number in new.items()], int((~kept).sum())

    def _of_kind(self, rows: Rows, batch: MetricBatch, new: list[tuple[int, Series]]) -> Rows:
        """The rows by the kind that their series has had from the first."""
        self.state.reserve(self.directory.next_id + len(new))
        kinds = dict(zip(batch.series, batch.kinds, strict=True))
        for number, series in new:
            self.state.counter[number] = kinds[series] == "counter"
        counter = self.state.counter[rows.series]
        return Rows(rows.series, rows.ts_ms, rows.value, np.where(counter, rows.start_ms, NONE), counter)

    def _write_rows(self, cursor: Cursor, layout: Layout, rows: Rows, plan: Plan) -> None:
        fresh = rows.ts_ms > self.state.columns.last_ms[rows.series]
        late = rows.where(~fresh)
        if len(late):
            plan.mended = mend(cursor, layout, late, self.state, self.rules)
            plan.stored = plan.stored._replace(refused=_with_repeats(plan, len(late)))
        run_from = {it.series_id: it.row[7] for it in plan.mended}
        plan.added = added(rows.where(fresh), self.state.columns, run_from, self.rules)
        taken = [rows.where(fresh), *(_late_rows(it) for it in plan.mended)]
        plan.samples = sum(map(len, taken))
        for part in taken:
            layout = write_samples(cursor, layout, part)
        layout = write_increments(cursor, layout, *plan.added[:4])
        layout = write_increments(cursor, layout, *_differences(plan.mended))
        _write_runs(cursor, plan.added.closed)
        _write_mended(cursor, plan)


def take(state: SeriesState, found: Added) -> None:
    """Set the columns of the series that got rows; what is known of a first sight stays."""
    sight = state.columns.first_ms[found.ids] == NONE
    for name, values in vars(found.columns).items():
        mask = sight if name in FIRST_SIGHT else slice(None)
        getattr(state.columns, name)[found.ids[mask]] = values[mask]


def write_samples(cursor: Cursor, layout: Layout, rows: Rows) -> Layout:
    """Append samples to the tables of their days."""
    for period in np.unique(rows.ts_ms // PERIOD_MS["samples"]).tolist():
        layout = ensure(cursor, layout, "samples", period)
        part = rows.where(rows.ts_ms // PERIOD_MS["samples"] == period)
        start = pa.array(part.start_ms, mask=part.start_ms == NONE)
        insert(
            cursor,
            table("samples", period),
            {"series_id": part.series.astype(np.uint32), "ts_ms": part.ts_ms, "value": part.value, "start_ms": start},
        )
    return layout


def write_increments(cursor: Cursor, layout: Layout, series: Ints, ts_ms: Ints, units: Ints, nanos: Ints) -> Layout:
    """Append increments, and add them to those buckets that are rolled up already."""
    hours_until = layout.rolled_ms // HOUR_MS * HOUR_MS
    fives, hours = -(-ts_ms // FIVE_MS) * FIVE_MS, -(-ts_ms // HOUR_MS) * HOUR_MS
    for kind, moments, mask in (
        ("increments", ts_ms, np.ones(len(ts_ms), np.bool_)),
        ("fives", fives, fives <= layout.rolled_ms),
        ("hours", hours, hours <= hours_until),
    ):
        for period in np.unique(moments[mask] // PERIOD_MS[kind]).tolist():
            layout = ensure(cursor, layout, kind, period)
            at = mask & (moments // PERIOD_MS[kind] == period)
            columns = {"series_id": series[at].astype(np.uint32), "ts_ms": moments[at]}
            insert(cursor, table(kind, period), {**columns, "units": units[at], "nanos": nanos[at]})
    return layout


def insert(cursor: Cursor, into: str, columns: Mapping[str, Ints | Floats | pa.Array]) -> None:
    """Append rows, given as columns, to a table."""
    cursor.register("incoming", pa.table(dict(columns)))
    cursor.execute(f"INSERT INTO {into} SELECT * FROM incoming")  # noqa: S608 - a name of ours
    cursor.unregister("incoming")


def _write_series(cursor: Cursor, batch: MetricBatch, new: list[tuple[int, Series]]) -> None:
    if not new:
        return
    counters = {series: kind == "counter" for series, kind in zip(batch.series, batch.kinds, strict=True)}
    columns = {
        "series_id": pa.array([number for number, _ in new], pa.uint32()),
        "metric": pa.array([series.metric for _, series in new], pa.string()),
        "labels": pa.array([encode_labels(series.labels) for _, series in new], pa.string()),
        "counter": pa.array([counters[series] for _, series in new], pa.bool_()),
    }
    insert(cursor, "series", columns)


def _write_runs(cursor: Cursor, runs: Sequence[tuple[int, int, int]]) -> None:
    rows = np.array(list(runs), np.int64).reshape(-1, 3)
    if len(rows):
        insert(cursor, "runs", {"series_id": rows[:, 0].astype(np.uint32), "from_ms": rows[:, 1], "to_ms": rows[:, 2]})


def _write_mended(cursor: Cursor, plan: Plan) -> None:
    """Late samples change what stands of a series: its runs are written anew, and its state."""
    after = _states_after(plan)
    for mended in plan.mended:
        cursor.execute("DELETE FROM runs WHERE series_id = ?", [mended.series_id])
        closed = plan.added.closed if plan.added else ()
        later = [(begin, end) for number, begin, end in closed if number == mended.series_id]
        _write_runs(cursor, [(mended.series_id, *run) for run in (*mended.closed, *later)])
        cursor.execute("INSERT INTO series_state VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(after[mended.series_id]))


def _states_after(plan: Plan) -> dict[int, tuple[object, ...]]:
    found: dict[int, tuple[object, ...]] = {it.series_id: it.row for it in plan.mended}
    if plan.added is not None:
        columns = plan.added.columns
        for at, number in enumerate(plan.added.ids.tolist()):
            if number in found:
                fresh = [values[at].item() for values in vars(columns).values()]
                found[number] = (number, *found[number][1:4], *fresh[3:])
    return found


def _late_rows(mended: Mended) -> Rows:
    samples = mended.samples
    return Rows(
        np.full(len(samples), mended.series_id, np.int64),
        np.array([it.ts_ms for it in samples], np.int64),
        np.array([it.value for it in samples], np.float64),
        np.array([NONE if it.start_ms is None else it.start_ms for it in samples], np.int64),
        np.zeros(len(samples), np.bool_),
    )


def _differences(mended: list[Mended]) -> tuple[Ints, Ints, Ints, Ints]:
    rows = [(it.series_id, ts, *divmod(change, NANO)) for it in mended for ts, change in it.differences]
    columns = np.array(rows, np.int64).reshape(-1, 4)
    return columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3]


def _with_repeats(plan: Plan, late: int) -> dict[str, int]:
    known = late - sum(len(it.samples) for it in plan.mended)
    return {
        **plan.stored.refused,
        **({"same_moment": plan.stored.refused.get("same_moment", 0) + known} if known else {}),
    }


def _earliest(batch: MetricBatch, rows: Rows, watched: frozenset[str]) -> dict[str, int]:
    """When the first of the rows is, of each metric that is watched; rows are by index into the batch's series."""
    mine = {index: it.metric for index, it in enumerate(batch.series) if it.metric in watched}
    found: dict[str, int] = {}
    at = np.isin(rows.series, list(mine)) if mine else np.zeros(len(rows), np.bool_)
    for index, ts in zip(rows.series[at].tolist(), rows.ts_ms[at].tolist(), strict=True):
        found[mine[index]] = min(ts, found.get(mine[index], ts))
    return found

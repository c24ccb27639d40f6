"""Storing one batch of samples: all of it, with its identity, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.flat import NONE, Flat, heads, offsets
from service.increments import NANO, Ints, Rules
from service.model import Metadata, MetricBatch, Series
from service.store_batch import Added, Rows, added, concatenated, ordered, rows_of, screened
from service.store_db import Cursor
from service.store_late import Mended, known, mend, pieces
from service.store_layout import Layout
from service.store_near import Asked, near
from service.store_rises import Rises
from service.store_schema import BLOCK_MS
from service.store_series import Directory, encode_labels
from service.store_state import FIRST_SIGHT, Columns, SeriesState
from service.store_view import Moment
from service.store_write import insert, write_frame, write_rises
from service.streams import Streams, Written


@dataclass(frozen=True)
class Bounds:
    """Bounds of the store; what is beyond is refused or dropped, and counted."""

    series: int = 200_000
    raw_ms: int = 7 * 86_400_000
    """How long samples and log lines are kept."""
    rollup_ms: int = 400 * 86_400_000
    """How long rollups, events, judgements and resolved incidents are kept."""
    disk_bytes: int = 20 * 2**30
    """What the file may use; beyond, the oldest days of samples and logs go first."""
    streams: int = 10_000
    """Streams of batches whose highest sequence is remembered."""
    planes_bytes: int = 256 * 2**20
    """Inflated chunks that are kept in memory."""
    open_samples: int = 200_000_000
    """Samples of blocks that are not sealed, 28 bytes of memory each; beyond, batches are turned away for now."""
    metadata: int = 20_000
    """Metrics whose type, help and unit are kept."""


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
    layout: Layout
    identity: Written | None = None
    new_series: list[tuple[int, Series, int]] = field(default_factory=list)
    added: Added | None = None
    mended: list[Mended] = field(default_factory=list)
    frames: list[tuple[int, Flat]] = field(default_factory=list)
    """What came to the head of each block."""
    metadata: list[Metadata] = field(default_factory=list)
    samples: int = 0
    earliest_ms: int = 2**62

    def left_out(self, same: int, conflicts: int) -> None:
        """Count samples whose moment is taken: those that are there already, and those that say otherwise."""
        refused = Counter(self.stored.refused) + Counter(same_moment=same, conflict=conflicts)
        self.stored = self.stored._replace(refused=dict(refused))


@dataclass
class Appender:
    """Stores batches; its methods run on the writing thread alone."""

    directory: Directory
    state: SeriesState
    streams: Streams
    metadata: dict[str, Metadata]
    """What senders told of metrics, by name."""
    bounds: Bounds
    rules: Rules
    clock: Callable[[], int]
    watched: Callable[[], frozenset[str]]
    """Metrics of which is to be told how early a batch reaches."""
    counts: Counter[str] = field(default_factory=Counter)
    """Samples stored, and of them those that came late, since this process began."""

    def write(self, moment: Moment, batch: MetricBatch) -> Plan:
        """Write a batch in the moment's transaction; nothing in memory has changed yet."""
        cursor, now = moment.writing(), self.clock()
        if batch.identity is not None and self.streams.seen(batch.identity):
            return Plan(Stored(False), moment.layout)
        numbers, new, over = self._numbers(batch)
        self._reserve(batch, new)
        rows = rows_of(batch, numbers, self.state.counter[numbers])
        rows, refused = screened(rows, now - self.bounds.raw_ms, now)
        earliest = self._earliest(rows, {number: series for number, series, _ in new})
        if over:
            known = rows.series > 0
            refused |= {"series_limit": int((~known).sum())} if not known.all() else {}
            rows = rows.where(known)
        rows, same, conflicts = ordered(rows)
        new = _used(new, rows) if new else new
        plan = Plan(Stored(True, refused, earliest), moment.layout, new_series=new)
        plan.left_out(same, conflicts)
        if batch.identity is not None:
            plan.identity = self.streams.marked(batch.identity, now)
        _write_series(cursor, new, self.state.counter)
        self._write_rows(cursor, moment, rows, plan)
        plan.metadata = self._write_metadata(cursor, batch.metadata) if batch.metadata else []
        if batch.identity is not None and not plan.frames:
            self.streams.write(cursor, batch.identity, now)
        return plan

    def apply(self, plan: Plan) -> None:
        """Take a written batch into memory; heads are the store's."""
        self.counts.update({"stored": plan.samples, "late": sum(it.samples for it in plan.mended)})
        self.streams.apply(plan.identity)
        if plan.new_series:
            self.directory.add(plan.new_series)
        for mended in plan.mended:
            self.state.put(mended.row)
            self.state.change_closed(mended.series_id, mended.runs)
        if plan.added is not None:
            take(self.state, plan.added)
            if plan.added.closed:
                self.state.close_runs(plan.added.closed)
        for it in plan.metadata:
            self.metadata[it.metric] = it

    def _numbers(self, batch: MetricBatch) -> tuple[Ints, list[tuple[int, Series, int]], bool]:
        """The number of each series of a batch; new ones are numbered up to the bound, the others stay 0."""
        if len(batch.numbers) and batch.epoch == self.directory.epoch:
            numbers = np.array(batch.numbers, np.int64)
        else:
            numbers = np.array(self.directory.numbers_of(batch.series), np.int64)
        missing = np.flatnonzero(numbers == 0).tolist()
        if not missing:
            return numbers, [], False
        new: dict[Series, int] = {}
        room = self.bounds.series - len(self.directory)
        for index in missing:
            series = batch.series[index]
            known = new.get(series) or self.directory.numbers_of([series])[0]
            if not known and len(new) < room:
                known = new[series] = self.directory.next_id + len(new)
            numbers[index] = known
        named = [(number, series) for series, number in new.items()]
        groups = self.directory.grouped(named)
        found = [(*it, group) for it, group in zip(named, groups, strict=True)]
        return numbers, found, bool((numbers == 0).any())

    def _reserve(self, batch: MetricBatch, new: Sequence[tuple[int, Series, int]]) -> None:
        """Make room for new series, and note their kind: a series keeps the one that it has had from the first."""
        if not new:
            return
        self.state.reserve(self.directory.next_id + len(new))
        kinds = dict(zip(batch.series, batch.kinds, strict=True))
        for number, series, _ in new:
            self.state.counter[number] = kinds[series] == "counter"

    def _earliest(self, rows: Rows, new: Mapping[int, Series]) -> dict[str, int]:
        """When the first of the rows is, of each metric that is watched."""
        watched = self.watched()
        found: dict[str, int] = {}
        if not watched or not len(rows):
            return found
        mine = np.flatnonzero(self.directory.of_metrics(rows.series, watched))
        if new:
            names = np.array([number for number, series in new.items() if series.metric in watched], np.int64)
            mine = np.concatenate([mine, np.flatnonzero(np.isin(rows.series, names))])
        for number, ts in zip(rows.series[mine].tolist(), rows.ts_ms[mine].tolist(), strict=True):
            metric = (new[number] if number in new else self.directory.series(number)).metric
            found[metric] = min(ts, found.get(metric, ts))
        return found

    def pieces(self, batch: MetricBatch) -> list[MetricBatch]:
        """A batch as it is to be stored, one transaction each; may be called from any thread, as a guess."""
        if not len(batch.ts_ms) or (batch.identity is not None and self.streams.seen(batch.identity)):
            return [batch]
        known = len(batch.numbers) and batch.epoch == self.directory.epoch
        numbers = np.array(batch.numbers if known else self.directory.numbers_of(batch.series), np.int64)
        columns, odd_ms = self.state.columns, self.state.odd_ms
        newest = np.maximum(columns.last_ms[numbers], odd_ms[numbers])
        late = np.asarray(batch.ts_ms, np.int64) <= newest[np.asarray(batch.series_index, np.int64)]
        return pieces(batch, late) if late.any() else [batch]

    def _write_rows(self, cursor: Cursor, moment: Moment, rows: Rows, plan: Plan) -> None:
        last_ms = self.state.columns.last_ms[rows.series]
        doubtful = rows.ts_ms <= np.maximum(last_ms, self.state.odd_ms[rows.series])
        if doubtful.any():
            rows = self._mend(moment, rows, doubtful, plan)
            last_ms = self.state.columns.last_ms[rows.series]
        finite = np.isfinite(rows.value)
        new = rows.where(finite & (rows.ts_ms > last_ms)) if doubtful.any() or not finite.all() else rows
        run_from = {it.series_id: it.row[7] for it in plan.mended}
        plan.added = added(new, self.state.columns, run_from, self.rules, plan.layout.rolled_ms)
        taken = rows.flat()
        plan.samples = taken.size
        self._write_frames(cursor, taken, plan)
        plan.layout = write_rises(cursor, plan.layout, Rises(*plan.added[:4]))
        if plan.mended:
            plan.layout = write_rises(cursor, plan.layout, _differences(plan.mended))
        _write_runs(cursor, plan.added.closed)
        _write_mended(cursor, plan)

    def _mend(self, moment: Moment, rows: Rows, doubtful: NDArray[np.bool_], plan: Plan) -> Rows:
        """Note what late rows change; the rows without those whose moment is taken."""
        asked = rows.where(doubtful)
        begin, end = heads(asked.series), offsets(asked.series)[1:] - 1
        found = near(moment, Asked(asked.series[begin], asked.ts_ms[begin], asked.ts_ms[end]))
        self.counts["read_for_late"] += found.read
        new, same, conflicts = known(asked, found.inside)
        plan.left_out(same, conflicts)
        late = new.where(np.isfinite(new.value) & (new.ts_ms <= self.state.columns.last_ms[new.series]))
        plan.mended = mend(late, found.numbers, self.state, self.rules) if len(late) else []
        if not same and not conflicts:
            return rows
        return ordered(concatenated([new, rows.where(~doubtful)])).rows

    def _write_frames(self, cursor: Cursor, taken: Flat, plan: Plan) -> None:
        if not taken.size:
            return
        first, last = int(taken.ts_ms.min()), int(taken.ts_ms.max())
        plan.earliest_ms = first
        if first // BLOCK_MS == last // BLOCK_MS:
            plan.frames = [(first // BLOCK_MS, taken)]
        else:
            blocks = taken.ts_ms // BLOCK_MS
            plan.frames = [(block, taken.where(blocks == block)) for block in np.unique(blocks).tolist()]
        for block, flat in plan.frames:
            plan.layout = write_frame(cursor, plan.layout, block, flat, plan.identity)

    def _write_metadata(self, cursor: Cursor, told: Sequence[Metadata]) -> list[Metadata]:
        """Write what is new of it, as long as there is room."""
        last = {it.metric: it for it in told}
        found = []
        room = self.bounds.metadata - len(self.metadata)
        for it in last.values():
            if self.metadata.get(it.metric) == it or (it.metric not in self.metadata and room <= 0):
                continue
            room -= it.metric not in self.metadata
            found.append(it)
        columns = {name: pa.array([getattr(it, name) for it in found], pa.string()) for name in Metadata._fields}
        if found:
            insert(cursor, "metadata", columns)
        return found


def take(state: SeriesState, found: Added) -> None:
    """Set the columns of the series that got rows; what is known of a first sight stays."""
    sight = state.columns.first_ms[found.ids] == NONE
    new = bool(sight.any())
    for name, values in vars(found.columns).items():
        if name not in FIRST_SIGHT:
            getattr(state.columns, name)[found.ids] = values
        elif new:
            getattr(state.columns, name)[found.ids[sight]] = values[sight]


def _used(new: Sequence[tuple[int, Series, int]], rows: Rows) -> list[tuple[int, Series, int]]:
    """Those of the new series of which anything is stored."""
    present = set(np.unique(rows.series).tolist())
    return [it for it in new if it[0] in present]


def _write_series(cursor: Cursor, new: Sequence[tuple[int, Series, int]], counter: NDArray[np.bool_]) -> None:
    if not new:
        return
    columns = {
        "series_id": pa.array([number for number, *_ in new], pa.uint32()),
        "metric": pa.array([series.metric for _, series, _ in new], pa.string()),
        "labels": pa.array([encode_labels(series.labels) for _, series, _ in new], pa.string()),
        "counter": pa.array([bool(counter[number]) for number, *_ in new], pa.bool_()),
        "grp": pa.array([group for *_, group in new], pa.uint32()),
    }
    insert(cursor, "series", columns)


def _write_runs(cursor: Cursor, runs: Sequence[tuple[int, int, int]]) -> None:
    if runs:
        rows = np.array(list(runs), np.int64).reshape(-1, 3)
        insert(cursor, "runs", {"series_id": rows[:, 0].astype(np.uint32), "from_ms": rows[:, 1], "to_ms": rows[:, 2]})


def _write_mended(cursor: Cursor, plan: Plan) -> None:
    """Late samples change what stands of a series: some of its runs, and its state; one statement each for all."""
    gone = [(it.series_id, *run) for it in plan.mended for run in it.runs.gone if run not in it.runs.new]
    if gone:
        rows = np.array(gone, np.int64)
        cursor.register("gone", pa.table({"series_id": rows[:, 0].astype(np.uint32), "from_ms": rows[:, 1]}))
        cursor.execute("DELETE FROM runs WHERE (series_id, from_ms) IN (SELECT (series_id, from_ms) FROM gone)")
        cursor.unregister("gone")
    _write_runs(cursor, [(it.series_id, *run) for it in plan.mended for run in it.runs.new if run not in it.runs.gone])
    changed = [it for it in plan.mended if it.row != it.before]
    if changed:
        after = _states_after(plan)
        columns = zip(*(after[it.series_id] for it in changed), strict=True)
        names = ("series_id", *Columns.__annotations__)
        insert(cursor, "series_state", dict(zip(names, (pa.array(it) for it in columns), strict=True)))


def _states_after(plan: Plan) -> dict[int, tuple[object, ...]]:
    found: dict[int, tuple[object, ...]] = {it.series_id: it.row for it in plan.mended}
    if plan.added is not None:
        columns = plan.added.columns
        for at, number in enumerate(plan.added.ids.tolist()):
            if number in found:
                fresh = [values[at].item() for values in vars(columns).values()]
                found[number] = (number, *found[number][1:4], *fresh[3:])
    return found


def _differences(mended: list[Mended]) -> Rises:
    rows = [(it.series_id, ts, *divmod(change, NANO)) for it in mended for ts, change in it.differences]
    columns = np.array(rows, np.int64).reshape(-1, 4)
    return Rises(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])

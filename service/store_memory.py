"""What the store holds in memory beside its tables: series and their state, open blocks, the layout, read chunks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from service.flat import Flat, empty, joined, ordered
from service.increments import Rules
from service.model import Metadata, Series
from service.samples import Matcher
from service.store_append import Bounds, Plan, take
from service.store_batch import Rows, added
from service.store_db import Cursor, Database
from service.store_head import Head, HeadRuns, read_head
from service.store_keep import read_carry
from service.store_layout import Layout, read_layout
from service.store_planes import PlaneCache
from service.store_running import Changes
from service.store_schema import BLOCKS_PER_DAY
from service.store_series import Directory, Ids, decode_many
from service.store_state import SeriesState
from service.store_view import Gathered, Moment
from service.streams import Streams

T = TypeVar("T")
NEVER_MS = 2**62


class Memory:
    """Changed by the writing thread alone, while no reader takes its moment."""

    def __init__(self, database: Database, bounds: Bounds, rules: Rules) -> None:
        self.directory = Directory()
        self.state = SeriesState()
        self.streams = Streams(bounds.streams)
        self.planes = PlaneCache(bounds.planes_bytes)
        self.heads: dict[int, Head] = {}
        self.layout = Layout({}, 0)
        self.changes = Changes()
        self.metadata: dict[str, Metadata] = {}
        """What senders told of metrics, by name."""
        self.touched_ms = NEVER_MS
        """The earliest sample that came since this was set to NEVER_MS."""
        self._database, self._rules = database, rules

    def moment(self, cursor: Cursor | None) -> Moment:
        """This moment, to be read by the cursor in a transaction of the same one."""
        heads = {block: head.runs() for block, head in self.heads.items()}
        return Moment(cursor, self.layout, heads, self.directory.groups, self.state, self.planes)

    def moment_of_writer(self, cursor: Cursor) -> Moment:
        """The same for the writing thread, beside which nothing changes."""
        return Moment(cursor, self.layout, HeadRuns(self.heads), self.directory.groups, self.state, self.planes)

    @contextmanager
    def reading(self, ask: Callable[[], T]) -> Iterator[tuple[Moment, T]]:
        """One moment to read, and what `ask` found in memory then."""
        self.settle()

        def look(cursor: Cursor) -> tuple[Moment, T]:
            cursor.execute("SELECT version FROM meta").fetchall()
            return self.moment(cursor), ask()

        with self._database.read(look) as (_, found):
            yield found

    def settle(self) -> None:
        """Merge small runs of open blocks, as readers do before they take their moment."""
        for head in list(self.heads.values()):
            head.settle()

    def gather(self, matchers: tuple[Matcher, ...], since_ms: int, until_ms: int, limit: int) -> tuple[Ids, Gathered]:
        """The series that match and their samples; from memory alone where all is there."""
        self.settle()
        with self._database.still():
            ids, moment = self.directory.match(matchers), self.moment(None)
        if moment.complete(ids, since_ms, until_ms):
            try:
                return ids, moment.gather(ids, since_ms, until_ms, limit=limit)
            except LookupError:
                pass  # let go of in between
        with self.reading(lambda: self.directory.match(matchers)) as (moment, ids):
            return ids, moment.gather(ids, since_ms, until_ms, limit=limit)

    def take(self, plan: Plan) -> None:
        """Take what was written of samples."""
        self.layout = plan.layout
        self.touched_ms = min(self.touched_ms, plan.earliest_ms)
        self.changes.came(plan.earliest_ms)
        for block, flat in plan.frames:
            self.heads.setdefault(block, Head()).add(flat)
            self.state.note_odd(flat)

    def open_samples(self) -> int:
        """Samples of blocks that are not sealed."""
        return sum(head.samples for head in list(self.heads.values()))

    def last_of_heads(self, day: int) -> Flat:
        """The last number of each series in the open blocks of a day."""
        mine = [head.runs() for block, head in self.heads.items() if block // BLOCKS_PER_DAY == day]
        flat = ordered(joined([run for runs in mine for run in runs]).finite()) if mine else empty()
        tail = np.ones(flat.size, np.bool_)
        tail[:-1] = flat.series[1:] != flat.series[:-1]
        return flat.where(tail)

    def set_layout(self, layout: Layout) -> None:
        """Take a changed layout; heads of which there is no table any more are let go of."""
        if layout.raw_days() != self.layout.raw_days():
            self.changes.came(0)
        self.layout = layout
        for block in [it for it in self.heads if it not in layout.periods["head"]]:
            del self.heads[block]

    def load(self, cursor: Cursor) -> None:
        """Read series, states and runs, and go through the samples that came after the state was noted."""
        with _uncollected():
            self._load(cursor)

    def _load(self, cursor: Cursor) -> None:
        self.changes.came(0)
        self.directory.clear()
        self.state.clear()
        self.planes.clear()
        self._load_series(cursor)
        columns = cursor.execute("SELECT * FROM series_state ORDER BY rowid").fetchnumpy()
        self.state.set_all({name: np.asarray(values) for name, values in columns.items()})
        closed = cursor.execute("SELECT series_id, from_ms, to_ms FROM runs ORDER BY ALL").fetchall()
        self.state.close_runs(closed)
        self.load_carry(cursor)
        told = cursor.execute("SELECT metric, type, help, unit FROM metadata ORDER BY rowid").fetchall()
        self.metadata.clear()
        self.metadata.update({row[0]: Metadata(*row) for row in told})
        self.layout, self.heads = read_layout(cursor), {}
        self.streams.load(cursor)
        known_rows = dict(cursor.execute("SELECT * FROM replayed").fetchall())
        for block in self.layout.periods["head"]:
            self.heads[block], fresh = read_head(cursor, block, known_rows.get(block, 0))
            for run in self.heads[block].runs():
                self.state.note_odd(run)
            self._replay(ordered(fresh.finite()))

    def load_carry(self, cursor: Cursor) -> None:
        """Read the last samples before the oldest day that is kept."""
        self.state.carry.put(read_carry(cursor))

    def _load_series(self, cursor: Cursor) -> None:
        rows = cursor.execute("SELECT series_id, metric, labels, counter, grp FROM series").fetchall()
        labels = decode_many([text for _, _, text, _, _ in rows])
        named = zip(rows, labels, strict=True)
        self.directory.add((number, Series(metric, its), grp) for (number, metric, _, _, grp), its in named)
        self.state.reserve(self.directory.next_id)
        self.state.counter[[number for number, *_ in rows]] = [counter for *_, counter, _ in rows]

    def _replay(self, flat: Flat) -> None:
        flat = flat.where(flat.ts_ms > self.state.columns.last_ms[flat.series])
        rows = Rows(*flat, self.state.counter[flat.series])
        take(self.state, added(rows, self.state.columns, {}, self._rules))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for cycles meanwhile: of a hundred thousand new objects that stay none is one."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

"""What the store does from time to time, beside those who write and read: each step with a write of its own."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from service.flat import NONE, joined
from service.increments import Rules
from service.store_append import Bounds
from service.store_db import Cursor, Database
from service.store_keep import (
    Dropped,
    drop_most,
    drop_old,
    due_ms,
    note_state,
    overdue,
    risen,
    roll_up,
    used_bytes,
)  # fmt: skip
from service.store_layout import Layout
from service.store_memory import NEVER_MS, Memory
from service.store_schema import BLOCK_MS, BLOCKS_PER_DAY, DAY_MS
from service.store_seal import (
    SEAL_AFTER_MS,
    Sheaf,
    begin_seal,
    cut_head,
    days_due,
    end_seal,
    make_anew,
    put_anew,
    rewritten,
    seal,
    write_sheaf,
)  # fmt: skip
from service.store_series import Ids
from service.store_slices import SliceBook

_LOG = logging.getLogger(__name__)
NOTE_MS = 1_800_000
"""How often the state of every series is written: a start goes through the samples that came since."""
CLEAN_MS = 3_600_000
"""How often rows are deleted of tables that are not of one period."""


class Keeper:
    """Rolls up, seals, writes days anew, drops what is over its time; one turn at a time."""

    def __init__(
        self, database: Database, memory: Memory, slices: SliceBook, bounds: Bounds, rules: Rules,
        clock: Callable[[], int],
    ) -> None:  # fmt: skip
        self.counts: Counter[str] = Counter()
        """Blocks sealed and days written anew since this process began."""
        self.dropped: Counter[str] = Counter()
        """Tables dropped since this process began, by `kind:reason`."""
        self._database, self._memory, self._slices = database, memory, slices
        self._bounds, self._rules, self._clock = bounds, rules, clock
        self._frames: dict[int, int] = {}
        """Frames of each head when the last turn ended."""
        self._noted_ms = self._cleaned_ms = 0
        self._begun_ms = clock()
        self._turn = threading.Lock()

    def keep(self) -> list[Dropped]:
        """One turn."""
        with self._turn:
            now = self._clock()
            self._roll_up(now)
            changed = self._seal_all(now) + self._rewrite_all(now)
            dropped = self._drop(now)
            self._forget_dead()
            self.dropped.update(f"{it.kind}:{it.reason}" for it in dropped)
            self._frames = {block: head.frames for block, head in list(self._memory.heads.items())}
            if changed or dropped:
                self._database.checkpoint()
            return dropped

    def note(self, cursor: Cursor, layout: Layout) -> None:
        """Write the state of every series, and how far each stream has come."""
        self._memory.streams.compact(cursor)
        note_state(cursor, layout, self._memory.state, self._memory.directory.numbers())

    def _roll_up(self, now_ms: int) -> None:
        until, memory = due_ms(now_ms), self._memory
        noting = now_ms - self._noted_ms >= NOTE_MS

        def begin() -> Ids:
            memory.touched_ms = NEVER_MS
            return memory.directory.ids()

        with memory.reading(begin) as (moment, ids):
            found = risen(moment, ids, until, self._rules) if until > moment.layout.rolled_ms else None

        def write(cursor: Cursor) -> Layout:
            layout = memory.layout
            if found is not None:
                # what came meanwhile of a time that is to be rolled up is in no bucket yet
                rises = found
                if memory.touched_ms <= until:
                    rises = risen(memory.moment_of_writer(cursor), memory.directory.ids(), until, self._rules)
                layout = roll_up(cursor, layout, rises, until)
            if noting:
                self.note(cursor, layout)
            for name, minute_ms, bad in self._slices.unsaved(layout.rolled_ms):
                cursor.execute("INSERT INTO minute_slices VALUES (?, ?, ?)", [name, minute_ms, bad])
            return layout

        def after(layout: Layout) -> None:
            memory.set_layout(layout)
            self._slices.saved(layout.rolled_ms)

        self._database.write(write, after)
        if noting:
            self._noted_ms = now_ms

    def _seal_all(self, now_ms: int) -> int:
        layout = self._memory.layout
        over = min(now_ms - SEAL_AFTER_MS, layout.rolled_ms)
        due = [it for it in layout.periods["head"] if it not in layout.sealed and (it + 1) * BLOCK_MS <= over]
        for block in due:
            self._seal(block)
        return len(due)

    def _seal(self, block: int) -> None:
        memory = self._memory
        head = memory.heads[block]
        with head.hold():
            with self._database.still():
                runs, frames, groups = head.runs(), head.frames, memory.directory.groups
            self._database.write(lambda cursor: begin_seal(cursor, memory.layout, block), memory.set_layout)
            for sheaf in seal(block, runs, groups):
                self._database.write(lambda cursor, it=sheaf: write_sheaf(cursor, block, it))  # type: ignore[misc]

            def write(cursor: Cursor) -> Layout:
                layout = end_seal(cursor, memory.layout, block, frames)
                self.note(cursor, layout)
                return layout

            def after(layout: Layout) -> None:
                memory.heads[block] = head.since(frames, len(runs))
                memory.set_layout(layout)

            self._database.write(write, after)
        self.counts["sealed"] += 1

    def _rewrite_all(self, now_ms: int) -> int:
        heads = list(self._memory.heads.items())
        quiet = frozenset(block for block, head in heads if self._frames.get(block) == head.frames)
        over = min(now_ms, self._memory.layout.rolled_ms)
        due = days_due(self._memory.layout, over, quiet)
        for day in due:
            self._rewrite(day)
        return len(due)

    def _rewrite(self, day: int) -> None:
        memory = self._memory
        mine = {block: head for block, head in memory.heads.items() if block // BLOCKS_PER_DAY == day}
        with ExitStack() as held:
            for head in mine.values():
                held.enter_context(head.hold())
            with self._database.still():
                taken = {block: (head.runs(), head.frames) for block, head in mine.items()}
                groups = memory.directory.groups
            chunks, stats = self._database.write(lambda cursor: make_anew(cursor, day))
            late = {block: joined(runs) for block, (runs, _) in taken.items() if runs}
            with self._database.cursor() as cursor:
                for sheaf in rewritten(cursor, memory.layout, day, late, groups):
                    self._database.write(lambda cursor, it=sheaf: _written(cursor, it, chunks, stats))  # type: ignore[misc]

            def write(cursor: Cursor) -> Layout:
                layout = put_anew(cursor, memory.layout, day)
                for block, (_, frames) in taken.items():
                    layout = cut_head(cursor, layout, block, frames)
                self.note(cursor, layout)
                return layout

            def after(layout: Layout) -> None:
                for block, (runs, frames) in taken.items():
                    memory.heads[block] = mine[block].since(frames, len(runs))
                memory.set_layout(layout)

            self._database.write(write, after)
        self.counts["rewritten"] += 1

    def _drop(self, now_ms: int) -> list[Dropped]:
        """Drop what is over its time, then the oldest days while the file uses more than its bound."""
        memory = self._memory

        def after(found: tuple[Layout, list[Dropped]]) -> None:
            memory.set_layout(found[0])

        def old(cursor: Cursor) -> tuple[Layout, list[Dropped]]:
            memory.streams.compact(cursor)
            return drop_old(cursor, memory.layout, self._bounds, now_ms, memory.last_of_heads)

        def most(cursor: Cursor) -> tuple[Layout, list[Dropped]]:
            memory.streams.compact(cursor)
            return drop_most(cursor, memory.layout, memory.last_of_heads)

        dropped: list[Dropped] = []
        if now_ms - self._cleaned_ms >= CLEAN_MS or overdue(memory.layout, self._bounds, now_ms):
            dropped += self._database.write(old, after)[1]
            self._cleaned_ms = now_ms
        while self._used() > self._bounds.disk_bytes and (more := self._database.write(most, after)[1]):
            dropped += more
            self._database.checkpoint()
        if dropped:
            self._database.write(memory.load_carry)
        return dropped

    def _used(self) -> int:
        with self._database.cursor() as cursor:
            return used_bytes(cursor)

    def _forget_dead(self) -> None:
        """Series that nothing can ask for any more: their samples are gone, and no rollup counts for an objective."""
        memory, now = self._memory, self._clock()
        raw, rollup = now - self._bounds.raw_ms - DAY_MS, now - self._bounds.rollup_ms

        def dead() -> list[int]:
            ids = memory.directory.ids()
            heard = np.maximum(memory.state.columns.last_ms[ids], memory.state.odd_ms[ids])
            # of a series that never had a number nothing is noted: it was heard when this process began, at best
            heard = np.where(heard == NONE, self._begun_ms, heard)
            silent = zip(ids[heard < raw].tolist(), heard[heard < raw].tolist(), strict=True)
            series = memory.directory.series
            return [it for it, at in silent if at < rollup or series(it).metric.startswith("container_")]

        def write(cursor: Cursor) -> list[int]:
            found = dead()
            for name in ("series", "runs", "series_state", "carry"):
                cursor.execute(f"DELETE FROM {name} WHERE series_id IN (SELECT unnest(?))", [found])  # noqa: S608
            return found

        def after(found: list[int]) -> None:
            memory.directory.remove(found)
            memory.state.forget(found)

        if dead():
            self._database.write(write, after)


def _written(cursor: Cursor, sheaf: Sheaf, chunks: str, stats: str) -> None:
    sheaf.write(cursor, chunks, stats)

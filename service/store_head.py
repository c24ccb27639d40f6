"""The frames of open blocks, as columns in memory beside the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

from service.flat import Flat, joined, ordered
from service.flat_frame import unpack
from service.store_db import Cursor
from service.store_schema import table

_FEW = 8


class Head:
    """One open block: runs of samples, each by series and time; who reads merges small ones, appending never does.

    Appended to by the writing thread alone, and only while no reader takes its moment.
    """

    def __init__(self, runs: Sequence[Flat] = (), frames: int = 0) -> None:
        self.frames = frames
        """Rows of its table."""
        self.samples = sum(it.size for it in runs)
        self._runs = list(runs)
        self._merging = threading.Lock()

    def add(self, flat: Flat) -> None:
        """Take one more frame's samples, by series and time."""
        self._runs.append(flat)
        self.frames += 1
        self.samples += flat.size

    def runs(self) -> tuple[Flat, ...]:
        """All runs as they are now; in order of coming."""
        return tuple(self._runs)

    def settle(self) -> None:
        """Merge small runs, so that there are few; skipped where another reader is at it."""
        if len(self._runs) <= _FEW or not self._merging.acquire(blocking=False):
            return
        try:
            mine = list(self._runs)
            at = _suffix([it.size for it in mine])
            if at < len(mine) - 1:
                merged = ordered(joined(mine[at:]))
                # those that came meanwhile stand behind; one statement, so that no reader sees half of it
                self._runs[at : len(mine)] = [merged]
        finally:
            self._merging.release()

    def since(self, frames: int, runs: int) -> Head:
        """A head of what came after its first `frames` frames, of which `runs` runs were made then."""
        return Head(self._runs[runs:], self.frames - frames)

    def hold(self) -> threading.Lock:
        """Held, nothing is merged."""
        return self._merging


class HeadRuns(Mapping[int, tuple[Flat, ...]]):
    """The runs of heads as they are when they are asked for."""

    def __init__(self, heads: Mapping[int, Head]) -> None:
        self._heads = heads

    def __getitem__(self, block: int) -> tuple[Flat, ...]:
        """Those of one block, which are few: late samples look at them for each batch."""
        self._heads[block].settle()
        return self._heads[block].runs()

    def __iter__(self) -> Iterator[int]:
        """The blocks."""
        return iter(self._heads)

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._heads)


def _suffix(sizes: Sequence[int]) -> int:
    """From which run on all are merged into one, so that sizes fall by half or more from run to run."""
    at, total = len(sizes) - 1, sizes[-1]
    while at > 0 and sizes[at - 1] < 2 * total:
        at -= 1
        total += sizes[at]
    return at


def read_head(cursor: Cursor, block: int, known_rows: int = 0) -> tuple[Head, Flat]:
    """The head of a block from its table, and of it the samples that came after its first `known_rows` rows."""
    rows = cursor.execute(f"SELECT data FROM {table('head', block)} ORDER BY rowid").fetchall()  # noqa: S608
    frames = [unpack(data) for (data,) in rows]
    whole = ordered(joined(frames)) if frames else None
    fresh = joined(frames[known_rows:])
    return Head([whole] if whole else [], len(frames)), fresh

"""Delta points added up per series, so that what is stored is cumulative.

Only memory holds the sums: after a restart a counter begins anew with the start of its next delta, which every reader
of counters takes as a reset. An up-down counter's sum is then counted from that moment. The number of series is
bounded; the one that was heard longest ago begins anew too.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from service.model import Series


class Buckets(NamedTuple):
    """A histogram's point: counts per bucket, keyed by upper bound (`inf` too), not accumulated over the bounds."""

    counts: dict[float, int]
    total: int
    sum: float | None


class Running(NamedTuple):
    """What a series has come to: a number or a histogram, since when and until when, in milliseconds."""

    total: float | Buckets
    start_ms: int | None
    until_ms: int


class Deltas:
    """The sums of all series; `turn` lets one batch at a time change them."""

    def __init__(self, most: int = 100_000) -> None:
        self.counts: Counter[str] = Counter()
        """`forgotten`: series given up for the bound, since this process began."""
        self._most = most
        self._known: dict[Series, Running] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many series are added up."""
        return len(self._known)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """A batch's turn: its sums are staged, and kept where it calls `keep` once it is stored."""
        turn = Turn(self._known, self._lock)
        try:
            yield turn
            if turn.kept:
                self._apply(turn.staged)
        finally:
            turn.release()

    def _apply(self, staged: dict[Series, Running]) -> None:
        for series, running in staged.items():
            self._known.pop(series, None)
            self._known[series] = running
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]
            self.counts["forgotten"] += 1


class Turn:
    """The sums as one batch changes them; nobody else has a turn from its first delta to its end."""

    def __init__(self, known: dict[Series, Running], lock: threading.Lock) -> None:
        self.staged: dict[Series, Running] = {}
        self.kept = False
        self._known, self._lock, self._held = known, lock, False

    def keep(self) -> None:
        """The batch is stored: its sums hold."""
        self.kept = True

    def forget(self) -> None:
        """Nothing of the batch was added after all: it is read anew."""
        self.staged.clear()

    def release(self) -> None:
        """Let the next batch have its turn."""
        if self._held:
            self._held = False
            self._lock.release()

    def add(self, series: Series, delta: float | Buckets, start_ms: int | None, ts_ms: int) -> Running | None:
        """What the series comes to with this delta; None where a delta of this moment or a later one was added."""
        if not self._held:
            self._lock.acquire()
            self._held = True
        before = self.staged.get(series) or self._known.get(series)
        if before is None:
            running = Running(delta, start_ms, ts_ms)
        elif ts_ms <= before.until_ms:
            return None
        else:
            running = Running(_sum(before.total, delta), before.start_ms, ts_ms)
        self.staged[series] = running
        return running

    def refusal(self, series: Series, ts_ms: int) -> str:
        """Why `add` took no delta of this moment: a batch that comes again is no loss, anything else is."""
        known = self._known.get(series)
        again = series not in self.staged and known is not None and known.until_ms == ts_ms
        return "same_moment" if again else "delta_out_of_order"


def _sum(total: float | Buckets, delta: float | Buckets) -> float | Buckets:
    """Their sum; where one is a histogram and the other a number, the series begins anew with the delta."""
    if isinstance(total, Buckets) and isinstance(delta, Buckets):
        counts = dict(total.counts)
        for bound, count in delta.counts.items():
            counts[bound] = counts.get(bound, 0) + count
        both = None if total.sum is None or delta.sum is None else total.sum + delta.sum
        return Buckets(counts, total.total + delta.total, both)
    if isinstance(total, Buckets) or isinstance(delta, Buckets):
        return delta
    return total + delta

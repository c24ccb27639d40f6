"""How much each sender may bring: samples a second, and series within a day.

What is over a bound is refused whole and before anything is stored (429, with the time to wait), so that whoever
sends it again loses nothing.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from service.model import Series
from service.series_book import SeriesBook

Limit = Literal["agent_series", "series", "agent_rate", "rate"]
BURST_SECONDS: Final = 10.0
"""So much of its rate a sender may bring at once, after a pause."""
MOST_AGENTS: Final = 10_000
SERIES_RETRY_SECONDS: Final = 60
_ALL = ""


class OverQuota(Exception):
    """A batch that is not taken now: which bound it is over, and when to come again."""

    def __init__(self, limit: Limit, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_seconds = retry_seconds


@dataclass(frozen=True)
class QuotaBounds:
    """How much is taken."""

    agent_series: int = 200_000
    series: int = 200_000
    agent_samples_per_second: int = 200_000
    samples_per_second: int = 2_000_000


class Quota:
    """The bounds as they are used up; safe to use from any thread."""

    def __init__(
        self,
        bounds: QuotaBounds,
        book: SeriesBook,
        clock: Callable[[], int],
        unknown: Callable[[Sequence[Series]], tuple[int, int]],
    ) -> None:
        """`unknown` tells how many of some series the store does not know, and for how many more it has room."""
        self._bounds, self._book, self._clock, self._unknown = bounds, book, clock, unknown
        self.lock = threading.RLock()
        """Held by whoever uses the book."""
        self._buckets: dict[str, tuple[float, int]] = {}
        """Samples that a sender may still bring (less than none after a large batch), and as of when."""
        self.counts: Counter[str] = Counter()
        """Batches refused, by limit."""

    def ask(self, agent: str) -> None:
        """Whether a sender may bring a batch now; asked before it is read. Raises OverQuota."""
        with self.lock:
            for name, limit in ((agent, "agent_rate"), (_ALL, "rate")):
                rate = self._rate(name)
                level = self._level(name, rate)
                if level <= 0:
                    seconds = max(1, math.ceil(-level / rate))
                    who = f"{agent[:80]!r} brings" if name else "all senders together bring"
                    self.counts[limit] += 1
                    raise OverQuota(limit, f"{who} more than {rate} samples a second", seconds)  # type: ignore[arg-type]

    def spend(self, agent: str, samples: int) -> None:
        """Take what a batch brought off its sender's share."""
        with self.lock:
            for name in (agent, _ALL):
                level = self._level(name, self._rate(name))
                self._buckets.pop(name, None)
                self._buckets[name] = (level - samples, self._clock())
            while len(self._buckets) > MOST_AGENTS:
                del self._buckets[next(iter(self._buckets))]

    def series(self, agent: str, series: Sequence[Series]) -> NDArray[np.int64]:
        """The numbers of a batch's series in the book; raises OverQuota where there would be too many."""
        with self.lock:
            now = self._clock()
            fresh = [it for it in series if not self._book.owned(it)]
            if fresh:
                self._check(agent, fresh, now)
            return self._book.take(agent, series, now)

    def touch(self, agent: str, numbers: NDArray[np.int64]) -> None:
        """Series that are in the book came again; raises OverQuota where those that nobody had are too many."""
        with self.lock:
            now = self._clock()
            free = self._book.unowned(numbers)
            if len(free):
                self._check(agent, [self._book.series[it] for it in free.tolist()], now)
            self._book.touch(agent, numbers, now)

    def _check(self, agent: str, fresh: Sequence[Series], now_ms: int) -> None:
        most = self._bounds.agent_series
        if self._book.count(agent) + len(fresh) > most:
            self._book.sweep(now_ms)
            if self._book.count(agent) + len(fresh) > most:
                self.counts["agent_series"] += 1
                said = f"{agent[:80]!r} would have more than its {most} series: see service.ingest.max_agent_series"
                raise OverQuota("agent_series", said, SERIES_RETRY_SECONDS)
        new, room = self._unknown(fresh)
        if new > room:
            self.counts["series"] += 1
            said = f"{new} new series are more than there is room for ({room}): see service.max_series"
            raise OverQuota("series", said, SERIES_RETRY_SECONDS)

    def _rate(self, name: str) -> int:
        return self._bounds.agent_samples_per_second if name != _ALL else self._bounds.samples_per_second

    def _level(self, name: str, rate: int) -> float:
        full = rate * BURST_SECONDS
        level, at = self._buckets.get(name, (full, 0))
        return min(full, level + rate * max(0, self._clock() - at) / 1000)

"""Every series that senders brought lately, numbered for this process: whose it is, and when it came last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.model import Series

DAY_MS = 86_400_000
_NOBODY = 0


class SeriesBook:
    """Numbers from 0; changed under its user's lock. Beyond its bound it is emptied and begins a new generation."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.generation = 0
        """Grows when all numbers are given anew."""
        self.series: list[Series] = []
        """By number."""
        self._most = most
        self._numbers: dict[Series, int] = {}
        self._owner = np.zeros(1024, np.int32)
        self._seen_ms = np.zeros(1024, np.int64)
        self._agents: dict[str, int] = {}
        self._counts: Counter[int] = Counter()

    def __len__(self) -> int:
        """How many series are numbered."""
        return len(self.series)

    def owned(self, series: Series) -> bool:
        """Whether somebody brought the series lately."""
        number = self._numbers.get(series)
        return number is not None and bool(self._owner[number] != _NOBODY)

    def unowned(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of these series that nobody brought lately."""
        found: NDArray[np.int64] = numbers[self._owner[numbers] == _NOBODY]
        return found

    def count(self, agent: str) -> int:
        """How many series are a sender's."""
        return self._counts[self._agents.get(agent, _NOBODY)] if agent in self._agents else 0

    def take(self, agent: str, series: Sequence[Series], now_ms: int) -> NDArray[np.int64]:
        """The numbers of the series, which came now; what nobody had is the sender's."""
        if len(self.series) + len(series) > self._most:
            self._begin_anew()
        known, numbers = self._numbers, []
        for it in series:
            number = known.setdefault(it, len(self.series))
            if number == len(self.series):
                self.series.append(it)
            numbers.append(number)
        found = np.asarray(numbers, np.int64)
        self.touch(agent, found, now_ms)
        return found

    def touch(self, agent: str, numbers: NDArray[np.int64], now_ms: int) -> None:
        """Series by number came now; what nobody had is the sender's."""
        while len(self._owner) < len(self.series):
            self._owner = np.concatenate([self._owner, np.zeros_like(self._owner)])
            self._seen_ms = np.concatenate([self._seen_ms, np.zeros_like(self._seen_ms)])
        whose = self._agents.setdefault(agent, len(self._agents) + 1)
        free = np.unique(numbers[self._owner[numbers] == _NOBODY])
        self._owner[free] = whose
        self._counts[whose] += len(free)
        self._seen_ms[numbers] = now_ms

    def sweep(self, now_ms: int) -> None:
        """Series that did not come for a day are nobody's."""
        used = slice(0, len(self.series))
        old = (self._seen_ms[used] < now_ms - DAY_MS) & (self._owner[used] != _NOBODY)
        for whose, count in zip(*np.unique(self._owner[used][old], return_counts=True), strict=True):
            self._counts[int(whose)] -= int(count)
        self._owner[used][old] = _NOBODY

    def _begin_anew(self) -> None:
        self.generation += 1
        self.series, self._numbers = [], {}
        self._owner[:], self._seen_ms[:] = 0, 0
        self._agents, self._counts = {}, Counter()

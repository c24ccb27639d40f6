"""Samples in memory: what queries are tried on without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.promql.regex import anchored
from service.samples import STALE_BITS, Matcher, Selected, TooManySamples

STALE = float(np.array([STALE_BITS], np.int64).view(np.float64)[0])
Column = tuple[NDArray[np.int64], NDArray[np.float64]]


class MemorySamples:
    """Series held as arrays; later samples of a moment replace earlier ones."""

    def __init__(self) -> None:
        self._series: dict[frozenset[tuple[str, str]], Column] = {}

    def add(self, labels: Mapping[str, str], ts_ms: Sequence[int] | NDArray[np.int64], values: object) -> None:
        """More samples of one series; bits of values are kept."""
        ts, given = np.asarray(ts_ms, np.int64), np.array(values, np.float64)
        if not len(ts):
            return
        key = frozenset((name, value) for name, value in labels.items() if value)
        old_ts, old = self._series.get(key, (np.zeros(0, np.int64), np.zeros(0)))
        ts, bits = np.concatenate((old_ts, ts)), np.concatenate((old, given)).view(np.int64)
        order = np.argsort(ts, kind="stable")
        last = np.append(np.diff(ts[order]) > 0, True)
        self._series[key] = (ts[order][last], bits[order][last].view(np.float64))

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """As the protocol has it."""
        labels: list[Mapping[str, str]] = []
        parts: list[Column] = []
        for key, (ts, values) in self._series.items():
            mine = dict(key)
            if all(_matches(it, mine.get(it.name, "")) for it in matchers):
                low, high = np.searchsorted(ts, (since_ms, until_ms), "right")
                if high > low:
                    labels.append(mine)
                    parts.append((ts[low:high], values[low:high]))
        sizes = [len(it[0]) for it in parts]
        if sum(sizes) > limit:
            raise TooManySamples(f"{sum(sizes)} samples match, more than {limit}")
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)))
        ts = np.concatenate([it[0] for it in parts]) if parts else np.zeros(0, np.int64)
        bits = np.concatenate([it[1].view(np.int64) for it in parts]) if parts else np.zeros(0, np.int64)
        return Selected(labels, offsets, ts, bits.view(np.float64))


def _matches(matcher: Matcher, value: str) -> bool:
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (anchored(matcher.value).fullmatch(value) is not None) == (matcher.op == "=~")

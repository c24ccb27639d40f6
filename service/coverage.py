"""Covered time: unions of intervals and their measure up to a moment; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, int]
"""(from, to) in milliseconds: `(from, to]` is covered, and a sample stands at `to`."""


class Cover(NamedTuple):
    """Disjoint covered intervals in order of time."""

    runs: tuple[Run, ...]

    def until(self, at_ms: int) -> int:
        """Covered milliseconds up to a moment."""
        return sum(min(end, at_ms) - begin for begin, end in self.runs if begin < at_ms)

    def between(self, since_ms: int, until_ms: int) -> int:
        """Covered milliseconds of `(since, until]`."""
        runs, found = self.runs, 0
        first = bisect_right(runs, since_ms, key=_end) if len(runs) > 1 else 0
        for begin, end in runs[first:] if first else runs:
            if begin >= until_ms:
                break
            found += max(0, (end if end < until_ms else until_ms) - (begin if begin > since_ms else since_ms))
        return found


def _end(run: Run) -> int:
    return run[1]


def union(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Cover:
    """The union of intervals in any order; those that touch become one."""
    if len(starts) == 0:
        return Cover(())
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    reach = np.maximum.accumulate(ends)
    first = np.ones(len(starts), bool)
    first[1:] = starts[1:] > reach[:-1]
    last = np.append(np.flatnonzero(first)[1:] - 1, len(starts) - 1)
    return Cover(tuple(zip(starts[first].tolist(), reach[last].tolist(), strict=True)))


def joined(runs: Iterable[Run]) -> list[Run]:
    """The union of runs as a list, those that touch joined."""
    found: list[Run] = []
    for begin, end in sorted(runs):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def without(runs: Sequence[Run], since_ms: int, until_ms: int) -> list[Run]:
    """The runs less `(since, until]`."""
    left = [(begin, min(end, since_ms)) for begin, end in runs if begin < since_ms or end <= since_ms]
    right = [(max(begin, until_ms), end) for begin, end in runs if end > until_ms]
    return sorted({*left, *right})

"""Counts of an objective over history, one element per step of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slo.stepped_taken import Taken

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64] | NDArray[np.object_]
NONE = 2**61
"""A moment that never was."""
FIVE_MS = 300_000


@dataclass(frozen=True)
class History:
    """Counts of contiguous steps of `step_ms`, the first of which begins at `since_ms`; one element per step."""

    since_ms: int
    step_ms: int
    bad: Whole
    """Bad events; good ones with `good`."""
    total: Whole
    observed_ms: Ints
    first_ms: int | None
    """First sight of any series."""
    events: int = 1
    """What one event counts; windows are rounded to whole events once, half to even."""
    good: bool = False
    coarse_ms: int = 0
    """Up to then what was counted in five minutes stands at their end."""
    flags: tuple[Ints, Ints] | None = None
    """Of a query's steps which had anything bad, and which had traffic, where steps are what is counted."""
    judged: Ints | None = None
    """Slices that were judged when their samples were there: rows of (end, what it spent, whether it had traffic)."""
    taken: Taken | None = None
    """What adjustments take out."""

    @property
    def ends_ms(self) -> Ints:
        """When each step ends."""
        return self.since_ms + self.step_ms * np.arange(1, len(self.bad) + 1)


def counted(history: History, bad: Whole, total: Whole) -> tuple[Whole, Whole]:
    """Windows in whole events: bad ones from good ones where these are counted, rounded once."""
    if history.good:
        bad = np.maximum(0, total - bad)
    return (bad, total) if history.events == 1 else (rounded(bad, history.events), rounded(total, history.events))


def rounded(values: Whole, unit: int) -> Whole:
    """The quotients, half to even."""
    whole, rest = values // unit, values % unit
    twice = 2 * rest
    up = (twice > unit) | ((twice == unit) & (whole % 2 == 1))
    found: Whole = whole + up
    return found

"""Revisions of an indicator's samples: up to when what was counted of them before still holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.increments import DEFAULT as RULES
from service.ports import Readings
from service.store_running import Changes
from service.store_series import Ids
from slo.model import Allowance, EventRatio, Indicator, MinuteSlices, Selector

REACH_MS: Final = RULES.first_ms
"""How far before its own time a sample may change what was observed: no further than a counter's start."""


class Revision(NamedTuple):
    """What is known of an indicator's samples: how many came late, since when each series is seen, and its last."""

    late: int
    numbers: Ids
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    version: int = 0
    changes: Changes | None = None
    """Tells how early anything came since another version; without it late samples may be of any time."""


Revisions = Callable[[Indicator], Revision | None]
"""Tells the present revision of an indicator's samples; None where it can't be told."""


def valid_ms(before: Revision | None, now: Revision | None) -> int | None:
    """Up to when what was counted before still holds; None where all does."""
    if before is None or now is None:
        return 0
    known = {n: (first, last) for n, first, last in _rows(before)}
    found = [
        first if n not in known else known[n][1] if first == known[n][0] else min(first, known[n][0], known[n][1])
        for n, first, last in _rows(now)
        if known.get(n) != (first, last)
    ]
    if before.late != now.late:
        earliest_ms = 0 if now.changes is None else now.changes.since(before.version, now.version)
        found.append(max(0, earliest_ms - 1 - REACH_MS))
    return min(found, default=None)


def _rows(of: Revision) -> Iterator[tuple[int, int, int]]:
    return zip(of.numbers.tolist(), of.first_ms.tolist(), of.last_ms.tolist(), strict=True)


def revisions_of(store: Readings) -> Revisions:
    """The revisions of a store that holds its samples itself; of another one nothing is known."""
    from service.remote_store import RemoteStore
    from service.store import Store

    if not isinstance(store, Store) or isinstance(store, RemoteStore):
        return lambda indicator: None
    local = store

    def told(indicator: Indicator) -> Revision:
        with local.database.still():
            numbers = _union(local.directory.select(it) for it in selectors_of(indicator))
            columns = local.state.columns
            return Revision(
                local.sample_counts["late"], numbers, columns.first_from_ms[numbers], columns.last_ms[numbers],
                local.memory.changes.version, local.memory.changes,
            )  # fmt: skip

    return told


def selectors_of(indicator: Indicator) -> tuple[Selector, ...]:
    """All series that an indicator reads."""
    match indicator:
        case EventRatio():
            return (*indicator.total, *indicator.good, *indicator.bad)
        case Allowance():
            return (*indicator.exposure, *indicator.bad)
        case MinuteSlices():
            return indicator.numerator, indicator.denominator


def _union(found: Iterable[Ids]) -> Ids:
    parts = list(found)
    union: Ids = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    return union

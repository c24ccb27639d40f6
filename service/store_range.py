"""Samples at a moment, and series on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.increments import NANO, Rules
from service.model import InstantPoint, RangeSeries
from service.store_series import Directory, Ids
from service.store_sums import by_series
from service.store_view import Moment

Runs = dict[int, list[tuple[int, int]]]


def instant(moment: Moment, directory: Directory, ids: Ids, at_ms: int, lookback_ms: int) -> list[InstantPoint]:
    """The last sample of each series in `(at - lookback, at]`; none where that says that the series is gone."""
    found = moment.samples(ids, at_ms - lookback_ms, at_ms)
    tail = np.ones(found.size, np.bool_)
    tail[:-1] = found.series[1:] != found.series[:-1]
    last = found.where(tail).finite()
    rows = zip(last.series.tolist(), last.ts_ms.tolist(), last.value.tolist(), strict=True)
    return [InstantPoint(directory.series(number), ts, value) for number, ts, value in rows]


def last_values(
    moment: Moment, directory: Directory, ids: Ids, since_ms: int, until_ms: int, step_ms: int
) -> list[RangeSeries]:
    """Per series the last number of each step; None where it has none."""
    size = -(-(until_ms - since_ms) // step_ms)
    samples = moment.samples(ids, since_ms, until_ms).finite()
    slots = (samples.ts_ms - since_ms - 1) // step_ms
    tail = np.ones(samples.size, np.bool_)
    tail[:-1] = (samples.series[1:] != samples.series[:-1]) | (slots[1:] != slots[:-1])
    found: dict[int, list[float | None]] = {}
    for number, at, value in zip(
        samples.series[tail].tolist(), slots[tail].tolist(), samples.value[tail].tolist(), strict=True
    ):
        found.setdefault(number, [None] * size)[at] = value
    return [RangeSeries(directory.series(number), tuple(values)) for number, values in found.items()]


def increases(
    moment: Moment, directory: Directory, ids: Ids, edges_ms: Sequence[int], runs: Runs, rules: Rules
) -> list[RangeSeries]:
    """Per series what it added in each step; None where the step holds none of its covered time."""
    summed = by_series(moment, ids, edges_ms, rules)
    found = []
    for number, added in summed.items():
        seen = _seen(runs.get(number, []), edges_ms)
        values = tuple(n / NANO if n or there else None for n, there in zip(added, seen, strict=True))
        if any(value is not None for value in values):
            found.append(RangeSeries(directory.series(number), values))
    return found


def _seen(runs: Sequence[tuple[int, int]], edges_ms: Sequence[int]) -> list[bool]:
    """For each step whether a run reaches into it."""
    edges = np.asarray(edges_ms, np.int64)
    seen = np.zeros(len(edges) - 1, np.bool_)
    for begin, end in runs:
        if end > edges[0] and begin <= edges[-1]:
            first = max(0, int(np.searchsorted(edges, min(begin + 1, end), side="left")) - 1)
            seen[first : int(np.searchsorted(edges, end, side="left"))] = True
    return seen.tolist()

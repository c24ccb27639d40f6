"""Steps of a range from samples of the remote store: last values, and increments that are ours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from service.increments import NANO, Floats, Ints, Rules, countable, split
from service.model import RangeSeries
from service.remote_api import Line, RemoteApi, text
from slo.model import Selector

RAW_MS = 3_600_000
"""Up to this length increments come from raw samples; beyond from the values at the steps' ends."""
BEFORE_MS = 600_000
"""How far before a range the sample is looked for that its first increment begins at."""


def last_values(api: RemoteApi, selector: Selector, since_ms: int, until_ms: int, step_ms: int) -> list[RangeSeries]:
    """Per series the last sample of each step `(t - step, t]`; None where it has none."""
    size = -(-(until_ms - since_ms) // step_ms)
    query = f"last_over_time({text(selector)}[{max(step_ms - 1, 1)}ms])"
    lines = api.grid(query, since_ms + step_ms, since_ms + size * step_ms, step_ms)
    found = []
    for it in lines:
        values: list[float | None] = [None] * size
        for at, value in zip(((it.ts_ms - since_ms) // step_ms - 1).tolist(), it.value.tolist(), strict=True):
            values[at] = value
        # the name goes with some functions in some engines
        found.append(RangeSeries(it.series._replace(metric=selector.metric), tuple(values)))
    return found


def increases(
    api: RemoteApi, selector: Selector, since_ms: int, until_ms: int, step_ms: int, rules: Rules
) -> list[RangeSeries]:
    """Per series what it added in each step; None where the step holds none of its covered time."""
    edges = [*range(since_ms, until_ms, step_ms), until_ms]
    if until_ms - since_ms <= RAW_MS:
        lines = api.raw(selector, since_ms - BEFORE_MS, until_ms)
        found = [RangeSeries(it.series, _raw(_counted(it), edges, rules.gap_ms)) for it in lines]
    else:
        lines = api.grid(text(selector), since_ms, since_ms + (len(edges) - 1) * step_ms, step_ms)
        found = [RangeSeries(it.series, _stepped(_counted(it), edges, step_ms)) for it in lines]
    return [it for it in found if any(value is not None for value in it.values)]


def _counted(line: Line) -> Line:
    """The samples as counters count them, as our own store does: infinite ones are none, other odd ones are zero."""
    there = np.isfinite(line.value)
    return Line(line.series, line.ts_ms[there], countable(line.value[there]))


def _raw(line: Line, edges: Sequence[int], gap_ms: int) -> tuple[float | None, ...]:
    units, nanos = _increments(line.value)
    slot = np.searchsorted(np.asarray(edges), line.ts_ms[1:], side="left") - 1
    size = len(edges) - 1
    inside = (slot >= 0) & (slot < size)
    total = np.zeros((2, size), np.int64)
    np.add.at(total[0], slot[inside], units[inside])
    np.add.at(total[1], slot[inside], nanos[inside])
    added = [whole * NANO + rest for whole, rest in zip(total[0].tolist(), total[1].tolist(), strict=True)]
    seen = _seen(line.ts_ms, edges, gap_ms)
    return tuple(n / NANO if n or there else None for n, there in zip(added, seen, strict=True))


def _increments(value: Floats) -> tuple[Ints, Ints]:
    """What each sample but the first adds, in units and billionths; a drop counts from zero."""
    units, nanos = split(value)
    anew = value[1:] < value[:-1]
    return units[1:] - np.where(anew, 0, units[:-1]), nanos[1:] - np.where(anew, 0, nanos[:-1])


def _seen(ts_ms: Ints, edges: Sequence[int], gap_ms: int) -> list[bool]:
    """For each step whether it holds a sample, or time between two that are near to each other."""
    found = []
    near = np.diff(ts_ms) <= gap_ms
    for since, until in pairwise(edges):
        begin, end = np.searchsorted(ts_ms, [since, until], side="right").tolist()
        found.append(end > begin or (0 < begin < len(ts_ms) and bool(near[begin - 1])))
    return found


def _stepped(line: Line, edges: Sequence[int], step_ms: int) -> tuple[float | None, ...]:
    known = dict(zip(line.ts_ms.tolist(), line.value.tolist(), strict=True))
    at = [known.get(edges[0] + index * step_ms) for index in range(len(edges))]
    return tuple(
        None if value is None or before is None else value - before if value >= before else value
        for before, value in pairwise(at)
    )

"""Stores of the tests, and batches for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.model import BatchIdentity, MetricBatch, Series
from slo.model import Matcher, Selector

T0 = 1_760_000_000_000 // 3_600_000 * 3_600_000 + 17 * 60_000
"""Some minutes past an hour."""


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now_ms: int = T0

    def __call__(self) -> int:
        return self.now_ms


class Point(NamedTuple):
    """One sample of a test."""

    series: Series
    ts_ms: int
    value: float
    start_ms: int | None = None
    kind: Literal["counter", "gauge"] = "counter"


def series(metric: str, **labels: str) -> Series:
    """A series by its labels."""
    return Series(metric, tuple(sorted(labels.items())))


def select(metric: str, **labels: str) -> Selector:
    """A selector by equal labels."""
    return Selector(metric, tuple(Matcher(name, "=", value) for name, value in sorted(labels.items())))


def batch(
    points: Iterable[Point], sequence: int | None = None, node_id: str = "n1", spool_id: str = "s1"
) -> MetricBatch:
    """The points as a batch; with a sequence it has an identity."""
    points = list(points)
    names = list(dict.fromkeys(point.series for point in points))
    kinds = {point.series: point.kind for point in points}
    return MetricBatch(
        identity=None if sequence is None else BatchIdentity(node_id, spool_id, "metrics", sequence),
        series=tuple(names),
        kinds=tuple(kinds[name] for name in names),
        series_index=[names.index(point.series) for point in points],
        ts_ms=[point.ts_ms for point in points],
        value=[point.value for point in points],
        start_ms=[point.start_ms for point in points],
    )

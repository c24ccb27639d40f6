"""Samples of one request as they are found: series numbered by first sight, rows turned into columns at the end."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, NamedTuple

from service.decode import IngestRefused, Limits
from service.model import BatchIdentity, Metadata, MetricBatch, Series
from service.translate import Labels

_PARTS_PER_SAMPLE = 4
"""A resource, a scope, a metric and a point."""
Kind = Literal["counter", "gauge"]


class LabelSet(NamedTuple):
    """All labels of a series, and their number in the request."""

    number: int
    labels: Labels


class Columns:
    """The samples of one request; rows are appended to `flat`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self.flat: list[Any] = []
        """Series number, time, value and start of each sample, one after the other; `check` holds the bound.

        Extending one list by four and slicing it at the end takes a third of the time of a tuple per sample.
        """
        self.metadata: dict[str, Metadata] = {}
        self._looked_at = 0
        self._label_sets: dict[Labels, int] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._series: list[Series] = []
        self._kinds: list[Kind] = []

    def label_set(self, all_labels: Labels) -> LabelSet:
        """The labels with their number: most metrics of a resource share a few sets, which are hashed once."""
        return LabelSet(self._label_sets.setdefault(all_labels, len(self._label_sets)), all_labels)

    def series(self, metric: str, label_set: LabelSet, kind: Kind) -> int:
        """The series' number; 413 beyond the limit."""
        key = (metric, label_set.number)
        index = self._numbers.get(key)
        if index is None:
            if len(self._series) >= self.limits.series:
                raise IngestRefused(413, f"the batch has more than the {self.limits.series} series taken at once")
            index = self._numbers[key] = len(self._series)
            self._series.append(Series(metric, label_set.labels))
            self._kinds.append(kind)
        return index

    def add(self, metric: str, label_set: LabelSet, kind: Kind, ts_ms: int, value: float, start_ms: int | None) -> None:
        """One sample."""
        self.flat += (self.series(metric, label_set, kind), ts_ms, value, start_ms)

    def look_at(self, parts: int) -> None:
        """Note how many messages come now, whatever they are; 413 where all are far more than samples may be."""
        self._looked_at += parts
        if self._looked_at > _PARTS_PER_SAMPLE * self.limits.points:
            raise IngestRefused(413, f"the batch has more than {_PARTS_PER_SAMPLE * self.limits.points} parts")

    def check(self) -> None:
        """413 where there are more samples than the limit."""
        if len(self.flat) > 4 * self.limits.points:
            raise IngestRefused(413, f"the batch has more than the {self.limits.points} samples taken at once")

    def batch(self, batch_identity: BatchIdentity | None) -> MetricBatch:
        """What was found."""
        return MetricBatch(
            identity=batch_identity,
            series=tuple(self._series),
            kinds=tuple(self._kinds),
            series_index=self.flat[0::4],
            ts_ms=self.flat[1::4],
            value=self.flat[2::4],
            start_ms=self.flat[3::4],
            refused=dict(self.refused),
            metadata=tuple(self.metadata.values()),
        )

"""OTLP metrics to samples in columns, with Prometheus's names and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from math import inf, isfinite
from typing import Any, Literal, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from service.decode import IngestRefused, Limits
from service.model import BatchIdentity, MetricBatch, Series
from service.translate import AGENT_SCOPE, Labels, attribute_text, bound_text, clean_name, identity, labels, metric_name

Kind = Literal["counter", "gauge"]
_Own = tuple[tuple[str, str], ...]


class LabelSet(NamedTuple):
    """All labels of a series, and their number in the request."""

    number: int
    labels: Labels


_NS_PER_MS = 1_000_000
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


class Columns:
    """Samples of one request as they are found: series numbered by first sight, rows turned into columns at the end."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self.flat: list[Any] = []
        """Series number, time, value and start of each sample, one after the other; `check` holds the bound.

        Extending one list by four and slicing it at the end takes a third of the time of a tuple per sample.
        """
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
        )


class _Scope:
    """The points of one resource and scope on their way into the columns."""

    def __init__(self, columns: Columns, base: Labels, agents_own: bool) -> None:
        self.columns = columns
        self.base = base
        self.agents_own = agents_own
        self._known: dict[_Own, LabelSet | None] = {}

    def metric(self, metric: Metric) -> None:
        """Take every point of one metric, or count why not."""
        self._take(metric)
        self.columns.check()

    def _take(self, metric: Metric) -> None:
        if not 0 < len(metric.name) <= self.columns.limits.label_value_chars:
            self._refuse("name")
            return
        match metric.WhichOneof("data"):
            case "gauge":
                self._numbers(self._name(metric, gauge=True), metric.gauge.data_points, "gauge")
            case "sum":
                self._sum(metric)
            case "histogram":
                self._histograms(metric)
            case "summary":
                name = self._name(metric)
                for point in metric.summary.data_points:
                    self._summary(name, point)
            case "exponential_histogram":
                self._refuse("exponential_histogram", len(metric.exponential_histogram.data_points))
            case _:
                self._refuse("no_data", 1)

    def _name(self, metric: Metric, monotonic: bool = False, gauge: bool = False) -> str:
        if self.agents_own:
            return clean_name(metric.name)
        return metric_name(metric.name, metric.unit, monotonic, gauge)

    def _refuse(self, reason: str, points: int = 1) -> None:
        if points:
            self.columns.refused[reason] += points

    def _sum(self, metric: Metric) -> None:
        data = metric.sum
        reason = _temporality_fault(data.aggregation_temporality)
        if reason:
            self._refuse(reason, len(data.data_points))
        elif data.is_monotonic:
            self._numbers(self._name(metric, monotonic=True), data.data_points, "counter")
        else:
            self._numbers(self._name(metric), data.data_points, "gauge")

    def _numbers(self, name: str, points: Iterable[NumberDataPoint], kind: Kind) -> None:
        flat, counter = self.columns.flat, kind == "counter"
        for point in points:
            value, at = point.as_double or float(point.as_int), point.time_unix_nano
            if not at or point.flags & _NO_VALUE or not isfinite(value):
                self._refuse(_time_fault(at, point.flags) or "not_finite")
                continue
            label_set = self._label_set(_own(point.attributes))
            if label_set is None:
                self._refuse("labels")
                continue
            start = point.start_time_unix_nano if counter else 0
            index = self.columns.series(name, label_set, kind)
            flat += (index, at // _NS_PER_MS, value, start // _NS_PER_MS if start else None)

    def _label_set(self, own: _Own) -> LabelSet | None:
        """The labels of a point; None where they are beyond the bounds."""
        try:
            return self._known[own]
        except KeyError:
            found = self._known[own] = self._labels(own)
            return found

    def _labels(self, own: _Own, **more: str) -> LabelSet | None:
        """Sorted labels of a series with its identity, None beyond the bounds."""
        named = labels(own)
        named.update(more)
        limits = self.columns.limits
        if len(named) > limits.labels:
            return None
        for name, value in named.items():
            if len(name) > limits.label_name_chars or len(value) > limits.label_value_chars:
                return None
        return self.columns.label_set(tuple(sorted((*self.base, *named.items()))))

    def _histograms(self, metric: Metric) -> None:
        points = metric.histogram.data_points
        reason = _temporality_fault(metric.histogram.aggregation_temporality)
        if reason:
            self._refuse(reason, len(points))
            return
        name = self._name(metric)
        for point in points:
            fault = _histogram_fault(point, self.columns.limits)
            if fault or not self._histogram(name, point):
                self._refuse(fault or "labels")

    def _histogram(self, name: str, point: HistogramDataPoint) -> bool:
        """Buckets accumulated to `+Inf`, sum and count; False where its labels are beyond the bounds."""
        values: list[tuple[str, float, dict[str, str]]] = []
        running = 0
        for bound, count in zip((*point.explicit_bounds, inf), point.bucket_counts, strict=False):
            running += count
            values.append((f"{name}_bucket", float(running), {"le": bound_text(bound)}))
        if not point.bucket_counts:
            values.append((f"{name}_bucket", float(point.count), {"le": "+Inf"}))
        if point.HasField("sum"):
            values.append((f"{name}_sum", point.sum, {}))
        values.append((f"{name}_count", float(point.count), {}))
        return self._family(_own(point.attributes), values, point, "counter")

    def _summary(self, name: str, point: SummaryDataPoint) -> None:
        """Quantiles as gauges, sum and count as counters."""
        fault = _time_fault(point.time_unix_nano, point.flags)
        if fault:
            self._refuse(fault)
            return
        own = _own(point.attributes)
        quantiles = [
            (name, at.value, {"quantile": bound_text(at.quantile)})
            for at in point.quantile_values[: self.columns.limits.buckets]
            if isfinite(at.value)
        ]
        totals: list[tuple[str, float, dict[str, str]]] = [(f"{name}_count", float(point.count), {})]
        if isfinite(point.sum):
            totals.append((f"{name}_sum", point.sum, {}))
        if not (self._family(own, quantiles, point, "gauge") and self._family(own, totals, point, "counter")):
            self._refuse("labels")

    def _family(
        self,
        own: _Own,
        values: list[tuple[str, float, dict[str, str]]],
        point: HistogramDataPoint | SummaryDataPoint,
        kind: Kind,
    ) -> bool:
        ts_ms, start = point.time_unix_nano // _NS_PER_MS, point.start_time_unix_nano if kind == "counter" else 0
        for metric, value, more in values:
            label_set = self._labels(own, **more)
            if label_set is None:
                return False
            index = self.columns.series(metric, label_set, kind)
            self.columns.flat += (index, ts_ms, value, start // _NS_PER_MS if start else None)
        return True


def samples(request: ExportMetricsServiceRequest, batch_identity: BatchIdentity | None, limits: Limits) -> MetricBatch:
    """Every sample of a request; points that can't be taken are counted by reason in `refused`."""
    columns = Columns(limits)
    for group in request.resource_metrics:
        base = identity(group.resource.attributes).labels()
        fits = all(len(value) <= limits.label_value_chars for _, value in base)
        for scoped in group.scope_metrics:
            if not fits:
                columns.refused["identity"] += len(scoped.metrics)
                continue
            scope = _Scope(columns, base, scoped.scope.name == AGENT_SCOPE)
            for metric in scoped.metrics:
                scope.metric(metric)
    return columns.batch(batch_identity)


def _own(attributes: Iterable[KeyValue]) -> _Own:
    return tuple([(pair.key, pair.value.string_value or attribute_text(pair.value)) for pair in attributes])


def _temporality_fault(temporality: int) -> str | None:
    if temporality == _CUMULATIVE:
        return None
    return "delta_temporality" if temporality == _DELTA else "no_temporality"


def _time_fault(time_unix_nano: int, flags: int) -> str | None:
    if flags & _NO_VALUE:
        return "no_value"
    return None if time_unix_nano else "no_time"


def _histogram_fault(point: HistogramDataPoint, limits: Limits) -> str | None:
    bounds, counts = point.explicit_bounds, point.bucket_counts
    if len(counts) not in (0, len(bounds) + 1) or len(bounds) > limits.buckets:
        return "bad_histogram"
    if any(not isfinite(bound) for bound in bounds) or any(a >= b for a, b in pairwise(bounds)):
        return "bad_histogram"
    if (counts and sum(counts) != point.count) or not isfinite(point.sum):
        return "bad_histogram"
    return _time_fault(point.time_unix_nano, point.flags)

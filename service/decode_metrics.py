"""OTLP metrics to samples in columns, with Prometheus's names and labels."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from service.decode import Limits
from service.decode_columns import Columns, Kind, LabelSet
from service.decode_histograms import explicit, exponential
from service.deltas import Buckets, Running, Turn
from service.model import BatchIdentity, Metadata, MetricBatch, MetricType, Series
from service.staleness import STALE
from service.translate import (
    AGENT_SCOPE,
    Labels,
    Resource,
    attribute_text,
    bound_text,
    clean_name,
    labels,
    metric_name,
    resource,
)

_Own = tuple[tuple[str, str], ...]
_Values = list[tuple[str, float, dict[str, str]]]
TARGET_INFO = "target_info"
_NS_PER_MS = 1_000_000
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class _Place(NamedTuple):
    """Where a metric's points go: its name, and whether they are deltas."""

    name: str
    delta: bool = False


class _Scope:
    """The points of one resource and scope on their way into the columns."""

    def __init__(self, columns: Columns, base: Labels, agents_own: bool, turn: Turn) -> None:
        self.columns = columns
        self.base = base
        self.agents_own = agents_own
        self.turn = turn
        self._known: dict[_Own, LabelSet | None] = {}

    def metric(self, metric: Metric) -> None:
        """Take every point of one metric, or count why not."""
        self._take(metric)
        self.columns.check()

    def _take(self, metric: Metric) -> None:
        data = metric.WhichOneof("data")
        if data is not None:
            self.columns.look_at(len(getattr(metric, data).data_points))
        if not 0 < len(metric.name) <= self.columns.limits.label_value_chars:
            self._refuse("name")
            return
        match data:
            case "gauge":
                self._numbers(self._named(metric, "gauge"), metric.gauge.data_points, "gauge")
            case "sum":
                self._sum(metric)
            case "histogram":
                self._histograms(metric)
            case "exponential_histogram":
                self._exponentials(metric)
            case "summary":
                name = self._named(metric, "summary").name
                for point in metric.summary.data_points:
                    self._summary(name, point)
            case _:
                self._refuse("no_data", 1)

    def _named(self, metric: Metric, kind: MetricType, delta: bool = False) -> _Place:
        """The metric's name, its metadata noted."""
        if self.agents_own:
            name = clean_name(metric.name)
        else:
            name = metric_name(
                metric.name, metric.unit, kind == "counter", kind == "gauge" and metric.HasField("gauge")
            )
        if name not in self.columns.metadata:
            most = self.columns.limits.label_value_chars
            self.columns.metadata[name] = Metadata(name, kind, metric.description[:most], metric.unit[:most])
        return _Place(name, delta)

    def _refuse(self, reason: str, points: int = 1) -> None:
        if points:
            self.columns.refused[reason] += points

    def _sum(self, metric: Metric) -> None:
        data = metric.sum
        if data.aggregation_temporality not in (_CUMULATIVE, _DELTA):
            self._refuse("no_temporality", len(data.data_points))
            return
        kind: Kind = "counter" if data.is_monotonic else "gauge"
        delta = data.aggregation_temporality == _DELTA
        self._numbers(self._named(metric, kind, delta), data.data_points, kind)

    def _numbers(self, place: _Place, points: Iterable[NumberDataPoint], kind: Kind) -> None:
        flat, counter, name = self.columns.flat, kind == "counter", place.name
        for point in points:
            # a value of 0 and no value look alike, and -0.0 must stay
            value, at = point.as_double or float(point.as_int) or point.as_double, point.time_unix_nano
            if not at:
                self._refuse("no_time")
                continue
            label_set = self._label_set(_own(point.attributes)) if self._few(point) else None
            if label_set is None:
                self._refuse("labels")
                continue
            if point.flags & _NO_VALUE:
                value = STALE
            elif place.delta:
                self._delta(name, label_set, kind, value, point)
                continue
            elif not value and point.WhichOneof("value") is None:
                self._refuse("no_value")
                continue
            start = point.start_time_unix_nano if counter else 0
            index = self.columns.series(name, label_set, kind)
            flat += (index, at // _NS_PER_MS, value, start // _NS_PER_MS if start else None)

    def _delta(self, name: str, label_set: LabelSet, kind: Kind, value: float, point: NumberDataPoint) -> None:
        if not isfinite(value):
            self._refuse("not_finite")
            return
        series = Series(name, label_set.labels)
        running = self._added(series, value, point)
        if running is None or isinstance(running.total, Buckets):
            self._refuse(self.turn.refusal(series, point.time_unix_nano // _NS_PER_MS))
            return
        start_ms = running.start_ms if kind == "counter" else None
        self.columns.add(name, label_set, kind, running.until_ms, running.total, start_ms)

    def _added(self, series: Series, delta: float | Buckets, point: _Point) -> Running | None:
        return self.turn.add(series, delta, _start_ms(point), point.time_unix_nano // _NS_PER_MS)

    def _label_set(self, own: _Own) -> LabelSet | None:
        """The labels of a point; None where they are beyond the bounds."""
        try:
            return self._known[own]
        except KeyError:
            found = self._known[own] = self._labels(own)
            return found

    def _few(self, point: _Point) -> bool:
        """Whether a point's attributes are few enough to be looked at."""
        return len(point.attributes) <= 4 * self.columns.limits.labels

    def _labels(self, own: _Own, apart: str = "", **more: str) -> LabelSet | None:
        """Sorted labels of a series with its identity, None beyond the bounds; `apart` is a name that is ours here."""
        named = labels(own)
        for name in (*(name for name, _ in self.base), apart):
            if name in named:
                named[f"exported_{name}"] = named.pop(name)
        named.update(more)
        if not _within(named, self.columns.limits):
            return None
        return self.columns.label_set(tuple(sorted((*self.base, *named.items()))))

    def _histograms(self, metric: Metric) -> None:
        temporality, points = metric.histogram.aggregation_temporality, metric.histogram.data_points
        if temporality not in (_CUMULATIVE, _DELTA):
            self._refuse("no_temporality", len(points))
            return
        place = self._named(metric, "histogram", temporality == _DELTA)
        for point in points:
            self._histogram(place, point, explicit(point, self.columns.limits), point.explicit_bounds)

    def _exponentials(self, metric: Metric) -> None:
        data = metric.exponential_histogram
        if data.aggregation_temporality not in (_CUMULATIVE, _DELTA):
            self._refuse("no_temporality", len(data.data_points))
            return
        place = self._named(metric, "histogram", data.aggregation_temporality == _DELTA)
        for point in data.data_points:
            self._histogram(place, point, exponential(point, self.columns.limits), ())

    def _histogram(
        self,
        place: _Place,
        point: HistogramDataPoint | ExponentialHistogramDataPoint,
        buckets: Buckets | None,
        bounds: Iterable[float],
    ) -> None:
        """One point's series, or why they are left out."""
        own = _own(point.attributes) if self._few(point) else ()
        if not point.time_unix_nano or not self._few(point):
            self._refuse("labels" if point.time_unix_nano else "no_time")
        elif point.flags & _NO_VALUE:
            les = [bound_text(it) for it in (*bounds, inf)][: self.columns.limits.buckets]
            gone: _Values = [(f"{place.name}_bucket", STALE, {"le": le}) for le in les]
            gone += [(f"{place.name}_sum", STALE, {}), (f"{place.name}_count", STALE, {})]
            self._family(own, gone, _start_ms(point), point, "counter")
        elif buckets is None:
            self._refuse("bad_histogram")
        elif place.delta:
            self._delta_histogram(place.name, own, buckets, point)
        else:
            self._family(own, _values(place.name, buckets), _start_ms(point), point, "counter")

    def _delta_histogram(self, name: str, own: _Own, buckets: Buckets, point: _Point) -> None:
        label_set = self._label_set(own)
        series = None if label_set is None else Series(name, label_set.labels)
        running = None if series is None else self._added(series, buckets, point)
        if running is None or not isinstance(running.total, Buckets):
            at = point.time_unix_nano // _NS_PER_MS
            self._refuse("labels" if series is None else self.turn.refusal(series, at))
        elif len(running.total.counts) > 2 * self.columns.limits.buckets:
            self._refuse("bad_histogram")
        else:
            self._family(own, _values(name, running.total), running.start_ms, point, "counter")

    def _summary(self, name: str, point: SummaryDataPoint) -> None:
        """Quantiles as gauges, sum and count as counters."""
        if not point.time_unix_nano or not self._few(point):
            self._refuse("labels" if point.time_unix_nano else "no_time")
            return
        gone = bool(point.flags & _NO_VALUE)
        quantiles: _Values = [
            (name, STALE if gone else at.value, {"quantile": bound_text(at.quantile)})
            for at in point.quantile_values[: self.columns.limits.buckets]
        ]
        totals: _Values = [(f"{name}_count", STALE if gone else float(point.count), {})]
        totals.append((f"{name}_sum", STALE if gone else point.sum, {}))
        own = _own(point.attributes)
        self._family(own, quantiles, None, point, "gauge", "quantile")
        self._family(own, totals, _start_ms(point), point, "counter", "quantile")

    def _family(
        self, own: _Own, values: _Values, start_ms: int | None, point: _Point, kind: Kind, apart: str = "le"
    ) -> None:
        """Several series of one point: all of them, or none where labels are beyond the bounds."""
        ts_ms = point.time_unix_nano // _NS_PER_MS
        found = [(metric, value, self._labels(own, apart, **more)) for metric, value, more in values]
        if any(label_set is None for _, _, label_set in found):
            self._refuse("labels")
            return
        for metric, value, label_set in found:
            if label_set is not None:
                self.columns.add(metric, label_set, kind, ts_ms, value, start_ms)


def samples(
    request: ExportMetricsServiceRequest, batch_identity: BatchIdentity | None, limits: Limits, turn: Turn
) -> MetricBatch:
    """Every sample of a request; points that can't be taken are counted by reason in `refused`."""
    columns = Columns(limits)
    columns.look_at(len(request.resource_metrics))
    for group in request.resource_metrics:
        columns.look_at(len(group.scope_metrics))
        few = len(group.resource.attributes) <= 4 * limits.labels
        whose = resource(group.resource.attributes if few else (), limits.resource_labels)
        fits = few and _within(dict((*whose.base, *whose.job)), limits, identity=True)
        before = len(columns.flat)
        for scoped in group.scope_metrics:
            if not fits:
                columns.refused["identity"] += len(scoped.metrics)
                continue
            columns.look_at(len(scoped.metrics))
            agents_own = scoped.scope.name == AGENT_SCOPE
            base = whose.base if agents_own else tuple(sorted((*whose.base, *whose.job)))
            scope = _Scope(columns, base, agents_own, turn)
            for metric in scoped.metrics:
                scope.metric(metric)
        _target_info(columns, whose, max(columns.flat[before + 1 :: 4], default=None))
    return columns.batch(batch_identity)


def _target_info(columns: Columns, whose: Resource, ts_ms: int | None) -> None:
    """`target_info` of a resource that tells more than who it is, at the time of its newest sample."""
    if ts_ms is None or not whose.rest:
        return
    rest = dict(whose.rest)
    if not _within(rest, columns.limits, identity=True):
        columns.refused[TARGET_INFO] += 1
        return
    label_set = columns.label_set(tuple(sorted({**rest, **dict((*whose.base, *whose.job))}.items())))
    columns.add(TARGET_INFO, label_set, "gauge", ts_ms, 1.0, None)
    columns.metadata[TARGET_INFO] = Metadata(TARGET_INFO, "gauge", "Attributes of the resource.", "")


def _within(named: dict[str, str], limits: Limits, identity: bool = False) -> bool:
    """Whether labels are within the bounds; an identity may have as many as a series beside it."""
    if len(named) > limits.labels * (2 if identity else 1):
        return False
    return all(
        len(name) <= limits.label_name_chars and len(value) <= limits.label_value_chars for name, value in named.items()
    )


def _own(attributes: Iterable[KeyValue]) -> _Own:
    return tuple([(pair.key, pair.value.string_value or attribute_text(pair.value)) for pair in attributes])


def _start_ms(point: _Point) -> int | None:
    return point.start_time_unix_nano // _NS_PER_MS if point.start_time_unix_nano else None


def _values(name: str, buckets: Buckets) -> _Values:
    """Buckets accumulated to `+Inf`, sum and count."""
    found: _Values = []
    running = 0
    for bound, count in sorted(buckets.counts.items()):
        running += count
        found.append((f"{name}_bucket", float(running), {"le": bound_text(bound)}))
    if buckets.sum is not None:
        found.append((f"{name}_sum", buckets.sum, {}))
    found.append((f"{name}_count", float(buckets.total), {}))
    return found

"""OTLP metrics of any sender to series, with OpenTelemetry's rules for Prometheus names."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, NumberDataPoint

from service.ingest import IngestRefused, Limits, decode_metrics
from service.model import Metadata, MetricBatch, Series
from service.staleness import is_stale

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
MS = 1_000_000
NOW_MS = 1_760_000_000_000
NOW = NOW_MS * MS


OWN = ("le", "exported_le", "quantile", "exported_quantile")


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def batch_of(
    *metrics: Metric,
    resource: Iterable[KeyValue] = (),
    scope: str = "",
    limits: Limits = Limits(),  # noqa: B008
) -> MetricBatch:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(resource)
    scoped = group.scope_metrics.add()
    scoped.scope.name = scope
    scoped.metrics.extend(metrics)
    return decode_metrics(request.SerializeToString(), None, None, limits)


def gauge(
    name: str = "g", value: float = 1.0, attributes: Iterable[KeyValue] = (), unit: str = "", **more: int
) -> Metric:
    metric = Metric(name=name, unit=unit)
    metric.gauge.data_points.add(time_unix_nano=NOW, as_double=value, attributes=attributes, **more)
    return metric


def total(
    name: str = "c",
    value: float = 1.0,
    temporality: int = CUMULATIVE,
    monotonic: bool = True,
    unit: str = "",
    start: int = 0,
) -> Metric:
    metric = Metric(name=name, unit=unit)
    metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]
    metric.sum.is_monotonic = monotonic
    metric.sum.data_points.add(time_unix_nano=NOW, start_time_unix_nano=start, as_double=value)
    return metric


def histogram(
    bounds: list[float],
    counts: list[int],
    count: int | None = None,
    temporality: int = CUMULATIVE,
    total: float | None = 1.5,
) -> Metric:
    metric = Metric(name="h", unit="s")
    metric.histogram.aggregation_temporality = temporality  # type: ignore[assignment]
    metric.histogram.data_points.add(
        time_unix_nano=NOW, start_time_unix_nano=NOW - MS, count=sum(counts) if count is None else count, sum=total,
        bucket_counts=counts, explicit_bounds=bounds,
    )  # fmt: skip
    return metric


def values(batch: MetricBatch) -> dict[tuple[str, str | None], float]:
    return {
        (batch.series[at].metric, dict(batch.series[at].labels).get("le")): value
        for at, value in zip(batch.series_index, batch.value, strict=True)
    }


def test_the_identity_is_in_the_resource() -> None:
    resource = [
        text("host.name", "n1"), text("host.id", "uuid"), text("service.namespace", "shop"),
        text("service.name", "api"), text("container.name", "shop-api-1"), text("container.id", "/docker/a"),
        text("container.image.name", "shop:1"),
        text("service.instance.id", "i-7"), text("process.pid", "1"),
    ]  # fmt: skip
    assert batch_of(gauge(), resource=resource).series[0].labels == (
        ("container", "shop-api-1"), ("id", "/docker/a"), ("image", "shop:1"), ("instance", "i-7"), ("job", "shop/api"),
        ("node", "n1"), ("node_id", "uuid"), ("service", "shop/api"),
    )  # fmt: skip


def test_without_a_service_name_the_service_is_unknown() -> None:
    assert batch_of(gauge()).series[0].labels == (("service", "unknown_service"),)


def test_an_empty_attribute_leaves_no_label() -> None:
    found = batch_of(gauge(attributes=[text("a", ""), text("b", "x")]), resource=[text("host.name", "")])
    assert found.series[0].labels == (("b", "x"), ("service", "unknown_service"))


@pytest.mark.parametrize("name", ["service", "node", "node_id", "container", "id", "image", "instance"])
def test_a_point_can_not_claim_an_identity(name: str) -> None:
    labels = dict(batch_of(gauge(attributes=[text(name, "liar")])).series[0].labels)
    assert labels == {"service": "unknown_service", f"exported_{name}": "liar"}


def test_attributes_of_any_type_become_text() -> None:
    attributes = [
        KeyValue(key="b", value=AnyValue(bool_value=True)), KeyValue(key="i", value=AnyValue(int_value=404)),
        KeyValue(key="d", value=AnyValue(double_value=0.5)), KeyValue(key="n", value=AnyValue()),
    ]  # fmt: skip
    attributes.append(KeyValue(key="a"))
    attributes[-1].value.array_value.values.add(string_value="x")
    attributes.append(KeyValue(key="m"))
    attributes[-1].value.kvlist_value.values.append(text("k", "v"))
    labels = dict(batch_of(gauge(attributes=attributes)).series[0].labels)
    assert labels == {
        "service": "unknown_service",
        "b": "true",
        "i": "404",
        "d": "0.5",
        "a": '["x"]',
        "m": '{"k": "v"}',
    }


def test_a_counter_keeps_its_start_and_a_gauge_has_none() -> None:
    counter = batch_of(total(start=NOW - 5 * MS))
    assert (counter.kinds, counter.start_ms, counter.ts_ms) == (("counter",), [NOW_MS - 5], [NOW_MS])
    assert batch_of(total()).start_ms == [None]
    assert batch_of(gauge(start_time_unix_nano=NOW)).start_ms == [None]


def test_a_sum_that_may_fall_is_a_gauge_without_the_suffix_of_a_counter() -> None:
    found = batch_of(total("connections", monotonic=False, start=NOW - MS))
    assert (found.series[0].metric, found.kinds, found.start_ms) == ("connections", ("gauge",), [None])


def test_whole_numbers_are_taken() -> None:
    metric = Metric(name="g")
    metric.gauge.data_points.add(time_unix_nano=NOW, as_int=-7)
    assert batch_of(metric).value == [-7.0]


def test_a_histogram_becomes_cumulative_buckets_sum_and_count() -> None:
    found = batch_of(histogram([0.3, 1.0, 300.0], [1, 2, 3, 4]))
    assert values(found) == {
        ("h_seconds_bucket", "0.3"): 1, ("h_seconds_bucket", "1"): 3, ("h_seconds_bucket", "300"): 6,
        ("h_seconds_bucket", "+Inf"): 10, ("h_seconds_sum", None): 1.5, ("h_seconds_count", None): 10,
    }  # fmt: skip
    assert set(found.kinds) == {"counter"}
    assert set(found.start_ms) == {NOW_MS - 1}


def test_an_attribute_named_as_a_label_of_the_kind_is_kept_beside_it() -> None:
    metric = histogram([1.0], [0, 1])
    metric.histogram.data_points[0].attributes.append(text("le", "7"))
    summary = Metric(name="s")
    point = summary.summary.data_points.add(time_unix_nano=10**9, count=1, sum=1.0)
    point.attributes.append(text("quantile", "x"))
    point.quantile_values.add(quantile=0.5, value=1.0)
    found = {(it.metric, *(pair for pair in it.labels if pair[0] in OWN)) for it in batch_of(metric, summary).series}
    le, quantile = ("exported_le", "7"), ("exported_quantile", "x")
    assert found == {
        ("h_seconds_bucket", le, ("le", "1")), ("h_seconds_bucket", le, ("le", "+Inf")),
        ("h_seconds_sum", le), ("h_seconds_count", le),
        ("s", quantile, ("quantile", "0.5")), ("s_sum", quantile), ("s_count", quantile),
    }  # fmt: skip


def test_a_histogram_without_buckets_has_the_infinite_one() -> None:
    assert values(batch_of(histogram([], [], count=4))) == {
        ("h_seconds_bucket", "+Inf"): 4, ("h_seconds_sum", None): 1.5, ("h_seconds_count", None): 4,
    }  # fmt: skip


def test_a_histogram_without_a_sum_has_no_sum() -> None:
    assert ("h_seconds_sum", None) not in values(batch_of(histogram([1.0], [1, 0], total=None)))


@pytest.mark.parametrize(
    "metric",
    [
        histogram([1.0], [1]), histogram([1.0], [1, 2, 3]), histogram([2.0, 1.0], [1, 2, 3]),
        histogram([1.0], [1, 2], count=4),
        histogram([1.0, 1.0], [1, 2, 3]), histogram([math.inf], [1, 2]), histogram([math.nan], [1, 2]),
        histogram([1.0], [1, 2], total=math.nan), histogram([float(n) for n in range(201)], [0] * 202),
    ],
)  # fmt: skip
def test_a_histogram_that_is_none_is_left_out_and_counted(metric: Metric) -> None:
    found = batch_of(metric)
    assert (found.series, found.refused) == ((), {"bad_histogram": 1})


def test_a_summary_becomes_quantiles_sum_and_count() -> None:
    metric = Metric(name="s")
    point = metric.summary.data_points.add(time_unix_nano=NOW, start_time_unix_nano=NOW - MS, count=3, sum=6.0)
    point.quantile_values.add(quantile=0.5, value=2.0)
    found = batch_of(metric)
    rows = {
        (s.metric, dict(s.labels).get("quantile"), kind): found.value[at]
        for at, (s, kind) in enumerate(zip(found.series, found.kinds, strict=True))
    }
    assert rows == {("s", "0.5", "gauge"): 2.0, ("s_sum", None, "counter"): 6.0, ("s_count", None, "counter"): 3.0}


def without_value() -> Metric:
    metric = Metric(name="v")
    metric.gauge.data_points.add(time_unix_nano=NOW)
    return metric


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 0.0])
def test_every_value_stays_as_it_is(value: float) -> None:
    (found,) = batch_of(gauge(value=value)).value
    assert struct.pack("<d", found) == struct.pack("<d", value)


def test_no_recorded_value_is_a_staleness_marker() -> None:
    metric = histogram([1.0], [0, 0])
    metric.histogram.data_points[0].flags = 1
    found = batch_of(gauge(flags=1), total(), metric)
    stale = [found.series[at].metric for at, it in zip(found.series_index, found.value, strict=True) if is_stale(it)]
    assert stale == ["g", "h_seconds_bucket", "h_seconds_bucket", "h_seconds_sum", "h_seconds_count"]


def test_metadata_goes_with_the_batch() -> None:
    metric = gauge("jvm.memory", unit="By")
    metric.description = "How much."
    found = batch_of(metric, total("c"), histogram([1.0], [0, 1]))
    assert found.metadata == (
        Metadata("jvm_memory_bytes", "gauge", "How much.", "By"),
        Metadata("c_total", "counter", "", ""),
        Metadata("h_seconds", "histogram", "", "s"),
    )


def test_what_a_resource_tells_beside_its_identity_is_in_target_info() -> None:
    resource = [text("service.name", "api"), text("process.pid", "7"), text("k8s.pod.name", "p")]
    found = batch_of(gauge(), resource=resource)
    assert found.series[1] == Series(
        "target_info", (("job", "api"), ("k8s_pod_name", "p"), ("process_pid", "7"), ("service", "api"))
    )
    assert (found.value[1], found.ts_ms[1], found.kinds[1]) == (1.0, NOW_MS, "gauge")


def test_attributes_that_are_promoted_are_on_every_series() -> None:
    resource = [text("service.name", "api"), text("k8s.pod.name", "p")]
    found = batch_of(gauge(), resource=resource, limits=Limits(resource_labels=("k8s.pod.name",)))
    assert [dict(it.labels) for it in found.series] == [{"job": "api", "k8s_pod_name": "p", "service": "api"}]


def test_an_attribute_named_as_a_label_of_the_resource_is_kept_beside_it() -> None:
    found = batch_of(gauge(attributes=[text("job", "mine")]), resource=[text("service.name", "api")])
    assert dict(found.series[0].labels) == {"job": "api", "exported_job": "mine", "service": "api"}


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (total(temporality=0), "no_temporality"),
        (histogram([1.0], [1, 1], temporality=0), "no_temporality"),
        (without_value(), "no_value"),
        (total(temporality=DELTA, value=math.nan), "not_finite"),
        (gauge(""), "name"),
        (gauge("x" * 513), "name"),
        (Metric(name="empty"), "no_data"),
        (gauge(attributes=[text("a", "x" * 513)]), "labels"),
        (gauge(attributes=[text("a" * 129, "x")]), "labels"),
        (gauge(attributes=[text(f"a{n}", "x") for n in range(33)]), "labels"),
    ],
)  # fmt: skip
def test_what_can_not_be_taken_is_left_out_and_counted_by_reason(metric: Metric, reason: str) -> None:
    found = batch_of(metric, gauge("good"))
    assert [series.metric for series in found.series] == ["good"]
    assert found.refused == {reason: 1}


def test_a_point_without_a_time_is_left_out() -> None:
    metric = Metric(name="g")
    metric.gauge.data_points.append(NumberDataPoint(as_double=1.0))
    assert batch_of(metric).refused == {"no_time": 1}


def test_an_identity_beyond_the_bounds_costs_its_whole_resource() -> None:
    assert batch_of(gauge(), gauge("h"), resource=[text("service.name", "x" * 513)]).refused == {"identity": 2}


def test_labels_of_the_bound_are_taken() -> None:
    attributes = [text(f"a{n}", "x" * 512) for n in range(32)]
    assert batch_of(gauge(attributes=attributes)).refused == {}


def test_more_series_or_samples_than_a_batch_may_have_refuse_it_whole() -> None:
    metrics = [gauge(f"g{n}") for n in range(4)]
    for limits in (Limits(series=3), Limits(points=3)):
        with pytest.raises(IngestRefused, match="more than the 3") as refused:
            batch_of(*metrics, limits=limits)
        assert refused.value.status == 413


def test_points_of_one_series_share_it() -> None:
    found = batch_of(gauge("g"), gauge("g", 2.0), gauge("h"))
    assert [series.metric for series in found.series] == ["g", "h"]
    assert (found.series_index, found.value) == ([0, 0, 1], [1.0, 2.0, 1.0])


def test_the_agents_own_names_stay_as_they_are() -> None:
    found = batch_of(
        total("container_memory_failcnt"), total("http_requests"), gauge("x_seconds", unit="s"), scope="midwatch.agent"
    )
    assert [series.metric for series in found.series] == ["container_memory_failcnt", "http_requests", "x_seconds"]


def test_the_agents_scope_is_no_way_in_for_names_that_are_none() -> None:
    assert batch_of(gauge('x{y="z"}'), scope="midwatch.agent").series[0].metric == "x_y_z_"

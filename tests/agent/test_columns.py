from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from agent.columns import Columns, Key, Steady, shape_of
from agent.model import Histogram, NodeIdentity, Points, Resource, Value
from agent.otlp import metrics_request, metrics_requests
from runtime.model import ServiceName

NODE = NodeIdentity("n1", "5f0d8a52-6f0e-4f59-9d6f-1f2a3b4c5d6e")
RESOURCE = Resource(ServiceName("shop", "api"), "shop-api-1", "/docker/1", "shop:1")
NOW, START = 1_800_000_000_000, 1_799_999_000_000
KEYS = (
    Key("container_memory_rss", (), False),
    Key("container_cpu_usage_seconds_total", (("cpu", "total"),), True),
    Key("container_last_seen", (), False),
    Key("container_network_receive_bytes_total", (("interface", "eth0"),), True),
)
VALUES = (5, 1.25, NOW // 1000, 7)


def metrics(points: Points) -> list[bytes]:
    """Every metric of a request, in an order that does not depend on how it was packed."""
    request = ExportMetricsServiceRequest.FromString(metrics_request(NODE, [points]))
    (group,) = request.resource_metrics
    return sorted(metric.SerializeToString() for scope in group.scope_metrics for metric in scope.metrics)


def test_columns_are_a_sequence_of_samples() -> None:
    columns = Columns(shape_of(KEYS), VALUES, NOW, START)
    assert list(columns) == [
        Value("container_memory_rss", (), 5.0, NOW),
        Value("container_cpu_usage_seconds_total", (("cpu", "total"),), 1.25, NOW, START),
        Value("container_last_seen", (), NOW // 1000, NOW),
        Value("container_network_receive_bytes_total", (("interface", "eth0"),), 7.0, NOW, START),
    ]
    assert columns[1] == list(columns)[1]
    assert list(columns[1:3]) == list(columns)[1:3]


def test_columns_are_packed_as_their_samples_are_one_by_one() -> None:
    for start in (START, None):
        columns = Columns(shape_of(KEYS), VALUES, NOW, start)
        assert metrics(Points(RESOURCE, columns)) == metrics(Points(RESOURCE, tuple(columns)))


def test_columns_of_one_kind_alone_or_of_one_sample_or_of_none_are_packed_too() -> None:
    for keys in (KEYS[:1], KEYS[1:2], KEYS[::2], KEYS[1::2]):
        columns = Columns(shape_of(keys), VALUES[: len(keys)], NOW, START)
        assert metrics(Points(RESOURCE, columns)) == metrics(Points(RESOURCE, tuple(columns)))
    assert metrics_request(NODE, [Points(RESOURCE, Columns(shape_of(()), (), NOW, START))]) == b""


def test_numbers_do_not_stay_from_one_round_to_the_next() -> None:
    first = metrics(Points(RESOURCE, Columns(shape_of(KEYS), VALUES, NOW, START)))
    metrics_request(NODE, [Points(RESOURCE, Columns(shape_of(KEYS), (0, 0, 0, 0), NOW + 1, START + 1))])
    assert metrics(Points(RESOURCE, Columns(shape_of(KEYS), VALUES, NOW, START))) == first


def test_more_samples_than_a_request_may_have_are_split() -> None:
    points = Points(RESOURCE, Columns(shape_of(KEYS), VALUES, NOW, START))
    requests = [ExportMetricsServiceRequest.FromString(one) for one in metrics_requests(NODE, [points], 3)]
    counts = [sum(len(s.metrics) for g in one.resource_metrics for s in g.scope_metrics) for one in requests]
    assert counts == [3, 1]


def test_columns_that_stay_the_same_are_packed_as_any_others_in_each_round() -> None:
    keys = (*KEYS[:2], KEYS[3], KEYS[2])
    for start in (START, None):
        steady = Steady()
        for n in range(5):
            now = NOW + 1_000 * n
            values = (*VALUES[:2], VALUES[3], now // 1000)
            columns = Columns(shape_of(keys), values, now, start, steady)
            assert metrics(Points(RESOURCE, columns)) == metrics(Points(RESOURCE, tuple(columns)))
        assert steady.parts


def test_each_counter_may_have_a_start_of_its_own() -> None:
    columns = Columns(shape_of(KEYS), VALUES, NOW, (0, START, 0, START + 7))
    assert [value.start_ms for value in columns] == [None, START, None, START + 7]
    assert metrics(Points(RESOURCE, columns)) == metrics(Points(RESOURCE, tuple(columns)))


def test_a_histogram_is_packed_anew_when_it_counts_and_when_time_goes_on() -> None:
    labels, bounds, counts = (("segment", "start"),), (0.5, 1.0), (1, 0, 0)
    first = Histogram("midwatch_cold_start_seconds", labels, bounds, counts, 0.25, NOW, START)
    later = first._replace(at_ms=NOW + 1_000)
    counted = later._replace(counts=(1, 1, 0), sum=1.0)
    found = []
    for one in (first, later, counted):
        (metric,) = metrics(Points(RESOURCE, (one,)))
        (point,) = Metric.FromString(metric).histogram.data_points
        found.append((point.time_unix_nano // 10**6, list(point.bucket_counts), point.sum, point.count))
    assert found == [(NOW, [1, 0, 0], 0.25, 1), (NOW + 1_000, [1, 0, 0], 0.25, 1), (NOW + 1_000, [1, 1, 0], 1.0, 2)]

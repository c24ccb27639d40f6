"""What the agent sends is what the service stores, and what the service asks for is something that is sent."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from agent import names
from agent.log_json import Lifted
from agent.model import (
    Event,
    Histogram,
    Labels,
    LogLine,
    NodeIdentity,
    Point,
    Points,
    Resource,
    Scraped,
    Value,
)
from agent.otlp import SCOPE, logs_request, metrics_request, metrics_requests, traces_request
from agent.scrape import bound_text as scraped_bound_text
from runtime.model import PLATFORM, ServiceName
from service.ingest import decode_logs, decode_metrics, decode_traces
from service.model import EventRow, LogRow, MetricBatch, SpanRow
from service.translate import AGENT_SCOPE, bound_text

NODE = NodeIdentity("n1", "5f0d8a52-6f0e-4f59-9d6f-1f2a3b4c5d6e")
API = Resource(ServiceName("shop", "api"), "shop-api-1", "/docker/" + "a" * 64, "shop:1")
NOW = 1_760_000_000_000
Sample = tuple[str, Labels, str, int, float, int | None]

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
times = st.integers(min_value=1, max_value=4_000_000_000_000)
finite = st.floats(allow_nan=False, allow_infinity=False)
label_names = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True).filter(lambda name: name not in IDENTITY)
IDENTITY = ("node", "node_id", "service", "container", "id", "image", "instance", "le", "job")
label_sets = st.dictionaries(label_names, texts, max_size=5).map(lambda pairs: tuple(sorted(pairs.items())))
resources = st.builds(
    Resource,
    st.builds(ServiceName, st.one_of(st.just(""), texts), texts),
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
)
maybe_times = st.none() | times
counters = st.builds(
    lambda name, labels, value, at, start: Value(name, labels, value, at, start),
    st.sampled_from([name for name, metric in names.OWN.items() if metric.kind == "counter"]),
    label_sets, finite, times, st.none() | times,
)  # fmt: skip
gauges = st.builds(
    Value, st.sampled_from(["midwatch_engine_up", "midwatch_containers_desired"]), label_sets, finite, times
)
histograms = st.builds(
    Histogram,
    st.just("midwatch_image_build_seconds"),
    label_sets,
    st.just((0.5, 1.0)),
    st.tuples(*[st.integers(0, 2**40)] * 3),
    finite,
    times,
    st.none() | times,
)
scraped = st.builds(
    lambda kind, value: Scraped(kind, value if kind == "counter" else value._replace(start_ms=None)),
    st.sampled_from(["counter", "gauge"]),
    st.builds(Value, st.sampled_from(["http_requests", "x_bucket", "a:b"]), label_sets, finite, times, maybe_times),
)
rounds = st.lists(
    st.builds(Points, resources, st.lists(counters | gauges | histograms | scraped, max_size=5).map(tuple)), max_size=4
)


def identity_labels(resource: Resource) -> dict[str, str]:
    found = {
        "node": NODE.node, "node_id": NODE.node_id, "service": str(resource.service),
        "container": resource.container, "id": resource.id, "image": resource.image,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def expected(round_: Sequence[Points]) -> list[Sample]:
    """The naive second computation: one sample at a time, straight from the contract."""
    found: list[Sample] = []
    for resource, points in round_:
        for point in points:
            found.extend(expected_of(resource, point))
    return found


def expected_of(resource: Resource, point: Point) -> list[Sample]:
    def sample(name: str, labels: Labels, kind: str, value: float, of: Value | Histogram) -> Sample:
        named = tuple(sorted({**identity_labels(resource), **dict(labels)}.items()))
        return name, named, kind, of.at_ms, value, of.start_ms if kind == "counter" else None

    if isinstance(point, Histogram):
        buckets = [
            sample(f"{point.name}_bucket", (*point.labels, ("le", le)), "counter", sum(point.counts[: at + 1]), point)
            for at, le in enumerate([*(f"{bound:g}" for bound in point.bounds), "+Inf"])
        ]
        total = sample(f"{point.name}_sum", point.labels, "counter", point.sum, point)
        return [*buckets, total, sample(f"{point.name}_count", point.labels, "counter", sum(point.counts), point)]
    if isinstance(point, Scraped):
        return [sample(point.value.name, point.value.labels, point.kind, point.value.value, point.value)]
    return [sample(point.name, point.labels, names.OWN[point.name].kind, point.value, point)]


def found_in(batch: MetricBatch) -> list[Sample]:
    rows = zip(batch.series_index, batch.ts_ms, batch.value, batch.start_ms, strict=True)
    return [
        (batch.series[at].metric, batch.series[at].labels, batch.kinds[at], ts, value, start)
        for at, ts, value, start in rows
    ]


def decoded(payload: bytes) -> MetricBatch:
    return decode_metrics(gzip.compress(payload), "gzip", f"{NODE.node_id}/spool/metrics/7")


@settings(deadline=None)
@given(rounds)
def test_every_point_of_a_round_arrives_as_the_contract_says(round_: list[Points]) -> None:
    batch = decoded(metrics_request(NODE, round_))
    same_name_two_kinds = {name for name, _, kind, *_ in expected(round_)}
    kinds = {(name, labels): kind for name, labels, kind, *_ in reversed(expected(round_))}
    assert batch.refused == {}
    assert {series.metric for series in batch.series} == same_name_two_kinds
    assert [row[:2] + row[3:] for row in found_in(batch)] == [row[:2] + row[3:] for row in expected(round_)]
    assert all(kinds[row[0], row[1]] == row[2] for row in found_in(batch))


@settings(deadline=None)
@given(rounds, st.integers(1, 4))
def test_a_round_in_several_requests_is_the_same_round(round_: list[Points], most: int) -> None:
    parts = list(metrics_requests(NODE, round_, max_points=most))
    rows = [row for part in parts for row in found_in(decoded(part))]
    assert [row[:2] + row[3:] for row in rows] == [row[:2] + row[3:] for row in expected(round_)]


def test_a_failed_start_counts_in_the_infinite_bucket_alone() -> None:
    point = Histogram("midwatch_cold_start_seconds", (("segment", "start"),), (0.5, 1.0), (1, 0, 1), 0.25, NOW, NOW - 9)
    rows = {
        (name, dict(labels).get("le")): value
        for name, labels, _, _, value, _ in found_in(
            decoded(metrics_request(NODE, [Points(Resource(API.service), (point,))]))
        )
    }
    assert rows == {
        ("midwatch_cold_start_seconds_bucket", "0.5"): 1.0,
        ("midwatch_cold_start_seconds_bucket", "1"): 1.0,
        ("midwatch_cold_start_seconds_bucket", "+Inf"): 2.0,
        ("midwatch_cold_start_seconds_sum", None): 0.25,
        ("midwatch_cold_start_seconds_count", None): 2.0,
    }


def test_a_hostile_name_that_is_not_unicode_is_still_shipped() -> None:
    resource = API._replace(container="bad\udc80name")
    batch = decoded(
        metrics_request(NODE, [Points(resource, (Value("midwatch_engine_up", (("name", "\ud800"),), 1.0, NOW),))])
    )
    assert dict(batch.series[0].labels)["container"] == "bad?name"


@settings(deadline=None)
@given(finite.filter(lambda bound: bound > 0))
def test_agent_and_service_write_a_bucket_bound_alike(bound: float) -> None:
    assert scraped_bound_text(repr(bound)) == bound_text(bound)
    assert float(bound_text(bound)) == bound


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.3, "0.3"), (300.0, "300"), (1.0, "1"), (0.005, "0.005"), (math.inf, "+Inf"), (0.0, "0"), (1e21, "1e+21")],
)
def test_the_text_of_a_bound_is_canonical(bound: float, text: str) -> None:
    assert bound_text(bound) == text
    assert scraped_bound_text(str(bound)) == text


def test_agent_and_service_mean_the_same_scope() -> None:
    assert SCOPE == AGENT_SCOPE


def test_an_event_arrives_with_its_name_its_identity_and_typed_attributes() -> None:
    event = Event(
        "container.die",
        NOW,
        API,
        "shop-api-1 ended",
        {"exit_code": 137, "told": False, "reason": "oom", "seconds": 0.5},
    )
    batch = decode_logs(logs_request(NODE, [event]), None, None)
    assert batch.lines == ()
    assert batch.events == (
        EventRow(
            "container.die", NOW, NODE.node, NODE.node_id, "shop/api", API.container, API.id, API.image,
            "shop-api-1 ended", {"exit_code": 137, "told": False, "reason": "oom", "seconds": 0.5},
        ),
    )  # fmt: skip


def test_a_log_line_arrives_as_a_line_and_not_as_an_event() -> None:
    batch = decode_logs(logs_request(NODE, [], [LogLine(NOW, API, "stderr", "<b>boom</b>")]), None, None)
    assert batch.events == ()
    assert batch.lines == (
        LogRow(NOW, NODE.node, NODE.node_id, "shop/api", API.container, API.id, "stderr", "<b>boom</b>"),
    )


def test_a_lines_severity_and_trace_travel_in_the_records_own_fields() -> None:
    lifted = Lifted(17, "ERR", bytes(range(16)), bytes(range(8)))
    sent = logs_request(NODE, [], [LogLine(NOW, API, "stdout", "{}", lifted), LogLine(NOW, API, "stdout", "plain")])
    request = ExportLogsServiceRequest.FromString(sent)
    records = [record for group in request.resource_logs for scope in group.scope_logs for record in scope.log_records]
    assert [(r.severity_number, r.severity_text, r.trace_id, r.span_id) for r in records] == [lifted, (0, "", b"", b"")]
    assert [row.severity for row in decode_logs(sent, None, None).lines] == ["error", None]


@pytest.mark.parametrize(
    ("name", "severity"), [("container.oom_kill", 17), ("container.unhealthy", 13), ("container.start", 9)]
)
def test_an_event_has_its_name_and_a_severity(name: str, severity: int) -> None:
    request = ExportLogsServiceRequest.FromString(logs_request(NODE, [Event(name, NOW, API, "it happened")]))
    (record,) = request.resource_logs[0].scope_logs[0].log_records
    assert (record.event_name, record.severity_number) == (name, severity)
    assert record.attributes[0].key == "event.name" and record.attributes[0].value.string_value == name


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            LogLine,
            times,
            resources,
            st.sampled_from(["stdout", "stderr"]),
            st.text(max_size=50),
            st.builds(Lifted, st.integers(0, 24), st.text(max_size=8)),
        ),
        max_size=8,
    )
)
def test_every_log_line_arrives_once(lines: list[LogLine]) -> None:
    batch = decode_logs(logs_request(NODE, [], lines), None, None)
    sent = sorted(
        (line.at_ms, str(line.resource.service), line.text.encode("utf-8", "replace").decode()) for line in lines
    )
    assert sorted((row.at_ms, row.service, row.text) for row in batch.lines) == sent


def test_a_deploy_arrives_as_one_trace_of_its_service() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("deploy")
    whose = {"service.namespace": "shop", "service.name": "api"}
    with (
        tracer.start_as_current_span("deploy", attributes={**whose, "image": "shop:2"}) as deploy,
        tracer.start_as_current_span("pull", attributes={**whose, "bytes": 12}) as pull,
    ):
        pull.set_status(Status(StatusCode.ERROR, "not found"))
    rows = {
        span.name: span for span in decode_traces(traces_request(NODE, exporter.get_finished_spans()), None, None).spans
    }
    assert rows["pull"] == SpanRow(
        trace_id=rows["deploy"].trace_id, span_id=rows["pull"].span_id, parent_id=rows["deploy"].span_id, name="pull",
        node=NODE.node, node_id=NODE.node_id, service="shop/api", start_ms=rows["pull"].start_ms,
        end_ms=rows["pull"].end_ms, ok=False, attributes={"bytes": 12},
    )  # fmt: skip
    assert rows["deploy"].parent_id is None
    assert rows["deploy"].ok
    assert rows["deploy"].trace_id == f"{deploy.get_span_context().trace_id:032x}"
    assert rows["deploy"].start_ms <= rows["pull"].start_ms <= rows["pull"].end_ms <= rows["deploy"].end_ms


def test_what_concerns_a_node_belongs_to_the_platform() -> None:
    batch = decoded(metrics_request(NODE, [Points(Resource(PLATFORM), (Value("midwatch_engine_up", (), 1.0, NOW),))]))
    assert batch.series[0].labels == (("node", "n1"), ("node_id", NODE.node_id), ("service", "platform"))

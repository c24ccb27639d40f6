"""What the agent sends: OTLP requests from points, events, log lines and spans.

Built from the protocol's own messages, since SDK instruments can't carry a counter's true start time. A number point
is 27 bytes (18 without a start) between two byte strings that depend on its name and labels alone: those are cached.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from agent import names
from agent.borrowed import CADVISOR, NODE
from agent.columns import Columns
from agent.frames import Frames, Template
from agent.model import Event, Histogram, Labels, LogLine, NodeIdentity, Point, Points, Resource, Scraped
from runtime.model import PLATFORM, ServiceName

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SCOPE = "midwatch.agent"
"""Names under this scope are Prometheus names already: the service leaves them as they are."""

MOST_KEPT_CHARS = 400
"""Scraped labels longer than this are encoded anew each time: what containers say must not fill our memory."""
_LAST_MS = (2**63 - 1) // 1_000_000
_NS_PER_MS = 1_000_000
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_SCOPE_MESSAGE = InstrumentationScope(name=SCOPE)
_SCOPE_FIELD = ScopeMetrics(scope=_SCOPE_MESSAGE).SerializeToString()
_IDENTITY_KEYS = ("service.namespace", "service.name", "container.name", "container.id", "container.image.name")
_TABLES = (names.OWN, CADVISOR, NODE)
_KINDS: dict[str, str] = {name: metric.kind for table in _TABLES for name, metric in table.items()}

_EVENT_SEVERITIES = {
    "container.oom_kill": SeverityNumber.SEVERITY_NUMBER_ERROR,
    "container.unhealthy": SeverityNumber.SEVERITY_NUMBER_WARN,
    "agent.gap": SeverityNumber.SEVERITY_NUMBER_WARN,
    "registry.request": SeverityNumber.SEVERITY_NUMBER_WARN,
}
"""Events that are faults whatever their attributes say; all others are information."""

_STARTED = struct.Struct("<BQBQBd")
_UNSTARTED = struct.Struct("<BQBd")
_TIMED = struct.Struct("<BQ")
_START_TAG, _TIME_TAG, _DOUBLE_TAG = 0x11, 0x19, 0x21
_MARK = 0xFFFE_FFFE_FFFE_FFFE
"""A time that no text holds (not UTF-8) and no clock shows: where it stands, the numbers go."""


def metrics_request(node: NodeIdentity, points: Iterable[Points]) -> bytes:
    """One serialised ExportMetricsServiceRequest; times in ms become ns, counters are cumulative sums."""
    return b"".join(_frame(0x0A, _resource_metrics(node, group)) for group in points if group.points)


def metrics_requests(node: NodeIdentity, points: Iterable[Points], max_points: int = 20_000) -> Iterator[bytes]:
    """The same in requests of at most `max_points` points each, so that no batch is too large to be taken."""
    room, batch = max_points, list[Points]()
    for group in chain.from_iterable(_split(group, max_points) for group in points):
        if len(group.points) > room:
            yield metrics_request(node, batch)
            room, batch = max_points, []
        batch.append(group)
        room -= len(group.points)
    if batch:
        yield metrics_request(node, batch)


def logs_request(node: NodeIdentity, events: Iterable[Event], lines: Iterable[LogLine] = ()) -> bytes:
    """One serialised ExportLogsServiceRequest; events have an event name, lines the attribute `log.iostream`."""
    by_resource: dict[Resource, list[LogRecord]] = {}
    for event in events:
        by_resource.setdefault(event.resource, []).append(_event_record(event))
    for line in lines:
        by_resource.setdefault(line.resource, []).append(_line_record(line))
    request = ExportLogsServiceRequest()
    for resource, records in by_resource.items():
        group = request.resource_logs.add()
        group.resource.MergeFromString(_resource(node, resource))
        group.scope_logs.append(ScopeLogs(scope=_SCOPE_MESSAGE, log_records=records))
    return request.SerializeToString()


def traces_request(node: NodeIdentity, spans: Iterable[ReadableSpan]) -> bytes:
    """One serialised ExportTraceServiceRequest; a span's identity attributes (`service.name` …) become its resource."""
    by_resource: dict[Resource, list[Span]] = {}
    for span in spans:
        attributes = span.attributes or {}
        by_resource.setdefault(_resource_of(attributes), []).append(_span(span, attributes))
    request = ExportTraceServiceRequest()
    for resource, messages in by_resource.items():
        group = request.resource_spans.add()
        group.resource.MergeFromString(_resource(node, resource))
        group.scope_spans.append(ScopeSpans(scope=_SCOPE_MESSAGE, spans=messages))
    return request.SerializeToString()


def _split(group: Points, max_points: int) -> Iterator[Points]:
    if len(group.points) <= max_points:
        yield group
        return
    points = iter(group.points)
    while part := tuple(islice(points, max_points)):
        yield Points(group.resource, part)


def _resource_metrics(node: NodeIdentity, group: Points) -> bytes:
    resource = _frame(0x0A, _resource(node, group.resource))
    points = group.points
    packed = _FRAMES.pack(points) if isinstance(points, Columns) else b"".join(_points(points))
    return resource + _frame(0x12, _SCOPE_FIELD + packed)


def _points(points: Iterable[Point]) -> Iterator[bytes]:
    """Each point framed as a field of its scope; one loop without calls of ours, since most of a round is this."""
    unstarted, started, kinds = _UNSTARTED.pack, _STARTED.pack, _KINDS
    for point in points:
        if isinstance(point, Histogram):
            yield _histogram(point)
            continue
        template: Template = _template
        if isinstance(point, Scraped):
            kind, value = point
            counter = kind == "counter"
            name, labels, number, at_ms, start_ms = value
            if sum([len(label) + len(text) for label, text in labels]) > MOST_KEPT_CHARS:
                template = _make_template
        else:
            name, labels, number, at_ms, start_ms = point
            known = kinds.get(name)
            counter = known == "counter" if known else start_ms is not None
        if counter and start_ms is not None:
            head, tail = template(name, labels, True, True)
            start, at = start_ms * _NS_PER_MS, at_ms * _NS_PER_MS
            yield head + started(_START_TAG, start, _TIME_TAG, at, _DOUBLE_TAG, number) + tail
        else:
            head, tail = template(name, labels, counter, False)
            yield head + unstarted(_TIME_TAG, at_ms * _NS_PER_MS, _DOUBLE_TAG, number) + tail


def _make_template(name: str, labels: Labels, counter: bool, started: bool) -> tuple[bytes, bytes]:
    """What stands before and after the numbers of a point, framed as a field of its scope."""
    metric = Metric(name=_clean(name))
    if counter:
        metric.sum.aggregation_temporality = _CUMULATIVE
        metric.sum.is_monotonic = True
    points = metric.sum.data_points if counter else metric.gauge.data_points
    points.add(
        start_time_unix_nano=_MARK if started else 0, time_unix_nano=_MARK, as_double=1.0, attributes=_labels(labels)
    )
    mark = _UNSTARTED.pack(_TIME_TAG, _MARK, _DOUBLE_TAG, 1.0)
    if started:
        mark = _STARTED.pack(_START_TAG, _MARK, _TIME_TAG, _MARK, _DOUBLE_TAG, 1.0)
    head, _, tail = ScopeMetrics(metrics=[metric]).SerializeToString().partition(mark)
    return head, tail


_template = lru_cache(maxsize=20_000)(_make_template)
_FRAMES = Frames(_template)


def _histogram(point: Histogram) -> bytes:
    known = _HISTOGRAMS.get(id(point.counts))
    if known is None or not _same_but_for_time(known[0], point):
        if len(_HISTOGRAMS) >= _MOST_HISTOGRAMS:
            _HISTOGRAMS.clear()
        known = _HISTOGRAMS[id(point.counts)] = (point, *_histogram_template(point))
    return known[1] + _TIMED.pack(_TIME_TAG, point.at_ms * _NS_PER_MS) + known[2]


_MOST_HISTOGRAMS = 20_000
_HISTOGRAMS: dict[int, tuple[Histogram, bytes, bytes]] = {}
"""Most histograms say what they said before, by the very same counts: each is kept with what stands around its time."""


def _same_but_for_time(one: Histogram, other: Histogram) -> bool:
    same = one.counts is other.counts and one.labels is other.labels and one.bounds is other.bounds
    return same and (one.name, one.sum, one.start_ms) == (other.name, other.sum, other.start_ms)


def _histogram_template(point: Histogram) -> tuple[bytes, bytes]:
    """What stands before and after the time of a histogram: most of them say what they said before."""
    metric = Metric(name=_clean(point.name))
    metric.histogram.aggregation_temporality = _CUMULATIVE
    metric.histogram.data_points.append(
        HistogramDataPoint(
            attributes=_labels(point.labels),
            start_time_unix_nano=(point.start_ms or 0) * _NS_PER_MS,
            time_unix_nano=_MARK,
            count=sum(point.counts),
            sum=point.sum,
            bucket_counts=point.counts,
            explicit_bounds=point.bounds,
        )
    )
    head, _, tail = ScopeMetrics(metrics=[metric]).SerializeToString().partition(_TIMED.pack(_TIME_TAG, _MARK))
    return head, tail


def _labels(labels: Labels) -> list[KeyValue]:
    return [_attribute(name, value) for name, value in labels if value]


@lru_cache(maxsize=4096)
def _resource(node: NodeIdentity, resource: Resource) -> bytes:
    service = resource.service
    values = (service.namespace, service.name, resource.container, resource.id, resource.image)
    pairs = [("host.name", node.node), ("host.id", node.node_id), *zip(_IDENTITY_KEYS, values, strict=True)]
    attributes = [_attribute(key, value) for key, value in pairs if value]
    return ResourceMessage(attributes=attributes).SerializeToString()


def _resource_of(attributes: Mapping[str, object]) -> Resource:
    namespace, name, container, id_, image = (attributes.get(key) for key in _IDENTITY_KEYS)
    service = ServiceName(str(namespace or ""), str(name)) if name else PLATFORM
    return Resource(service, _optional(container), _optional(id_), _optional(image))


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _event_record(event: Event) -> LogRecord:
    attributes = [_attribute(key, value) for key, value in event.attributes.items()]
    return LogRecord(
        time_unix_nano=event.at_ms * _NS_PER_MS,
        observed_time_unix_nano=event.at_ms * _NS_PER_MS,
        severity_number=_EVENT_SEVERITIES.get(event.name, SeverityNumber.SEVERITY_NUMBER_INFO),
        body=_any(event.body),
        attributes=[_attribute("event.name", event.name), *attributes],
        event_name=event.name,
    )


def _line_record(line: LogLine) -> LogRecord:
    return LogRecord(
        time_unix_nano=min(max(0, line.at_ms), _LAST_MS) * _NS_PER_MS,
        body=_any(line.text),
        severity_number=SeverityNumber.ValueType(line.lifted.severity),
        severity_text=_clean(line.lifted.severity_text),
        trace_id=line.lifted.trace_id,
        span_id=line.lifted.span_id,
        attributes=[_attribute("log.iostream", line.stream)],
    )


def _span(span: ReadableSpan, attributes: Mapping[str, object]) -> Span:
    own = {key: value for key, value in attributes.items() if key not in _IDENTITY_KEYS}
    context, parent = span.get_span_context(), span.parent
    if context is None:
        raise ValueError(f"the span {span.name!r} has no context: only spans that a tracer made can be sent")
    return Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=parent.span_id.to_bytes(8, "big") if parent else b"",
        name=_clean(span.name),
        kind=Span.SpanKind.SPAN_KIND_INTERNAL,
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or span.start_time or 0,
        attributes=[_attribute(key, value) for key, value in own.items()],
        status=Status(code=_status_code(span), message=_clean(span.status.description or "")),
    )


def _status_code(span: ReadableSpan) -> Status.StatusCode.ValueType:
    return Status.StatusCode.ValueType(span.status.status_code.value)


def _attribute(key: str, value: object) -> KeyValue:
    return KeyValue(key=_clean(key), value=_any(value))


def _any(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if -(2**63) <= value < 2**63:
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=_clean(value))
        case Sequence():
            return AnyValue(string_value=_clean(json.dumps(list(value))))
        case _:
            return AnyValue(string_value=str(value))


def _clean(text: str) -> str:
    """The text without lone surrogates, which names from the kernel or the engine may hold and UTF-8 can't."""
    return text.encode("utf-8", "replace").decode()


def _frame(tag: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    size, head = len(payload), bytearray((tag,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + payload

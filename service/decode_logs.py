"""OTLP logs and traces to events, log lines and spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.decode import IngestRefused, Limits
from service.model import BatchIdentity, EventRow, LogBatch, LogRow, SpanRow, TraceBatch
from service.translate import Identity, attribute_text, identity, plain

_NS_PER_MS = 1_000_000
_MOST_ATTRIBUTES = 1_000
_EVENT_NAME = "event.name"
_STREAM = "log.iostream"
_SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")
_PER_SEVERITY = 4
_TRACE_BYTES, _SPAN_BYTES = 16, 8

Attributes = dict[str, str | int | float | bool]


def log_batch(request: ExportLogsServiceRequest, batch_identity: BatchIdentity | None, limits: Limits) -> LogBatch:
    """Records with an event name become events, all others log lines; those without any time are counted."""
    events, lines, refused = list[EventRow](), list[LogRow](), Counter[str]()
    _check([it.scope_logs for it in request.resource_logs], "log_records", limits, "records")
    for group in request.resource_logs:
        whose = _bounded(identity(group.resource.attributes[:_MOST_ATTRIBUTES]), limits)
        for record in (record for scope in group.scope_logs for record in scope.log_records):
            at_ms = (record.time_unix_nano or record.observed_time_unix_nano) // _NS_PER_MS
            if not at_ms:
                refused["no_time"] += 1
            elif name := _event_name(record):
                events.append(_event(name, at_ms, record, whose, limits))
            else:
                lines.append(_line(at_ms, record, whose, limits))
    return LogBatch(batch_identity, tuple(events), tuple(lines), dict(refused))


def trace_batch(request: ExportTraceServiceRequest, batch_identity: BatchIdentity | None, limits: Limits) -> TraceBatch:
    """Every span with ids and a start; others are counted."""
    spans, refused = list[SpanRow](), Counter[str]()
    _check([it.scope_spans for it in request.resource_spans], "spans", limits, "spans")
    for group in request.resource_spans:
        whose = _bounded(identity(group.resource.attributes[:_MOST_ATTRIBUTES]), limits)
        for span in (span for scope in group.scope_spans for span in scope.spans):
            if len(span.trace_id) != _TRACE_BYTES or len(span.span_id) != _SPAN_BYTES or not span.start_time_unix_nano:
                refused["bad_span"] += 1
            else:
                spans.append(_span(span, whose, limits))
    return TraceBatch(batch_identity, tuple(spans), dict(refused))


def _check(scopes: Sequence[Sequence[Any]], field: str, limits: Limits, what: str) -> None:
    """413 where there are more of them than a batch may have, or as many resources or scopes without any."""
    places = len(scopes) + sum(map(len, scopes))
    found = sum(len(getattr(scope, field)) for them in scopes for scope in them) if places <= limits.points else 0
    if max(found, places) > limits.points:
        raise IngestRefused(413, f"the batch has more than the {limits.points} {what} taken at once")


def _bounded(whose: Identity, limits: Limits) -> Identity:
    return Identity._make(part[: limits.label_value_chars] if part else part for part in whose)


def _event_name(record: LogRecord) -> str:
    if record.event_name:
        return record.event_name
    found = record.attributes[:_MOST_ATTRIBUTES]
    return next((attribute_text(pair.value) for pair in found if pair.key == _EVENT_NAME), "")


def _event(name: str, at_ms: int, record: LogRecord, whose: Identity, limits: Limits) -> EventRow:
    return EventRow(
        name=name[: limits.label_name_chars],
        at_ms=at_ms,
        node=whose.node or "",
        node_id=whose.node_id or "",
        service=whose.service,
        container=whose.container,
        id=whose.id,
        image=whose.image,
        body=attribute_text(record.body)[: limits.text_chars],
        attributes=_attributes((pair for pair in record.attributes if pair.key != _EVENT_NAME), limits),
    )


def _line(at_ms: int, record: LogRecord, whose: Identity, limits: Limits) -> LogRow:
    stream = next(
        (attribute_text(pair.value) for pair in record.attributes[:_MOST_ATTRIBUTES] if pair.key == _STREAM), ""
    )
    return LogRow(
        at_ms=at_ms,
        node=whose.node or "",
        node_id=whose.node_id or "",
        service=whose.service,
        container=whose.container,
        id=whose.id,
        stream=stream[: limits.label_name_chars],
        text=attribute_text(record.body)[: limits.text_chars],
        severity=_severity(record),
        trace_id=record.trace_id.hex() if len(record.trace_id) == _TRACE_BYTES else None,
        span_id=record.span_id.hex() if len(record.span_id) == _SPAN_BYTES else None,
    )


def _severity(record: LogRecord) -> str | None:
    """The severity's class in lower case, from its number (1 to 24) or else its text."""
    if 1 <= record.severity_number <= len(_SEVERITIES) * _PER_SEVERITY:
        return _SEVERITIES[(record.severity_number - 1) // _PER_SEVERITY]
    return record.severity_text[:16].lower() or None


def _span(span: Span, whose: Identity, limits: Limits) -> SpanRow:
    return SpanRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() if len(span.parent_span_id) == _SPAN_BYTES else None,
        name=span.name[: limits.label_value_chars],
        node=whose.node or "",
        node_id=whose.node_id or "",
        service=whose.service,
        start_ms=span.start_time_unix_nano // _NS_PER_MS,
        end_ms=max(span.end_time_unix_nano, span.start_time_unix_nano) // _NS_PER_MS,
        ok=span.status.code != Status.StatusCode.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes, limits),
    )


def _attributes(pairs: Iterable[KeyValue], limits: Limits) -> Attributes:
    kept: Attributes = {}
    for pair in pairs:
        if len(kept) >= limits.attributes:
            break
        value = plain(pair.value)
        kept[pair.key[: limits.label_name_chars]] = value[: limits.text_chars] if isinstance(value, str) else value
    return kept

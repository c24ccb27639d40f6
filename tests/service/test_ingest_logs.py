"""OTLP logs and traces of any sender to events, lines and spans."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.ingest import IngestRefused, Limits, decode_logs, decode_traces
from service.model import LogBatch, TraceBatch

NOW = 1_760_000_000_000_000_000


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def logs_of(*records: LogRecord, limits: Limits = Limits()) -> LogBatch:  # noqa: B008
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.append(text("service.name", "api"))
    group.scope_logs.add().log_records.extend(records)
    return decode_logs(request.SerializeToString(), None, None, limits)


def traces_of(*spans: Span, limits: Limits = Limits()) -> TraceBatch:  # noqa: B008
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return decode_traces(request.SerializeToString(), None, None, limits)


def record(body: str = "hello", **more: object) -> LogRecord:
    return LogRecord(**{"time_unix_nano": NOW, "body": AnyValue(string_value=body), **more})  # type: ignore[arg-type]


def span(**more: object) -> Span:
    whole = {"trace_id": b"t" * 16, "span_id": b"s" * 8, "start_time_unix_nano": NOW, "name": "GET /"}
    return Span(**{**whole, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "word", "severity"),
    [
        (0, "", None),
        (9, "", "info"),
        (17, "ignored", "error"),
        (24, "", "fatal"),
        (0, "WARNING", "warning"),
        (99, "x", "x"),
    ],
)
def test_a_severity_is_its_class_or_its_text(number: int, word: str, severity: str | None) -> None:
    (line,) = logs_of(record(severity_number=number, severity_text=word)).lines
    assert line.severity == severity


def test_the_name_of_an_event_may_be_an_attribute() -> None:
    (event,) = logs_of(record(attributes=[text("event.name", "deploy"), text("image", "x")])).events
    assert (event.name, event.attributes) == ("deploy", {"image": "x"})


def test_the_time_of_observation_stands_in_for_a_missing_time() -> None:
    (line,) = logs_of(record(time_unix_nano=0, observed_time_unix_nano=NOW)).lines
    assert line.at_ms == NOW // 1_000_000


def test_a_record_without_any_time_is_left_out_and_counted() -> None:
    found = logs_of(record(time_unix_nano=0), record())
    assert (len(found.lines), found.refused) == (1, {"no_time": 1})


def test_a_body_that_is_a_map_becomes_json() -> None:
    body = AnyValue()
    body.kvlist_value.values.append(text("k", "v"))
    (line,) = logs_of(LogRecord(time_unix_nano=NOW, body=body)).lines
    assert line.text == '{"k": "v"}'


def test_texts_are_cut_and_attributes_bounded() -> None:
    attributes = [text(f"a{n}", "x" * 20) for n in range(5)]
    limits = Limits(text_chars=8, attributes=3)
    (event,) = logs_of(record("y" * 20, event_name="e", attributes=attributes), limits=limits).events
    assert event.body == "y" * 8
    assert event.attributes == {"a0": "x" * 8, "a1": "x" * 8, "a2": "x" * 8}


def test_more_records_than_a_batch_may_have_refuse_it() -> None:
    with pytest.raises(IngestRefused) as refused:
        logs_of(record(), record(), limits=Limits(points=1))
    assert refused.value.status == 413


@pytest.mark.parametrize("broken", [{"trace_id": b""}, {"span_id": b"short"}, {"start_time_unix_nano": 0}])
def test_a_span_without_ids_or_a_start_is_left_out_and_counted(broken: dict[str, object]) -> None:
    found = traces_of(span(**broken), span())
    assert (len(found.spans), found.refused) == (1, {"bad_span": 1})


def test_a_span_that_ends_before_it_starts_ends_when_it_starts() -> None:
    (found,) = traces_of(span(end_time_unix_nano=5)).spans
    assert found.end_ms == found.start_ms == NOW // 1_000_000
    assert (found.trace_id, found.span_id, found.parent_id, found.ok) == ("74" * 16, "73" * 8, None, True)


def test_more_spans_than_a_batch_may_have_refuse_it() -> None:
    with pytest.raises(IngestRefused) as refused:
        traces_of(span(), span(), limits=Limits(points=1))
    assert refused.value.status == 413

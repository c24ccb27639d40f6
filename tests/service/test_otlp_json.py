"""OTLP in JSON means what it means in protobuf, and errors are told in the form of the request."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from service.decode import IngestRefused, Limits
from service.ingest import decode_logs, decode_metrics, decode_traces
from service.otlp_status import error_form, status_body

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def test_metrics_in_json_are_those_in_protobuf() -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="c")
    metric.sum.aggregation_temporality = 2
    metric.sum.is_monotonic = True
    metric.sum.data_points.add(time_unix_nano=1_760_000_000_000_000_000, as_int=2**53 + 1)
    tree = json_format.MessageToDict(request, use_integers_for_enums=True)
    tree["somethingNew"] = {"a": 1}
    found = decode_metrics(json.dumps(tree).encode(), None, None, form="json")
    assert found == decode_metrics(request.SerializeToString(), None, None)


def test_ids_are_hexadecimal() -> None:
    span = {"traceId": TRACE.upper(), "spanId": SPAN, "startTimeUnixNano": "1760000000000000000", "name": "GET"}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (found,) = decode_traces(json.dumps(body).encode(), None, None, form="json").spans
    assert (found.trace_id, found.span_id) == (TRACE, SPAN)


def test_a_log_in_json_is_a_line() -> None:
    record = {"timeUnixNano": "1760000000000000000", "severityNumber": 17, "body": {"stringValue": "no"}}
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    (line,) = decode_logs(json.dumps(body).encode(), None, None, form="json").lines
    assert (line.text, line.severity) == ("no", "error")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"resourceMetrics": 7}', b"[" * 100_000, b'{"a":' * 100_000, b'{"resourceMetrics": [null]}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": 5}]}]}]}', b"\xff",
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
    ],
)  # fmt: skip
def test_json_of_another_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(IngestRefused) as refused:
        decode_metrics(body, None, None, form="json")
        decode_traces(body, None, None, form="json")
    assert refused.value.status == 400


def test_json_has_a_bound_of_its_own() -> None:
    with pytest.raises(IngestRefused, match="send protobuf") as refused:
        decode_metrics(b"{" + b" " * 99 + b"}", None, None, Limits(json_bytes=100), form="json")
    assert refused.value.status == 413


_TREES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda them: (
        st.lists(them, max_size=3)
        | st.dictionaries(st.sampled_from(["resourceMetrics", "scopeMetrics", "metrics", "sum", "dataPoints"]), them)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(_TREES)
def test_no_json_does_more_than_be_refused(tree: object) -> None:
    try:
        decode_metrics(json.dumps(tree).encode(), None, None, form="json")
    except IngestRefused as refused:
        assert refused.status == 400


def test_an_error_is_a_status_in_the_form_of_the_request() -> None:
    body, kind = status_body(429, "too much", "protobuf")
    assert (body, kind) == (b"\x08\x08\x12\x08too much", "application/x-protobuf")
    body, kind = status_body(400, "é" * 2_000, "json")
    assert (json.loads(body), kind) == ({"code": 3, "message": "é" * 1_000}, "application/json")
    body, _ = status_body(400, "x" * 300, "protobuf")
    assert body[2:5] == b"\x12\xac\x02"
    assert (error_form("application/json; x"), error_form("text/html"), error_form(None)) == (
        "json",
        "protobuf",
        "protobuf",
    )

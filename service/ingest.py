"""The way in: bodies of `/v1/metrics`, `/v1/logs` and `/v1/traces` to batches, and the bodies of the answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from service.decode import (
    DEFAULT,
    HARMLESS,
    JSON,
    PROTOBUF,
    Form,
    IngestRefused,
    Limits,
    Signal,
    batch_identity,
    form_of,
    inflate,
    parse,
)
from service.decode_logs import log_batch, trace_batch
from service.decode_metrics import TARGET_INFO, samples
from service.deltas import Turn
from service.model import LogBatch, MetricBatch, TraceBatch
from service.otlp_json import to_json

__all__ = [
    "DEFAULT",
    "JSON",
    "PROTOBUF",
    "Form",
    "IngestRefused",
    "Limits",
    "Signal",
    "answer",
    "decode_logs",
    "decode_metrics",
    "decode_traces",
    "form_of",
]


def decode_metrics(
    body: bytes,
    content_encoding: str | None,
    batch_header: str | None,
    limits: Limits = DEFAULT,
    form: Form = "protobuf",
    turn: Turn | None = None,
) -> MetricBatch:
    """Decode one `/v1/metrics` request; raises IngestRefused (400, 413, 415).

    Deltas are added up in `turn`; without one each series begins with this request.
    """
    identity = batch_identity(batch_header, "metrics")
    request = parse(ExportMetricsServiceRequest, inflate(body, content_encoding, limits), form, limits.json_bytes)
    return samples(request, identity, limits, turn or Turn({}, threading.Lock()))


def decode_logs(
    body: bytes,
    content_encoding: str | None,
    batch_header: str | None,
    limits: Limits = DEFAULT,
    form: Form = "protobuf",
) -> LogBatch:
    """Decode one `/v1/logs` request; raises IngestRefused (400, 413, 415)."""
    identity = batch_identity(batch_header, "logs")
    request = parse(ExportLogsServiceRequest, inflate(body, content_encoding, limits), form, limits.json_bytes)
    return log_batch(request, identity, limits)


def decode_traces(
    body: bytes,
    content_encoding: str | None,
    batch_header: str | None,
    limits: Limits = DEFAULT,
    form: Form = "protobuf",
) -> TraceBatch:
    """Decode one `/v1/traces` request; raises IngestRefused (400, 413, 415)."""
    identity = batch_identity(batch_header, "traces")
    request = parse(ExportTraceServiceRequest, inflate(body, content_encoding, limits), form, limits.json_bytes)
    return trace_batch(request, identity, limits)


def answer(signal: Signal, refused: Mapping[str, int], form: Form = "protobuf") -> bytes:
    """The body of a 200: empty, or OTLP's partial success with how many were left out and why.

    What is harmless is not told, and a `target_info` of ours is a warning: it is none of the points that were sent.
    """
    told = {reason: number for reason, number in sorted(refused.items()) if number and reason not in HARMLESS}
    if not told:
        return b"{}" if form == "json" else b""
    why = "left out: " + ", ".join(f"{number} {reason}" for reason, number in told.items())
    message = _partial(signal, sum(told.values()) - told.get(TARGET_INFO, 0), why)
    return to_json(message) if form == "json" else message.SerializeToString()


def _partial(signal: Signal, count: int, why: str) -> Message:
    match signal:
        case "metrics":
            metrics = ExportMetricsPartialSuccess(rejected_data_points=count, error_message=why)
            return ExportMetricsServiceResponse(partial_success=metrics)
        case "logs":
            logs = ExportLogsPartialSuccess(rejected_log_records=count, error_message=why)
            return ExportLogsServiceResponse(partial_success=logs)
        case "traces":
            traces = ExportTracePartialSuccess(rejected_spans=count, error_message=why)
            return ExportTraceServiceResponse(partial_success=traces)

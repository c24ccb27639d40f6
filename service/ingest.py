"""The way in: bodies of `/v1/metrics`, `/v1/logs` and `/v1/traces` to batches, and the bodies of the answers."""

from __future__ import annotations

from collections.abc import Mapping

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

from service.decode import DEFAULT, PROTOBUF, IngestRefused, Limits, Signal, batch_identity, check_content_type
from service.decode import inflate as _inflate
from service.decode import parse as _parse
from service.decode_logs import log_batch, trace_batch
from service.decode_metrics import samples
from service.model import LogBatch, MetricBatch, TraceBatch

__all__ = [
    "DEFAULT",
    "PROTOBUF",
    "IngestRefused",
    "Limits",
    "Signal",
    "answer",
    "check_content_type",
    "decode_logs",
    "decode_metrics",
    "decode_traces",
]


def decode_metrics(
    body: bytes, content_encoding: str | None, batch_header: str | None, limits: Limits = DEFAULT
) -> MetricBatch:
    """Decode one `/v1/metrics` request; raises IngestRefused (400, 413, 415)."""
    identity = batch_identity(batch_header, "metrics")
    return samples(_parse(ExportMetricsServiceRequest, _inflate(body, content_encoding, limits)), identity, limits)


def decode_logs(
    body: bytes, content_encoding: str | None, batch_header: str | None, limits: Limits = DEFAULT
) -> LogBatch:
    """Decode one `/v1/logs` request; raises IngestRefused (400, 413, 415)."""
    identity = batch_identity(batch_header, "logs")
    return log_batch(_parse(ExportLogsServiceRequest, _inflate(body, content_encoding, limits)), identity, limits)


def decode_traces(
    body: bytes, content_encoding: str | None, batch_header: str | None, limits: Limits = DEFAULT
) -> TraceBatch:
    """Decode one `/v1/traces` request; raises IngestRefused (400, 413, 415)."""
    identity = batch_identity(batch_header, "traces")
    return trace_batch(_parse(ExportTraceServiceRequest, _inflate(body, content_encoding, limits)), identity, limits)


def answer(signal: Signal, refused: Mapping[str, int]) -> bytes:
    """The protobuf body of a 200: empty, or OTLP's partial success with how many were left out and why."""
    count = sum(refused.values())
    if not count:
        return b""
    why = "left out: " + ", ".join(f"{number} {reason}" for reason, number in sorted(refused.items()))
    match signal:
        case "metrics":
            metrics = ExportMetricsPartialSuccess(rejected_data_points=count, error_message=why)
            return ExportMetricsServiceResponse(partial_success=metrics).SerializeToString()
        case "logs":
            logs = ExportLogsPartialSuccess(rejected_log_records=count, error_message=why)
            return ExportLogsServiceResponse(partial_success=logs).SerializeToString()
        case "traces":
            traces = ExportTracePartialSuccess(rejected_spans=count, error_message=why)
            return ExportTraceServiceResponse(partial_success=traces).SerializeToString()

"""Every request before it is decoded: encodings, sizes, identities, and what a hostile body can't do."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
import zlib
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from service.decode import MOST_PARTS
from service.ingest import (
    IngestRefused,
    Limits,
    answer,
    decode_logs,
    decode_metrics,
    decode_traces,
    form_of,
)
from service.model import BatchIdentity


def one_gauge() -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="g")
    metric.gauge.data_points.add(time_unix_nano=1_000_000, as_double=1.0)
    return request.SerializeToString()


def status_of(body: bytes, encoding: str | None = None, header: str | None = None, limits: Limits = Limits()) -> int:  # noqa: B008
    with pytest.raises(IngestRefused) as refused:
        decode_metrics(body, encoding, header, limits)
    assert refused.value.message
    return refused.value.status


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_a_body_without_compression_is_taken(encoding: str | None) -> None:
    assert decode_metrics(one_gauge(), encoding, None).series[0].metric == "g"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_compressed_body_is_taken(encoding: str) -> None:
    assert decode_metrics(gzip.compress(one_gauge()), encoding, None).series[0].metric == "g"


def test_a_body_of_two_gzip_members_is_one_body() -> None:
    whole = one_gauge()
    body = gzip.compress(whole[:5]) + gzip.compress(whole[5:])
    assert decode_metrics(body, "gzip", None).series[0].metric == "g"


def test_an_empty_request_is_an_empty_batch() -> None:
    assert decode_metrics(b"", None, None).series == ()


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_an_encoding_that_is_not_known_is_refused_by_name(encoding: str) -> None:
    assert status_of(one_gauge(), encoding) == 415


@pytest.mark.parametrize(
    "body",
    [b"", b"not gzip", gzip.compress(b"x" * 99)[:-9], gzip.compress(b"x" * 99)[:12], gzip.compress(b"x") + b"trailing"],
    ids=["nothing", "garbage", "without its end", "cut in the middle", "with a tail"],
)  # fmt: skip
def test_a_body_that_is_not_whole_gzip_is_malformed(body: bytes) -> None:
    if body:
        assert status_of(body, "gzip") == 400
    else:
        assert decode_metrics(body, "gzip", None).series == ()


def test_a_checksum_that_does_not_fit_is_malformed() -> None:
    body = bytearray(gzip.compress(one_gauge()))
    body[-6] ^= 1
    assert status_of(bytes(body), "gzip") == 400


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b'{"resourceMetrics": []}', b"\x0a\x7f\x01"])
def test_a_body_that_is_not_the_protocol_is_malformed(body: bytes) -> None:
    assert status_of(body) == 400


def test_a_body_larger_than_the_bound_is_too_large_and_one_of_the_bound_is_not() -> None:
    body = one_gauge()
    assert status_of(body, limits=Limits(body_bytes=len(body) - 1)) == 413
    assert decode_metrics(body, None, None, Limits(body_bytes=len(body))).series


def test_a_bomb_is_refused_after_no_more_than_the_bound_was_decompressed() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(512)), packer.flush()])
    assert len(bomb) < 1 << 20
    assert status_of(bomb, "gzip", limits=Limits(decompressed_bytes=1 << 16)) == 413


def test_a_bomb_in_many_small_members_is_refused_too() -> None:
    member = gzip.compress(bytes(60_000))
    assert status_of(member * 100, "gzip", limits=Limits(decompressed_bytes=1 << 16)) == 413


@pytest.mark.parametrize(("encoding", "part"), [("gzip", gzip.compress(b"")), ("zstd", zstandard.compress(b""))])
def test_a_body_of_more_parts_than_are_taken_is_refused_however_little_they_hold(encoding: str, part: bytes) -> None:
    assert not decode_metrics(part * MOST_PARTS, encoding, None).series
    with pytest.raises(IngestRefused, match=f"more than the {MOST_PARTS} {encoding}") as refused:
        decode_metrics(part * (MOST_PARTS + 1), encoding, None)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (None, "protobuf"),
        ("application/x-protobuf", "protobuf"),
        ("application/X-Protobuf; charset=x", "protobuf"),
        ("application/json", "json"),
        ("application/json; charset=utf-8", "json"),
    ],
)
def test_the_content_type_tells_the_form(kind: str | None, form: str) -> None:
    assert form_of(kind) == form


def test_another_content_type_is_refused_by_name() -> None:
    with pytest.raises(IngestRefused, match="text/html") as refused:
        form_of("text/html")
    assert refused.value.status == 415


def test_zstd_is_taken_whole_and_in_several_frames() -> None:
    whole = one_gauge()
    packed = zstandard.compress(whole)
    assert decode_metrics(packed, "zstd", None).series[0].metric == "g"
    both = zstandard.compress(whole[:5]) + zstandard.compress(whole[5:])
    assert decode_metrics(both, "zstd", None).series[0].metric == "g"


@pytest.mark.parametrize("body", [b"not zstd", zstandard.compress(bytes(range(256)) * 9)[:-3]], ids=["noise", "cut"])
def test_a_body_that_is_not_whole_zstd_is_malformed(body: bytes) -> None:
    assert status_of(body, "zstd") == 400


def test_a_zstd_bomb_is_refused_after_little_more_than_the_bound() -> None:
    bomb = zstandard.compress(bytes(256 << 20))
    tracemalloc.start()
    assert status_of(bomb, "zstd", limits=Limits(decompressed_bytes=1 << 16)) == 413
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_a_zstd_frame_that_asks_for_a_great_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = wide.compress(os.urandom(1 << 20)) + wide.flush()
    assert status_of(body, "zstd") == 400


def test_the_batch_header_names_node_spool_signal_and_sequence() -> None:
    batch = decode_metrics(b"", None, "5f0d8a52-6f0e/0aF_9.x/metrics/42")
    assert batch.identity == BatchIdentity("5f0d8a52-6f0e", "0aF_9.x", "metrics", 42)
    assert decode_logs(b"", None, "n/s/logs/1").identity == BatchIdentity("n", "s", "logs", 1)
    assert decode_traces(b"", None, "n/s/traces/1").identity == BatchIdentity("n", "s", "traces", 1)
    assert decode_traces(b"", None, None).identity is None


@pytest.mark.parametrize(
    "header",
    [
        "", "n", "n/s/metrics", "n/s/metrics/1/2", "n/s/logs/1", "n/s/metrics/0", "n/s/metrics/-1", "n/s/metrics/1.5",
        "n/s/metrics/x", "/s/metrics/1", "n//metrics/1", "n n/s/metrics/1", f"{'n' * 65}/s/metrics/1",
        f"n/s/metrics/{2**63}", "n/s/metrics/٣", "../s/metrics/1\n",
    ],
)  # fmt: skip
def test_a_batch_header_of_another_shape_is_malformed(header: str) -> None:
    if header == "../s/metrics/1\n":
        assert decode_metrics(b"", None, header).identity == BatchIdentity("..", "s", "metrics", 1)
    else:
        assert status_of(b"", header=header) == 400


def test_a_full_answer_is_empty_and_a_partial_one_says_how_many_and_why() -> None:
    assert answer("metrics", {}) == b""
    partial = ExportMetricsServiceResponse.FromString(answer("metrics", {"labels": 2, "not_finite": 1})).partial_success
    assert (partial.rejected_data_points, partial.error_message) == (3, "left out: 2 labels, 1 not_finite")
    logs = ExportLogsServiceResponse.FromString(answer("logs", {"no_time": 1})).partial_success
    assert logs.rejected_log_records == 1
    traces = ExportTraceServiceResponse.FromString(answer("traces", {"bad_span": 1})).partial_success
    assert traces.rejected_spans == 1


def test_what_comes_again_is_no_refusal_and_target_info_is_no_point_of_the_senders() -> None:
    assert (answer("metrics", {"same_moment": 3}), answer("metrics", {"same_moment": 3}, "json")) == (b"", b"{}")
    told = ExportMetricsServiceResponse.FromString(answer("metrics", {"same_moment": 3, "labels": 2, "target_info": 1}))
    assert told.partial_success.rejected_data_points == 2
    assert told.partial_success.error_message == "left out: 2 labels, 1 target_info"


def test_who_sent_json_is_answered_in_json() -> None:
    assert answer("logs", {}, "json") == b"{}"
    assert json.loads(answer("metrics", {"labels": 2}, "json")) == {
        "partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "left out: 2 labels"}
    }


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, "gzip", "zstd"]))
def test_no_body_does_more_than_be_refused(body: bytes, encoding: str | None) -> None:
    for decode in (decode_metrics, decode_logs, decode_traces):
        try:
            decode(body, encoding, None)
        except IngestRefused as refused:
            assert refused.status in (400, 413)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=4), st.integers(0, 10_000))
def test_a_real_request_with_bytes_changed_does_no_more_than_be_refused(noise: bytes, at: int) -> None:
    body = bytearray(one_gauge())
    at %= len(body)
    body[at : at + len(noise)] = noise
    try:
        decode_metrics(bytes(body), None, None)
    except IngestRefused as refused:
        assert refused.status == 400


def field(tag: int, content: bytes) -> bytes:
    length, prefix = len(content), bytearray((tag,))
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes((*prefix, length)) + content


EMPTY = b"\x0a\x00" * 50_000


@pytest.mark.parametrize(
    "body",
    [
        EMPTY,
        field(0x0A, b"\x12\x00" * 50_000),
        field(0x0A, field(0x12, b"\x12\x00" * 50_000)),
        field(0x0A, field(0x12, field(0x12, field(0x0A, b"x") + field(0x2A, EMPTY)))),
    ],
    ids=["resources", "scopes", "metrics", "points"],
)
def test_many_empty_messages_are_refused_before_they_are_looked_at(body: bytes) -> None:
    assert status_of(body, limits=Limits(points=10_000)) == 413


def test_many_attributes_cost_their_owner_only() -> None:
    body = field(0x0A, field(0x0A, EMPTY) + field(0x12, field(0x12, field(0x0A, b"x"))))
    assert decode_metrics(body, None, None).refused == {"identity": 1}


@pytest.mark.parametrize("decode", [decode_logs, decode_traces])
@pytest.mark.parametrize(
    "body", [EMPTY, field(0x0A, b"\x12\x00" * 50_000), field(0x0A, field(0x12, b"\x12\x00" * 50_000))]
)
def test_many_empty_records_are_refused_before_they_are_looked_at(decode: Any, body: bytes) -> None:
    with pytest.raises(IngestRefused) as refused:
        decode(body, None, None, Limits(points=10_000))
    assert refused.value.status == 413

"""What every OTLP request goes through before it is decoded: encoding, size, form and the batch's identity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import zstandard
from google.protobuf.message import DecodeError, Message
from isal import isal_zlib

from service.model import BatchIdentity
from service.otlp_json import JsonFault, from_json

Form = Literal["protobuf", "json"]
Signal = Literal["metrics", "logs", "traces"]
_Request = TypeVar("_Request", bound=Message)

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_GZIP_WBITS = 31
_ZSTD_WINDOW_BYTES = 8 << 20
_ZSTD_PIECE_BYTES = 512
"""What is fed at once: its blocks give at most 16 MiB, so that no body gives much more than its bound."""
MOST_PARTS = 64
"""Members of a gzip body or frames of a zstd one: each has a cost of its own, however little is in it."""
HARMLESS: Final = frozenset({"same_moment"})
"""Reasons for which a sample is left out and yet nothing is lost: counted, and no refusal to its sender."""
_JSON_BYTES_PER_OBJECT = 20
_MAX_SEQUENCE = 2**63 - 1


class IngestRefused(Exception):
    """A request that is not taken: the HTTP status and one sentence for its sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Limits:
    """Bounds of one OTLP request; what is beyond a batch's bound is refused whole, beyond a point's bound left out."""

    body_bytes: int = 4 * 1024 * 1024
    decompressed_bytes: int = 16 * 1024 * 1024
    json_bytes: int = 4 * 1024 * 1024
    """A JSON body, which takes some thirty times its size in memory."""
    points: int = 200_000
    """Samples of one batch, each bucket of a histogram counted."""
    series: int = 100_000
    labels: int = 32
    """Labels of a series beside its identity."""
    label_name_chars: int = 128
    label_value_chars: int = 512
    buckets: int = 200
    exponential_buckets: int = 2_000
    """Buckets of an exponential histogram as it comes; they are merged to at most `buckets`."""
    resource_labels: tuple[str, ...] = ()
    """Further resource attributes that every series carries."""
    attributes: int = 64
    """Attributes kept of an event or span."""
    text_chars: int = 64 * 1024 + 1
    """Characters kept of a log line, an event's body or an attribute's text."""


DEFAULT = Limits()


def form_of(content_type: str | None) -> Form:
    """The form of a request by its content type, absent is protobuf; 415 for any other."""
    match (content_type or PROTOBUF).partition(";")[0].strip().lower():
        case "application/x-protobuf" | "application/protobuf":
            return "protobuf"
        case "application/json":
            return "json"
        case kind:
            raise IngestRefused(415, f"the content type {kind[:80]!r} is not taken here: send {PROTOBUF} or {JSON}")


def inflate(body: bytes, content_encoding: str | None, limits: Limits) -> bytes:
    """The request's bytes; 413 where body or result is over its bound, which is never decompressed past."""
    if len(body) > limits.body_bytes:
        raise IngestRefused(413, f"the body has {len(body)} bytes, more than the {limits.body_bytes} taken at once")
    match (content_encoding or "identity").strip().lower():
        case "identity" | "":
            plain = body
        case "gzip" | "x-gzip":
            plain = _gunzip(body, limits.decompressed_bytes)
        case "zstd":
            plain = _unzstd(body, limits.decompressed_bytes)
        case other:
            raise IngestRefused(415, f"the content encoding {other[:80]!r} is not taken here: send gzip, zstd or none")
    if len(plain) > limits.decompressed_bytes:
        raise IngestRefused(413, f"the decompressed body has more than the {limits.decompressed_bytes} bytes taken")
    return plain


def parse(kind: type[_Request], body: bytes, form: Form = "protobuf", json_bytes: int = Limits.json_bytes) -> _Request:
    """The message that a body holds, or 400; 413 where a JSON body has more than `json_bytes`."""
    if form == "json":
        if len(body) > json_bytes:
            raise IngestRefused(413, f"the JSON has {len(body)} bytes, more than the {json_bytes} taken: send protobuf")
        if body.count(b"{") > json_bytes // _JSON_BYTES_PER_OBJECT:
            raise IngestRefused(413, "the JSON has more objects than are taken at once: send protobuf")
        try:
            return from_json(kind, body)
        except JsonFault as fault:
            raise IngestRefused(400, f"the body is not an OTLP {kind.__name__} in JSON: {fault}") from fault
    try:
        return kind.FromString(body)
    except DecodeError as fault:
        raise IngestRefused(400, f"the body is not an OTLP {kind.__name__}: {fault}") from fault


def batch_identity(header: str | None, signal: Signal) -> BatchIdentity | None:
    """Read `Midwatch-Batch: <node_id>/<spool_id>/<signal>/<sequence>`; None without one, 400 where it is malformed."""
    if header is None:
        return None
    parts = header.strip().split("/")
    if len(parts) != 4 or not all(_NAME.fullmatch(part) for part in parts):
        raise IngestRefused(400, "Midwatch-Batch is not <node_id>/<spool_id>/<signal>/<sequence>")
    node_id, spool_id, named, sequence = parts
    if named != signal:
        raise IngestRefused(400, f"Midwatch-Batch names the signal {named!r}, the address takes {signal}")
    if not (sequence.isascii() and sequence.isdigit() and 1 <= int(sequence) <= _MAX_SEQUENCE):
        raise IngestRefused(400, f"Midwatch-Batch has the sequence {sequence!r}, not a whole number from 1")
    return BatchIdentity(node_id, spool_id, signal, int(sequence))


def _gunzip(body: bytes, limit: int) -> bytes:
    """Every member of a gzip body, decompressed to at most one byte over the limit."""
    parts, size, rest = list[bytes](), 0, body
    while rest and size <= limit:
        _check_parts(len(parts), "gzip members")
        member = isal_zlib.decompressobj(_GZIP_WBITS)
        try:
            part = member.decompress(rest, limit + 1 - size)
        except isal_zlib.error as fault:  # type: ignore[misc] # its stub says an instance
            raise IngestRefused(400, f"the body is not gzip: {fault}") from fault
        parts.append(part)
        size += len(part)
        if not member.eof and size <= limit:
            raise IngestRefused(400, "the gzip body ends too early")
        rest = member.unused_data
    return b"".join(parts)


def _unzstd(body: bytes, limit: int) -> bytes:
    """Every frame of a zstd body, decompressed to little more than the limit."""
    found, view, at, frame, frames = bytearray(), memoryview(body), 0, None, 0
    while at < len(body) and len(found) <= limit:
        if frame is None:
            _check_parts(frames, "zstd frames")
            frame, frames = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj(), frames + 1
        piece = view[at : at + _ZSTD_PIECE_BYTES]
        try:
            found += frame.decompress(piece)
        except zstandard.ZstdError as fault:
            raise IngestRefused(400, f"the body is not zstd: {fault}") from fault
        at += len(piece)
        if frame.eof:
            at -= len(frame.unused_data)
            frame = None
    if frame is not None and len(found) <= limit:
        raise IngestRefused(400, "the zstd body ends too early")
    return bytes(found)


def _check_parts(so_far: int, named: str) -> None:
    """400 where a body goes on after as many parts as are taken."""
    if so_far >= MOST_PARTS:
        raise IngestRefused(400, f"the body has more than the {MOST_PARTS} {named} taken: send one")

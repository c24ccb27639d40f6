"""Errors as OTLP tells them: a `google.rpc.Status`, in the content type of the request."""

from __future__ import annotations

import json

from service.decode import JSON, PROTOBUF, Form

_CODES = {
    400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 421: 3, 429: 8, 500: 13, 503: 14, 507: 8,
}  # fmt: skip
"""HTTP status to gRPC code."""
_UNKNOWN = 2
_MOST_CHARS = 1_000


def status_body(http_status: int, message: str, form: Form) -> tuple[bytes, str]:
    """The body and its content type."""
    code, text = _CODES.get(http_status, _UNKNOWN), message[:_MOST_CHARS]
    if form == "json":
        return json.dumps({"code": code, "message": text}, ensure_ascii=False).encode(), JSON
    # Status has code = 1 (int32) and message = 2 (string)
    said = text.encode("utf-8", "replace")
    return bytes((0x08, code, 0x12)) + _varint(len(said)) + said, PROTOBUF


def error_form(content_type: str | None) -> Form:
    """The form in which an error is told: JSON to who sent JSON, else protobuf."""
    return "json" if (content_type or "").partition(";")[0].strip().lower() == JSON else "protobuf"


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes((*found, number))

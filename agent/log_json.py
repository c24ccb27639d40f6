"""Severity and trace of a log line that is a JSON object, under the names that logging libraries give them.

The line stays as it was written: what is found goes into the record's own fields beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MAX_JSON_CHARS = 64 * 1024

TRACE, DEBUG, INFO, WARN, ERROR, FATAL = 1, 5, 9, 13, 17, 21
"""The first number of each of OpenTelemetry's ranges of four, see its logs data model, `SeverityNumber`."""

_LEVEL_KEYS = (
    "level", "severity", "lvl", "loglevel", "log_level", "log.level", "levelname", "level_name", "@level",
    "severity_text", "severityText", "SeverityText", "Level", "LogLevel", "LEVEL", "priority",
)  # fmt: skip
_NUMBER_KEYS = ("severity_number", "severityNumber", "SeverityNumber")
_TRACE_KEYS = (
    "trace_id", "traceId", "traceID", "TraceId", "traceid", "trace.id", "otelTraceID", "otel.trace_id", "dd.trace_id",
    "logging.googleapis.com/trace", "@tr", "traceparent",
)  # fmt: skip
_SPAN_KEYS = (
    "span_id", "spanId", "spanID", "SpanId", "spanid", "span.id", "otelSpanID", "otel.span_id", "dd.span_id",
    "logging.googleapis.com/spanId", "@sp",
)  # fmt: skip
_NESTED = ("log", "trace", "span", "context", "otel", "dd")
"""Objects within the line that are looked into: `{"log": {"level": …}}`, `{"trace": {"id": …}}` as ECS has it."""

_WORDS = {
    "trace": TRACE, "trc": TRACE, "verbose": TRACE, "finest": TRACE, "silly": TRACE,
    "debug": DEBUG, "dbg": DEBUG, "fine": DEBUG, "debug2": DEBUG,
    "info": INFO, "information": INFO, "informational": INFO, "inf": INFO, "default": INFO, "success": INFO,
    "notice": INFO + 1,
    "warn": WARN, "warning": WARN, "wrn": WARN,
    "error": ERROR, "err": ERROR, "eror": ERROR, "severe": ERROR, "failure": ERROR,
    "critical": FATAL - 3, "crit": FATAL - 3, "dpanic": FATAL - 2,
    "fatal": FATAL, "ftl": FATAL, "alert": FATAL, "emerg": FATAL + 3, "emergency": FATAL + 3, "panic": FATAL + 3,
}  # fmt: skip
_LETTERS = {"t": TRACE, "d": DEBUG, "i": INFO, "w": WARN, "e": ERROR, "f": FATAL}
_TENS = (TRACE, DEBUG, INFO, WARN, ERROR, FATAL)
_SYSLOG = (FATAL + 3, FATAL, FATAL - 3, ERROR, WARN, INFO + 1, INFO, DEBUG)
_HEX32 = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{32}(?![0-9a-fA-F])")
_HEX16 = re.compile(r"[0-9a-fA-F]{16}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")


class Lifted(NamedTuple):
    """What a line tells of itself; 0 and empty where it does not."""

    severity: int = 0
    """OpenTelemetry's severity number, 1 to 24."""
    severity_text: str = ""
    """The level as it was written."""
    trace_id: bytes = b""
    """16 bytes."""
    span_id: bytes = b""
    """8 bytes."""


NOTHING = Lifted()


def lifted(text: str) -> Lifted:
    """What a line holds where it is one JSON object of bounded length; never raises, whatever the line is."""
    if not (text.startswith("{") and text.endswith("}")) or len(text) > MAX_JSON_CHARS:
        return NOTHING
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # Not JSON after all, a number of more digits than Python reads, or nested deeper than its stack.
        return NOTHING
    return _of(found) if isinstance(found, dict) else NOTHING


def _of(line: Mapping[str, Any]) -> Lifted:
    number, written = _severity(line)
    trace, span = _ids(line)
    return Lifted(number, written, trace, span)


def _severity(line: Mapping[str, Any]) -> tuple[int, str]:
    for value in _values(line, _NUMBER_KEYS):
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= FATAL + 3:
            return value, next((said for said in _values(line, _LEVEL_KEYS) if isinstance(said, str)), "")[:32]
    for value in _values(line, _LEVEL_KEYS):
        if number := severity_of(value):
            return number, str(value)[:32]
    return 0, ""


def severity_of(value: object) -> int:
    """OpenTelemetry's number for a level: a word, pino's and bunyan's tens (10 to 60), or syslog's 0 to 7; else 0."""
    match value:
        case bool():
            return 0
        case int() | float() if value in (10, 20, 30, 40, 50, 60):
            return _TENS[int(value) // 10 - 1]
        case int() if 0 <= value < len(_SYSLOG):
            return _SYSLOG[value]
        case str():
            word = value.strip().lower()
            if word.isascii() and word.isdigit() and len(word) <= 2:
                return severity_of(int(word))
            return _WORDS.get(word, 0) or _LETTERS.get(word, 0)
        case _:
            return 0


def _ids(line: Mapping[str, Any]) -> tuple[bytes, bytes]:
    trace, span = b"", b""
    for value in _values(line, _TRACE_KEYS, "trace"):
        if isinstance(value, str) and (whole := _TRACEPARENT.fullmatch(value)):
            return _known(whole[1]), _known(whole[2])
        if not trace and isinstance(value, str) and len(value) <= 256 and (hexes := _HEX32.search(_undashed(value))):
            trace = _known(hexes[0])
    for value in _values(line, _SPAN_KEYS, "span"):
        if not span and isinstance(value, str) and _HEX16.fullmatch(value):
            span = _known(value)
    # A span without its trace belongs nowhere.
    return trace, span if trace else b""


def _undashed(text: str) -> str:
    """A trace id that some write as a UUID."""
    return text.replace("-", "") if len(text) == 36 else text


def _known(hexes: str) -> bytes:
    """The id's bytes; an id of zeros is none, as W3C's trace context says."""
    id_ = bytes.fromhex(hexes)
    return id_ if any(id_) else b""


def _values(line: Mapping[str, Any], keys: tuple[str, ...], whose: str = "") -> Iterator[object]:
    """What stands under any of these names, in the line or in an object within it; `id` within the one named so."""
    yield from (line[key] for key in keys if key in line)
    for name in _NESTED:
        if isinstance(inner := line.get(name), Mapping):
            yield from (inner[key] for key in keys if key in inner)
            if name == whose and "id" in inner:
                yield inner["id"]

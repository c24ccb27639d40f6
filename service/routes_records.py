"""`/api/logs` and `/api/traces`: searching what was stored beside samples, and the description of the whole API."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from service.api import ApiFault
from service.parts import Parts
from service.store_search import (
    Line,
    LogSearch,
    Place,
    SearchFault,
    Trace,
    TraceSearch,
    read_trace,
    search_logs,
    search_traces,
)
from service.words import words

HOUR_MS = 3_600_000
SEARCH_SECONDS = 10.0
_PLACE = re.compile(r"(\d{1,15})\.(\d{1,15})")
_TRACE = re.compile(r"[0-9a-f]{32}")
_LAST_MS = 253_402_300_799_999
Moment = Annotated[str | None, Query(max_length=40, description="Milliseconds since 1970, or RFC 3339.")]
Text = Annotated[str | None, Query(max_length=500)]
Severity = Literal["trace", "debug", "info", "warn", "error", "fatal"]


def add(app: FastAPI, parts: Parts) -> None:
    """The routes, and the form in which a wrong parameter is told."""
    _add_logs(app, parts)
    _add_traces(app, parts)

    @app.exception_handler(RequestValidationError)
    async def of_parameters(_: Request, fault: RequestValidationError) -> Response:
        first = fault.errors()[0]
        where = ".".join(str(it) for it in first["loc"][1:])
        return JSONResponse({"error": f"{where} {words(first['type'], first.get('ctx', {}))}"[:400]}, 400)

    @app.exception_handler(SearchFault)
    async def of_search(_: Request, fault: SearchFault) -> Response:
        return JSONResponse({"error": str(fault)}, 400)


def _add_logs(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/logs", tags=["logs"])
    def logs(
        since: Moment = None,
        until: Moment = None,
        service: Text = None,
        container: Text = None,
        node: Text = None,
        severity: Annotated[list[Severity] | None, Query(max_length=6)] = None,
        text: Annotated[str | None, Query(max_length=500, description="A part of the line, in any case.")] = None,
        regex: Annotated[str | None, Query(max_length=500, description="RE2's syntax.")] = None,
        trace_id: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[str | None, Query(max_length=40, description="`next` of the page before.")] = None,
    ) -> dict[str, Any]:
        """Log lines, newest first, of the last hour where no time is given."""
        since_ms, until_ms = _window(since, until, parts.clock())
        asked = LogSearch(
            since_ms, until_ms, service, container, node, severity or (), text, regex, trace_id, _place(before), limit
        )
        found = search_logs(parts.store.database, asked, SEARCH_SECONDS)
        last = found[-1].place if len(found) == limit else None
        return {"lines": [_line(it) for it in found], "next": f"{last.at_ms}.{last.row}" if last else None}


def _add_traces(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/traces", tags=["traces"])
    def traces(
        since: Moment = None,
        until: Moment = None,
        service: Text = None,
        name: Text = None,
        min_ms: Annotated[int | None, Query(ge=0, le=_LAST_MS)] = None,
        max_ms: Annotated[int | None, Query(ge=0, le=_LAST_MS)] = None,
        failed: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> dict[str, Any]:
        """Traces with such a span, newest first, of the last hour where no time is given."""
        since_ms, until_ms = _window(since, until, parts.clock())
        asked = TraceSearch(since_ms, until_ms, service, name, min_ms, max_ms, failed, limit)
        return {"traces": [_trace(it) for it in search_traces(parts.store.database, asked, SEARCH_SECONDS)]}

    @app.get("/api/traces/{trace_id}", tags=["traces"])
    def trace(trace_id: str) -> dict[str, Any]:
        """The spans of one trace, by their starts."""
        if not _TRACE.fullmatch(trace_id):
            raise ApiFault(400, "a trace's id has 32 digits, 0 to 9 and a to f")
        spans = read_trace(parts.store.database, trace_id, SEARCH_SECONDS)
        if not spans:
            raise ApiFault(404, f"no span of the trace {trace_id} is kept")
        return {"trace_id": trace_id, "spans": spans}


def _window(since: str | None, until: str | None, now_ms: int) -> tuple[int, int]:
    until_ms = _moment(until) if until else now_ms
    since_ms = _moment(since) if since else until_ms - HOUR_MS
    if since_ms >= until_ms:
        raise ApiFault(400, "since: not before until")
    return since_ms, until_ms


def _moment(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    try:
        found = datetime.fromisoformat(text)
        return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        said = f"{text[:40]!r} is no time: write milliseconds since 1970, or RFC 3339 (2026-03-01T08:15:00Z)"
        raise ApiFault(400, said) from None


def _place(text: str | None) -> Place | None:
    if not text:
        return None
    found = _PLACE.fullmatch(text)
    if found is None or not text.isascii():
        raise ApiFault(400, "before: not the `next` of a page")
    return Place(int(found[1]), int(found[2]))


def _line(it: Line) -> dict[str, Any]:
    return {"at_ms": it.place.at_ms, **{name: value for name, value in it._asdict().items() if name != "place"}}


def _trace(it: Trace) -> dict[str, Any]:
    return {**it._asdict(), "duration_ms": it.end_ms - it.start_ms}

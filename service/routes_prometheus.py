"""Prometheus's HTTP API under /api/v1: requests in, its envelopes and status codes out."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.to_thread
import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.datastructures import QueryParams
from starlette.types import Send

from service import prometheus_api as api
from service import prometheus_json as wire
from service.api import ApiFault
from service.bodies import body_of
from service.errors import SelectFault, StoreFault
from service.parts import Parts
from service.prometheus_about import About
from service.prometheus_params import Form, PrometheusFault
from service.prometheus_rules import alerts, rules
from service.promql.errors import QueryFault

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
FORM_BYTES: Final = 1 << 20
MOST_FIELDS: Final = 2_000
LOOK_SECONDS: Final = 0.25
"""How often it is looked whether who asked is still there."""

Body = bytes | Iterator[bytes]
Answering = Callable[[Form, Callable[[], bool]], Body]


def add(app: FastAPI, parts: Parts) -> None:
    """Every address of the API."""
    gate = Gate(parts)
    queries, about = parts.queries, About(parts)
    wire.numbers(np.zeros(1))  # the first use of Arrow takes a quarter of a second: not in a request
    both = ["GET", "POST"]
    _add(app, gate, "query", lambda form, off: api.query(queries, form, off), both)
    _add(app, gate, "query_range", lambda form, off: api.query_range(queries, form, off), both)
    _add(app, gate, "query_exemplars", lambda form, off: api.exemplars(form), both)
    _add(app, gate, "format_query", lambda form, off: api.format_query(form), both)
    _add(app, gate, "series", lambda form, off: api.series(queries, form, off), both)
    _add(app, gate, "labels", lambda form, off: api.labels(queries, form, off), both)
    _add(app, gate, "rules", lambda form, off: wire.envelope(rules(parts.rules, form)))
    _add(app, gate, "alerts", lambda form, off: wire.envelope(alerts(parts.rules)))
    for path, told in about.all().items():
        _add(app, gate, path, _told(told))

    @app.api_route("/api/v1/label/{name}/values", methods=["GET"], include_in_schema=False)
    async def label_values(name: str, request: Request) -> Response:
        return await gate.answer(request, lambda form, off: api.label_values(queries, name, form, off))

    @app.api_route("/api/v1/{path:path}", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
    async def unknown(path: str) -> Response:
        return Response(wire.failure("not_found", f"nothing answers at /api/v1/{path[:80]}"), 404, media_type=JSON)


def _told(told: Callable[[Form], Any]) -> Answering:
    return lambda form, off: wire.envelope(told(form))


def _add(app: FastAPI, gate: Gate, path: str, answering: Answering, methods: list[str] | None = None) -> None:
    @app.api_route(f"/api/v1/{path}", methods=methods or ["GET"], include_in_schema=False, name=f"prometheus-{path}")
    async def route(request: Request) -> Response:
        return await gate.answer(request, answering)


class Gate:
    """Lets so many queries work at once; the rest waits, within the time that a query has."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._limits = parts, parts.settings.query
        self._turn = anyio.Semaphore(self._limits.max_concurrent)
        self._threads = anyio.CapacityLimiter(self._limits.max_concurrent + 1)
        self._sending = anyio.Semaphore(self._limits.max_concurrent)
        self._waiting = 0

    async def answer(self, request: Request, answering: Answering) -> Response:
        """The answer, or the fault in the API's form."""
        try:
            form = await form_of(request)
            body = await self._worked(request, form, answering)
        except PrometheusFault as fault:
            self._parts.own.add("midwatch_server_queries_total", (fault.kind,))
            if fault.limit is not None:
                self._parts.own.add("midwatch_server_query_limits_total", (fault.limit,))
            return Response(wire.failure(fault.kind, str(fault)), fault.status, media_type=JSON)
        self._parts.own.add("midwatch_server_queries_total", ("ok",))
        if isinstance(body, bytes):
            return Response(body, media_type=JSON)
        return Long(body, self._sending, self._limits.timeout_seconds)

    async def _worked(self, request: Request, form: Form, answering: Answering) -> Body:
        gone = threading.Event()
        async with self._place(), anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, request, gone)
            found = await anyio.to_thread.run_sync(_safely, answering, form, gone.is_set, limiter=self._threads)
            tasks.cancel_scope.cancel()
        if isinstance(found, PrometheusFault):
            raise found
        return found

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= self._limits.max_concurrent + self._limits.max_waiting:
            raise PrometheusFault(
                "unavailable", "too many queries wait (service.query.max_waiting): ask again later", "max_waiting"
            )
        self._waiting += 1
        try:
            with anyio.move_on_after(self._limits.timeout_seconds) as waited:
                await self._turn.acquire()
            if waited.cancelled_caught:
                raise PrometheusFault("timeout", "query timed out in query queue", "timeout_seconds")
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1


class Long(StreamingResponse):
    """An answer of several pieces: so many are sent at once, and who reads too slowly is left.

    Else those who don't read what they asked for would fill the memory with it.
    """

    def __init__(self, body: Iterator[bytes], turn: anyio.Semaphore, seconds: float) -> None:
        super().__init__(body, media_type=JSON)
        self._turn, self._seconds = turn, seconds

    async def stream_response(self, send: Send) -> None:
        """Send it all, or as much as is taken in the time; an answer that is cut is no JSON."""
        with anyio.move_on_after(self._seconds):
            async with self._turn:
                await super().stream_response(send)


def _short(body: Body) -> Body:
    """An answer of one piece as such."""
    if isinstance(body, bytes):
        return body
    pieces = list(itertools.islice(body, 2))
    return b"".join(pieces) if len(pieces) < 2 else itertools.chain(pieces, body)


def _safely(answering: Answering, form: Form, gone: Callable[[], bool]) -> Body | PrometheusFault:
    """The answer, or what the API says in its place; a task group would wrap what is raised."""
    try:
        return _short(answering(form, gone))
    except PrometheusFault as fault:
        return fault
    except QueryFault as fault:
        return api.of_query(fault)
    except SelectFault as fault:
        return PrometheusFault("bad_data", str(fault))
    except StoreFault as fault:
        return PrometheusFault("unavailable", str(fault))


async def _watch(request: Request, gone: threading.Event) -> None:
    """Notes when nobody waits for the answer any more."""
    while not await request.is_disconnected():
        await anyio.sleep(LOOK_SECONDS)
    gone.set()


async def form_of(request: Request) -> Form:
    """What a request says in its body and its address, the body first."""
    pairs: list[tuple[str, str]] = []
    if request.method == "POST" and request.headers.get("content-type", "").split(";")[0].strip().lower() == FORM:
        try:
            body = await body_of(request, FORM_BYTES)
        except ApiFault as fault:
            raise PrometheusFault("bad_data", str(fault)) from fault
        pairs += QueryParams(body.decode("utf-8", "replace")).multi_items()
    pairs += request.query_params.multi_items()
    if len(pairs) > MOST_FIELDS:
        raise PrometheusFault("bad_data", f"more than {MOST_FIELDS} parameters")
    return Form(pairs)

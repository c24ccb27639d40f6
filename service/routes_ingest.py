"""OTLP over HTTP: a batch is decoded, stored durably, and only then acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from service.api import ApiFault
from service.bodies import body_of
from service.decode import Form
from service.errors import StoreUnavailable
from service.ingest import (
    JSON,
    PROTOBUF,
    IngestRefused,
    Signal,
    answer,
    decode_logs,
    decode_metrics,
    decode_traces,
    form_of,
)
from service.otlp_status import error_form, status_body
from service.parts import Parts
from service.store_append import Stored

URGENT = frozenset({"container.oom_kill", "container.restart", "image.pull"})
"""Events after which a page may be due at once."""
RETRY_SECONDS = 5


def add(app: FastAPI, parts: Parts) -> None:
    """The three OTLP endpoints."""

    @app.post("/v1/{signal}")
    async def export(signal: str, request: Request) -> Response:
        content_type = request.headers.get("content-type")
        if signal not in ("metrics", "logs", "traces"):
            return refusal(404, f"no signal {signal[:40]!r}: there are metrics, logs and traces", content_type)
        kind: Signal = signal  # type: ignore[assignment]
        try:
            form = form_of(content_type)
            body = await body_of(request, parts.settings.max_body_bytes)
            found = await run_in_threadpool(_take, parts, kind, body, request.headers, form)
        except (IngestRefused, ApiFault) as refused:
            parts.own.add("midwatch_server_batches_total", (signal, "refused"))
            return refusal(refused.status, str(refused), content_type)
        except StoreUnavailable as fault:
            parts.own.add("midwatch_server_batches_total", (signal, "postponed"))
            return refusal(503, str(fault), content_type, RETRY_SECONDS)
        return Response(found, 200, media_type=JSON if form == "json" else PROTOBUF)


def refusal(status: int, message: str, content_type: str | None, retry_seconds: int | None = None) -> Response:
    """An error as OTLP has it: a Status in the form of the request."""
    body, media_type = status_body(status, message, error_form(content_type))
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return Response(body, status, headers, media_type)


def _take(parts: Parts, signal: Signal, body: bytes, headers: Mapping[str, str], form: Form) -> bytes:
    encoding, identity = headers.get("content-encoding"), headers.get("midwatch-batch")
    urgent = False
    match signal:
        case "metrics":
            stored, refused = _take_metrics(parts, body, encoding, identity, form)
        case "logs":
            logs = decode_logs(body, encoding, identity, parts.wire.limits, form)
            stored, refused = parts.records.append_logs(logs), logs.refused
            urgent = any(it.name in URGENT for it in logs.events)
        case "traces":
            spans = decode_traces(body, encoding, identity, parts.wire.limits, form)
            stored, refused = parts.records.append_spans(spans), spans.refused
    refused = Counter(refused) + Counter(stored.refused)
    count(parts, signal, stored.new, refused)
    if stored.new:
        parts.live.changed()
        if signal != "traces":
            parts.pace.ask(urgent=urgent)
    return answer(signal, refused if stored.new else {}, form)


def _take_metrics(
    parts: Parts, body: bytes, encoding: str | None, identity: str | None, form: Form
) -> tuple[Stored, Mapping[str, int]]:
    """Sums of deltas are kept once the batch is stored, so that one that comes again adds nothing twice."""
    with parts.wire.deltas.turn() as turn:
        batch = decode_metrics(body, encoding, identity, parts.wire.limits, form, turn)
        stored = parts.store.append_counted(batch)
        if stored.new:
            turn.keep()
    parts.wire.metadata.learn(batch.metadata)
    return stored, batch.refused


def count(parts: Parts, signal: str, new: bool, refused: Mapping[str, int]) -> None:
    """Note what became of a batch."""
    parts.own.add("midwatch_server_batches_total", (signal, "stored" if new else "repeated"))
    for reason, number in refused.items():
        parts.own.add("midwatch_server_refused_total", (signal, reason), number)

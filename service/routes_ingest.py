"""OTLP over HTTP: a batch is decoded, stored durably, and only then acknowledged."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from service.api import ApiFault
from service.bodies import body_of
from service.errors import StoreUnavailable
from service.ingest import (
    PROTOBUF,
    IngestRefused,
    Limits,
    Signal,
    answer,
    check_content_type,
    decode_logs,
    decode_metrics,
    decode_traces,
)
from service.parts import Parts

_LOG = logging.getLogger(__name__)
URGENT = frozenset({"container.oom_kill", "container.restart", "image.pull"})
"""Events after which a page may be due at once."""


def add(app: FastAPI, parts: Parts) -> None:
    """The three OTLP endpoints."""

    @app.post("/v1/{signal}")
    async def export(signal: str, request: Request) -> Response:
        if signal not in ("metrics", "logs", "traces"):
            raise ApiFault(404, f"no signal {signal[:40]!r}: there are metrics, logs and traces")
        kind: Signal = signal  # type: ignore[assignment]
        try:
            check_content_type(request.headers.get("content-type"))
            body = await body_of(request, parts.settings.max_body_bytes)
            found = await run_in_threadpool(_take, parts, kind, body, request.headers)
        except IngestRefused as refused:
            parts.own.add("midwatch_server_batches_total", (signal, "refused"))
            return Response(f"{refused}\n", refused.status, media_type="text/plain")
        except StoreUnavailable as fault:
            parts.own.add("midwatch_server_batches_total", (signal, "postponed"))
            return Response(f"{fault}\n", 503, {"Retry-After": "5"}, "text/plain")
        return Response(found, 200, media_type=PROTOBUF)


def _take(parts: Parts, signal: Signal, body: bytes, headers: Mapping[str, str]) -> bytes:
    limits = Limits()
    encoding, identity = headers.get("content-encoding"), headers.get("midwatch-batch")
    refused: Mapping[str, int] = {}
    urgent = False
    match signal:
        case "metrics":
            batch = decode_metrics(body, encoding, identity, limits)
            stored = parts.store.append_counted(batch)
            refused = batch.refused
        case "logs":
            logs = decode_logs(body, encoding, identity, limits)
            stored, refused = parts.records.append_logs(logs), logs.refused
            urgent = any(it.name in URGENT for it in logs.events)
        case "traces":
            spans = decode_traces(body, encoding, identity, limits)
            stored, refused = parts.records.append_spans(spans), spans.refused
    refused = Counter(refused) + Counter(stored.refused)
    _count(parts, signal, stored.new, refused)
    if stored.new:
        parts.live.changed()
        if signal != "traces":
            parts.pace.ask(urgent=urgent)
    return answer(signal, refused if stored.new else {})


def _count(parts: Parts, signal: Signal, new: bool, refused: Mapping[str, int]) -> None:
    parts.own.add("midwatch_server_batches_total", (signal, "stored" if new else "repeated"))
    for reason, count in refused.items():
        parts.own.add("midwatch_server_refused_total", (signal, reason), count)

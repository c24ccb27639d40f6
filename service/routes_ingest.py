"""OTLP over HTTP: a batch is decoded, stored durably, and only then acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import Response

from service.api import ApiFault
from service.bodies import Lane
from service.decode import Form, batch_identity, inflate
from service.errors import StoreFault
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
from service.quota import OverQuota
from service.store_append import Stored
from service.wire import sender_of

URGENT = frozenset({"container.oom_kill", "container.restart", "image.pull"})
"""Events after which a page may be due at once."""
RETRY_SECONDS = 5
_BUSY = 503


class _Sent(NamedTuple):
    """One request: what it brings, who sends it, and how it is packed."""

    signal: Signal
    sender: str
    body: bytes
    headers: Mapping[str, str]
    form: Form

    @property
    def encoding(self) -> str | None:
        """How the body is compressed."""
        return self.headers.get("content-encoding")

    @property
    def identity(self) -> str | None:
        """The batch's identity as the header has it."""
        return self.headers.get("midwatch-batch")


def add(app: FastAPI, parts: Parts) -> None:
    """The three OTLP endpoints."""
    lane = Lane()

    @app.post("/v1/{signal}")
    async def export(signal: str, request: Request) -> Response:
        content_type = request.headers.get("content-type")
        if signal not in ("metrics", "logs", "traces"):
            return refusal(404, f"no signal {signal[:40]!r}: there are metrics, logs and traces", content_type)
        kind: Signal = signal  # type: ignore[assignment]
        try:
            sender = sender_of(request)
            parts.wire.quota.ask(sender)
            form = form_of(content_type)
            async with parts.wire.held.body(request, parts.settings.max_body_bytes) as body:
                sent = _Sent(kind, sender, body, request.headers, form)
                found = await lane.run(lambda: _take(parts, sent))
        except OverQuota as over:
            parts.own.add("midwatch_server_limited_total", (signal, over.limit))
            return refusal(429, str(over), content_type, over.retry_seconds)
        except (IngestRefused, ApiFault) as refused:
            return refusal(refused.status, str(refused), content_type, put_off(parts, signal, refused.status))
        except StoreFault as fault:
            parts.own.add("midwatch_server_batches_total", (signal, "postponed"))
            return refusal(503, str(fault), content_type, RETRY_SECONDS)
        return Response(found, 200, media_type=JSON if form == "json" else PROTOBUF)


def put_off(parts: Parts, signal: str, status: int) -> int | None:
    """Count a body that is not taken; in how many seconds it may come again, None where never."""
    later = status == _BUSY
    if later:
        parts.own.add("midwatch_server_limited_total", (signal, "memory"))
    parts.own.add("midwatch_server_batches_total", (signal, "postponed" if later else "refused"))
    return RETRY_SECONDS if later else None


def refusal(status: int, message: str, content_type: str | None, retry_seconds: int | None = None) -> Response:
    """An error as OTLP has it: a Status in the form of the request."""
    body, media_type = status_body(status, message, error_form(content_type))
    headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
    return Response(body, status, headers, media_type)


def _take(parts: Parts, sent: _Sent) -> bytes:
    wire, urgent = parts.wire, False
    match sent.signal:
        case "metrics":
            stored, refused = _take_metrics(parts, sent)
        case "logs":
            logs = decode_logs(sent.body, sent.encoding, sent.identity, wire.limits, sent.form)
            stored, refused = parts.records.append_logs(logs), logs.refused
            urgent = any(it.name in URGENT for it in logs.events)
            wire.quota.spend(sent.sender, len(logs.events) + len(logs.lines))
        case "traces":
            spans = decode_traces(sent.body, sent.encoding, sent.identity, wire.limits, sent.form)
            stored, refused = parts.records.append_spans(spans), spans.refused
            wire.quota.spend(sent.sender, len(spans.spans))
    refused = Counter(refused) + Counter(stored.refused)
    count(parts, sent.signal, _outcome(parts, sent, stored.new), refused)
    if stored.new:
        parts.live.changed()
        if sent.signal != "traces":
            parts.pace.ask(urgent=urgent)
    return answer(sent.signal, refused if stored.new else {}, sent.form)


def _take_metrics(parts: Parts, sent: _Sent) -> tuple[Stored, Mapping[str, int]]:
    """Sums of deltas are kept once the batch is stored, so that one that comes again adds nothing twice."""
    wire, identity = parts.wire, batch_identity(sent.identity, "metrics")
    body = inflate(sent.body, sent.encoding, wire.limits)
    if identity is not None and parts.store.streams.seen(identity):
        return Stored(False), {}
    with wire.deltas.turn() as turn:
        batch = wire.otlp.read(body, identity, sent.sender, turn) if sent.form == "protobuf" else None
        if batch is None:
            batch = decode_metrics(body, None, sent.identity, wire.limits, sent.form, turn)
            wire.quota.series(sent.sender, batch.series)
        stored = parts.store.append_counted(batch)
        if stored.new:
            turn.keep()
    wire.quota.spend(sent.sender, len(batch.ts_ms))
    wire.metadata.learn(batch.metadata)
    return stored, batch.refused


def _outcome(parts: Parts, sent: _Sent, new: bool) -> str:
    """A batch behind its stream's last one may never have been stored: senders keep the order, and it is counted."""
    if new:
        return "stored"
    identity = batch_identity(sent.identity, sent.signal)
    return "behind" if identity is not None and parts.store.streams.behind(identity) else "repeated"


def count(parts: Parts, signal: str, outcome: str, refused: Mapping[str, int]) -> None:
    """Note what became of a batch."""
    parts.own.add("midwatch_server_batches_total", (signal, outcome))
    for reason, number in refused.items():
        parts.own.add("midwatch_server_refused_total", (signal, reason), number)

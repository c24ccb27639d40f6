"""`/api/v1/write`: the receiver of Prometheus remote write 1.0 and 2.0.

There is no batch identity here: a sample that comes again, at the same moment of the same series, is kept once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import Response

from service.api import ApiFault
from service.bodies import Lane
from service.decode import HARMLESS
from service.errors import StoreFault
from service.ingest import IngestRefused
from service.parts import Parts
from service.quota import OverQuota
from service.remote_write import Version, Written, check_message, decode, left_out, unpacked, version_of
from service.routes_ingest import RETRY_SECONDS, count, put_off
from service.wire import sender_of

SIGNAL = "remote_write"


class _Taken(NamedTuple):
    """What became of a request."""

    written: Written
    samples: int
    refused: Mapping[str, int]


def add(app: FastAPI, parts: Parts) -> None:
    """The receiver."""
    lane = Lane()

    @app.post("/api/v1/write")
    async def write(request: Request) -> Response:
        headers = request.headers
        try:
            sender = sender_of(request)
            parts.wire.quota.ask(sender)
            version = version_of(headers.get("content-type"))
            encoding = headers.get("content-encoding")
            async with parts.wire.held.body(request, parts.settings.max_body_bytes) as body:
                taken = await lane.run(lambda: _take(parts, sender, body, encoding, version))
        except OverQuota as over:
            parts.own.add("midwatch_server_limited_total", (SIGNAL, over.limit))
            return Response(f"{over}\n", 429, {**_counts(0), "Retry-After": str(over.retry_seconds)}, "text/plain")
        except (IngestRefused, ApiFault) as refused:
            seconds = put_off(parts, SIGNAL, refused.status)
            again = {} if seconds is None else {"Retry-After": str(seconds)}
            return Response(f"{refused}\n", refused.status, {**_counts(0), **again}, "text/plain")
        except StoreFault as fault:
            parts.own.add("midwatch_server_batches_total", (SIGNAL, "postponed"))
            return Response(f"{fault}\n", 503, {**_counts(0), "Retry-After": str(RETRY_SECONDS)}, "text/plain")
        said = left_out(taken.written, taken.refused)
        if said:
            return Response(f"{said}\n", 400, _counts(taken.samples), "text/plain")
        return Response(status_code=204, headers=_counts(taken.samples))


def _counts(samples: int) -> dict[str, str]:
    """How much was written, as 2.0 has it; senders of 1.0 don't look."""
    name = "X-Prometheus-Remote-Write"
    return {
        f"{name}-Samples-Written": str(samples), f"{name}-Histograms-Written": "0", f"{name}-Exemplars-Written": "0",
    }  # fmt: skip


def _take(parts: Parts, sender: str, body: bytes, encoding: str | None, version: Version) -> _Taken:
    wire = parts.wire
    plain, known = unpacked(body, encoding, wire.limits), wire.metadata.types()
    written = wire.write.read(plain, version, sender, known)
    if written is None:
        written = decode(plain, version, wire.limits, known)
        wire.quota.series(sender, written.batch.series)
    batch = written.batch
    if not (len(batch.ts_ms) or batch.refused):
        check_message(plain, version)
    refused = Counter(batch.refused)
    if wire.metadata.learn(batch.metadata) or len(batch.ts_ms):
        stored = parts.store.append_counted(batch)
        refused += Counter(stored.refused)
        wire.quota.spend(sender, len(batch.ts_ms))
        parts.live.changed()
        parts.pace.ask()
    count(parts, SIGNAL, "stored", refused)
    lost = sum(number for reason, number in refused.items() if reason not in HARMLESS)
    return _Taken(written, len(batch.ts_ms) + sum(batch.refused.values()) - lost, refused)

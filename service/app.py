"""The HTTP surface: OTLP in; pages, API, live streams and /metrics out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from dashboards.pages import CONTENT_SECURITY_POLICY, STATIC, RequestFault, error, render
from service import (
    routes_api,
    routes_data,
    routes_ingest,
    routes_pages,
    routes_prometheus,
    routes_records,
    routes_remote_write,
    routes_slo,
)
from service.api import ApiFault
from service.errors import StoreFault
from service.parts import Parts
from service.security import Guard


def create_app(parts: Parts) -> FastAPI:
    """The ASGI application over the service's parts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        parts.live.closed = True

    app = FastAPI(title="Midwatch", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", lifespan=lifespan)
    settings = parts.settings
    app.add_middleware(
        Guard,
        listen=settings.listen,
        token=settings.token,
        public_url=settings.public_url,
        tokens=parts.wire.tokens,
        senders_need_tokens=settings.ingest.require_tokens,
    )
    routes_ingest.add(app, parts)
    routes_remote_write.add(app, parts)
    routes_api.add(app, parts)
    routes_records.add(app, parts)
    routes_prometheus.add(app, parts)
    routes_data.add(app, parts)
    routes_slo.add(app, parts)
    routes_pages.add(app, parts)
    _add_own(app, parts)
    _add_faults(app, parts)
    Path(STATIC).mkdir(exist_ok=True)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.middleware("http")(_cached)
    return app


async def _cached(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Built files carry a hash in their names and stand for ever; all else is of this moment."""
    answer = await call_next(request)
    forever = request.url.path.startswith("/static/dist/") and answer.status_code == 200
    answer.headers.setdefault("Cache-Control", "public, max-age=31536000, immutable" if forever else "no-store")
    return answer


def _add_own(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        faults = parts.faults()
        text = "".join(f"{it}\n" for it in faults) or "ready\n"
        return Response(text, 503 if faults else 200, media_type="text/plain")

    @app.get("/metrics")
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(parts.registry), headers={"Content-Type": content_type})


def _add_faults(app: FastAPI, parts: Parts) -> None:
    @app.exception_handler(RequestFault)
    async def of_page(_: Request, fault: RequestFault) -> Response:
        view = error(fault.status, str(fault), parts.clock())
        text = await run_in_threadpool(render, view)
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return Response(text, fault.status, headers, "text/html; charset=utf-8")

    @app.exception_handler(ApiFault)
    async def of_api(_: Request, fault: ApiFault) -> Response:
        return JSONResponse({"error": str(fault)}, fault.status)

    @app.exception_handler(StoreFault)
    async def of_store(_: Request, fault: StoreFault) -> Response:
        return JSONResponse({"error": str(fault)}, 503, {"Retry-After": "5"})

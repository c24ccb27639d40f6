"""The HTTP surface: OTLP in; pages, API, live streams and /metrics out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.pages import CONTENT_SECURITY_POLICY, STATIC, RequestFault, error, render
from service import (
    routes_adjustments,
    routes_api,
    routes_backtest,
    routes_backtest_page,
    routes_data,
    routes_ingest,
    routes_pages,
    routes_prometheus,
    routes_records,
    routes_remote_write,
    routes_report,
    routes_slo,
)
from service.api import ApiFault
from service.errors import StoreFault
from service.openapi import described
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
    bench = routes_backtest.Bench(parts)
    routes_backtest.add(app, parts, bench)
    routes_backtest_page.add(app, parts, bench)
    routes_adjustments.add(app, parts)
    routes_adjustments.add_page(app, parts)
    routes_report.add(app, parts)
    routes_pages.add(app, parts)
    _add_own(app, parts)
    _add_faults(app, parts)
    Path(STATIC).mkdir(exist_ok=True)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_middleware(Cached)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    return app


class Cached:
    """ASGI middleware: built files carry a hash in their names and stand for ever; all else is of this moment."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and say in its answer how long that holds."""
        built = scope["type"] == "http" and str(scope["path"]).startswith("/static/dist/")

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                forever = built and message["status"] == 200
                how = "public, max-age=31536000, immutable" if forever else "no-store"
                MutableHeaders(scope=message).setdefault("Cache-Control", how)
            await send(message)

        await self._app(scope, receive, sent)


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

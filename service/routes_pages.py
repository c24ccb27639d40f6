"""Pages, their panels and their live streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

import runbooks
from dashboards import pages
from dashboards.errors import RequestFault
from dashboards.pages import CONTENT_SECURITY_POLICY, PageRequest, parse, render
from dashboards.request import PageName
from service.api import ApiFault
from service.live import MOST_READERS
from service.parts import Parts

RUNBOOKS = Path(runbooks.__path__[0])
Draw = Callable[..., Any]
PAGES: dict[str, tuple[PageName, Draw]] = {
    "/": ("executive", pages.executive),
    "/oncall": ("oncall", pages.oncall),
    "/debug": ("debug", pages.debug),
    "/slo": ("slo", pages.slo),
    "/reports": ("reports", pages.report),
}


def add(app: FastAPI, parts: Parts) -> None:
    """All routes that people see."""
    for path, (name, draw) in PAGES.items():
        app.get(path)(_page(parts, name, draw))

    @app.get("/slo/{service:path}")
    def of_service(service: str, request: Request) -> Response:
        now_ms = parts.clock()
        asked = parse("slo", {**request.query_params, "service": service}, now_ms)
        return _html(render(pages.slo(parts.source, asked, now_ms)))

    _add_single(app, parts)
    _add_live(app, parts)
    _add_files(app, parts)


def _add_files(app: FastAPI, parts: Parts) -> None:
    def drawn(draw: Callable[[PageRequest, int], tuple[str | bytes, str]], request: Request, media: str) -> Response:
        now_ms = parts.clock()
        try:
            content, name = draw(parse("reports", request.query_params, now_ms), now_ms)
        except RequestFault as fault:  # a program asks for files: what it did wrong is no page
            raise ApiFault(fault.status, str(fault)) from fault
        return _file(content, name, media)

    @app.get("/reports.csv")
    def csv(request: Request) -> Response:
        part = request.query_params.get("part")
        return drawn(lambda it, now: pages.csv(parts.source, it, now, part), request, "text/csv; charset=utf-8")

    @app.get("/reports.parquet")
    def parquet(request: Request) -> Response:
        part = request.query_params.get("part")
        return drawn(
            lambda it, now: pages.parquet(parts.source, it, now, part), request, "application/vnd.apache.parquet"
        )

    @app.get("/reports.html")
    def html(request: Request) -> Response:
        base = parts.settings.base_url
        return drawn(
            lambda it, now: pages.report_file(parts.source, it, now, base), request, "text/html; charset=utf-8"
        )


def _file(content: str | bytes, name: str, media_type: str) -> Response:
    """A file to be kept; what is in it runs nothing, should a browser show it."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(content, headers=headers, media_type=media_type)


def _page(parts: Parts, name: PageName, draw: Draw) -> Callable[[Request], Response]:
    def page(request: Request) -> Response:
        now_ms = parts.clock()
        return _html(render(draw(parts.source, parse(name, request.query_params, now_ms), now_ms)))

    return page


def _html(text: str) -> Response:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(text, headers=headers, media_type="text/html; charset=utf-8")


def _add_single(app: FastAPI, parts: Parts) -> None:
    @app.get("/incidents/{incident_id}")
    def incident(incident_id: str) -> Response:
        return _html(render(pages.incident(parts.source, incident_id, parts.clock())))

    @app.get("/adjustments")
    def adjustments() -> Response:
        return _html(render(pages.adjustments(parts.source, parts.clock())))

    @app.get("/runbooks/{alert}")
    def runbook(alert: str) -> Response:
        return _html(render(pages.runbook(parts.source, alert, runbook_text(alert), parts.clock())))


def runbook_text(alert: str) -> str | None:
    """The Markdown of an alert's runbook; None where there is none."""
    known = {path.stem: path for path in RUNBOOKS.glob("*.md")}
    return known[alert].read_text(encoding="utf-8") if alert in known else None


def _add_live(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/panels")
    def panels(request: Request) -> dict[str, Any]:
        now_ms = parts.clock()
        return pages.panels(parts.source, _asked(request, now_ms), now_ms)

    @app.get("/events")
    async def events(request: Request) -> Response:
        asked = _asked(request, parts.clock())
        if parts.live.readers >= MOST_READERS:
            return Response("too many readers\n", 503, {"Retry-After": "30"}, "text/plain")
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(parts.live.stream(asked), headers=headers, media_type="text/event-stream")


def _asked(request: Request, now_ms: int) -> PageRequest:
    return parse(pages.page_name(request.query_params.get("page", "")), request.query_params, now_ms)

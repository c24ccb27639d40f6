"""A small server of the pages over a source, on a free loopback port: what the browser tests open."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from dashboards import pages
from dashboards.source import DataSource

RUNBOOK = """# OOM storm

## What it means

The kernel kills `main`.

- look at **memory**

<script>alert(1)</script>
"""
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass
class Site:
    """The server's state, which a test may change while it runs."""

    source: DataSource
    now: Callable[[], int]
    url: str = ""
    posted: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    streams: int = 0
    """Event streams that are open now."""
    ended: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self) -> None:
        """Let every stream look again."""
        with self.changed:
            self.changed.notify_all()


@contextmanager
def serving(source: DataSource, now: Callable[[], int]) -> Iterator[Site]:
    """Serve the source's pages until the block ends."""
    site = Site(source, now)
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        site.ended.set()
        site.tell()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        try:
            self._route(unquote(parts.path), query)
        except pages.RequestFault as fault:
            self._send(fault.status, "text/html", pages.render(pages.error(fault.status, str(fault), self.site.now())))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(parse_qsl(body))
        self.site.posted.append((self.path, form))
        self.send_response(204 if "json" in self.headers.get("Accept", "") else 303)
        self.send_header("Location", form.get("return_to", "/"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _route(self, path: str, query: dict[str, str]) -> None:
        source, now = self.site.source, self.site.now()
        builders = {
            "/": ("executive", pages.executive),
            "/oncall": ("oncall", pages.oncall),
            "/debug": ("debug", pages.debug),
            "/slo": ("slo", pages.slo),
            "/reports": ("reports", pages.report),
        }
        if path.startswith("/slo/"):
            path, query = "/slo", {**query, "service": path.removeprefix("/slo/")}
        if path in builders:
            name, build = builders[path]
            self._send(
                200, "text/html", pages.render(build(source, pages.parse(pages.page_name(name), query, now), now))
            )
        elif path == "/reports.html":
            self._send(200, "text/html", pages.report_file(source, pages.parse("reports", query, now), now)[0])
        elif path.startswith("/incidents/"):
            self._send(200, "text/html", pages.render(pages.incident(source, path.removeprefix("/incidents/"), now)))
        elif path.startswith("/runbooks/"):
            text = RUNBOOK
            self._send(
                200, "text/html", pages.render(pages.runbook(source, path.removeprefix("/runbooks/"), text, now))
            )
        elif path == "/api/panels":
            request = pages.parse(pages.page_name(query["page"]), query, now)
            self._send(200, "application/json", json.dumps(pages.panels(source, request, now)))
        elif path == "/events":
            self._stream(query)
        elif path.startswith("/static/"):
            self._static(path.removeprefix("/static/"))
        else:
            raise pages.RequestFault(f"There is nothing at {path}.", 404)

    def _send(self, status: int, kind: str, text: str | bytes) -> None:
        body = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Security-Policy", pages.CONTENT_SECURITY_POLICY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _static(self, name: str) -> None:
        file = (pages.STATIC / name).resolve()
        if not file.is_relative_to(pages.STATIC.resolve()) or not file.is_file():
            raise pages.RequestFault(f"There is no file {name}.", 404)
        self._send(200, TYPES.get(file.suffix, "text/plain"), file.read_bytes())

    def _stream(self, query: dict[str, str]) -> None:
        site, feed = self.site, pages.Feed()
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        with site.changed:
            site.streams += 1
        try:
            while not site.ended.is_set():
                now = site.now()
                request = pages.parse(pages.page_name(query["page"]), query, now)
                for event in feed.fresh(pages.tick(site.source, request, now)):
                    self.wfile.write(event.wire().encode())
                # a comment finds out that the reader has gone
                self.wfile.write(b": \n\n")
                self.wfile.flush()
                with site.changed:
                    site.changed.wait(0.5)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with site.changed:
                site.streams -= 1

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""

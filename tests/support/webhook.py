"""A real HTTP receiver for pages: it keeps what came, in order, and answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Received(NamedTuple):
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Webhook:
    """`url` takes POSTs; `answers` is used up first to last, then it is 200."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def with_status(self, status: str) -> list[Received]:
        """The requests whose payload has this status: `firing` or `resolved`."""
        return [request for request in list(self.received) if request.json.get("status") == status]


@contextmanager
def receiver() -> Iterator[Webhook]:
    """A receiver on a free port of 127.0.0.1 while the context lasts."""
    hook = Webhook("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hook.received.append(Received(self.path, dict(self.headers), body, time.time_ns() // 1_000_000))
            self.send_response(hook.answers.pop(0) if hook.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield hook
        server.shutdown()
        thread.join()

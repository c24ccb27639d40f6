"""What passes between agent and service, with the time at which the service had taken it."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Taken(NamedTuple):
    """One batch of samples that the service answered for, in ms of the wall clock."""

    at_ms: float
    request: ExportMetricsServiceRequest


@dataclass
class Forwarder:
    """Passes requests on to a service, and keeps the batches of samples that it took, in order."""

    to: str
    url: str = ""
    taken: list[Taken] = field(default_factory=list)

    def first(self, metric: str, service: str, at_least: int) -> float | None:
        """When a counter of a service (all its label sets together) had first arrived with that value, in ms."""
        for taken in list(self.taken):
            if total(taken.request, metric, service) >= at_least:
                return taken.at_ms
        return None


def total(request: ExportMetricsServiceRequest, metric: str, service: str) -> float:
    """The sum over a metric's points of one service in one batch."""
    return sum(
        point.as_int or point.as_double
        for group in request.resource_metrics
        if any(one.key == "service.name" and one.value.string_value == service for one in group.resource.attributes)
        for scope in group.scope_metrics
        for found in scope.metrics
        if found.name == metric
        for point in found.sum.data_points
    )


@contextmanager
def forwarding(to: str) -> Iterator[Forwarder]:
    """A forwarder on a port of its own."""
    forwarder = Forwarder(to)
    client = httpx.Client(timeout=30.0, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            answer = client.post(f"{to}{self.path}", content=body, headers=kept)
            if self.path == "/v1/metrics" and answer.is_success:
                request = ExportMetricsServiceRequest.FromString(gzip.decompress(body))
                forwarder.taken.append(Taken(time.time_ns() / 1e6, request))
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    forwarder.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield forwarder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()

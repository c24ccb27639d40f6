"""A small HTTP server for `/metrics` and `/healthz`, on the loopback address unless a token guards it."""

from __future__ import annotations

import gzip
import hmac
import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client.exposition import choose_encoder, gzip_accepted

from agent.exposition import MAX_SERIES, Dropped, Exposition
from agent.model import Points

LOG = logging.getLogger(__name__)

MAX_REQUESTS = 8
MAX_CONNECTIONS = 32
CONNECTION_SECONDS = 30.0
REQUEST_SECONDS = 10


class CannotListen(Exception):
    """The address of /metrics can't be served; the message says which, why and what to do."""


class _Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    gzipped: bool = False


class MetricsServer:
    """Serves what `source` gives at each scrape; `start` returns the port, which matters where 0 was asked for."""

    def __init__(
        self,
        host: str,
        port: int,
        source: Callable[[], Iterable[Points]],
        token: str | None = None,
        *,
        max_series: int = MAX_SERIES,
        max_requests: int = MAX_REQUESTS,
        labels_everywhere: bool = False,
    ) -> None:
        if token is None and not _is_loopback(host):
            raise CannotListen(f"/metrics on {host} would be open to others: set a token, or listen on 127.0.0.1")
        self._source = source
        self._token = token
        self._max_series = max_series
        self._labels_everywhere = labels_everywhere
        self._dropped = Dropped()
        self._free = threading.BoundedSemaphore(max_requests)
        self._server = _listen(host, port, self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    @property
    def turned_away(self) -> int:
        """Connections that there was no room for."""
        return self._server.turned_away

    def start(self) -> int:
        """Begins to serve; the port."""
        self._thread.start()
        return self.port

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Ends to serve and frees the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def _answer(self, path: str, accept: str, encoding: str, authorization: str) -> _Answer:
        if path == "/healthz":
            return _Answer(200, b"ok\n")
        if path != "/metrics":
            return _Answer(404, b"here are /metrics and /healthz\n")
        if not self._allowed(authorization):
            return _Answer(401, b"a bearer token is needed\n")
        if not self._free.acquire(blocking=False):
            return _Answer(503, b"too many scrapes at once\n")
        try:
            return self._metrics(accept, encoding)
        finally:
            self._free.release()

    def _allowed(self, authorization: str) -> bool:
        wanted = f"Bearer {self._token}"
        return self._token is None or hmac.compare_digest(authorization.encode(), wanted.encode())

    def _metrics(self, accept: str, encoding: str) -> _Answer:
        encode, content_type = choose_encoder(accept)
        created = "openmetrics" in content_type
        exposition = Exposition(
            self._source(),
            self._dropped,
            created=created,
            max_series=self._max_series,
            labels_everywhere=self._labels_everywhere,
        )
        text = encode(exposition)
        zipped = gzip_accepted(encoding)
        return _Answer(200, gzip.compress(text, 1) if zipped else text, content_type, zipped)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            timeout = REQUEST_SECONDS

            def do_GET(self) -> None:
                """Answers, whatever becomes of the source: a scrape that fails is a scrape, not an end."""
                try:
                    told = [self.headers.get(name, "") for name in ("Accept", "Accept-Encoding", "Authorization")]
                    self._send(answer(self.path.partition("?")[0], *told))
                except OSError:
                    LOG.debug("a scrape went away before its end")
                except Exception:  # the server's loop must outlive one bad scrape; the log tells of it
                    LOG.exception("a scrape failed")
                    self._send(_Answer(500, b"the scrape failed, see the agent's log\n"))

            def _send(self, reply: _Answer) -> None:
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                if reply.gzipped:
                    self.send_header("Content-Encoding", "gzip")
                if reply.status == 401:
                    self.send_header("WWW-Authenticate", "Bearer")
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:
                """Requests are not worth a line each."""

        return Handler


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(ThreadingHTTPServer):
    """Bounded before anything is read: so many connections at a time, and each for so long."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.turned_away = 0
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Takes a connection where there is room, else ends it."""
        if not self._free.acquire(blocking=False):
            self.turned_away += 1
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread could be had: nobody gives its place back.
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, cut at its deadline: a peer that sends a byte now and then never exceeds a read's own."""
        timer = threading.Timer(CONNECTION_SECONDS, _cut, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self._free.release()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Server6(_Server):
    address_family = socket.AF_INET6


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> _Server:
    try:
        return (_Server6 if ":" in host else _Server)((host, port), handler)
    except OSError as error:
        raise CannotListen(
            f"can't listen on {host}:{port} for /metrics: {error.strerror}; end what holds it or choose another port"
        ) from error

"""The agent's own door: HTTP over a Unix socket that only its user may open."""

from __future__ import annotations

import json
import logging
import os
import re
import socketserver
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple, Protocol

LOG = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_WAIT_SECONDS = 3600.0
REQUEST_SECONDS = 10
_PROJECT = re.compile(r"/projects/([a-zA-Z0-9][a-zA-Z0-9._-]{0,62})")

Json = Mapping[str, Any]


class Refused(Exception):
    """The request can't be done: status and the full text for whoever asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Commands(Protocol):
    """What can be asked of the agent; each raises Refused."""

    def run(self, path: Path, wait_seconds: float, instead: bool) -> Json:
        """Takes a Compose file on, `instead` of another one of the same project's name where it says so."""

    def stop(self, project: str, wait_seconds: float) -> Json:
        """Ends a project."""

    def ps(self) -> Json:
        """The services."""

    def status(self) -> Json:
        """The agent itself."""


class _Reply(NamedTuple):
    status: int
    body: Json


class ControlServer:
    """Serves commands on a socket, one thread for each request."""

    def __init__(self, socket: Path, commands: Commands) -> None:
        """Opens the socket, in place of one that a killed agent left behind; raises OSError."""
        self._commands = commands
        self._socket = socket
        socket.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = _Server(str(socket), self._handler())
        finally:
            os.umask(mask)
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ends to serve and removes the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._socket.unlink(missing_ok=True)

    def _answer(self, method: str, path: str, body: Json) -> _Reply:
        try:
            return _Reply(200, self._route(method, path, body))
        except Refused as refused:
            return _Reply(refused.status, {"error": str(refused)})

    def _route(self, method: str, path: str, body: Json) -> Json:
        named = _PROJECT.fullmatch(path)
        if method == "POST" and path == "/projects":
            return self._commands.run(_path(body), _wait(body), _instead(body))
        if method == "DELETE" and named:
            return self._commands.stop(named[1], _wait(body))
        asked: dict[tuple[str, str], Callable[[], Json]] = {
            ("GET", "/ps"): self._commands.ps,
            ("GET", "/status"): self._commands.status,
        }
        if (method, path) not in asked:
            raise Refused(404, "here are POST /projects, DELETE /projects/NAME, GET /ps and GET /status")
        return asked[method, path]()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            timeout = REQUEST_SECONDS

            def address_string(self) -> str:
                """A Unix socket has no address."""
                return "local"

            def do_GET(self) -> None:
                """Answers."""
                self._serve()

            do_POST = do_DELETE = do_GET  # noqa: N815 - the names that the library calls

            def _serve(self) -> None:
                try:
                    self._send(answer(self.command, self.path, self._body()))
                except Refused as refused:
                    self._send(_Reply(refused.status, {"error": str(refused)}))
                except OSError:
                    LOG.debug("who asked went away before the answer")
                except Exception:  # one request's trouble is not the agent's: logged
                    LOG.exception("a request failed")
                    self._send(_Reply(500, {"error": "the request failed; the agent's log says why"}))

            def _body(self) -> Json:
                said = self.headers.get("Content-Length") or "0"
                size = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else MAX_BODY_BYTES + 1
                if size > MAX_BODY_BYTES:
                    raise Refused(413, f"a request says how long it is, and has at most {MAX_BODY_BYTES} bytes")
                try:
                    body = json.loads(self.rfile.read(size)) if size else {}
                except ValueError as error:
                    raise Refused(400, f"the request is not JSON: {error}") from error
                if not isinstance(body, dict):
                    raise Refused(400, "the request is not a JSON object")
                return body

            def _send(self, reply: _Reply) -> None:
                text = json.dumps(reply.body).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                """Requests are not worth a line each."""

        return Handler


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _path(body: Json) -> Path:
    path = body.get("path")
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise Refused(400, "`path` has to be the absolute path of a Compose file")
    return Path(path)


def _instead(body: Json) -> bool:
    said = body.get("replace", False)
    if not isinstance(said, bool):
        raise Refused(400, "`replace` has to be true or false")
    return said


def _wait(body: Json) -> float:
    seconds = body.get("wait_seconds") or 0.0
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise Refused(400, f"`wait_seconds` has to be between 0 and {MAX_WAIT_SECONDS:g}")
    return float(seconds)

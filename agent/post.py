"""Posting over connections that stay open: the standard library's client, for others cost 5 MB of resident memory."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from agent.tls import TlsFiles, context_of
from runtime.http_body import bounded_body

MAX_ANSWER_BYTES = 64 * 1024
NO_FILES = TlsFiles()
_PORTS = {"http": 80, "https": 443}


class PostTimeout(Exception):
    """No answer in time; the request may have arrived."""


class PostFailed(Exception):
    """The server can't be reached, or ended the connection; the request may have arrived."""


class Answer(NamedTuple):
    """What a server answered: its headers by lower-case name, and the beginning of its body."""

    url: str
    status: int
    headers: Mapping[str, str]
    text: str


class _Request(NamedTuple):
    url: str
    content: bytes
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


_Connection = http.client.HTTPConnection


class Poster:
    """Posts to one origin after the other, a kept connection per thread; no redirects, no proxies, no cookies."""

    def __init__(self, timeout_seconds: float = 10.0, connect_seconds: float = 2.0, files: TlsFiles = NO_FILES) -> None:
        """Times are those of connecting, and of each wait for the peer; `files` are for https."""
        self._files = files
        self._timeout_seconds, self._connect_seconds = timeout_seconds, connect_seconds
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, tuple[str, str]], _Connection] = {}
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Ends every connection."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        for connection in kept:
            connection.close()

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """One POST; raises PostTimeout or PostFailed. A kept connection that the server had ended is made anew once."""
        request = _Request(url, content, headers)
        try:
            return self._posted(request)
        except TimeoutError as fault:
            raise PostTimeout(str(fault)) from fault
        except (OSError, http.client.HTTPException, ValueError) as fault:
            raise PostFailed(str(fault) or type(fault).__name__) from fault

    def _posted(self, request: _Request) -> Answer:
        key = (threading.get_ident(), urlsplit(request.url)[:2])
        with self._lock:
            kept = self._kept.pop(key, None)
        try:
            connection, answer = self._sent(request, kept)
        except (ConnectionError, http.client.BadStatusLine):
            if kept is None:
                raise
            connection, answer = self._sent(request, None)
        if connection is not None:
            with self._lock:
                self._kept[key] = connection
        return answer

    def _sent(self, request: _Request, kept: _Connection | None) -> tuple[_Connection | None, Answer]:
        """The answer, and the connection where it can be used again."""
        connection = kept or self._connected(request.url)
        reusable = False
        try:
            connection.request("POST", request.path, body=request.content, headers=dict(request.headers))
            response = connection.getresponse()
            text = bounded_body(response, MAX_ANSWER_BYTES).decode("utf-8", "replace")
            if response.length and len(text) < MAX_ANSWER_BYTES:
                raise http.client.IncompleteRead(text.encode(), response.length)
            # A body is at its end when nothing more comes; what is longer than we read is left, with its connection.
            reusable = not bounded_body(response, 1) and not response.will_close
            told = {name.lower(): value for name, value in response.getheaders()}
            return connection if reusable else None, Answer(request.url, response.status, told, text)
        finally:
            if not reusable:
                connection.close()

    def _connected(self, url: str) -> _Connection:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
        connection: _Connection
        if parts.scheme == "https":
            self._tls = self._tls or context_of(self._files)
            connection = http.client.HTTPSConnection(host, port, timeout=self._connect_seconds, context=self._tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._connect_seconds)
        connection.connect()
        connection.sock.settimeout(self._timeout_seconds)
        return connection

"""One connection to a registry at a time, timed phase by phase, with a deadline for the whole.

Redirects are not followed here, and what an answer holds is bounded.
"""

from __future__ import annotations

import http.client
import ipaddress
import select
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from runtime.http_body import bounded_body

MAX_ANSWER_BYTES = 1024 * 1024
HUB_HOST = "registry-1.docker.io"


class Answer(NamedTuple):
    """What a server answered; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """The status for a message: `HTTP 404 Not Found`."""
        return f"HTTP {self.status} {http.client.responses.get(self.status, '')}".strip()


class _Question(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


class Refused(Exception):
    """The registry's answer is not what was asked for; `answer` is None where there is more to it than a status."""

    def __init__(self, message: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class Stopwatch:
    """Adds the time of each phase up, in the order in which they are reached."""

    def __init__(self, monotonic: Callable[[], float], timeout_seconds: float) -> None:
        self.monotonic = monotonic
        self.phases: dict[str, float] = {}
        self.deadline = monotonic() + timeout_seconds

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what is done inside, also where it fails."""
        began = self.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + self.monotonic() - began

    def left_seconds(self) -> float:
        """What is left of the whole request's time; raises TimeoutError where that is nothing."""
        left = self.deadline - self.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def quiet(self) -> Stopwatch:
        """Another with the same deadline, for what is a part of a phase of this one."""
        return Stopwatch(self.monotonic, self.left_seconds())


class Target(NamedTuple):
    """A server to speak to: `tls` is None where it is plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, registry: str, tls: ssl.SSLContext | None, *, plain: bool = False) -> Target:
        """The server behind a registry's name, over plain HTTP on loopback or where told so.

        Raises ValueError for a name that is none.
        """
        parts = urllib.parse.urlsplit(f"//{HUB_HOST if registry == 'docker.io' else registry}")
        if not parts.hostname:
            raise ValueError(f"{registry!r} is no registry's address")
        plain = plain or is_loopback(parts.hostname)
        context = None if plain else tls or ssl.create_default_context()
        return cls(parts.hostname, parts.port or (80 if plain else 443), context)

    @property
    def private(self) -> bool:
        """True where nobody in between reads what is sent: a password may be."""
        return self.tls is not None or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """True for `localhost` and 127.0.0.0/8: registries that Docker speaks plain HTTP with by default."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Line:
    """A connection to a server that is made when first needed, and anew where the server has closed it."""

    def __init__(self, target: Target, watch: Stopwatch) -> None:
        self.target, self.watch = target, watch
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, phase: str, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request; the name, the connection and TLS are timed as phases of their own."""
        connection = self._open()
        with self.watch.phase(phase):
            return _ask(connection, _Question(method, path, headers, body), self.watch)

    def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is None or not _is_open(self._connection.sock):
            self.close()
            self._connection = _connected(self.target, self.watch)
        return self._connection


def _is_open(sock: socket.socket | None) -> bool:
    """False where the server has closed it: what can be read of a connection that asked nothing is its end."""
    if sock is None:
        return False
    # Not `select.select`, which refuses descriptors above 1,023.
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return not waiting.poll(0)


def _connected(target: Target, watch: Stopwatch) -> http.client.HTTPConnection:
    with watch.phase("dns"):
        addresses = [
            str(found[4][0]) for found in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        ]
    with watch.phase("connect"):
        sock = _first_that_answers(addresses, target.port, watch)
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    if target.tls is not None:
        with watch.phase("tls"):
            connection.sock = _wrapped(sock, target.tls, target.host)
    return connection


def _first_that_answers(addresses: list[str], port: int, watch: Stopwatch) -> socket.socket:
    failure: OSError = OSError("the name has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=watch.left_seconds())
        except OSError as error:
            failure = error
    raise failure


def _wrapped(sock: socket.socket, tls: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    try:
        return tls.wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise


def _ask(connection: http.client.HTTPConnection, question: _Question, watch: Stopwatch) -> Answer:
    # A server that sends a byte at a time never exceeds a read's own timeout: at the deadline the socket is cut.
    timer = threading.Timer(watch.left_seconds(), _cut, (connection.sock,))
    timer.start()
    try:
        answer = _exchange(connection, question)
    finally:
        timer.cancel()
    # The library takes an answer that was cut within its headers for a whole one.
    watch.left_seconds()
    return answer


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _exchange(connection: http.client.HTTPConnection, question: _Question) -> Answer:
    path = urllib.parse.quote(question.path, safe="/:@?=&%+,")
    connection.request(question.method, path, question.body, {"User-Agent": "midwatch", **question.headers})
    with connection.getresponse() as response:
        body = bounded_body(response, MAX_ANSWER_BYTES)
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, told, body)

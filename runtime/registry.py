"""How long a registry takes to answer for a manifest, phase by phase.

One request for a manifest, as a pull begins with: name, connection, TLS, token where the registry asks for one, and
the manifest itself. Redirects are not followed, and what an answer holds is bounded.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from runtime.credentials import Credentials
from runtime.model import RegistryTiming

DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_MESSAGE_CHARS = 300
HUB_HOST = "registry-1.docker.io"

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Answer(NamedTuple):
    """What a server answered: the status and the two headers and the body that matter here."""

    status: int
    challenge: str
    body: bytes


class _Refused(Exception):
    """The registry's answer is no manifest."""


class _Stopwatch:
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


def time_manifest(
    registry: str,
    repository: str,
    tag: str,
    *,
    now_ms: int,
    credentials: Credentials | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    tls: ssl.SSLContext | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> RegistryTiming:
    """One timed request for a manifest; a failure is a timing that is not ok, with the phases that were reached.

    Phases: `dns`, `connect`, `tls`, `token`, `manifest`. Plain HTTP is spoken with loopback addresses alone, as
    Docker does. `tls` replaces the system's trust.
    """
    watch = _Stopwatch(monotonic, timeout_seconds)
    usable = credentials if credentials is not None and credentials.password else None
    began, message = monotonic(), None
    try:
        _manifest(_Target.of(registry, tls), f"/v2/{repository}/manifests/{tag}", repository, usable, watch)
    except (_Refused, OSError, http.client.HTTPException, ValueError) as error:
        message = " ".join((str(error) or type(error).__name__).split())[:MAX_MESSAGE_CHARS]
    return RegistryTiming(registry, now_ms, message is None, monotonic() - began, watch.phases, message)


class _Target(NamedTuple):
    """A server to speak to: `tls` is None where it is plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, registry: str, tls: ssl.SSLContext | None) -> _Target:
        """The server behind a registry's name; raises ValueError for a name that is none."""
        parts = urllib.parse.urlsplit(f"//{HUB_HOST if registry == 'docker.io' else registry}")
        if not parts.hostname:
            raise ValueError(f"{registry!r} is no registry's address")
        plain = is_loopback(parts.hostname)
        context = None if plain else tls or ssl.create_default_context()
        return cls(parts.hostname, parts.port or (80 if plain else 443), context)


def is_loopback(host: str) -> bool:
    """True for `localhost` and 127.0.0.0/8: registries that Docker speaks plain HTTP with by default."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _manifest(target: _Target, path: str, repository: str, credentials: Credentials | None, watch: _Stopwatch) -> None:
    connection = _connected(target, watch)
    try:
        with watch.phase("manifest"):
            answer = _ask(connection, "HEAD", path, {"Accept": _ACCEPT}, watch)
        if answer.status == 401:
            headers = {
                "Accept": _ACCEPT,
                "Authorization": _authorization(answer, repository, credentials, target, watch),
            }
            connection.close()
            connection = _connected(target, watch)
            with watch.phase("manifest"):
                answer = _ask(connection, "HEAD", path, headers, watch)
    finally:
        connection.close()
    if answer.status != 200:
        raise _Refused(f"HTTP {answer.status} {http.client.responses.get(answer.status, '')}".strip())


def _connected(target: _Target, watch: _Stopwatch) -> http.client.HTTPConnection:
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


def _first_that_answers(addresses: list[str], port: int, watch: _Stopwatch) -> socket.socket:
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


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], watch: _Stopwatch
) -> Answer:
    # A server that sends a byte at a time never exceeds a read's own timeout: at the deadline the socket is cut.
    timer = threading.Timer(watch.left_seconds(), _cut, (connection.sock,))
    timer.start()
    try:
        answer = _exchange(connection, method, path, headers)
    finally:
        timer.cancel()
    # The library takes an answer that was cut within its headers for a whole one.
    watch.left_seconds()
    return answer


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> Answer:
    connection.request(
        method, urllib.parse.quote(path, safe="/:@?=&%+,"), headers={"User-Agent": "midwatch", **headers}
    )
    with connection.getresponse() as response:
        body = response.read(MAX_ANSWER_BYTES)
        return Answer(response.status, response.getheader("WWW-Authenticate", ""), body)


def _authorization(
    answer: Answer, repository: str, credentials: Credentials | None, target: _Target, watch: _Stopwatch
) -> str:
    scheme = answer.challenge.partition(" ")[0].lower()
    if scheme == "basic":
        if credentials is None:
            raise _Refused("HTTP 401 Unauthorized: the registry asks for a password; run docker login")
        return _basic(credentials)
    if scheme == "bearer":
        with watch.phase("token"):
            return f"Bearer {_token(answer.challenge, repository, credentials, target, watch)}"
    raise _Refused("HTTP 401 Unauthorized")


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


def _token(challenge: str, repository: str, credentials: Credentials | None, target: _Target, watch: _Stopwatch) -> str:
    asked = dict(_PARAMETER.findall(challenge))
    realm = urllib.parse.urlsplit(asked.get("realm", ""))
    server = _token_server(realm, target)
    query = {"service": asked.get("service", ""), "scope": asked.get("scope") or f"repository:{repository}:pull"}
    path = f"{realm.path or '/'}?{urllib.parse.urlencode(query)}"
    quiet = _Stopwatch(watch.monotonic, watch.left_seconds())
    connection = _connected(server, quiet)
    try:
        headers = {} if credentials is None else {"Authorization": _basic(credentials)}
        answer = _ask(connection, "GET", path, headers, quiet)
    finally:
        connection.close()
    if answer.status != 200:
        raise _Refused(f"token: HTTP {answer.status} {http.client.responses.get(answer.status, '')}".strip())
    return _token_in(answer.body)


def _token_server(realm: urllib.parse.SplitResult, target: _Target) -> _Target:
    # The registry names the realm, and the password goes there: never in plain text beyond this machine.
    if not realm.hostname or realm.scheme not in ("https", "http"):
        raise _Refused("token: the registry names no realm that can be asked")
    if realm.scheme == "http":
        if not is_loopback(realm.hostname):
            raise _Refused(f"token: realm {realm.hostname} is plain HTTP; a token is asked for over TLS alone")
        return _Target(realm.hostname, realm.port or 80, None)
    return _Target(realm.hostname, realm.port or 443, target.tls or ssl.create_default_context())


def _token_in(body: bytes) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError) as error:
        raise _Refused("token: the answer is no JSON object") from error
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise _Refused("token: the answer holds none")
    return token

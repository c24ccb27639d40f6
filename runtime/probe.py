"""Readiness probes of our own: what a container's label asks for, and one look whether it is ready."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Mapping
from typing import Protocol

from runtime.errors import EngineRefused
from runtime.model import Container, ExecProbe, HttpProbe, Probe, TcpProbe

READINESS_LABEL = "midwatch.readiness"
DEFAULT_TIMEOUT_SECONDS = 1.0
MAX_LABEL_CHARS = 1024
MAX_STATUS_LINE_BYTES = 4096
_FORMS = "write http://:PORT/PATH, tcp://:PORT or exec:COMMAND"


class Executor(Protocol):
    """What an exec probe needs of an engine."""

    def exec(self, id: str, command: tuple[str, ...], timeout_seconds: float) -> int | None:
        """The command's exit code; None where it took too long."""


def probe_of(labels: Mapping[str, str]) -> Probe | None:
    """The probe that the label `midwatch.readiness` asks for; None without it. Raises ValueError with the remedy."""
    text = labels.get(READINESS_LABEL, "").strip()
    if not text:
        return None
    if len(text) > MAX_LABEL_CHARS:
        raise ValueError(f"{READINESS_LABEL} is longer than {MAX_LABEL_CHARS} characters; shorten it")
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "exec":
        return _exec(rest)
    if scheme == "http" and rest.startswith("//:"):
        port, slash, path = rest.removeprefix("//:").partition("/")
        return HttpProbe(_port(port), _path(slash + path))
    if scheme == "tcp" and rest.startswith("//:"):
        return TcpProbe(_port(rest.removeprefix("//:")))
    raise ValueError(f"{READINESS_LABEL} {text[:60]!r} is no probe; {_FORMS}")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{READINESS_LABEL}: {text[:20]!r} is no port; {_FORMS}")
    return int(text)


def _path(text: str) -> str:
    if not all("!" <= character <= "~" for character in text):
        raise ValueError(f"{READINESS_LABEL}: the path holds a character that an URL can't; escape it with %")
    return text or "/"


def _exec(text: str) -> ExecProbe:
    try:
        command = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{READINESS_LABEL}: {str(error).lower()}; close the quote") from error
    if not command:
        raise ValueError(f"{READINESS_LABEL}: exec: has no command; {_FORMS}")
    return ExecProbe(command)


def ready(
    probe: Probe, container: Container, engine: Executor, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> bool:
    """One look: True where the probe passes within the time. Only the container's own address is ever asked."""
    if container.state != "running":
        return False
    match probe:
        case ExecProbe(command):
            return _exec_ready(container.id, command, engine, timeout_seconds)
        case HttpProbe(port, path):
            address = _address(container)
            return address is not None and http_ready(address, port, path, timeout_seconds)
        case TcpProbe(port):
            address = _address(container)
            return address is not None and tcp_ready(address, port, timeout_seconds)


def _address(container: Container) -> str | None:
    return "127.0.0.1" if container.network_mode == "host" else container.address


def _exec_ready(id: str, command: tuple[str, ...], engine: Executor, timeout_seconds: float) -> bool:
    try:
        return engine.exec(id, command, timeout_seconds) == 0
    except EngineRefused:
        # The container ended between the look at it and the command: not ready is the whole truth.
        return False


def tcp_ready(address: str, port: int, timeout_seconds: float) -> bool:
    """True where the port accepts a connection within the time."""
    try:
        with socket.create_connection((address, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def http_ready(address: str, port: int, path: str, timeout_seconds: float) -> bool:
    """True where `GET path` answers 200 to 399 within the time; a redirect is an answer and is not followed.

    Past the status line nothing of the answer counts, so nothing of it is waited for.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        with socket.create_connection((address, port), timeout=timeout_seconds) as sock:
            request = f"GET {path} HTTP/1.1\r\nHost: {_host(address, port)}\r\n{_HEADERS}\r\n"
            sock.sendall(request.encode("ascii"))
            return _status_ok(_first_line(sock, deadline))
    except OSError:
        return False


_HEADERS = "User-Agent: midwatch\r\nAccept: */*\r\nConnection: close\r\n"


def _host(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _first_line(sock: socket.socket, deadline: float) -> bytes:
    # One byte a second would outlive any timeout of a single read: the whole line has to come by the deadline.
    answer = b""
    while b"\n" not in answer and len(answer) < MAX_STATUS_LINE_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        chunk = sock.recv(1024)
        if not chunk:
            break
        answer += chunk
    return answer.partition(b"\n")[0]


def _status_ok(line: bytes) -> bool:
    words = line.split()
    return (
        len(words) >= 2
        and words[0].startswith(b"HTTP/1.")
        and words[1].isdigit()
        and len(words[1]) == 3
        and 200 <= int(words[1]) <= 399
    )

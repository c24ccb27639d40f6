"""One HTTP request to a container that may be hostile: its own address, no redirects, bounds on bytes and time."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.http_body import bounded_body

_ADDRESS = re.compile(r"(?:http://)?:?(\d{1,5})(/[!-~]{0,255})?")
_ON, _OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")
_PATH = re.compile(r"/[!-~]{0,255}")
_ACCEPT = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5"


class ScrapeFault(Exception):
    """Why a scrape gave nothing: `outcome` is a word for the counter, the message says what to do."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Target(NamedTuple):
    """Where a container's own metrics are."""

    host: str
    port: int
    path: str


def asks(labels: Mapping[str, str]) -> bool:
    """True where a container's labels ask to be scraped; `midwatch.scrape: false` has the last word."""
    scrape = labels.get("midwatch.scrape")
    if scrape is not None:
        return scrape.lower() not in _OFF
    return "midwatch.metrics" in labels or labels.get("prometheus.io/scrape") == "true"


def target_of(labels: Mapping[str, str], address: str | None) -> Target:
    """What the labels ask for: `midwatch.metrics` or `midwatch.scrape`, or `prometheus.io/port` and `path`.

    Ours is `http://:8080/metrics`, `:8080/metrics` or `8080`; `midwatch.scrape: true` takes port and path from the
    others. The host is the container's own address, never the label's. Raises ScrapeFault where it can't be honoured.
    """
    port, path = labels.get("prometheus.io/port", ""), labels.get("prometheus.io/path", "/metrics")
    if (ours := _ours(labels)) is not None:
        if not (match := _ADDRESS.fullmatch(ours[1])):
            raise ScrapeFault("bad_target", f"{ours[0]} is {ours[1][:80]!r}, not like http://:8080/metrics")
        port, path = match[1], match[2] or "/metrics"
    elif labels.get("prometheus.io/scheme", "http") != "http":
        raise ScrapeFault("bad_target", "prometheus.io/scheme is not http: only plain HTTP is asked within a node")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536 and _PATH.fullmatch(path)):
        raise ScrapeFault("bad_target", f"port {port[:20]!r} and path {path[:80]!r} are no port and path to scrape")
    if not address:
        raise ScrapeFault("no_address", "the container has no address of its own to scrape (host network, or none)")
    return Target(address, int(port), path)


def _ours(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """The label of ours that says where, and what it says."""
    for name in ("midwatch.scrape", "midwatch.metrics"):
        said = labels.get(name)
        if said is not None and not (name == "midwatch.scrape" and said.lower() in _ON):
            return name, said
    return None


def fetch(target: Target, max_bytes: int, timeout_seconds: float) -> str:
    """The exposition's text; raises ScrapeFault where it is not whole within the bounds."""
    deadline = time.monotonic() + timeout_seconds
    connection = http.client.HTTPConnection(target.host, target.port)
    try:
        connection.sock = _connected(target, deadline)
        headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "midwatch"}
        connection.request("GET", target.path, headers=headers)
        with connection.getresponse() as response:
            return _text(response, max_bytes)
    except TimeoutError as fault:
        raise ScrapeFault("timeout", f"{target.path} did not answer whole in {timeout_seconds:g} s") from fault
    except (OSError, http.client.HTTPException) as fault:
        raise ScrapeFault("unreachable", f"port {target.port} can't be asked: {fault}") from fault
    finally:
        connection.close()


def _text(response: http.client.HTTPResponse, max_bytes: int) -> str:
    if response.status != 200:
        raise ScrapeFault("status", f"answered {response.status} instead of 200")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise ScrapeFault("encoding", "answered compressed, which was not asked for")
    body = bounded_body(response, max_bytes + 1)
    if len(body) > max_bytes:
        raise ScrapeFault("too_large", f"more than the {max_bytes} bytes taken: raise the limit, or expose less")
    if response.length:
        raise ScrapeFault("unreachable", f"the answer ended {response.length} bytes early")
    return body.decode("utf-8", "replace")


class _DeadlineSocket(socket.socket):
    """Each read has only what is left of the whole request's time: a peer that drips bytes gains nothing."""

    deadline = 0.0

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole request is over")
        self.settimeout(left)
        return super().recv_into(*args, **kwargs)


def _connected(target: Target, deadline: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    connection = _DeadlineSocket(family, socket.SOCK_STREAM)
    connection.deadline = deadline
    connection.settimeout(max(0.001, deadline - time.monotonic()))
    try:
        connection.connect((target.host, target.port))
    except OSError:
        connection.close()
        raise
    return connection

"""What the engine's own metrics say of pulls, where they are on (`metrics-addr`): how many, and how long they took.

Only `engine_daemon_image_actions_seconds{action="pull"}` is read: of its buckets the longest ends at 10 s, so sum and
count. An engine that keeps layers itself counts failed pulls in; one over containerd's store counts those that worked.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runtime.registry_http import Line, Refused, Stopwatch, Target

CONFIGURATION = Path("/etc/docker/daemon.json")
TIMEOUT_SECONDS = 3.0

_SERIES = re.compile(r'^engine_daemon_image_actions_seconds_(sum|count)\{action="pull"\}\s+(\S+)', re.MULTILINE)


class PullActions(NamedTuple):
    """Pulls that the engine finished since it began, and the seconds they took together."""

    pulls: int
    seconds: float


def parse_pull_actions(text: str) -> PullActions | None:
    """The engine's count and sum out of its exposition, 0 before its first pull; None where it is no engine's."""
    found = dict(_SERIES.findall(text))
    if not found and "\nengine_daemon_" in text:
        return PullActions(0, 0.0)
    try:
        return PullActions(int(float(found["count"])), float(found["sum"]))
    except (KeyError, ValueError, OverflowError):
        return None


def pull_actions(url: str, monotonic: Callable[[], float] = time.monotonic) -> PullActions | None:
    """Reads the engine's metrics at `http://HOST:PORT/PATH`; None where nothing useful answers."""
    line = None
    try:
        place = urllib.parse.urlsplit(url)
        target = Target(place.hostname or "", place.port or 80, None)
        line = Line(target, Stopwatch(monotonic, TIMEOUT_SECONDS))
        answer = line.ask("metrics", "GET", place.path or "/metrics", {})
    except (Refused, OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        if line is not None:
            line.close()
    return parse_pull_actions(answer.body.decode("utf-8", "replace")) if answer.status == 200 else None


def metrics_url(configuration: Path = CONFIGURATION) -> str | None:
    """Where the engine's configuration says that its metrics are; None where they are off."""
    try:
        told = json.loads(configuration.read_text())
        address = told.get("metrics-addr")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    host, colon, port = str(address or "").rpartition(":")
    if not colon or not port.isdigit():
        return None
    everywhere = host in ("", "0.0.0.0", "[::]")  # noqa: S104 - what is read, not what is listened on
    return f"http://{'127.0.0.1' if everywhere else host}:{port}/metrics"

"""Connections under bounds: how many there are, and how long one may take to say what it wants."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 15.0
"""Longest time from a connection's start, or its last answer, to the end of a request's headers."""
_FILES_BESIDE = 256
"""Open files that are not connections: the database, its log, what waits for an answer elsewhere."""


def raise_file_limit(connections: int) -> int:
    """Raise the limit of open files as far as so many connections need and may have; how many there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES_BESIDE
    top = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < top:
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        soft = top
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft - _FILES_BESIDE))


def bounded(most: int, ended: Counter[str], header_seconds: float = HEADER_SECONDS) -> type[H11Protocol]:
    """The protocol of one connection; one beyond `most` is ended at once, and `ended` counts by reason."""

    class Bounded(H11Protocol):
        """Ends what is one too many, and what does not ask in time."""

        _asked_by: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Takes a connection where there is room."""
            super().connection_made(transport)
            if len(self.connections) > most:
                ended["bound"] += 1
                transport.abort()
            else:
                self._wait_for_headers()

        def data_received(self, data: bytes) -> None:
            """Reads on; while no request is under way, the time for its headers runs."""
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._headers_came()

        def on_response_complete(self) -> None:
            """An answer is over: the time for the next request begins."""
            super().on_response_complete()
            if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
                self._wait_for_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            """It is over."""
            self._headers_came()
            super().connection_lost(exc)

        def _wait_for_headers(self) -> None:
            self._headers_came()
            self._asked_by = self.loop.call_later(header_seconds, self._late)

        def _headers_came(self) -> None:
            if self._asked_by is not None:
                self._asked_by.cancel()
                self._asked_by = None

        def _late(self) -> None:
            ended["headers"] += 1
            self.transport.abort()

    return Bounded


def counted(ended: Counter[str]) -> dict[tuple[str, ...], float]:
    """Connections ended at a bound, by reason, as a counter of ours."""
    return {(reason,): float(ended[reason]) for reason in ("bound", "headers")}

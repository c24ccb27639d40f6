"""Bodies of requests, read within a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import parse_qsl

import anyio
import anyio.to_thread
from fastapi import Request

from service.api import ApiFault

T = TypeVar("T")

FORM_BYTES = 16_384
BODY_SECONDS = 30.0
"""Longest time in which a body must have come."""

INGEST_THREADS = 4
"""Bodies of senders that are read at once: what one is in memory is bounded, and pages have threads of their own."""


class Lane:
    """Threads for one kind of work, so that it takes none from others."""

    def __init__(self, threads: int = INGEST_THREADS) -> None:
        self._threads = threads
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns, done in one of the lane's threads."""
        # made here, since it belongs to the loop that runs
        self._limiter = self._limiter or anyio.CapacityLimiter(self._threads)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


class Held:
    """Bytes of bodies that are in memory at once, while they come and while they wait to be read; of one event loop."""

    def __init__(self, most: int) -> None:
        self.bytes = 0
        self._most = most

    @asynccontextmanager
    async def body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The body, held until the context ends; raises as `body_of`, and ApiFault 503 where too much is held."""
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.bytes + size > self._most:
                raise ApiFault(503, "too much is being sent at once: send it again later")
            mine += size
            self.bytes += size

        try:
            yield await body_of(request, most, take)
        finally:
            self.bytes -= mine


def _nothing(_: int) -> None:
    return


async def body_of(request: Request, most: int, take: Callable[[int], None] = _nothing) -> bytes:
    """The body, at most `most` bytes; raises ApiFault 413, and 408 where it takes too long to come.

    `take` is told of each piece before it is kept.
    """
    if _announced(request) > most:
        raise ApiFault(413, f"the body is longer than {most} bytes")
    found = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                take(len(chunk))
                found += chunk
                if len(found) > most:
                    raise ApiFault(413, f"the body is longer than {most} bytes")
    except TimeoutError as error:
        raise ApiFault(408, f"the body did not come within {BODY_SECONDS:g} s") from error
    return bytes(found)


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of several of one name the last."""
    body = await body_of(request, FORM_BYTES)
    return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=50, keep_blank_values=True))

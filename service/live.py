"""Server-sent events: one moment of a page is computed once for all its readers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.to_thread

from dashboards.pages import Feed, PageRequest, SseEvent, tick
from dashboards.source import DataSource

MOST_READERS = 200
MOST_KEPT = 64
LEAST_SECONDS = 1.0
MOST_SECONDS = 5.0


class Live:
    """Streams of pages; `changed` tells that there is something new."""

    def __init__(self, source: DataSource, clock: Callable[[], int], failed: Callable[[], None]) -> None:
        self._source = source
        self._clock = clock
        self._failed = failed
        self._generation = 0
        self._kept: OrderedDict[PageRequest, tuple[int, list[SseEvent]]] = OrderedDict()
        self._lock = threading.Lock()
        self.readers = 0
        self.closed = False

    def changed(self) -> None:
        """Samples arrived, or something was decided."""
        self._generation += 1

    async def stream(self, request: PageRequest) -> AsyncIterator[str]:
        """What one reader gets, until it leaves or the service ends."""
        if self.readers >= MOST_READERS:
            yield "retry: 30000\n\n"
            return
        self.readers += 1
        feed = Feed()
        try:
            yield "retry: 3000\n\n"
            while not self.closed:
                seen = self._generation
                for event in feed.fresh(await anyio.to_thread.run_sync(self._moment, request)):
                    yield event.wire()
                await self._wait(seen)
        finally:
            self.readers -= 1

    async def _wait(self, seen: int) -> None:
        waited = 0.0
        while not self.closed and waited < MOST_SECONDS and (waited < LEAST_SECONDS or self._generation == seen):
            await anyio.sleep(0.25)
            waited += 0.25

    def _moment(self, request: PageRequest) -> list[SseEvent]:
        with self._lock:
            generation = self._generation
            kept = self._kept.get(request)
            now_ms = self._clock()
            second = now_ms // 1000 + generation * 1_000_000_000_000
            if kept is not None and kept[0] == second:
                return kept[1]
            try:
                found = tick(self._source, request, now_ms)
            except Exception:  # noqa: BLE001 - the stream must not end for one bad moment; the page still shows its last
                self._failed()
                found = []
            self._kept[request] = (second, found)
            self._kept.move_to_end(request)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return found

"""What the engine streams: events and logs, closable from another thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import requests
from docker.types import CancellableStream

from runtime.engine_errors import as_ours
from runtime.engine_json import event_of
from runtime.engine_logs import MAX_LINE_BYTES, Frame, RawLine, frames, lines, tty_frames
from runtime.model import EngineEvent

EVENT_MEMORY = 256
"""Events of all types that an engine remembers (moby's `eventsLimit`)."""


def reaches_back(past: CancellableStream[Any], event_ns: int) -> bool | None:
    """True where past events begin with the one of that time, None where there are as many as are remembered."""
    try:
        for seen, event in enumerate(past, 1):
            if int(event.get("timeNano") or 0) <= event_ns:
                return True
            if seen >= EVENT_MEMORY:
                return None
        return False
    finally:
        _shut(past)


class EventStream:
    """Container and image events as they come; ends when the engine goes away or `close` is called."""

    def __init__(self, url: str, stream: CancellableStream[Any]) -> None:
        self._url = url
        self._stream = stream

    def __iter__(self) -> Iterator[EngineEvent]:
        """Blocks until the next event; raises EngineRefused where the engine refuses the stream."""
        with as_ours(self._url, "reading events"):
            for line in self._stream:
                event = event_of(line)
                if event is not None:
                    yield event

    def close(self) -> None:
        """Ends the stream, from any thread; a second call does nothing."""
        _shut(self._stream)


class LogStream:
    """A container's log lines, oldest first; ends with the container, or when `close` is called."""

    def __init__(self, url: str, response: requests.Response, tty: bool, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._url = url
        self._response = response
        self._tty = tty
        self._max_line_bytes = max_line_bytes
        self._stream = CancellableStream(response.iter_content(None), response)

    def __iter__(self) -> Iterator[RawLine]:
        """Blocks until the next line where the log is followed."""
        with as_ours(self._url, "reading a log"):
            yield from lines(self._frames(self._stream), self._max_line_bytes)

    def _frames(self, chunks: Iterable[bytes]) -> Iterator[Frame]:
        return tty_frames(chunks, self._max_line_bytes) if self._tty else frames(chunks)

    def close(self) -> None:
        """Ends the stream, from any thread; a second call does nothing."""
        _shut(self._stream)
        self._response.close()


def _shut(stream: CancellableStream[Any]) -> None:
    # A stream that the other thread has just read to its end has no socket left to shut.
    with suppress(OSError, AttributeError):
        stream.close()

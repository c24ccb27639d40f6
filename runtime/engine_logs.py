"""A container's log stream as lines: the engine's 8-byte frames, its timestamps, and a bound on length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from runtime.engine_json import time_ms

Stream = Literal["stdout", "stderr"]
MAX_LINE_BYTES = 16 * 1024
MAX_FRAME_BYTES = 1024 * 1024
_HEADER_BYTES = 8
_STAMP_BYTES = 64
_STREAMS: dict[int, Stream] = {0: "stdout", 1: "stdout", 2: "stderr"}


class RawLine(NamedTuple):
    """One line that a container wrote, without its newline; `cut` where it was longer than the bound."""

    at_ms: int | None
    stream: Stream
    text: bytes
    cut: bool = False


class Frame(NamedTuple):
    """One frame of the engine's multiplexed stream: one message of the log, or a part of a long one."""

    stream: Stream
    payload: bytes


def frames(chunks: Iterable[bytes], max_frame_bytes: int = MAX_FRAME_BYTES) -> Iterator[Frame]:
    """Frames out of chunks of any size; what a frame holds beyond the bound is dropped."""
    buffer = bytearray()
    skip = 0
    for chunk in chunks:
        buffer += chunk[skip:]
        skip = max(0, skip - len(chunk))
        while len(buffer) >= _HEADER_BYTES:
            size = int.from_bytes(buffer[4:8], "big")
            wanted = min(size, max_frame_bytes)
            if len(buffer) < _HEADER_BYTES + wanted:
                break
            yield Frame(_STREAMS.get(buffer[0], "stdout"), bytes(buffer[_HEADER_BYTES : _HEADER_BYTES + wanted]))
            skip = max(0, _HEADER_BYTES + size - len(buffer))
            del buffer[: _HEADER_BYTES + size]


def tty_frames(chunks: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Frame]:
    """Frames of a container with a terminal, whose stream has none: one a line, a line without end cut at the bound."""
    buffer = b""
    for chunk in chunks:
        *whole, buffer = (buffer + chunk).split(b"\n")
        yield from (Frame("stdout", line + b"\n") for line in whole)
        if len(buffer) > _STAMP_BYTES + max_line_bytes:
            yield Frame("stdout", buffer + b"\n")
            buffer = b""
    if buffer:
        yield Frame("stdout", buffer)


class _Partial:
    """One stream's line that has not ended yet."""

    def __init__(self) -> None:
        self.at_ms: int | None = None
        self.text = bytearray()
        self.cut = False

    def add(self, payload: bytes, max_line_bytes: int) -> None:
        stamp, text = stamped(payload)
        if not self.text and not self.cut:
            self.at_ms = stamp
        text = text.rstrip(b"\r\n") if text.endswith(b"\n") else text
        room = max_line_bytes - len(self.text)
        self.cut = self.cut or len(text) > room
        self.text += text[:room]

    def line(self, stream: Stream) -> RawLine:
        return RawLine(self.at_ms, stream, bytes(self.text), self.cut)


def stamped(payload: bytes) -> tuple[int | None, bytes]:
    """A payload's leading timestamp as milliseconds UTC, and the rest; None and all of it where it has none."""
    stamp, space, rest = payload.partition(b" ")
    at_ms = time_ms(stamp.decode("ascii", "replace")) if space and len(stamp) <= 40 else None
    return (at_ms, rest) if at_ms is not None else (None, payload)


def lines(source: Iterable[Frame], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[RawLine]:
    """Whole lines out of frames: the engine splits a long message into frames, each with a stamp of its own."""
    partial: dict[Stream, _Partial] = {}
    for frame in source:
        waiting = partial.setdefault(frame.stream, _Partial())
        waiting.add(frame.payload, max_line_bytes)
        if frame.payload.endswith(b"\n"):
            yield partial.pop(frame.stream).line(frame.stream)
    for stream, waiting in partial.items():
        yield waiting.line(stream)

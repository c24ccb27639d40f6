"""A container's log stream as lines: the engine's 8-byte frames, its timestamps, and a bound on length."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from runtime.engine_json import time_ms

Stream = Literal["stdout", "stderr"]
PARTIAL_BYTES = 16 * 1024
"""The engine cuts a longer line into messages of this size, see moby's `daemon/logger/copier.go`."""
MAX_LINE_BYTES = 4 * PARTIAL_BYTES
MAX_FRAME_BYTES = 1024 * 1024
_HEADER_BYTES = 8
_STAMP_BYTES = 64
_LONGEST_STAMP = 40
REMEMBERED_LINES = 1024
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
    """Frames of a container with a terminal, whose stream has none: one a line, a line without end cut at the bound.

    A long line has the engine's stamp again after each 16 KiB: there it is taken apart, to be joined like any other.
    A last line without newline runs into the next run's first: its stamp might as well be what the container wrote.
    """
    buffer = b""
    for chunk in chunks:
        *whole, buffer = (buffer + chunk).split(b"\n")
        for line in whole:
            *parts, rest = _parts(line)
            yield from (Frame("stdout", part) for part in parts)
            yield Frame("stdout", rest + b"\n")
        *parts, buffer = _parts(buffer)
        yield from (Frame("stdout", part) for part in parts)
        if len(buffer) > _STAMP_BYTES + max_line_bytes:
            yield Frame("stdout", buffer + b"\n")
            buffer = b""
    if buffer:
        yield Frame("stdout", buffer)


def _parts(text: bytes) -> Iterator[bytes]:
    """A terminal's line at each 16 KiB where its own stamp stands again; all of it where there is none."""
    stamp = text[: text.find(b" ", 0, _LONGEST_STAMP) + 1]
    size = len(stamp) + PARTIAL_BYTES
    while stamp and text.startswith(stamp, size):
        yield text[:size]
        text = text[size:]
    yield text


class _Partial:
    """One stream's line that has not ended yet."""

    def __init__(self, stamp: bytes, at_ms: int | None) -> None:
        self.at_ms = at_ms
        self.stamp = stamp
        self._text = bytearray()
        self._cut = False
        self._last_bytes = 0

    def goes_on_with(self, stamp: bytes) -> bool:
        """False where the message is another line: the end of a run leaves a last one without its newline.

        All parts of a line carry its first one's stamp; engines that stamp each part fill all but the last.
        """
        return not stamp or stamp == self.stamp or self._last_bytes >= PARTIAL_BYTES

    def add(self, text: bytes, max_line_bytes: int) -> None:
        self._last_bytes = len(text)
        room = max_line_bytes - len(self._text)
        self._cut = self._cut or len(text) > room
        self._text += text[:room]

    def line(self, stream: Stream) -> RawLine:
        return RawLine(self.at_ms, stream, bytes(self._text), self._cut)


class Stamped(NamedTuple):
    """A message taken apart: its stamp as written (empty where it has none), the same in ms UTC, and the rest."""

    stamp: bytes
    at_ms: int | None
    text: bytes


def stamped(payload: bytes) -> Stamped:
    """A message with its leading timestamp, or all of it as text where it has none."""
    stamp, space, rest = payload.partition(b" ")
    at_ms = _at_ms(stamp) if space and len(stamp) <= _LONGEST_STAMP else None
    return Stamped(b"", None, payload) if at_ms is None else Stamped(stamp, at_ms, rest)


def _at_ms(stamp: bytes) -> int | None:
    whole, fraction = stamp[:19], stamp[20:29]
    if len(stamp) == 30 and stamp[19:20] == b"." and stamp.endswith(b"Z") and fraction.isdigit():
        second_ms = _second_ms(whole)
        return None if second_ms is None else second_ms + int(fraction[:3])
    return time_ms(stamp.decode("ascii", "replace"))


@lru_cache(maxsize=64)
def _second_ms(text: bytes) -> int | None:
    """Most lines share their second with the one before: a stamp is read ten times as fast."""
    return time_ms(text.decode("ascii", "replace") + "Z")


class _Repeats:
    """Tells which lines came before: the engine sends some twice where a log is rotated while it is followed.

    Measured with 20.10 and json-file: after a rotation it begins the new file once more, up to 30 lines. A line is a
    repeat where its stamp is no later than the last and it is among those remembered, not where a clock was set back.
    """

    def __init__(self) -> None:
        self._last: dict[Stream, bytes] = {}
        self._seen = array("q")
        self._next = 0

    def has(self, stream: Stream, stamp: bytes, text: bytes) -> bool:
        """True for a repeat; remembers the line where it is none."""
        if not stamp:
            return False
        key = hash((stream, stamp, text))
        if stamp <= self._last.get(stream, b"") and key in self._seen:
            return True
        self._last[stream] = stamp
        if len(self._seen) < REMEMBERED_LINES:
            self._seen.append(key)
        else:
            self._seen[self._next] = key
            self._next = (self._next + 1) % REMEMBERED_LINES
        return False


def lines(source: Iterable[Frame], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[RawLine]:
    """Whole lines out of frames, each once: the engine cuts a long line into messages of 16 KiB, each with a stamp."""
    repeats = _Repeats()
    for stamp, line in _joined(source, max_line_bytes):
        if not repeats.has(line.stream, stamp, line.text):
            yield line


def _joined(source: Iterable[Frame], max_line_bytes: int) -> Iterator[tuple[bytes, RawLine]]:
    """Each line with its stamp as it was written."""
    partial: dict[Stream, _Partial] = {}
    for stream, payload in source:
        stamp, at_ms, text = stamped(payload)
        whole = text.endswith(b"\n")
        text = text.rstrip(b"\r\n") if whole else text
        waiting = partial.pop(stream, None)
        if waiting is not None and not waiting.goes_on_with(stamp):
            yield waiting.stamp, waiting.line(stream)
            waiting = None
        if waiting is None and whole:
            yield stamp, RawLine(at_ms, stream, text[:max_line_bytes], len(text) > max_line_bytes)
            continue
        waiting = waiting or _Partial(stamp, at_ms)
        waiting.add(text, max_line_bytes)
        if whole:
            yield waiting.stamp, waiting.line(stream)
        else:
            partial[stream] = waiting
    for stream, waiting in partial.items():
        yield waiting.stamp, waiting.line(stream)

"""The spool's way with files: durable writes, names, reserved numbers, and what is set aside."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

Signal = Literal["metrics", "logs", "traces"]
What = Literal["lines", "traces", "metrics", "events"]
Write = Callable[[Path, bytes], None]

SIGNALS: tuple[Signal, ...] = ("metrics", "logs", "traces")

_NAME = re.compile(r"(?P<sequence>\d{16,19})-(?P<what>lines|traces|metrics|events)-(?P<crc>[0-9a-f]{8})\.gz")
_WHATS: dict[str, What] = {"lines": "lines", "traces": "traces", "metrics": "metrics", "events": "events"}
_TEMPORARY = ".new"
_BLOCK = 10_000
_KEPT_ASIDE = 8


class Entry(NamedTuple):
    """One waiting batch; `memory` is its payload where the disk did not take it."""

    sequence: int
    what: What
    size: int
    crc: int
    memory: bytes | None = None
    born: float = 0.0
    """When it was put, by the process's monotonic seconds."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.sequence:016d}-{self.what}-{self.crc:08x}.gz"


def write_durably(path: Path, data: bytes) -> None:
    """The file whole or not at all, and there after a power cut: written aside, synced, renamed, folder synced."""
    aside = path.with_name(path.name + _TEMPORARY)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def left_behind(folder: Path, now: float, wall_seconds: float) -> list[Entry]:
    """The batches that an earlier process left, oldest first; what it was writing when it ended is removed.

    How old each is tells the file's time against `wall_seconds`; one of the future, by a clock that was wrong, is new.
    """
    found = list[Entry]()
    for path in folder.iterdir():
        if path.name.endswith(_TEMPORARY):
            path.unlink(missing_ok=True)
        elif match := _NAME.fullmatch(path.name):
            what, crc = _WHATS[match["what"]], int(match["crc"], 16)
            status = path.stat()
            born = now - max(0.0, wall_seconds - status.st_mtime)
            found.append(Entry(int(match["sequence"]), what, status.st_size, crc, born=born))
    return sorted(found, key=lambda entry: entry.sequence)


def set_aside(path: Path, folder: Path) -> None:
    """Keep a spoilt file for whoever looks into it; only the last few of them."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        path.replace(folder / path.name)
        for old in sorted(folder.iterdir(), key=lambda kept: kept.stat().st_mtime_ns)[:-_KEPT_ASIDE]:
            old.unlink(missing_ok=True)


class Reservation:
    """Sequence numbers that are never given twice, whatever ends the process, under one spool id."""

    def __init__(self, path: Path, write: Write, block: int = _BLOCK) -> None:
        """Take up the file and reserve the next block; raises OSError where that can't be written.

        Where the file is missing or spoilt a new id begins, for the old one's numbers can't be known.
        """
        self._path, self._write, self._block = path, write, block
        state = _read_state(path)
        self.spool_id = state[0] if state else uuid.uuid4().hex
        used = dict(zip(SIGNALS, state[1] if state else (0, 0, 0), strict=True))
        self._next = {signal: last + 1 for signal, last in used.items()}
        self._reserved = {signal: last + block for signal, last in used.items()}
        self._save()

    def next(self, signal: Signal) -> int | None:
        """The next number from 1, None where no further ones can be reserved on disk."""
        sequence = self._next[signal]
        if sequence + self._block // 2 > self._reserved[signal]:
            self._reserve(signal, sequence + self._block)
        if sequence > self._reserved[signal]:
            return None
        self._next[signal] = sequence + 1
        return sequence

    def beyond(self, signal: Signal, sequence: int) -> None:
        """Give only numbers greater than this one."""
        self._next[signal] = max(self._next[signal], sequence + 1)

    def _reserve(self, signal: Signal, up_to: int) -> None:
        before = self._reserved[signal]
        self._reserved[signal] = up_to
        try:
            self._save()
        except OSError:
            # Half a block is left when this is tried first: a disk that is full for hours stops nothing.
            self._reserved[signal] = before

    def _save(self) -> None:
        state = {"spool_id": self.spool_id, "reserved": self._reserved}
        self._write(self._path, json.dumps(state).encode())


def _read_state(path: Path) -> tuple[str, Sequence[int]] | None:
    try:
        state = json.loads(path.read_bytes())
        spool_id, reserved = str(state["spool_id"]), [int(state["reserved"][signal]) for signal in SIGNALS]
    except (FileNotFoundError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return (spool_id, reserved) if re.fullmatch(r"[0-9a-f]{32}", spool_id) else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

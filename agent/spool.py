"""Batches that wait until the service has them: on disk, numbered, bounded in bytes and age.

A batch is written to a temporary file, synced, then renamed to `<signal>/<sequence>-<what>-<crc32>.gz`, and the folder
is synced: what `put` answered is there after a power cut. Numbers are reserved on disk a block ahead, so that after a
crash the next one is beyond all that may have been used. What a full disk refuses waits in memory instead, bounded:
a full disk is when the service must hear from us.
"""

from __future__ import annotations

import errno
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isal import isal_zlib

from agent.spool_files import SIGNALS, Entry, Reservation, Signal, What, Write, left_behind, set_aside, write_durably

LEAST_VALUABLE_FIRST: tuple[What, ...] = ("lines", "traces", "metrics", "events")
"""The order in which a full spool loses its batches, the oldest of a kind first."""
SIGNAL_OF: Mapping[What, Signal] = {"lines": "logs", "events": "logs", "metrics": "metrics", "traces": "traces"}

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
DEFAULT_MAX_MEMORY_BYTES = 8 * 1024 * 1024
DEFAULT_MAX_AGE_SECONDS = 2 * 86_400.0
DEFAULT_MAX_EVENT_AGE_SECONDS = 7 * 86_400.0
EXPIRE_SECONDS = 60.0
"""Time between two looks for what is too old."""
_GZIP_WBITS = 31
_GZIP_LEVEL = 2
"""Of ISA-L: a sixth of what zlib's level 3 takes, for 4 % more bytes."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Batch:
    """The oldest batch of a signal: its gzipped payload, and its identity on the wire but for the node."""

    spool_id: str
    signal: Signal
    sequence: int
    what: What
    payload: bytes


class Spool:
    """Every batch that the service has not acknowledged; safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES,
        write: Write = write_durably,
        *,
        max_age_seconds: float = DEFAULT_MAX_AGE_SECONDS,
        max_event_age_seconds: float = DEFAULT_MAX_EVENT_AGE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Open the folder, made where missing; raises OSError where it can't be read or written.

        Ages count by `monotonic`, so that a clock that is set drops nothing; only those of batches that an earlier
        process left are by `wall`.
        """
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Batches lost, by (`batch_lines` …, reason): spool_full, too_old, disk_full, disk_error, corrupt, refused."""
        self._monotonic, self._wall, self._expired_at = monotonic, wall, float("-inf")
        self._max_age = dict.fromkeys(LEAST_VALUABLE_FIRST, max_age_seconds)
        self._max_age["events"] = max(max_age_seconds, max_event_age_seconds)
        self._folder, self._write = folder, write
        self._max_bytes, self._max_memory_bytes = max_bytes, max_memory_bytes
        self._bytes = 0
        self._changed = threading.Condition()
        self._released = False
        self.puts = 0
        """Batches that were handed over so far."""
        self._entries: dict[Signal, dict[int, Entry]] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._numbers = Reservation(folder / "state.json", write)
        for signal in SIGNALS:
            self._open(signal)

    @property
    def spool_id(self) -> str:
        """The stream's identity; a new one where the numbers of the old one can't be known."""
        return self._numbers.spool_id

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait, on disk and in memory."""
        return self._bytes

    def waiting(self, signal: Signal) -> int:
        """Batches of the signal that wait."""
        return len(self._entries[signal])

    def put(self, what: What, payload: bytes) -> int | None:
        """Compress and keep one serialised request; its sequence number, None where it was dropped and counted."""
        packer = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WBITS)
        packed = packer.compress(payload) + packer.flush()
        with self._changed:
            self._expire()
            sequence = self._put(what, packed)
            self.puts += 1
            self._changed.notify_all()
        return sequence

    def peek(self, signal: Signal) -> Batch | None:
        """The oldest batch of the signal; a file that is not what was written is set aside and counted."""
        with self._changed:
            self._expire()
            while entry := next(iter(self._entries[signal].values()), None):
                payload = entry.memory if entry.memory is not None else self._read(signal, entry)
                if payload is not None:
                    return Batch(self.spool_id, signal, entry.sequence, entry.what, payload)
                self._forget(signal, entry, "corrupt")
            return None

    def ack(self, signal: Signal, sequence: int) -> None:
        """Forget a batch that the service has; a number that is not there any more changes nothing."""
        with self._changed:
            if entry := self._entries[signal].get(sequence):
                self._forget(signal, entry)

    def refuse(self, signal: Signal, sequence: int, reason: str) -> None:
        """Forget a batch that the service will never take, and count it."""
        with self._changed:
            if entry := self._entries[signal].get(sequence):
                self._forget(signal, entry, reason)

    def release(self) -> None:
        """Nobody waits any more, from now on."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def wait(self, seconds: float, since: int) -> None:
        """Until more than `since` batches were put, the spool is released, or the seconds are over."""
        with self._changed:
            self._changed.wait_for(lambda: self._released or self.puts != since, seconds)

    def _open(self, signal: Signal) -> None:
        folder = self._folder / signal
        folder.mkdir(mode=0o700, exist_ok=True)
        self._entries[signal] = {}
        for entry in left_behind(folder, self._monotonic(), self._wall()):
            self._add(signal, entry)
            self._numbers.beyond(signal, entry.sequence)

    def _put(self, what: What, packed: bytes) -> int | None:
        signal, size = SIGNAL_OF[what], len(packed)
        if not self._make_room(what, size):
            self._drop(what, "spool_full")
            return None
        sequence = self._numbers.next(signal)
        if sequence is None:
            self._drop(what, "disk_full")
            return None
        entry = Entry(sequence, what, size, zlib.crc32(packed), born=self._monotonic())
        try:
            self._write(self._folder / signal / entry.name, packed)
        except OSError as fault:
            if not self._memory_holds(size):
                self._drop(what, "disk_full" if fault.errno in _FULL else "disk_error")
                return None
            entry = entry._replace(memory=packed)
        self._add(signal, entry)
        return sequence

    def _expire(self) -> None:
        """Lose what nobody asks for any more: samples, lines and traces first, events when they are older."""
        now = self._monotonic()
        if now - self._expired_at < EXPIRE_SECONDS:
            return
        self._expired_at = now
        for signal, entries in self._entries.items():
            for entry in [one for one in entries.values() if now - one.born > self._max_age[one.what]]:
                self._forget(signal, entry, "too_old")

    def _make_room(self, what: What, size: int) -> bool:
        """Lose what is worth no more than the new batch until it fits; False, and no loss, where that is too little."""
        excess, victims = self._bytes + size - self._max_bytes, list[tuple[Signal, Entry]]()
        for kind in LEAST_VALUABLE_FIRST[: LEAST_VALUABLE_FIRST.index(what) + 1]:
            for entry in self._entries[SIGNAL_OF[kind]].values():
                if excess <= 0:
                    break
                if entry.what == kind:
                    victims.append((SIGNAL_OF[kind], entry))
                    excess -= entry.size
        if excess > 0:
            return False
        for signal, entry in victims:
            self._forget(signal, entry, "spool_full")
        return True

    def _memory_holds(self, size: int) -> bool:
        held = sum(len(entry.memory or b"") for kept in self._entries.values() for entry in kept.values())
        return held + size <= self._max_memory_bytes

    def _add(self, signal: Signal, entry: Entry) -> None:
        self._entries[signal][entry.sequence] = entry
        self._bytes += entry.size

    def _forget(self, signal: Signal, entry: Entry, lost: str | None = None) -> None:
        del self._entries[signal][entry.sequence]
        self._bytes -= entry.size
        if entry.memory is None:
            # A file that can't be removed is sent again by the next process, and the service knows its number.
            with suppress(OSError):
                (self._folder / signal / entry.name).unlink(missing_ok=True)
        if lost:
            self._drop(entry.what, lost)

    def _drop(self, what: What, reason: str) -> None:
        self.dropped[f"batch_{what}", reason] += 1

    def _read(self, signal: Signal, entry: Entry) -> bytes | None:
        path = self._folder / signal / entry.name
        try:
            payload = path.read_bytes()
        except OSError:
            return None
        if zlib.crc32(payload) == entry.crc:
            return payload
        set_aside(path, self._folder / "corrupt")
        return None

"""Bounds of following logs: lines and bytes a second of each container, and what may wait; and who lost what."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.columns import Columns, Key, shape_of
from agent.model import LogLine, Points, Resource
from runtime.model import ServiceName

LOST = "midwatch_log_lines_dropped_total"
REASONS = ("rate", "queue")
_SHAPE = shape_of(tuple(Key(LOST, (("reason", why),), True) for why in REASONS))
MAX_SERVICES = 2_000


class Position(NamedTuple):
    """Where a log was read to: its last line's time, and how many lines of that millisecond were read."""

    at_ms: int
    lines: int = 0

    def after(self, at_ms: int) -> Position:
        """The position behind a line of that time; a time that goes back is where it was."""
        if at_ms > self.at_ms:
            return Position(at_ms, 1)
        return Position(self.at_ms, self.lines + 1) if at_ms == self.at_ms else self


@dataclass(frozen=True)
class LogLimits:
    """Bounds of following; what is beyond them is dropped and counted."""

    followers: int = 200
    lines_per_second: float = 200.0
    burst_lines: int = 1_000
    bytes_per_second: float = 256 * 1024.0
    burst_bytes: int = 2 * 1024 * 1024
    queued_lines: int = 20_000
    queued_chars: int = 4 * 1024 * 1024


DEFAULT = LogLimits()


class Bucket:
    """A token bucket: `rate` tokens a second, at most `burst` saved up; times are monotonic seconds."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), now

    def has(self, count: int, now: float) -> bool:
        """True where there are so many tokens now."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= count

    def take(self, count: int, now: float) -> bool:
        """Take so many tokens; False, and none taken, where there are fewer."""
        if not self.has(count, now):
            return False
        self._tokens -= count
        return True


class Allowed:
    """What one container may write: lines a second and bytes a second, each with its burst."""

    def __init__(self, limits: LogLimits, now: float) -> None:
        self._lines = Bucket(limits.lines_per_second, limits.burst_lines, now)
        self._bytes = Bucket(limits.bytes_per_second, limits.burst_bytes, now)

    def take(self, size: int, now: float) -> bool:
        """True where a line of that many bytes is within both rates."""
        return self._lines.has(1, now) and self._bytes.take(size, now) and self._lines.take(1, now)


class Read(NamedTuple):
    """One line on its way to the spool, and where its log then stands."""

    id: str
    position: Position
    line: LogLine


@dataclass
class _Losses:
    """A service's lost lines, by reason, and since when they are counted."""

    start_ms: int
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))


class Inbox:
    """What all followers hand over, from any thread; bounded: beyond a bound the newest lines are dropped."""

    def __init__(self, limits: LogLimits, max_services: int = MAX_SERVICES) -> None:
        self.limits = limits
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.lines_read = 0
        self.errors = 0
        self._reads: deque[Read] = deque()
        self._chars = 0
        self._max_services = max_services
        self._lost: dict[ServiceName, _Losses] = {}
        self._lock = threading.Lock()

    def put(self, read: Read) -> None:
        """Keep a line for the next round, or drop it where too much waits."""
        with self._lock:
            chars = self._chars + len(read.line.text)
            if len(self._reads) >= self.limits.queued_lines or chars > self.limits.queued_chars:
                self._lose(read.line.resource.service, "queue")
                return
            self.lines_read += 1
            self._reads.append(read)
            self._chars = chars

    def over_rate(self, service: ServiceName) -> None:
        """A line was dropped unread: its container writes more than it may."""
        with self._lock:
            self._lose(service, "rate")

    def take(self, most: int) -> list[Read]:
        """The oldest lines that wait, taken away."""
        with self._lock:
            taken = [self._reads.popleft() for _ in range(min(most, len(self._reads)))]
            self._chars -= sum(len(read.line.text) for read in taken)
            return taken

    def failed(self) -> None:
        """An error was caught at the top of a follower's thread."""
        with self._lock:
            self.errors += 1

    def unfollowed(self) -> None:
        """A container is not followed, for there are too many."""
        with self._lock:
            self.dropped["logs", "followers"] += 1

    def see(self, service: ServiceName, now_ms: int) -> None:
        """A log of the service is followed: its losses count from 0 on; the oldest service goes at the bound."""
        with self._lock:
            if service in self._lost:
                return
            while len(self._lost) >= self._max_services:
                del self._lost[next(iter(self._lost))]
            self._lost[service] = _Losses(now_ms)

    def points(self, now_ms: int) -> list[Points]:
        """What each service lost, as counters."""
        with self._lock:
            return [Points(Resource(service), _columns(lost, now_ms)) for service, lost in self._lost.items()]

    def _lose(self, service: ServiceName, reason: str) -> None:
        self.lines_read += 1
        self.dropped["lines", reason] += 1
        if (lost := self._lost.get(service)) is not None:
            lost.lines[reason] += 1


def _columns(lost: _Losses, now_ms: int) -> Columns:
    return Columns(_SHAPE, [float(lost.lines[why]) for why in REASONS], now_ms, lost.start_ms)

"""Follows the containers' logs: a thread per container, bounded in number, lines, rate and memory."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from agent.log_bounds import DEFAULT, Allowed, Inbox, LogLimits, Position, Read
from agent.log_json import lifted
from agent.log_text import clean_line
from agent.model import LogLine, Points, Resource
from runtime.engine_logs import RawLine
from runtime.errors import EngineRefused, RuntimeFault
from runtime.model import Container

_LOG = logging.getLogger(__name__)
AHEAD_MS = 1_000
"""A position further in the future than this was read while the clock was ahead."""
_RUNNING = ("running", "paused", "restarting")


class LineStream(Protocol):
    """An open log, closable from another thread."""

    def __iter__(self) -> Iterator[RawLine]:
        """Blocks until the next line."""
        ...

    def close(self) -> None:
        """End the stream."""
        ...


OpenLog = Callable[[str, int], LineStream]
"""Opens the log of a container id from a time in ms on (inclusive), followed; raises RuntimeFault."""


class _Edge(NamedTuple):
    """What followers reach outside by."""

    open_log: OpenLog
    clock_ms: Callable[[], int]
    monotonic: Callable[[], float]


class _Follower:
    """One run of one container being read by a thread of its own; `position` is how far it read."""

    def __init__(self, container: Container, resource: Resource, since: Position, inbox: Inbox, edge: _Edge) -> None:
        self.container, self.resource, self.since = container, resource, since
        self.position = since
        self.unreadable = False
        self._inbox, self._edge = inbox, edge
        self._closing = False
        self._stream: LineStream | None = None
        self._thread = threading.Thread(target=self._run, name=f"log-{container.id[:12]}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def covers(self, container: Container) -> bool:
        """True where there is nothing to read but what this one reads or has read."""
        if self.alive or self.unreadable:
            return True
        return container.state not in _RUNNING and container.started_ms == self.container.started_ms

    def close(self) -> None:
        self._closing = True
        if (stream := self._stream) is not None:
            stream.close()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._stream = self._edge.open_log(self.container.id, self.since.at_ms)
            if not self._closing:
                self._read(self._stream)
            self._stream.close()
        except EngineRefused as fault:
            # A logging driver that keeps nothing to read: asking again every round would not change that.
            self.unreadable = True
            _LOG.info("the log of %s can't be read: %s", self.container.name, fault)
        except RuntimeFault as fault:
            _LOG.debug("the log of %s broke off, to be followed again: %s", self.container.name, fault)
        except Exception:  # noqa: BLE001 - the thread's top: counted, and followed again in the next round
            self._inbox.failed()
            _LOG.exception("following the log of %s failed", self.container.name)

    def _read(self, stream: LineStream) -> None:
        allowed = Allowed(self._inbox.limits, self._edge.monotonic())
        for at_ms, raw, position in _fresh(stream, self.since):
            self.position = position
            if not allowed.take(len(raw.text), self._edge.monotonic()):
                self._inbox.over_rate(self.resource.service)
                continue
            text = clean_line(raw.text, raw.cut)
            line = LogLine(at_ms, self.resource, raw.stream, text, lifted(text))
            self._inbox.put(Read(self.container.id, position, line))


def _fresh(stream: Iterable[RawLine], since: Position) -> Iterator[tuple[int, RawLine, Position]]:
    """The lines behind `since`, each with its time and the position behind it.

    A line without a time has that of the line before: the clock's would put lines that are read later behind it.
    """
    position, known = since, since.lines
    for raw in stream:
        at_ms = raw.at_ms if raw.at_ms is not None else position.at_ms
        if known and at_ms == since.at_ms:
            known -= 1
            continue
        position = position.after(at_ms)
        yield at_ms, raw, position


class LogFollowers:
    """The logs of the node's containers; its methods are for one thread, the round's."""

    def __init__(
        self,
        open_log: OpenLog,
        clock_ms: Callable[[], int],
        since_ms: int,
        positions: Mapping[str, Position] | None = None,
        limits: LogLimits = DEFAULT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Logs without a position are read from `since_ms` on: the first start, or the last that was written down."""
        self._edge = _Edge(open_log, clock_ms, monotonic)
        self._since_ms = since_ms
        self._positions = dict(positions or {})
        self._inbox = Inbox(limits)
        self._followers: dict[str, _Follower] = {}
        self._unfollowed = set[str]()

    @property
    def dropped(self) -> Counter[tuple[str, str]]:
        """Lines lost by ("lines", "rate" | "queue"); containers that were not followed by ("logs", "followers")."""
        return self._inbox.dropped

    @property
    def lines_read(self) -> int:
        """Lines read from logs, dropped ones included."""
        return self._inbox.lines_read

    @property
    def errors(self) -> int:
        """Errors caught at the top of a follower's thread."""
        return self._inbox.errors

    @property
    def following(self) -> int:
        """Logs that are being followed now."""
        return sum(follower.alive for follower in self._followers.values())

    def sync(self, containers: Iterable[tuple[Container, Resource]]) -> None:
        """Follow what is new or runs again, forget what is gone; for every round."""
        present = {container.id: (container, resource) for container, resource in containers}
        self._forget(present)
        following = self.following
        for id_, (container, resource) in present.items():
            if self._covered(container):
                continue
            if following < self._inbox.limits.followers:
                following += 1
                self._follow(container, resource)
            elif id_ not in self._unfollowed:
                self._unfollowed.add(id_)
                self._inbox.unfollowed()

    def drain(self, most: int = 5_000) -> list[LogLine]:
        """The oldest lines that wait; `positions` then counts them as taken."""
        taken = self._inbox.take(most)
        for read in taken:
            self._positions[read.id] = read.position
        return [read.line for read in taken]

    def points(self, now_ms: int) -> list[Points]:
        """Lines that were dropped, by service and reason."""
        return self._inbox.points(now_ms)

    def positions(self) -> dict[str, Position]:
        """Where each log was taken to: to be written down after the drained lines are in the spool."""
        return dict(self._positions)

    def close(self, timeout_seconds: float = 2.0) -> None:
        """End every follower; what they read can still be drained."""
        for follower in self._followers.values():
            follower.close()
        deadline = self._edge.monotonic() + timeout_seconds
        for follower in self._followers.values():
            follower.join(max(0.0, deadline - self._edge.monotonic()))

    def _forget(self, present: Mapping[str, object]) -> None:
        for id_ in self._followers.keys() - present.keys():
            follower = self._followers[id_]
            if not follower.alive:
                del self._followers[id_]
        known = self._followers.keys() | present.keys()
        self._positions = {id_: position for id_, position in self._positions.items() if id_ in known}
        self._unfollowed &= known

    def _covered(self, container: Container) -> bool:
        if (follower := self._followers.get(container.id)) is not None:
            return follower.covers(container)
        if container.started_ms is None:
            return True
        ended_ms = None if container.state in _RUNNING else container.finished_ms
        return ended_ms is not None and ended_ms < self._position(container.id).at_ms

    def _position(self, id_: str) -> Position:
        return self._past(self._positions.get(id_, Position(self._since_ms)))

    def _past(self, position: Position) -> Position:
        """The position; now, where it was read while the clock was ahead: what is written from here on is read."""
        now = self._edge.clock_ms()
        return position if position.at_ms <= now + AHEAD_MS else Position(now)

    def _follow(self, container: Container, resource: Resource) -> None:
        self._inbox.see(resource.service, self._edge.clock_ms())
        earlier = self._followers.get(container.id)
        drained = self._positions[container.id] = self._position(container.id)
        # What the earlier follower read may still wait to be drained: it is not read twice.
        since = self._past(earlier.position) if earlier else drained
        self._followers[container.id] = _Follower(container, resource, since, self._inbox, self._edge)

"""Keeps the lifecycle up with the engine: subscribes, lists, drains, and begins again where the engine went away.

The stream is drained on a thread of its own, whatever is done with an event takes: a reader that stalls slows the
daemon down for everyone.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.book import Record
from agent.clock import Clock
from agent.lifecycle import Lifecycle
from agent.model import Event, Resource
from agent.passing import Passing
from runtime.cgroup import CgroupPaths, Layout, paths_of
from runtime.engine import Engine
from runtime.engine_streams import EventStream
from runtime.errors import EngineUnavailable, ParseFault, RuntimeFault
from runtime.model import PLATFORM, EngineEvent
from runtime.procfs import pid_cgroup

LOG = logging.getLogger(__name__)

MAX_QUEUED_EVENTS = 20_000
RETRY_SECONDS = 1.0
QUIET_SECONDS = 0.1
LONGEST_REPLAY_SECONDS = 5.0
INSPECTED = frozenset(("create", "start", "die", "rename", "update"))


class Listener(Protocol):
    """Whoever follows runs of containers; called on the watch's thread."""

    def began(self, record: Record) -> None:
        """A run began, or was found."""

    def oom_reported(self, record: Record) -> None:
        """The engine says that the present or last run saw a kill for memory."""

    def ended(self, record: Record) -> None:
        """A run is over."""

    def removed(self, container_id: str) -> None:
        """A container is gone."""

    def changed(self, record: Record) -> None:
        """Anything at all happened to a container."""


@dataclass
class EngineLink:
    """The engine as it is now; None while none answers, with the reason."""

    engine: Engine | None = None
    fault: str = "not looked for yet"


class EngineWatch:
    """One engine's events and inspections, into the lifecycle."""

    def __init__(
        self,
        connect: Callable[[], Engine],
        lifecycle: Lifecycle,
        listener: Listener,
        clock: Clock,
        *,
        rebooted: bool = False,
        resync_seconds: float = 300.0,
        max_queued: int = MAX_QUEUED_EVENTS,
    ) -> None:
        """`rebooted`: the machine, and so its engine, began anew since containers were last watched."""
        self._connect, self._lifecycle, self._listener, self._clock = connect, lifecycle, listener, clock
        self._resync_seconds, self._max_queued = resync_seconds, max_queued
        self._rebooted = rebooted
        self._lost_ms: int | None = None
        self._passing = Passing(clock.monotonic)
        self.link = EngineLink()
        self.overflows = 0
        self.errors = 0

    def run(self, stop: threading.Event) -> None:
        """Watches until told to stop; an engine that is away is waited for."""
        while not stop.is_set():
            try:
                self._watch(stop)
            except RuntimeFault as fault:
                self._lost(str(fault))
            except Exception as error:  # the loop must outlive what a library throws: counted and logged
                self.errors += 1
                LOG.exception("watching the engine failed")
                self._lost(str(error))
            stop.wait(RETRY_SECONDS)

    def _lost(self, reason: str) -> None:
        if self.link.engine is not None or self.link.fault != reason:
            LOG.warning("no engine: %s", reason)
        engine, self.link = self.link.engine, EngineLink(None, reason)
        self._lifecycle.blind()
        if engine is not None:
            self._lost_ms = self._clock.now_ms()
            engine.close()

    def _watch(self, stop: threading.Event) -> None:
        engine = self._connect()
        engine.ping()
        restarted = self._began_anew(engine)
        stream = engine.events(self._lifecycle.last_event_ns)
        drain = _Drain(stream, self._max_queued)
        self._passing = Passing(self._clock.monotonic)
        try:
            if restarted:
                self._lifecycle.engine_returned(self._lost_ms)
            self._replay(engine, drain)
            self._tell_gap()
            self._resync(engine)
            self._rebooted, self._lost_ms = False, None
            self.link = EngineLink(engine, "")
            self._follow(engine, drain, stop)
        finally:
            drain.close()

    def _replay(self, engine: Engine, drain: _Drain) -> None:
        """What the engine still remembers of the time without us comes first, so that it counts by what it says."""
        until_ns = self._clock.now_ms() * 1_000_000
        deadline = self._clock.monotonic() + LONGEST_REPLAY_SECONDS
        while self._clock.monotonic() < deadline:
            event = drain.take(QUIET_SECONDS)
            if event is None:
                return
            self._admit(engine, event)
            if event.time_ns > until_ns:
                return

    def _began_anew(self, engine: Engine) -> bool:
        """True where this is not the engine process that was watched last: a lost connection alone is no restart."""
        last_ns = self._lifecycle.last_event_ns
        remembers = None if last_ns is None else engine.remembers(last_ns, self._clock.now_ms() * 1_000_000)
        if self._rebooted or remembers is not None:
            return self._rebooted or not remembers
        # An engine that begins ends every run, but for one that lets them live on, and then there is little to tell.
        return not self._lifecycle.any_goes_on(engine.containers(all=False))

    def _resync(self, engine: Engine) -> None:
        passing = self._passing.waiting
        found = engine.containers()
        for record in self._lifecycle.resync([one for one in found if one.id not in passing]):
            self._listener.began(record)

    def _tell_gap(self) -> None:
        since, now = self._lifecycle.watched_ms, self._clock.now_ms()
        if since is not None:
            body = f"engine events may have been missed for {(now - since) / 1000:.1f} s"
            facts = {"from_ms": since, "to_ms": now}
            self._lifecycle.emit(Event("agent.gap", now, Resource(PLATFORM), body, facts))

    def _follow(self, engine: Engine, drain: _Drain, stop: threading.Event) -> None:
        resync_at = self._clock.monotonic() + self._resync_seconds
        while not stop.is_set():
            event = drain.take(0.25)
            if event is not None:
                self._admit(engine, event)
            elif drain.ended:
                raise EngineUnavailable(drain.fault or "the engine ended its stream of events")
            for late in self._passing.due():
                self._take(engine, late)
            overflown = 0 if event is not None else drain.take_overflow()
            if overflown or self._clock.monotonic() >= resync_at:
                self.overflows += overflown
                self._resync(engine)
                resync_at = self._clock.monotonic() + self._resync_seconds

    def _admit(self, engine: Engine, event: EngineEvent) -> None:
        """Takes in an event, or those that waited for it; what may be a build's helper waits."""
        for one in self._passing.take(event):
            self._take(engine, one)

    def _take(self, engine: Engine, event: EngineEvent) -> None:
        action = event.action.partition(":")[0]
        wanted = event.kind == "container" and (action in INSPECTED or not self._lifecycle.knows(event.id))
        record = self._lifecycle.event(event, engine.inspect(event.id) if wanted else None)
        if record is None:
            return
        if action == "start" and record.alive:
            self._listener.began(record)
        elif action == "die":
            self._listener.ended(record)
        elif action == "destroy":
            self._listener.removed(record.container.id)
        if action == "oom" or (action == "die" and record.container.oom_killed):
            self._listener.oom_reported(record)
        self._listener.changed(record)


class _Drain:
    """Reads a stream on a thread of its own into a bounded queue.

    Once one event found it full the following are dropped too, until the reader takes note: what is queued has no gap.
    """

    def __init__(self, stream: EventStream, most: int) -> None:
        self._stream = stream
        self._events: queue.Queue[EngineEvent] = queue.Queue(most)
        self._overflow = 0
        self.ended = False
        self.fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="engine-events", daemon=True)
        self._thread.start()

    def take(self, seconds: float) -> EngineEvent | None:
        """The next event, None where none came in that time."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None

    def take_overflow(self) -> int:
        """Events dropped since the last call."""
        dropped, self._overflow = self._overflow, 0
        return dropped

    def close(self) -> None:
        """Ends the stream and its thread."""
        self._stream.close()
        self._thread.join(2)

    def _run(self) -> None:
        try:
            for event in self._stream:
                if self._overflow:
                    self._overflow += 1
                    continue
                try:
                    self._events.put_nowait(event)
                except queue.Full:
                    self._overflow += 1
        except RuntimeFault as fault:
            self.fault = str(fault)
        except Exception as error:  # the thread's top: whoever takes from the queue learns of it
            LOG.exception("reading the engine's events failed")
            self.fault = str(error)
        finally:
            self.ended = True


def cgroup_paths(root: Path, layout: Layout, pid: int) -> CgroupPaths | None:
    """The cgroups of a process; None where it is gone."""
    try:
        return paths_of(layout, pid_cgroup((root / "proc" / str(pid) / "cgroup").read_bytes()))
    except (OSError, ParseFault):
        return None

"""The collection round: reads, settles, checkpoints, then spools; and a short one at once when something happened."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent.clock import Clock
from agent.collect import Collector, Target
from agent.deploys import Ended
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.logs import LogFollowers
from agent.memory import Memory
from agent.model import Event, LogLine, NodeIdentity, Points, Resource
from agent.otlp import logs_request, metrics_requests, traces_request
from agent.own import Own
from agent.scrape_book import HELD_MS
from agent.spool import Spool
from agent.story import MAX_EVENTS
from agent.trace import deploy_spans
from runtime.model import Container
from runtime.oom import OomWatcher
from runtime.oom_book import OomTotals

LOG = logging.getLogger(__name__)

HURRY_SECONDS = 0.3
"""Least time between two short rounds."""
LONGEST_WAIT_SECONDS = 1.0
FRESH_MS = 1_000
SETTLED_ROUNDS = 10
MAX_LINES = 5_000
MOST_LINE_BATCHES = 4


@dataclass(frozen=True)
class Outbox:
    """Turns what was found into requests and spools them."""

    spool: Spool
    node: NodeIdentity

    def points(self, points: Iterable[Points]) -> None:
        """Spools samples."""
        for request in metrics_requests(self.node, points):
            self.spool.put("metrics", request)

    def logs(self, events: list[Event], lines: list[LogLine]) -> None:
        """Spools events and log lines, each kind in a batch of its own: a full spool loses lines first."""
        if events:
            self.spool.put("events", logs_request(self.node, events))
        if lines:
            self.spool.put("lines", logs_request(self.node, [], lines))

    def deploy(self, ended: Ended) -> None:
        """Spools a deploy's trace."""
        self.spool.put("traces", traces_request(self.node, deploy_spans(ended)))


@dataclass(frozen=True)
class Parts:
    """What a round works with."""

    clock: Clock
    lifecycle: Lifecycle
    ledger: Ledger
    collector: Collector
    oom: OomWatcher | None
    own: Own
    memory: Memory
    logs: LogFollowers | None
    outbox: Outbox


class Rounds:
    """Runs rounds; `hurry` asks for a short one, from any thread."""

    def __init__(self, parts: Parts, interval_seconds: float) -> None:
        self._parts, self._interval_seconds = parts, interval_seconds
        self._wake = threading.Event()
        self._unnamed = OomTotals(0, 0, 0)
        self._latest: tuple[int, list[Points]] = (0, [])
        self._newest_ms = 0
        """Of which moment the newest samples are that were spooled."""
        self._untold: list[Event] = []
        """Events that are not spooled yet: a round that fails in between loses none."""
        self.rounds = 0
        self.failed = 0

    def run(self, stop: threading.Event) -> None:
        """Rounds on a steady beat until told to stop, and a last one then."""
        clock = self._parts.clock
        due = clock.monotonic()
        while not stop.is_set():
            self._guarded(self.round)
            now = clock.monotonic()
            # A round that took longer than the interval, or a suspend, leaves its missed beats out.
            due = max(due + self._interval_seconds, now)
            self._until(due, stop)
        self._guarded(self.last)

    def hurry(self) -> None:
        """Something happened that is worth telling of at once."""
        self._wake.set()

    def round(self) -> None:
        """One whole round."""
        parts, now = self._parts, self._parts.clock.now_ms()
        began = parts.clock.monotonic()
        self._settle()
        targets = self._targets()
        points = self._collected(now, targets)
        self._ship_lines(targets)
        # What is shipped must not be ahead of the checkpoint: after a crash a counter would seem to have fallen.
        self._save()
        self._ship(now, points)
        self._tell()
        self.rounds += 1
        if self.rounds == SETTLED_ROUNDS:
            # What is there now mostly stays: the collector of cycles need not walk through it again and again.
            gc.collect()
            gc.freeze()
        parts.own.add("midwatch_agent_round_seconds_total", parts.clock.monotonic() - began)
        parts.own.add("midwatch_agent_rounds_total", outcome="ok")

    def last(self) -> None:
        """The round before the end: every open end is decided, and the checkpoint is complete."""
        parts, now = self._parts, self._parts.clock.now_ms()
        self._count_unnamed()
        self._untold += parts.lifecycle.settle()
        if parts.logs is not None:
            parts.logs.close()
            self._drain(parts.logs)
        points = self._collected(now, self._targets())
        parts.memory.save(parts.logs.positions() if parts.logs else {}, self._counted, complete=True)
        self._ship(now, points)
        self._tell()

    def scraped(self) -> list[Points]:
        """What a scrape of /metrics gets: the last round's samples, read anew where they are older than a second."""
        at_ms, points = self._latest
        now = self._parts.clock.now_ms()
        return points if 0 <= now - at_ms < FRESH_MS else self._collected(now, self._targets())

    def pairs(self) -> list[tuple[Container, Resource]]:
        """The containers that are there or were a short while ago, each with whose data theirs is."""
        return [(target.container, target.resource) for target in self._targets()]

    def _until(self, due: float, stop: threading.Event) -> None:
        clock = self._parts.clock
        while not stop.is_set() and (left := due - clock.monotonic()) > 0:
            if self._wake.wait(min(left, LONGEST_WAIT_SECONDS)):
                self._wake.clear()
                self._guarded(self._short)
                stop.wait(min(HURRY_SECONDS, max(0.0, due - clock.monotonic())))

    def _short(self) -> None:
        """What happened since, and the counters of the services that it happened to."""
        parts, now = self._parts, self._parts.clock.now_ms()
        self._settle()
        if self._untold:
            touched = {event.resource.service for event in self._untold}
            self._save()
            self._ship(now, parts.ledger.points(now, touched))
            self._tell()

    def _ship(self, now_ms: int, points: list[Points]) -> None:
        """Spools samples, but none that are not newer than the last ones: a clock that was set back is waited for.

        Between earlier samples they would make every counter fall and rise again; what they count is in later ones.
        """
        if 0 <= self._newest_ms - now_ms < HELD_MS:
            self._parts.own.add("midwatch_agent_rounds_total", outcome="held")
            return
        self._newest_ms = now_ms
        self._parts.outbox.points(points)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # the beat must outlive one bad round: counted and logged
            self.failed += 1
            self._parts.own.add("midwatch_agent_rounds_total", outcome="failed")
            LOG.exception("a round failed")

    def _settle(self) -> None:
        self._count_unnamed()
        for ended in self._parts.lifecycle.deploys_over():
            self._parts.outbox.deploy(ended)
        self._untold += self._parts.lifecycle.tick()
        lost = len(self._untold) - MAX_EVENTS
        if lost > 0:
            del self._untold[:lost]
            self._parts.own.add("midwatch_agent_dropped_total", lost, what="events", reason="rounds failed")

    def _tell(self) -> None:
        """Spools what is to be told; the spool itself loses nothing but at its bound, which it counts."""
        self._parts.outbox.logs(self._untold, [])
        self._untold = []

    def _count_unnamed(self) -> None:
        if self._parts.oom is None:
            return
        totals, before = self._parts.oom.totals, self._unnamed
        unattributed, host = totals.unattributed - before.unattributed, totals.host - before.host
        if unattributed or host or self.rounds == 0:
            self._parts.ledger.unnamed_oom(unattributed=unattributed, host=host)
        self._unnamed = totals

    def _collected(self, now_ms: int, targets: list[Target]) -> list[Points]:
        parts = self._parts
        points = parts.collector.collect(targets, now_ms)
        points += parts.ledger.points(now_ms)
        points.append(parts.own.points(now_ms))
        points += parts.logs.points(now_ms) if parts.logs is not None else []
        self._latest = (now_ms, points)
        return points

    def _targets(self) -> list[Target]:
        path_of = self._parts.collector.cgroup_path
        return self._parts.lifecycle.look(
            lambda record: Target(record.current(), record.resource(path_of(record.container.id)))
        )

    def _ship_lines(self, targets: list[Target]) -> None:
        logs = self._parts.logs
        if logs is not None:
            logs.sync((target.container, target.resource) for target in targets if target.container.state != "removing")
            self._drain(logs)

    def _drain(self, logs: LogFollowers) -> None:
        for _ in range(MOST_LINE_BATCHES):
            lines = logs.drain(MAX_LINES)
            if not lines:
                return
            self._parts.outbox.logs([], lines)

    def _save(self) -> None:
        logs = self._parts.logs
        self._parts.memory.save_if_due(logs.positions() if logs else {}, self._counted)

    def _counted(self, container_id: str) -> int:
        return self._parts.oom.counted(container_id) if self._parts.oom else 0

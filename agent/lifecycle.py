"""What happens to containers, from the engine's events and inspections, into exact counts and events of our own.

A run of a container is known by its start. An event that belongs to a run already accounted for (a replay, or one
that an inspection overtook) changes nothing: a start while it runs, an end while it does not, anything older than
the run's own start.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from agent.book import FAILED_CHECKS, Declared, Record
from agent.deploys import Ended
from agent.model import Event
from agent.presence import REMOVED_AFTER_MS, tell_presence
from agent.pull_watch import PullWatch
from agent.resync import resync
from agent.set_back import Steps, set_back
from agent.story import Story, watch_of
from agent.transitions import apply, container_told_of
from runtime.model import Container, EngineEvent, Pull, ServiceName
from runtime.oom_book import OomKill

KEEP_GONE_MS = 300_000
"""How long a removed container is remembered: kills are told of up to a minute later, its last sight for longer."""
KILL_WAIT_MS = 10_000
"""How long a kill waits for its container's first event."""
OUR_WORK_MS = 60_000
READY_DEADLINE_MS = 120_000
REMEMBERED_EVENTS = 4_096
MAX_WAITING_KILLS = 1_000
SET_BACK_MS = 60_000
"""For so long after the clock was set back there may be events of the time before."""


T = TypeVar("T")


class Lifecycle:
    """The one owner of the story; every method may be called from any thread and takes times in milliseconds."""

    def __init__(
        self,
        story: Story,
        now_ms: Callable[[], int],
        *,
        removed_after_ms: int = REMOVED_AFTER_MS,
        deadline_ms: int = READY_DEADLINE_MS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline_ms`: a run that is not ready by then never was. `monotonic` tells that the clock was set."""
        self.story = story
        self._removed_after_ms, self._deadline_ms = removed_after_ms, deadline_ms
        self._now_ms = now_ms
        self._steps = Steps(now_ms, monotonic)
        self._set_back_ms: int | None = None
        self._waiting_since_ms = 0
        self._lock = threading.RLock()
        self._seen: OrderedDict[tuple[int, str, str], None] = OrderedDict()
        self._waiting_kills: list[OomKill] = []
        self.pulls = PullWatch(now_ms)
        self.last_event_ns: int | None = None
        """Up to where events were taken in: the stream goes on from there after a gap."""
        self.watched_ms: int | None = None
        """Up to when containers were watched; None where they never were."""

    def event(self, event: EngineEvent, container: Container | None = None) -> Record | None:
        """Takes in one event, with the container as inspected after it; its record, None where it changed nothing."""
        with self._lock:
            event = self._in_time(event)
            if not self._is_new(event):
                return None
            if event.kind == "image":
                self.pulls.event(event)
                return None
            record = self._record(event, container)
            if record is not None:
                apply(self.story, record, event, self._now_ms(), fresh=container is not None)
            return record

    def resync(self, containers: Sequence[Container]) -> list[Record]:
        """Makes up for a time without events from an inspection of all containers; the runs whose start was missed."""
        with self._lock:
            self._mind_clock()
            found = resync(self.story, containers, self.watched_ms, self._now_ms())
            self.watched_ms = self._now_ms()
            self.story.engine_lost_ms = None
            self._claim_kills()
            return found

    def blind(self) -> None:
        """The engine is away: from here on nothing is known of the containers."""
        with self._lock:
            self._advance_all(self._now_ms())
            self.story.blind = True
            for service in self.story.book.services:
                self.story.ledger.unpublish(service)

    def engine_returned(self, lost_ms: int | None = None) -> None:
        """An engine that was lost then begins anew: until the next resync its starts are what its policies say.

        Without a time it was lost at some time after all that is known of it.
        """
        with self._lock:
            known = (lost_ms or 0, self.watched_ms or 0, (self.last_event_ns or 0) // 1_000_000)
            self.story.engine_lost_ms = max(known)

    def any_goes_on(self, containers: Sequence[Container]) -> bool:
        """True where a run that is known goes on in one of these containers, or none is known to."""
        with self._lock:
            alive = {record.container.id: record for record in self.story.book.records.values() if record.alive}
            return not alive or any(one.id in alive and one.started_ms == alive[one.id].run_ms for one in containers)

    def oom(self, kill: OomKill) -> None:
        """Takes in kernel kills in a container; they wait where its first event has not come yet."""
        with self._lock:
            record = self.story.book.records.get(kill.container_id)
            if record is not None:
                self.story.kill(record, kill)
            elif len(self._waiting_kills) < MAX_WAITING_KILLS:
                self._waiting_kills.append(kill)
            else:
                self.story.ledger.unnamed_oom(unattributed=kill.count)

    def ready(
        self, container_id: str, started_ms: int, seconds: float, by: str, *, first_try: bool, error_seconds: float
    ) -> None:
        """A probe passed in the run that began then; of a run found running only a wait that was seen is a time.

        `error_seconds`: the time since the look before, or since the start.
        """
        with self._lock:
            record = self._run(container_id, started_ms)
            if record is None:
                return
            self.story.advance(record.service, self._now_ms())
            record.ready, record.failed_checks = True, 0
            self.story.stood.note(container_id, started_ms, self._now_ms())
            if record.timed and (record.live or not first_try):
                self.story.ready(record, self._now_ms(), seconds, by, error_seconds)
            record.timed = False

    def never_ready(self, container_id: str, started_ms: int) -> None:
        """The run that began then was not ready by the deadline."""
        with self._lock:
            record = self._run(container_id, started_ms)
            if record is not None and record.timed:
                self.story.never_ready(record, self._now_ms())

    def check(self, container_id: str, started_ms: int, *, passed: bool) -> None:
        """A later look of the probe: several failures in a row make the container unhealthy, one success heals it."""
        with self._lock:
            record = self._run(container_id, started_ms)
            if record is None:
                return
            self.story.advance(record.service, self._now_ms())
            record.failed_checks = 0 if passed else min(record.failed_checks + 1, FAILED_CHECKS)

    def declare(self, services: dict[ServiceName, Declared]) -> None:
        """Sets what all projects ask for; a service that is no longer among them goes with its last container."""
        with self._lock:
            now, book = self._now_ms(), self.story.book
            self._advance_all(now)
            for service, declared in services.items():
                before = book.declared.get(service)
                declared.launched = declared.launched or (before is not None and before.launched)
            book.declared = services
            for service in services:
                self.story.see(service, now)
            for service in book.services:
                self.story.ledger.see(service, declared=service in services)

    def launched(self, services: Sequence[ServiceName]) -> None:
        """The first attempt at these declared services is over: from here on what is missing is missing."""
        with self._lock:
            self._advance_all(self._now_ms())
            for service in services:
                if service in self.story.book.declared:
                    self.story.book.declared[service].launched = True

    def our_work(self, container_id: str) -> None:
        """We are about to start or remove this container: that is not by hand."""
        with self._lock:
            now = self._now_ms()
            self.story.our_work(container_id, now, now + OUR_WORK_MS)

    def tick(self) -> list[Event]:
        """Settles what is due and publishes what is desired and healthy; the events to ship."""
        with self._lock:
            now = self._mind_clock()
            for ending in self.story.endings.due(now):
                self.story.decide(ending)
            self._give_up_kills(now)
            self._give_up_waiting(now)
            self._forget(now)
            if self.story.blind:
                self._advance_all(now)
            else:
                self.watched_ms = now
                self._publish(now)
                tell_presence(self.story, now, self._removed_after_ms)
            return self.story.take_events()

    def settle(self) -> list[Event]:
        """Decides every open end with what is known, for a clean stop; the events to ship."""
        with self._lock:
            for ending in self.story.endings.due(None):
                self.story.decide(ending)
            return [*self.tick(), *self.story.take_events()]

    def emit(self, event: Event) -> None:
        """Has an event shipped with the next batch."""
        with self._lock:
            self.story.emit(event)

    def knows(self, container_id: str) -> bool:
        """True where the container was seen before."""
        with self._lock:
            return container_id in self.story.book.records

    def stands(self, container_id: str) -> bool:
        """True where a container is healthy, or a job that ended well."""
        with self._lock:
            record = self.story.book.records.get(container_id)
            return record is not None and (record.healthy or record.done)

    def stood_ms(self, container_id: str) -> int | None:
        """When the present run was first ready: at its start where nothing tells; None where that was not seen."""
        with self._lock:
            record = self.story.book.records.get(container_id)
            if record is None or not record.healthy:
                return None
            noted = self.story.stood.of(container_id, record.started_ms)
            return record.started_ms if noted is None and record.watch == "none" else noted

    def deploys_over(self) -> list[Ended]:
        """The deploys of others that have ended since, for their traces."""
        with self._lock:
            return self.story.foreign.over(self.stands, self.stood_ms, self._now_ms())

    def pulled(self, service: ServiceName, pull: Pull) -> None:
        """An image was fetched for a service: a part of the cold start of its next containers."""
        with self._lock:
            self.story.pulled(service, pull.at_ms + round(pull.seconds * 1000), pull.seconds)

    def queued(self, service: ServiceName, seconds: float) -> None:
        """A container of a service is made now, which waited so long for its turn."""
        with self._lock:
            self.story.queued(service, self._now_ms(), seconds)

    def look(self, at: Callable[[Record], T]) -> list[T]:
        """What `at` gives for every container known, also those that went a short while ago; it changes nothing."""
        with self._lock:
            return [at(record) for record in self.story.book.records.values()]

    def records(self) -> list[Record]:
        """Copies of every container's record."""
        return self.look(replace)

    def totals(self) -> dict[ServiceName, tuple[int, int]]:
        """Desired and healthy containers by service, now."""
        with self._lock:
            book = self.story.book
            return {service: book.totals(service) for service in book.services}

    def locked(self) -> threading.RLock:
        """The lock under which the story may be read as a whole."""
        return self._lock

    def set_back(self) -> None:
        """The clock was set back: what lies in the future is taken as of now."""
        with self._lock:
            now = self._now_ms()
            set_back(self.story, now)
            self.watched_ms = None if self.watched_ms is None else min(self.watched_ms, now)
            if self.last_event_ns is not None:
                self.last_event_ns = min(self.last_event_ns, now * 1_000_000)
            self.pulls.set_back()

    def _mind_clock(self) -> int:
        """Notes where the clock was set; the time now."""
        step, now = self._steps.taken_ms(), self._now_ms()
        if step < 0:
            self.set_back()
            self._set_back_ms = now
        elif step > 0:
            # Nobody waited through a time that there was not: the deadline of what starts begins anew.
            self._waiting_since_ms = now
        return now

    def _in_time(self, event: EngineEvent) -> EngineEvent:
        """The event as of now, where it was told of just before the clock was set back."""
        now = self._mind_clock()
        late = self._set_back_ms is not None and now - self._set_back_ms < SET_BACK_MS
        return event._replace(time_ns=now * 1_000_000) if late and event.time_ns // 1_000_000 > now else event

    def _run(self, container_id: str, started_ms: int) -> Record | None:
        record = self.story.book.records.get(container_id)
        known = record is not None and record.alive and started_ms in (record.started_ms, record.run_ms)
        return record if known else None

    def _is_new(self, event: EngineEvent) -> bool:
        key = (event.time_ns, event.id, event.action)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > REMEMBERED_EVENTS:
            self._seen.popitem(last=False)
        self.last_event_ns = max(event.time_ns, self.last_event_ns or 0)
        return True

    def _record(self, event: EngineEvent, container: Container | None) -> Record | None:
        record = self.story.book.records.get(event.id)
        if record is None:
            made = container or container_told_of(event)
            unstarted = replace(made, state="created", exit_code=None)
            record = self.story.add(unstarted, event.time_ns // 1_000_000)
            self._claim_kills()
        elif container is not None:
            self._facts(record, container)
        return record

    def _facts(self, record: Record, container: Container) -> None:
        """What an inspection says of the container; its state and health come by events, in order."""
        health = record.container.health if record.alive else container.health
        record.container = replace(container, health=health)
        if record.watch == "none":
            record.watch = watch_of(container)

    def _claim_kills(self) -> None:
        waiting, self._waiting_kills = self._waiting_kills, []
        for kill in waiting:
            self.oom(kill)

    def _give_up_kills(self, now_ms: int) -> None:
        late = [kill for kill in self._waiting_kills if now_ms - kill.at_ms > KILL_WAIT_MS]
        for kill in late:
            self._waiting_kills.remove(kill)
            self.story.ledger.unnamed_oom(unattributed=kill.count)

    def _forget(self, now_ms: int) -> None:
        book = self.story.book
        late = [key for key, one in book.records.items() if one.gone_ms and now_ms - one.gone_ms > KEEP_GONE_MS]
        for container_id in late:
            book.drop(container_id)

    def _give_up_waiting(self, now_ms: int) -> None:
        for record in self.story.book.records.values():
            since_ms = max(record.started_ms or now_ms, self._waiting_since_ms)
            if record.timed and record.alive and now_ms - since_ms > self._deadline_ms:
                self.story.never_ready(record, now_ms)

    def _advance_all(self, now_ms: int) -> None:
        for service in self.story.book.services:
            self.story.advance(service, now_ms)

    def _publish(self, now_ms: int) -> None:
        for service, totals in self.totals().items():
            self.story.advance(service, now_ms, totals)
            self.story.ledger.publish(service, *totals)

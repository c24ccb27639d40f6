"""The state that events and inspections change: records, ends, counters, and what is to be told of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.book import Book, Presence, Record, Watch, phase_of
from agent.configs import Configs
from agent.endings import Ending, Endings
from agent.foreign import ForeignDeploys, Stood
from agent.ledger import By, Ledger
from agent.model import Event
from agent.verdict import KillSeen, completed_restarts, exit_reason, policy_restarts
from runtime.identity import service_of
from runtime.model import Container, ServiceName
from runtime.oom_book import OomKill
from runtime.probe import probe_of

MAX_CONTAINERS = 5_000
MAX_EVENTS = 20_000
MAX_KILLS_SEEN = 1_000
PULL_TO_CREATE_MS = 60_000
"""A pull that ended at most this long before a container was made is a part of its cold start."""
START_LAG_MS = 15_000
"""The engine tells of a start at most this long after it."""


class Story:
    """Everything known of this node's containers; not safe to share, its owner holds the lock."""

    def __init__(
        self,
        ledger: Ledger,
        path_of: Callable[[str], str | None] = lambda _: None,
        *,
        max_containers: int = MAX_CONTAINERS,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self.ledger = ledger
        self.book = Book()
        self.endings = Endings()
        self.configs = Configs()
        self.foreign = ForeignDeploys()
        self.stood = Stood()
        self.path_of = path_of
        self.blind = True
        """True while nobody tells what happens: that time counts neither as healthy nor as desired."""
        self.engine_lost_ms: int | None = None
        """When the engine that has just come back was lost; None once its containers are known again."""
        self.dropped: dict[str, int] = {}
        self._max_containers = max_containers
        self._max_events = max_events
        self._events: deque[Event] = deque()
        self._our_work: dict[str, int] = {}
        self._pulls: dict[ServiceName, tuple[int, float]] = {}

    def add(self, container: Container, now_ms: int) -> Record | None:
        """A container seen for the first time; None where the bound is reached."""
        if len(self.book.records) >= self._max_containers and not self._forget_oldest_gone():
            self.dropped["containers"] = self.dropped.get("containers", 0) + 1
            return None
        service = service_of(container)
        record = Record(container, service, phase_of(container), watch_of(container))
        self.see(service, now_ms)
        if record.watch != "none":
            self.ledger.expect_cold_starts(service)
        self.book.add(record)
        return record

    def _forget_oldest_gone(self) -> bool:
        gone = [record for record in self.book.records.values() if record.gone_ms is not None]
        if not gone:
            return False
        self.book.drop(min(gone, key=lambda record: record.gone_ms or 0).container.id)
        return True

    def see(self, service: ServiceName, now_ms: int) -> None:
        """A service is there."""
        if service not in self.book.services:
            first = self.ledger.see(service, declared=service in self.book.declared or None)
            self.book.services[service] = Presence(first, now_ms)

    def advance(self, service: ServiceName, to_ms: int) -> None:
        """Counts the service's container-seconds up to a moment, as it has been since the last change."""
        presence = self.book.services.get(service)
        if presence is None or to_ms <= presence.since_ms:
            return
        if not self.blind:
            desired, healthy = self.book.totals(service)
            self.ledger.advance(service, desired, healthy, to_ms - presence.since_ms)
        presence.since_ms = to_ms

    def begin(self, record: Record, at_ms: int, *, live: bool) -> None:
        """A run begins; where the engine says when it did so, by that."""
        self.advance(record.service, at_ms)
        said, after = record.container.started_ms, record.ended_ms or 0
        fits = said is not None and max(after, at_ms - START_LAG_MS) <= said <= at_ms
        record.phase, record.started_ms = "running", said if fits else at_ms
        record.ended_ms = record.exit_code = None
        record.killed = record.stopped = False
        record.seen_running, record.live, record.kills_known = True, live, True
        record.ready, record.failed_checks = False, 0
        record.timed = record.watch != "none"
        if record.timed:
            self.ledger.expect_cold_starts(record.service)

    def end(self, record: Record, at_ms: int, exit_code: int | None, now_ms: int) -> Ending:
        """A run ends: what comes next follows from the policy, why it ended is decided later."""
        self.advance(record.service, at_ms)
        if record.timed and not record.told:
            self.never_ready(record)
        record.timed = False
        record.ended_ms, record.exit_code = at_ms, exit_code
        again = policy_restarts(record.container.restart_policy, exit_code, told=record.told)
        record.phase = "backoff" if again and not self._exhausted(record) else "ended"
        return self.endings.add(record, at_ms, exit_code, now_ms)

    def ready(self, record: Record, at_ms: int, seconds: float, by: str) -> None:
        """The run's time to ready is told, once; that of the container's first run from its making on too."""
        record.timed = False
        self.ledger.cold_start(record.service, "start", seconds)
        if record.first_run and record.started_ms is not None:
            created_ms = record.container.created_ms
            pull_ms, pull_seconds = self._pulls.get(record.service, (0, 0.0))
            pulled = pull_seconds if 0 <= created_ms - pull_ms <= PULL_TO_CREATE_MS else 0.0
            create = max(0, record.started_ms - created_ms) / 1000
            self.ledger.cold_start(record.service, "create", create)
            self.ledger.cold_start(record.service, "total", pulled + create + seconds)
        body = f"{record.container.name} was ready after {seconds:.3f} s"
        self.tell("container.ready", record, at_ms, body, seconds=round(seconds, 6), probe=by)

    def never_ready(self, record: Record) -> None:
        """The run's time to ready is over without it."""
        record.timed = False
        self.ledger.cold_start(record.service, "start", None)

    def pulled(self, service: ServiceName, at_ms: int, seconds: float) -> None:
        """An image was fetched for the service's next containers."""
        self._pulls[service] = (at_ms, seconds)
        self.ledger.cold_start(service, "pull", seconds)

    def _exhausted(self, record: Record) -> bool:
        container = record.container
        limited = container.restart_policy == "on-failure" and container.max_retries > 0
        return limited and record.restarts >= container.max_retries

    def decide(self, ending: Ending) -> None:
        """Counts an end under its reason."""
        end, record = ending.end(), ending.record
        reason = exit_reason(end)
        self.ledger.exit(record.service, reason)
        code = -1 if end.exit_code is None else end.exit_code
        body = f"{record.container.name} ended with {code}: {reason}"
        told = end.killed or end.stopped
        self.tell("container.die", record, end.at_ms, body, exit_code=code, reason=reason, told=told)

    def restarted(self, record: Record, by: By, n: int, at_ms: int, exit_code: int | None) -> None:
        """Counts restarts, and tells of them once."""
        if n <= 0:
            return
        self.ledger.restart(record.service, by, n)
        known: dict[str, str | int] = {} if exit_code is None else {"exit_code": exit_code}
        times = "" if n == 1 else f" {n} times"
        body = f"{record.container.name} restarted{times} by {by}"
        self.tell("container.restart", record, at_ms, body, by=by, count=n, **known)

    def kill(self, record: Record, kill: OomKill) -> None:
        """Counts kernel kills in a container."""
        self.ledger.oom(record.service, kill.cause, kill.victim, kill.count)
        for _ in range(min(kill.count, MAX_KILLS_SEEN)):
            seen = KillSeen(kill.at_ms, kill.victim)
            if not self.endings.claim(record.container.id, seen, alive=record.alive):
                record.kills.append(seen)
                record.counted_kills += 1
        process = kill.process or "a process"
        body = f"the kernel killed {process} in {record.container.name} for memory"
        facts = {"cause": kill.cause, "victim": kill.victim, "process": kill.process or ""}
        self.tell("container.oom_kill", record, kill.at_ms, body, count=kill.count, **facts)

    def tell(self, name: str, record: Record, at_ms: int, body: str, **attributes: str | int | float | bool) -> None:
        """Keeps an event of a container for the next batch."""
        self.emit(Event(name, at_ms, record.resource(self.path_of(record.container.id)), body, attributes))

    def emit(self, event: Event) -> None:
        """Keeps an event for the next batch; the oldest goes where too many wait."""
        if len(self._events) >= self._max_events:
            self._events.popleft()
            self.dropped["events"] = self.dropped.get("events", 0) + 1
        self._events.append(event)

    def take_events(self) -> list[Event]:
        """What is to be told, in order, and nothing of it is left here."""
        taken = list(self._events)
        self._events.clear()
        return taken

    def our_work(self, container_id: str, from_ms: int, until_ms: int) -> None:
        """A start or removal of this container until then is ours; what is past is forgotten."""
        self._our_work = {id: until for id, until in self._our_work.items() if until >= from_ms}
        self._our_work[container_id] = until_ms

    def is_ours(self, container_id: str, at_ms: int) -> bool:
        """True where a change of the container at that time is our own work."""
        return at_ms <= self._our_work.get(container_id, -1)


def watch_of(container: Container) -> Watch:
    """What tells whether the container is ready."""
    try:
        asked = probe_of(container.labels) is not None
    except ValueError:
        # A label that says nothing we understand is no probe.
        asked = False
    if asked:
        return "probe"
    return "none" if container.health == "none" else "health"


def found_running(record: Record, container: Container) -> None:
    """Takes over the run in which an inspection found a container, whose start nobody saw."""
    record.container, record.phase = container, phase_of(container)
    record.started_ms, record.exit_code = container.started_ms, container.exit_code
    record.ended_ms = None if record.alive else container.finished_ms
    record.restarts = completed_restarts(container)
    record.seen_running = record.seen_running or record.phase in ("running", "paused", "backoff")
    record.live = False

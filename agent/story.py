"""The state that events and inspections change: records, ends, counters, and what is to be told of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.book import Book, Presence, Record, Watch, phase_of
from agent.configs import Configs
from agent.endings import Ending, Endings
from agent.foreign import ForeignDeploys, Stood
from agent.ledger import MAX_SERVICES, By, Ledger
from agent.model import Event, Resource
from agent.verdict import KillSeen, brought_back, completed_restarts, exit_reason, policy_restarts
from runtime.identity import service_of
from runtime.model import Container, ServiceName
from runtime.oom_book import OomKill
from runtime.probe import probe_of

MAX_CONTAINERS = 5_000
MAX_EVENTS = 20_000
MAX_KILLS_SEEN = 1_000
TO_CREATE_MS = 60_000
"""A wait or pull that ended at most this long before a container was made is a part of its cold start."""
LONGEST_START_SECONDS = 60.0
"""A container that is started later than this after it was made was made to be started some time."""
ENGINE_END_MS = 60_000
"""What ends this shortly before the engine does was ended by it: it gives its containers their time to stop."""
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
        max_services: int = MAX_SERVICES,
        max_events: int = MAX_EVENTS,
    ) -> None:
        """`max_services` is the ledger's bound, one of which is the node's own: no account in use is ever evicted."""
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
        self._max_containers, self._max_services = max_containers, max_services - 1
        self._max_events = max_events
        self._events: deque[Event] = deque()
        self._our_work: dict[str, int] = {}
        self._pulls: dict[ServiceName, tuple[int, float]] = {}
        self._queues: dict[ServiceName, tuple[int, float]] = {}

    def add(self, container: Container, now_ms: int) -> Record | None:
        """A container seen for the first time; None where a bound is reached."""
        service = service_of(container)
        full = len(self.book.records) >= self._max_containers and not self._forget_oldest_gone()
        if full or not self._has_room_for(service, now_ms):
            self.dropped["containers"] = self.dropped.get("containers", 0) + 1
            return None
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

    def _has_room_for(self, service: ServiceName, now_ms: int) -> bool:
        """True where it is known or there is room; the one that has been without containers longest makes room."""
        services = self.book.services
        if service in services or len(services) < self._max_services:
            return True
        idle = [one for one in services if self._is_idle(one)]
        if not idle:
            return False
        self.remove(min(idle, key=lambda one: services[one].empty_ms or now_ms), now_ms)
        return True

    def _is_idle(self, service: ServiceName) -> bool:
        declared = service in self.book.declared
        return not (declared or self.book.of(service) or self.endings.of(service))

    def remove(self, service: ServiceName, now_ms: int) -> None:
        """A service is no longer watched; its counters go on where they were when it is seen again."""
        del self.book.services[service]
        self.configs.forget(service)
        self.ledger.forget(service)
        self.emit(Event("service.removed", now_ms, Resource(service), f"{service} is no longer watched"))

    def see(self, service: ServiceName, now_ms: int) -> None:
        """A service is there."""
        if service not in self.book.services:
            first = self.ledger.see(service, declared=service in self.book.declared or None)
            self.book.services[service] = Presence(first, now_ms)

    def advance(self, service: ServiceName, to_ms: int, totals: tuple[int, int] | None = None) -> None:
        """Counts the service's container-seconds up to a moment, as it has been since the last change.

        `totals` are the desired and healthy containers, where the caller has just counted them.
        """
        presence = self.book.services.get(service)
        if presence is None or to_ms <= presence.since_ms:
            return
        if not self.blind:
            desired, healthy = totals or self.book.totals(service)
            instances = self.book.instances(service)
            self.ledger.advance(service, desired, healthy, to_ms - presence.since_ms, instances=instances)
        presence.since_ms = to_ms

    def begin(self, record: Record, at_ms: int, *, live: bool) -> None:
        """A run begins; where the engine says when it did so, by that."""
        self.advance(record.service, at_ms)
        said, after = record.container.started_ms, record.ended_ms or 0
        fits = said is not None and max(after, at_ms - START_LAG_MS) <= said <= at_ms
        record.phase = "running"
        record.started_ms = record.run_ms = said if fits else at_ms
        record.ended_ms = record.exit_code = None
        record.killed = record.stopped = False
        record.seen_running, record.live, record.kills_known = True, live, True
        record.ready, record.failed_checks = False, 0
        record.timed = record.watch != "none"
        record.before_seconds = None
        if record.timed:
            self.ledger.expect_cold_starts(record.service)
            self._first_steps(record)

    def _first_steps(self, record: Record) -> None:
        """What the first start of a container took before it began to run."""
        started_ms, made_ms = record.started_ms, record.made_ms
        if not record.first_run or started_ms is None or made_ms is None:
            return
        created_ms = record.container.created_ms
        create, start = max(0, made_ms - created_ms) / 1000, max(0, started_ms - made_ms) / 1000
        if start > LONGEST_START_SECONDS:
            return
        self.ledger.cold_start(record.service, "create", create)
        self.ledger.cold_start(record.service, "start", start)
        queue = _just_before(self._queues.pop(record.service, None), created_ms)
        if queue is not None:
            self.ledger.cold_start(record.service, "queue", queue)
        pull = _just_before(self._pulls.get(record.service), created_ms)
        record.before_seconds = (queue or 0.0) + (pull or 0.0) + create + start

    def end(self, record: Record, at_ms: int, exit_code: int | None, now_ms: int) -> Ending:
        """A run ends: what comes next follows from the policy, why it ended is decided later."""
        self.advance(record.service, at_ms)
        if record.timed and not record.told:
            self.never_ready(record, at_ms)
        record.timed = False
        record.ended_ms, record.exit_code = at_ms, exit_code
        again = policy_restarts(record.container.restart_policy, exit_code, told=record.told)
        record.phase = "backoff" if again and not self._exhausted(record) else "ended"
        return self.endings.add(record, at_ms, exit_code, now_ms)

    def lost_end(self, record: Record, at_ms: int) -> None:
        """A run ended before that moment and nobody told of it: its reason is not guessed."""
        self.advance(record.service, at_ms)
        record.phase, record.timed = "ended", False
        record.ended_ms, record.exit_code = self.engine_lost_ms or at_ms, None
        record.kills, record.counted_kills = [], 0

    def ready(self, record: Record, at_ms: int, seconds: float, by: str, error_seconds: float) -> None:
        """The run's time to ready is told, once; that of the container's first run from its wait for work on too.

        `error_seconds` is by how much it may be too long: nobody looked between the last two looks.
        """
        self._timed(record, seconds)
        self.ledger.cold_start_error(record.service, error_seconds)
        body = f"{record.container.name} was ready after {seconds:.3f} s"
        facts: dict[str, str | float] = {"probe": by, "error_seconds": round(error_seconds, 6)}
        self.tell("container.ready", record, at_ms, body, seconds=round(seconds, 6), **facts)

    def never_ready(self, record: Record, at_ms: int) -> None:
        """The run's time to ready is over without it."""
        self._timed(record, None)
        waited = max(0, at_ms - (record.started_ms or at_ms)) / 1000
        body = f"{record.container.name} was not ready within {waited:.3f} s"
        self.tell("container.never_ready", record, at_ms, body, seconds=waited)

    def _timed(self, record: Record, seconds: float | None) -> None:
        before, record.before_seconds, record.timed = record.before_seconds, None, False
        self.ledger.cold_start(record.service, "ready", seconds)
        if before is not None:
            self.ledger.cold_start(record.service, "total", None if seconds is None else before + seconds)

    def pulled(self, service: ServiceName, at_ms: int, seconds: float) -> None:
        """An image was fetched for the service's next containers."""
        self._pulls[service] = (at_ms, seconds)
        self.ledger.cold_start(service, "pull", seconds)

    def queued(self, service: ServiceName, at_ms: int, seconds: float) -> None:
        """A container of a service is made now, which waited so long for others, for an engine, for another try."""
        self._queues[service] = (at_ms, seconds)

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

    def was_brought_back(self, record: Record, found: Container) -> bool:
        """True where the first run since an engine began anew is that engine's own doing."""
        lost_ms, ended_ms = self.engine_lost_ms, record.ended_ms
        if lost_ms is None or record.started_ms is None or record.started_ms > lost_ms:
            return False
        stopped_before = record.told and ended_ms is not None and ended_ms < lost_ms - ENGINE_END_MS
        return brought_back(found, record.exit_code, stopped_before=stopped_before)

    def our_work(self, container_id: str, from_ms: int, until_ms: int) -> None:
        """A start or removal of this container until then is ours; what is past is forgotten."""
        self._our_work = {id: until for id, until in self._our_work.items() if until >= from_ms}
        self._our_work[container_id] = until_ms

    def is_ours(self, container_id: str, at_ms: int) -> bool:
        """True where a change of the container at that time is our own work."""
        return at_ms <= self._our_work.get(container_id, -1)


def _just_before(noted: tuple[int, float] | None, created_ms: int) -> float | None:
    """The seconds noted, where that was shortly before; clocks may differ by a second."""
    return noted[1] if noted is not None and -1_000 <= created_ms - noted[0] <= TO_CREATE_MS else None


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
    record.started_ms = record.run_ms = container.started_ms
    record.exit_code = container.exit_code
    record.ended_ms = None if record.alive else container.finished_ms
    record.restarts = completed_restarts(container)
    record.seen_running = record.seen_running or record.phase in ("running", "paused", "backoff")
    record.live = False

"""The containers that are watched, as far as events and inspections told; what is desired and what is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.model import Resource
from agent.verdict import KillSeen, is_done
from runtime.identity import COMPOSE_PROJECT_LABEL
from runtime.model import Container, ServiceName

Phase = Literal["created", "running", "paused", "backoff", "ended", "gone"]
Watch = Literal["none", "probe", "health"]

FAILED_CHECKS = 3
ONE_OFF_LABEL = "com.docker.compose.oneoff"
_PHASES: Mapping[str, Phase] = {
    "created": "created", "running": "running", "paused": "paused", "restarting": "backoff",
    "removing": "ended", "exited": "ended", "dead": "ended",
}  # fmt: skip


_STATES: Mapping[Phase, str] = {"backoff": "restarting", "ended": "exited", "gone": "removing"}


def phase_of(container: Container) -> Phase:
    """The phase of a container as it was inspected."""
    return _PHASES[container.state]


@dataclass
class Record:
    """One container: the engine's facts, and what its events made of them."""

    container: Container
    service: ServiceName
    phase: Phase
    watch: Watch = "none"
    """What tells whether it is ready: a probe of ours, the engine's health check, or nothing."""
    started_ms: int | None = None
    run_ms: int | None = None
    """By when the engine says that the present run began: it stands where the clock is set."""
    ended_ms: int | None = None
    exit_code: int | None = None
    restarts: int = 0
    """The engine's RestartCount as it must be by the events seen."""
    killed: bool = False
    stopped: bool = False
    seen_running: bool = False
    ready: bool = False
    timed: bool = False
    """True while the time to ready of this run is still to be told."""
    live: bool = False
    """True where the start of this run was told of, not found."""
    first_run: bool = False
    """True in the first run of a container whose making was told of."""
    failed_checks: int = 0
    kills: list[KillSeen] = field(default_factory=list)
    kills_known: bool = False
    """True where every kernel kill of the present run is in `counted_kills`."""
    counted_kills: int = 0
    """Kernel kills counted in the present run: a watch that begins anew goes on from there."""
    gone_ms: int | None = None
    made_ms: int | None = None
    """When the engine told that it was made."""
    before_seconds: float | None = None
    """What its first start took up to its start: queue, pull, create and start; None where that is no cold start."""
    lost: Phase | None = None
    """Where an inspection found it removed before its events were taken in: the phase that these go on from."""
    _current: tuple[object, Container] | None = field(default=None, repr=False, compare=False)

    @property
    def told(self) -> bool:
        """Somebody asked for its end."""
        return self.killed or self.stopped

    @property
    def alive(self) -> bool:
        """True while it has processes."""
        return self.phase in ("running", "paused")

    @property
    def has_run(self) -> bool:
        """It runs or ran once, be it before anybody watched."""
        return self.phase != "created"

    @property
    def done(self) -> bool:
        """A batch job that ended well."""
        return self.phase == "ended" and is_done(self.container.restart_policy, self.exit_code)

    @property
    def healthy(self) -> bool:
        """Running, past its readiness, not unhealthy."""
        if self.phase != "running" or self.container.health == "unhealthy":
            return False
        if self.watch == "probe":
            return self.ready and self.failed_checks < FAILED_CHECKS
        return self.container.health != "starting"

    @property
    def wanted(self) -> bool:
        """Undeclared, but it should run: it does, or it stopped without being told to and is no one-shot job."""
        if self.phase in ("running", "paused", "backoff"):
            return True
        if self.phase != "ended" or self.told or self.done or not self.seen_running:
            return False
        return self.container.restart_policy != "no" or self._is_service()

    def _is_service(self) -> bool:
        labels = self.container.labels
        of_project = bool(labels.get(COMPOSE_PROJECT_LABEL)) and labels.get(ONE_OFF_LABEL, "").lower() != "true"
        return of_project or self.watch != "none"

    def resource(self, path: str | None = None) -> Resource:
        """Whose events these are."""
        return Resource(self.service, self.container.name or None, path, self.container.image or None)

    def current(self) -> Container:
        """The engine's facts with the state that the events since have made of it."""
        seen, key = self._current, (self.container, self.phase, self.started_ms, self.ended_ms, self.exit_code)
        if seen is None or seen[0] != key:
            container = replace(
                self.container,
                state=_STATES.get(self.phase, self.phase),  # type: ignore[arg-type] # words of the Literal
                pid=self.container.pid if self.alive else None,
                started_ms=self.started_ms,
                finished_ms=self.container.finished_ms if self.alive else self.ended_ms,
                exit_code=None if self.alive else self.exit_code,
            )
            self._current = seen = (key, container)
        return seen[1]


@dataclass
class Declared:
    """What a project asks of one service; desired from when it was launched: a first pull is no outage."""

    replicas: int
    source: str
    labels: Mapping[str, str]
    probed: bool = False
    """A probe or a health check tells when it is ready."""
    launched: bool = False


@dataclass
class Presence:
    """One service on this node."""

    first_seen_ms: int
    since_ms: int
    """Up to when its container-seconds are counted."""
    empty_ms: int | None = None
    """When its last container went."""
    was_declared: bool = False
    told_ms: int | None = None
    """When its facts were last told of."""
    known: object = None
    """What its facts were last made from."""
    told: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class Book:
    """Records by container id, and the services that they and the projects make."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.declared: dict[ServiceName, Declared] = {}
        self.services: dict[ServiceName, Presence] = {}
        self._members: dict[ServiceName, dict[str, Record]] = {}

    def add(self, record: Record) -> None:
        """Keeps the record of a container."""
        self.records[record.container.id] = record
        self._members.setdefault(record.service, {})[record.container.id] = record

    def drop(self, container_id: str) -> None:
        """Forgets the record of a container."""
        record = self.records.pop(container_id)
        members = self._members[record.service]
        del members[container_id]
        if not members:
            del self._members[record.service]

    def of(self, service: ServiceName) -> list[Record]:
        """The records of one service that are not gone."""
        return [one for one in self._members.get(service, {}).values() if one.phase != "gone"]

    def by_service(self) -> dict[ServiceName, list[Record]]:
        """Records that are not gone, by service; every service known has an entry."""
        return {service: self.of(service) for service in self.services}

    def instances(self, service: ServiceName) -> int:
        """Containers of a service that have run: what may restart."""
        return sum(record.has_run for record in self.of(service))

    def totals(self, service: ServiceName) -> tuple[int, int]:
        """Desired and healthy containers of a service; healthy is never more than desired."""
        records, declared = self.of(service), self.declared.get(service)
        healthy = sum(record.healthy for record in records)
        if declared is None:
            desired = sum(record.wanted for record in records)
        elif declared.launched or any(record.phase != "created" for record in records):
            desired = max(0, declared.replicas - sum(record.done for record in records))
        else:
            desired = 0
        return desired, min(desired, healthy)

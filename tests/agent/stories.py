"""Containers and events of an engine that exists on paper, for the agent's pure parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.model import Event
from agent.story import Story
from runtime.model import Container, EngineEvent, ServiceName
from runtime.oom_book import OomKill

BEGIN_MS = 1_700_000_000_000

PLAIN = Container(
    id="c" * 64, name="web", image="web:1", image_id="sha256:1", labels={}, state="created", pid=None,
    created_ms=BEGIN_MS, started_ms=None, finished_ms=None, exit_code=None, oom_killed=False, restart_count=0,
    restart_policy="always", max_retries=0, health="none", network_mode="bridge", address=None,
    memory_limit_bytes=None, cpu_limit_cores=None,
)  # fmt: skip
WEB = ServiceName("", "web")


@dataclass
class Stage:
    """A lifecycle whose clock stands still until it is told to go on."""

    now: int = BEGIN_MS
    set_by: int = 0
    """Milliseconds by which the clock was set."""
    container: Container = PLAIN
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(lambda: self.now)
        self.lifecycle = Lifecycle(
            Story(self.ledger), lambda: self.now, monotonic=lambda: (self.now - self.set_by) / 1000
        )
        self.lifecycle.resync([])

    def after(self, ms: int) -> Stage:
        """Lets time pass."""
        self.now += ms
        return self

    def clock_set(self, ms: int) -> Stage:
        """Sets the clock forward or back."""
        self.now += ms
        self.set_by += ms
        return self

    def says(self, action: str, id: str | None = None, **attributes: str) -> Stage:
        """The engine tells of something, at this moment; starts are inspected, as the watch does it."""
        name = {"name": self.container.name, "image": self.container.image, **self.container.labels}
        event = EngineEvent(self.now * 1_000_000, id or self.container.id, action, "container", {**name, **attributes})
        inspected = action in ("create", "start")
        found = replace(self.container, id=event.id, started_ms=self.now if action == "start" else None)
        self.lifecycle.event(event, found if inspected else None)
        return self

    def says_at(self, at_ms: int, action: str, **attributes: str) -> Stage:
        """The engine tells of something that was at another moment, by the clock as it was then."""
        told = EngineEvent(at_ms * 1_000_000, self.container.id, action, "container", attributes)
        self.lifecycle.event(told, None)
        return self

    def dies(self, code: int) -> Stage:
        """The main process ended."""
        return self.says("die", exitCode=str(code))

    def kills(self, n: int = 1, victim: Any = "main", id: str | None = None) -> Stage:
        """The kernel killed for memory."""
        self.lifecycle.oom(OomKill(id or self.container.id, self.now, n, "container", victim, "python3"))
        return self

    def settles(self) -> Stage:
        """Long enough for every verdict."""
        self.after(3_000)
        self.told += self.lifecycle.tick()
        return self

    def counted(self, name: str, service: ServiceName = WEB) -> dict[str, int]:
        """The counters of that short name that are not 0, by their last label's value."""
        full = {"restarts": "midwatch_container_restarts_total", "exits": "midwatch_container_exits_total"}.get(name)
        labels = {"restarts": ("by", ("policy", "manual", "midwatch"))}.get(
            name, ("reason", ("ok", "error", "oom", "signal", "stopped"))
        )
        found = {value: self.ledger.value(service, str(full), **{labels[0]: value}) for value in labels[1]}
        return {value: count for value, count in found.items() if count}

    def ooms(self, service: ServiceName = WEB) -> int:
        """All OOM kills of the service."""
        return self.ledger.value(service, "midwatch_oom_kills_total")

    def names(self) -> list[str]:
        """The names of the events told so far."""
        return [event.name for event in self.told]

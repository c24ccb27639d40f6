"""A whole agent over a real engine, in this process, that ships to nobody: what it tells stays in its spool."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.home import Home
from agent.main import Agent
from agent.settings import Settings
from runtime.model import ServiceName
from tests.support import spooled
from tests.support.waiting import until

NOBODY = "http://127.0.0.1:9"


@dataclass
class Running:
    """The agent, and what a test asks of it."""

    agent: Agent
    data: Path

    @property
    def socket(self) -> Path:
        """Where commands go."""
        return self.data / "agent.sock"

    def count(self, service: str, name: str, **labels: str) -> int:
        """A counter's value."""
        return self.agent.ledger.value(named(service), name, **labels)

    def restarts(self, service: str) -> dict[str, int]:
        """Restarts by who made them."""
        return {
            by: self.count(service, "midwatch_container_restarts_total", by=by)
            for by in ("policy", "manual", "midwatch")
        }

    def exits(self, service: str) -> dict[str, int]:
        """Exits by reason, without those that never happened."""
        found = {
            reason: self.count(service, "midwatch_container_exits_total", reason=reason)
            for reason in ("ok", "error", "oom", "signal", "stopped")
        }
        return {reason: count for reason, count in found.items() if count}

    def knows(self, container: str) -> bool:
        """True where the agent has seen the container run."""
        return any(record.container.name == container and record.alive for record in self.agent.lifecycle.records())

    def events(self, name: str, service: str | None = None) -> list[dict[str, Any]]:
        """The attributes of every event of that name that is spooled."""
        return [told.attributes for told in spooled.events(self.data, name) if service in (None, told.service)]


def named(service: str) -> ServiceName:
    """`shop/api` or `api` as a service."""
    namespace, slash, name = service.partition("/")
    return ServiceName(namespace, name) if slash else ServiceName("", service)


@contextmanager
def running(data: Path, engine_url: str, **settings: Any) -> Iterator[Running]:
    """An agent from its start, with the engine connected, to its clean end."""
    chosen = Settings(interval_seconds=1.0, listen="127.0.0.1:0", server=NOBODY, engine=engine_url, **settings)
    home = Home(data)
    agent = Agent(chosen, home, {"HOME": str(data)}, Clock())
    agent.start()
    try:
        until(lambda: agent.watch.link.engine, what="the engine")
        yield Running(agent, data)
    finally:
        agent.stop()
        home.close()


@contextmanager
def timed_stop() -> Iterator[list[float]]:
    """How long what is within takes, in seconds."""
    took: list[float] = []
    began = time.monotonic()
    yield took
    took.append(time.monotonic() - began)


def threads() -> set[str]:
    """Names of the threads that run."""
    return {thread.name for thread in threading.enumerate()}

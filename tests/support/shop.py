"""A service of the demo shop in a project of a test's own, from the test's Python image."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker
import yaml
from docker.models.containers import Container

from agent import client as agent
from cli import demo
from runtime.model import PROJECT_LABEL
from tests.support.stack import Stack
from tests.support.waiting import until


@dataclass
class TestProject:
    """A Compose project that a stack's agent keeps; its name is unique."""

    __test__ = False

    stack: Stack
    name: str = field(default_factory=lambda: f"mwtest-{uuid.uuid4().hex[:8]}")

    @property
    def client(self) -> docker.DockerClient:
        """The engine's client."""
        return self.stack.engine.client

    def run(self, services: Mapping[str, Mapping[str, Any]], wait_seconds: float | None = 60.0) -> Mapping[str, Any]:
        """Hand the services over to the agent."""
        volumes = {f"{name}-state": {} for name in services}
        file = self.stack.data / f"{self.name}.yaml"
        file.write_text(yaml.safe_dump({"name": self.name, "services": dict(services), "volumes": volumes}))
        return agent.run(self.stack.socket, file, wait_seconds)

    def one(self, service: str) -> Container:
        """The only container of a service."""
        (container,) = demo.replicas(self.client, service, self.name)
        return container

    def ready(self, service: str) -> bool:
        """True where a shop service answers."""
        container = self.one(service)
        return container.status == "running" and demo.takes(container, "GET", "/ready")

    def kill_by_memory(self, service: str) -> int:
        """Cause exactly one OOM kill and wait until the service is back; returns when it was asked for, in ms."""
        container = self.one(service)
        before, asked_ms = container.attrs["RestartCount"], time.time_ns() // 1_000_000
        assert demo.takes(container, "POST", "/break?oom=1")
        until(lambda: self._restarts(service) > before and self.ready(service), 60.0, what=f"{service} is back")
        return asked_ms

    def clean(self) -> None:
        """Remove all that carries the project's label."""
        chosen = {"label": f"{PROJECT_LABEL}={self.name}"}
        for container in self.client.containers.list(all=True, filters=chosen, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters=chosen):
            volume.remove(force=True)
        for network in self.client.networks.list(filters=chosen):
            network.remove()

    def _restarts(self, service: str) -> int:
        return int(self.one(service).attrs["RestartCount"])


def shop_service(image: str, role: str = "api", **more: Any) -> dict[str, Any]:
    """One role of the shop with its knobs, 64 MiB, and a readiness probe."""
    return {
        "image": image,
        "command": ["python3", "/app/shop.py", role],
        "volumes": [f"{demo.source()}/shop.py:/app/shop.py:ro", f"{role}-state:/state"],
        "mem_limit": "64m",
        "restart": "always",
        "stop_grace_period": "1s",
        "labels": {"midwatch.readiness": "http://:8080/ready", "midwatch.metrics": "http://:8080/metrics"},
        **more,
    }


@contextmanager
def project(stack: Stack) -> Iterator[TestProject]:
    """A project that is gone afterwards; the stack's agent must end before, or it would bring it back."""
    found = TestProject(stack)
    try:
        yield found
    finally:
        stack.stop()
        found.clean()

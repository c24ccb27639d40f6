"""A whole Midwatch of its own: service and agent as real processes, with their own ports, data and projects."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from agent import client as agent
from cli.processes import Process
from tests.support.engine import EngineUnderTest
from tests.support.ports import free_port
from tests.support.waiting import until


@dataclass
class Stack:
    """`configuration` is written as midwatch.yaml before a process starts; each has `start_seconds` to answer."""

    engine: EngineUnderTest
    data: Path
    server_port: int = field(default_factory=free_port)
    agent_port: int = field(default_factory=free_port)
    configuration: dict[str, dict[str, Any]] = field(default_factory=dict)
    start_seconds: float = 60.0

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def agent_url(self) -> str:
        """Address of the agent's /metrics."""
        return f"http://127.0.0.1:{self.agent_port}"

    @property
    def socket(self) -> Path:
        """The agent's control socket."""
        return self.data / "agent.sock"

    def start(self) -> None:
        """Start both and wait until they answer."""
        self.start_server()
        self.start_agent()

    def start_server(self) -> None:
        """Start the service and wait until it is ready."""
        self._run("server")
        self._process("server").wait(lambda: self.answers("/readyz"), self.start_seconds, "see the log")

    def start_agent(self) -> None:
        """Start the agent and wait until its socket answers."""
        self._run("agent")
        self._process("agent").wait(self._agent_answers, self.start_seconds, "see the log")

    def kill(self, name: str) -> None:
        """End a process as a crash does."""
        pid = self._process(name).pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: self._process(name).pid() is None, what=f"{name} is gone")

    def end(self, name: str) -> None:
        """Stop one of them as a service manager would."""
        self._process(name).stop()

    def stop(self) -> None:
        """Stop both, the agent first."""
        for name in ("agent", "server"):
            self.end(name)

    def get(self, path: str) -> Any:
        """The JSON of the service's answer."""
        return httpx.get(f"{self.url}{path}", timeout=30.0, trust_env=False).raise_for_status().json()

    def answers(self, path: str) -> bool:
        """True where the service answers 200."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=5.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The agent's /metrics, by name and labels."""
        from prometheus_client.parser import text_string_to_metric_families

        text = httpx.get(f"{self.agent_url}/metrics", timeout=10.0, trust_env=False).raise_for_status().text
        families = text_string_to_metric_families(text)
        return {(it.name, frozenset(it.labels.items())): it.value for family in families for it in family.samples}

    def total(self, name: str, **labels: str) -> float:
        """Sum over the agent's series of a name that carry these labels."""
        wanted = set(labels.items())
        return sum(value for (found, have), value in self.metrics().items() if found == name and wanted <= have)

    def log(self, name: str) -> str:
        """What a process wrote."""
        return self._process(name).log_file.read_text(errors="replace")

    def environment(self) -> Mapping[str, str]:
        """What the processes are given."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MIDWATCH_")}
        return {**kept, "DOCKER_HOST": self.engine.url}

    @property
    def config_file(self) -> Path:
        """The configuration that both are started with."""
        return self.data / "midwatch.yaml"

    def write_config(self) -> Path:
        """Write midwatch.yaml: ports of its own, and what `configuration` says."""
        self.data.mkdir(parents=True, exist_ok=True)
        service = {"listen": f"127.0.0.1:{self.server_port}", **self.configuration.get("service", {})}
        own = {"listen": f"127.0.0.1:{self.agent_port}", "server": self.url, "interval_seconds": 1}
        demo = self.configuration.get("demo", {})
        config = {"service": service, "agent": {**own, **self.configuration.get("agent", {})}, "demo": demo}
        self.config_file.write_text(yaml.safe_dump(config))
        return self.config_file

    def _run(self, name: str) -> None:
        config = self.write_config()
        command = [sys.executable, "-m", "cli.main", name, "--data", str(self.data), "--config", str(config)]
        self._process(name).start(command, self.environment())

    def _process(self, name: str) -> Process:
        return Process(name, self.data / "run")

    def _agent_answers(self) -> bool:
        try:
            return bool(agent.status(self.socket))
        except agent.AgentUnreachable:
            return False


@contextmanager
def running(engine: EngineUnderTest, data: Path, **configuration: dict[str, Any]) -> Iterator[Stack]:
    """A stack that runs while the context lasts."""
    stack = Stack(engine, data, configuration=configuration)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()

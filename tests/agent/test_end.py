"""The agent's end: it ends within 5 s of SIGTERM with all it knows on disk, whatever hangs around it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from agent import client
from agent.clock import Clock
from agent.home import Home
from agent.main import Agent
from agent.settings import Settings
from tests.agent.running import timed_stop
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

MOST_SECONDS = 5.0
AGENT = """
import sys
from pathlib import Path
from agent.settings import Settings
from types import SimpleNamespace
from cli.foreground import watch
agent = Settings(interval_seconds=1.0, listen="127.0.0.1:0", server=sys.argv[2], engine=sys.argv[3])
watch(Path(sys.argv[1]), SimpleNamespace(agent=agent))
"""


@contextmanager
def silent(sock: socket.socket) -> Iterator[None]:
    """Takes connections and never answers."""
    sock.listen(64)
    taken: list[socket.socket] = []

    def take() -> None:
        try:
            while True:
                taken.append(sock.accept()[0])
        except OSError:
            return

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        thread.join(5)
        for one in taken:
            one.close()


@contextmanager
def agent(data: Path, server: str, engine: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", AGENT, str(data), server, engine])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended_in(process: subprocess.Popen[bytes]) -> float:
    """Seconds from SIGTERM to its end."""
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(30) == 0
    return time.monotonic() - began


def checkpoint(data: Path) -> dict[str, object]:
    state: dict[str, object] = json.loads((data / "agent" / "checkpoint.json").read_text())
    return state


def spooled_events(data: Path) -> list[str]:
    """The names of the events that wait."""
    found = []
    for path in sorted((data / "agent" / "spool" / "logs").glob("*-events-*.gz")):
        request = ExportLogsServiceRequest.FromString(gzip.decompress(path.read_bytes()))
        for group in request.resource_logs:
            found += [record.event_name for scope in group.scope_logs for record in scope.log_records]
    return found


def rounds(data: Path) -> int:
    try:
        return int(client.status(data / "agent.sock")["rounds"])
    except client.AgentUnreachable:
        return 0


def test_an_engine_and_a_service_that_hang_do_not_hold_the_end_up(tmp_path: Path) -> None:
    engine, service = socket.socket(socket.AF_UNIX), socket.socket()
    engine.bind(str(tmp_path / "e.sock"))
    service.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{service.getsockname()[1]}"
    chosen = Settings(interval_seconds=1.0, listen="127.0.0.1:0", server=url, engine=f"unix://{tmp_path}/e.sock")
    with silent(engine), silent(service), closing(Home(tmp_path)) as home:
        hanging = Agent(chosen, home, {}, Clock())
        hanging.start()
        until(lambda: hanging.rounds.rounds >= 2, 60)
        with timed_stop() as took:
            hanging.stop()
        assert took[0] < MOST_SECONDS
    assert checkpoint(tmp_path)["complete"] is True
    assert "agent.start" in spooled_events(tmp_path)


@pytest.mark.engine
def test_all_that_happened_up_to_the_end_is_spooled(engine: EngineUnderTest, tiny_image: str, tmp_path: Path) -> None:
    name = f"midwatch-test-{uuid.uuid4().hex[:8]}"
    with agent(tmp_path, "http://127.0.0.1:9", engine.url) as process:
        until(lambda: rounds(tmp_path) >= 1, 60)
        container = engine.client.containers.run(
            tiny_image, ["sh", "-c", "exit 3"], name=name, detach=True, labels=engine.labels, network_mode="none",
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        )  # fmt: skip
        try:
            until(lambda: service_of(tmp_path, name).get("restarts") == 2, 60)
            # The last end is not decided yet: it is at the end.
            assert ended_in(process) < MOST_SECONDS
        finally:
            container.remove(force=True)
    told = spooled_events(tmp_path)
    assert (told.count("container.die"), told.count("container.restart")) == (3, 2)
    assert checkpoint(tmp_path)["complete"] is True


def service_of(data: Path, name: str) -> dict[str, object]:
    return next((dict(one) for one in client.ps(data / "agent.sock") if one["service"] == name), {})

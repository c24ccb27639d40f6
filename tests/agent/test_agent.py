"""The whole agent over a real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from agent import client
from agent.clock import Clock
from agent.home import Home
from agent.main import Agent
from agent.model import Histogram
from agent.settings import Settings
from tests.agent.running import NOBODY, Running, named, running
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

pytestmark = pytest.mark.engine

Run = Callable[..., Container]


@pytest.fixture
def launch(engine: EngineUnderTest, tiny_image: str) -> Iterator[Run]:
    """Runs a container of its own name, whose service is that name."""
    made: list[Container] = []

    def start(
        command: list[str], image: str = tiny_image, labels: dict[str, str] | None = None, **more: Any
    ) -> Container:
        name = f"midwatch-test-{uuid.uuid4().hex[:8]}"
        more.setdefault("restart_policy", {"Name": "always"})
        labels = {**engine.labels, **(labels or {})}
        made.append(engine.client.containers.run(image, command, name=name, detach=True, labels=labels, **more))
        return made[-1]

    yield start
    for container in made:
        container.remove(force=True, v=True)


def inspected(container: Container) -> dict[str, Any]:
    container.reload()
    return dict(container.attrs)


def test_every_restart_of_a_crash_loop_is_counted(engine: EngineUnderTest, launch: Run, tmp_path: Path) -> None:
    with running(tmp_path, engine.url) as watch:
        looping = launch(["sh", "-c", "exit 3"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 6})
        name = str(looping.name)
        until(lambda: given_up(looping), 60)
        until(lambda: watch.exits(name) == {"error": 7}, 10)
        assert watch.restarts(name) == {"policy": 6, "manual": 0, "midwatch": 0}
        assert watch.agent.lifecycle.totals()[named(name)] == (1, 0)
        until(lambda: len(watch.events("container.restart", name)) == 6, 10)
        assert {event["by"] for event in watch.events("container.restart", name)} == {"policy"}


def test_restarts_and_stops_by_hand_are_told_apart(engine: EngineUnderTest, launch: Run, tmp_path: Path) -> None:
    with running(tmp_path, engine.url) as watch:
        steady = launch(["sleep", "1000"])
        name = str(steady.name)
        for _ in range(3):
            steady.restart(timeout=0)
        steady.stop(timeout=0)
        steady.start()
        steady.kill()
        until(lambda: watch.exits(name) == {"stopped": 4, "signal": 1}, 15)
        assert watch.restarts(name) == {"policy": 0, "manual": 4, "midwatch": 0}
        assert watch.agent.lifecycle.totals()[named(name)] == (0, 0)


def test_what_happens_while_the_agent_is_off_is_counted_once(
    engine: EngineUnderTest, launch: Run, tmp_path: Path
) -> None:
    with running(tmp_path, engine.url) as watch:
        steady = launch(["sleep", "1000"])
        looping = launch(["sh", "-c", "exit 3"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 6})
        until(lambda: watch.knows(str(steady.name)))
        until(lambda: watch.restarts(str(looping.name))["policy"] >= 1)
    steady.restart(timeout=0)
    until(lambda: inspected(looping)["RestartCount"] >= 5, 60)
    for _ in range(2):
        with running(tmp_path, engine.url) as watch:
            until(lambda: given_up(looping), 60)
            until(lambda: watch.restarts(str(looping.name))["policy"] >= 6)
    assert watch.restarts(str(looping.name)) == {"policy": 6, "manual": 0, "midwatch": 0}
    assert watch.exits(str(looping.name)) == {"error": 7}
    assert watch.restarts(str(steady.name)) == {"policy": 0, "manual": 1, "midwatch": 0}


def given_up(container: Container) -> bool:
    """True where the engine made its last attempt and that has ended."""
    attributes = inspected(container)
    most = attributes["HostConfig"]["RestartPolicy"]["MaximumRetryCount"]
    return bool(attributes["State"]["Status"] == "exited" and attributes["RestartCount"] == most)


def test_kernel_kills_are_counted_and_explain_the_exits(
    engine: EngineUnderTest, python_image: str, launch: Run, tmp_path: Path
) -> None:
    eater = "import time; time.sleep(0.3); x = bytearray(64 << 20)"
    with running(tmp_path, engine.url) as watch:
        hungry = launch(
            ["python3", "-c", eater], python_image, mem_limit="16m",
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
        )  # fmt: skip
        name = str(hungry.name)
        until(lambda: watch.exits(name) == {"oom": 4}, 60)
        assert watch.count(name, "midwatch_oom_kills_total") == 4
        until(lambda: sum(event["count"] for event in watch.events("container.oom_kill", name)) == 4, 10)


def test_the_cold_start_of_a_slow_container_is_its_time_to_ready(
    engine: EngineUnderTest, python_image: str, launch: Run, tmp_path: Path
) -> None:
    serve = "import time, http.server as h; time.sleep(0.6); h.test(h.SimpleHTTPRequestHandler, port=8080)"
    with running(tmp_path, engine.url) as watch:
        slow = launch(["python3", "-c", serve], python_image, labels={"midwatch.readiness": "http://:8080/"})
        name = str(slow.name)
        (ready,) = until(lambda: watch.events("container.ready", name), 60)
        assert ready["seconds"] >= 0.6
        assert ready["probe"] == "http"
        found = histogram(watch, name, "ready")
        assert sum(found.counts) == 1
        assert found.counts[-1] == 0
        assert found.sum == pytest.approx(ready["seconds"])
        assert watch.agent.lifecycle.totals()[named(name)] == (1, 1)


def histogram(watch: Running, service: str, segment: str) -> Histogram:
    """A service's cold-start histogram."""
    points = [point for group in watch.agent.ledger.points(0, {named(service)}) for point in group.points]
    wanted = ("midwatch_cold_start_seconds", (("segment", segment),))
    return next(point for point in points if isinstance(point, Histogram) and point[:2] == wanted)


COMPOSE = """
services:
  web:
    image: {image}
    command: ["sleep", "1000"]
    restart: always
    stop_grace_period: 0s
    environment: {{GREETING: "{greeting}"}}
    deploy: {{replicas: 2}}
  job:
    image: {image}
    command: ["true"]
    restart: "no"
"""


@pytest.fixture
def project(engine: EngineUnderTest) -> Iterator[str]:
    """A project's name; what is left of it is removed."""
    name = f"t{uuid.uuid4().hex[:8]}"
    yield name
    of_project = {"label": f"io.midwatch.project={name}"}
    for container in engine.client.containers.list(all=True, filters=of_project, ignore_removed=True):
        container.remove(force=True, v=True)
    for network in engine.client.networks.list(filters=of_project):
        network.remove()


def test_a_project_is_brought_up_kept_changed_and_ended(
    engine: EngineUnderTest, tiny_image: str, project: str, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"

    def write(greeting: str) -> None:
        text = COMPOSE.format(image=tiny_image, greeting=greeting)
        file.write_text(f"name: {project}\n{text}")

    def containers() -> list[Container]:
        return engine.client.containers.list(filters={"label": f"io.midwatch.project={project}"})

    web = f"{project}/web"
    write("hello")
    with running(tmp_path / "data", engine.url) as watch:
        answer = client.run(watch.socket, file, 60)
        assert (answer["settled"], answer["failures"]) == (True, [])
        until(lambda: watch.agent.lifecycle.totals()[named(web)] == (2, 2))
        until(lambda: watch.agent.lifecycle.totals()[named(f"{project}/job")] == (0, 0))
        containers()[0].remove(force=True)
        until(lambda: watch.restarts(web) == {"policy": 0, "manual": 0, "midwatch": 1}, 30)
        until(lambda: watch.agent.lifecycle.totals()[named(web)] == (2, 2))
        write("goodbye")
        assert client.run(watch.socket, file, 60)["settled"] is True
    with running(tmp_path / "data", engine.url) as watch:
        until(lambda: watch.agent.lifecycle.totals().get(named(web)) == (2, 2))
        assert watch.restarts(web) == {"policy": 0, "manual": 0, "midwatch": 1}
        deploys = watch.events("deploy", web)
        assert [(event["ok"], event["reason"]) for event in deploys] == [
            (True, "created"),
            (True, "its configuration changed"),
        ]
        assert {row["service"]: row["desired"] for row in client.ps(watch.socket)}[web] == 2
        assert client.stop(watch.socket, project)["removed"] is True
        assert containers() == []
        until(lambda: watch.events("service.removed", web), 15)
        with pytest.raises(client.AgentRefused, match=f"no project {project} is kept here"):
            client.stop(watch.socket, project)


def test_a_pull_that_fails_is_counted_told_of_and_tried_again_later(
    engine: EngineUnderTest, project: str, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"name: {project}\nservices:\n  web:\n    image: 127.0.0.1:9/none/such:1\n")
    with running(tmp_path / "data", engine.url) as watch:
        answer = client.run(watch.socket, file, 30)
        assert answer["settled"] is False
        assert "127.0.0.1:9/none/such:1" in answer["failures"][0]
        web = f"{project}/web"
        assert watch.count(web, "midwatch_image_pulls_total", outcome="unreachable") >= 1
        assert watch.agent.lifecycle.totals()[named(web)] == (1, 0)
        (pulled, *_) = until(lambda: watch.events("image.pull", web), 10)
        assert (pulled["outcome"], pulled["registry"]) == ("unreachable", "127.0.0.1:9")
        assert [event["ok"] for event in until(lambda: watch.events("deploy", web), 10)] == [False]
        assert client.stop(watch.socket, project)["removed"] is True


def test_a_faulty_file_changes_nothing_and_every_fault_comes_back(engine: EngineUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  web:\n    imag: x\n    restart: sometimes\n")
    with running(tmp_path / "data", engine.url) as watch:
        with pytest.raises(client.AgentRefused) as refused:
            client.run(watch.socket, file)
        assert len(str(refused.value).splitlines()) >= 2
        assert client.status(watch.socket)["projects"] == {}


def test_an_agent_without_an_engine_waits_says_so_and_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = Settings(
        interval_seconds=1.0, listen="127.0.0.1:0", server=NOBODY, engine=f"unix://{tmp_path}/none.sock"
    )
    agent = Agent(settings, home, {}, Clock())
    agent.start()
    try:
        status = until(lambda: (told := client.status(home.socket))["rounds"] >= 1 and told)
        assert status["engine_up"] is False
        assert "none.sock" in status["engine_fault"]
        text = urllib.request.urlopen(f"http://127.0.0.1:{agent.metrics_port}/metrics", timeout=10).read().decode()
        assert 'midwatch_engine_up{service="platform"} 0.0' in text
    finally:
        agent.stop()
        home.close()
    assert not home.socket.exists()
    assert json.loads((tmp_path / "agent" / "checkpoint.json").read_text())["complete"] is True


KILLED = """
import sys, threading
from pathlib import Path
from agent.main import run
from agent.settings import Settings
settings = Settings(interval_seconds=1.0, listen="127.0.0.1:0", server={server!r}, engine=sys.argv[2])
run(settings, Path(sys.argv[1]), threading.Event(), {{}})
"""


def test_an_agent_that_is_killed_goes_on_with_exact_counts(
    engine: EngineUnderTest, launch: Run, tmp_path: Path
) -> None:
    first = subprocess.Popen([sys.executable, "-c", KILLED.format(server=NOBODY), str(tmp_path), engine.url])
    try:
        until(lambda: answers(tmp_path / "agent.sock"), 60)
        looping = launch(["sh", "-c", "exit 3"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 7})
        name = str(looping.name)
        until(lambda: restarts_in_checkpoint(tmp_path, name) >= 2, 60)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with running(tmp_path, engine.url) as watch:
        until(lambda: given_up(looping), 90)
        until(lambda: watch.exits(name) == {"error": 8})
        assert watch.restarts(name) == {"policy": 7, "manual": 0, "midwatch": 0}


def answers(socket: Path) -> bool:
    """True where an agent answers that has its engine."""
    try:
        return bool(client.status(socket)["engine_up"])
    except client.AgentUnreachable:
        return False


def restarts_in_checkpoint(data: Path, name: str) -> int:
    """How many restarts of a container the checkpoint knows of."""
    records = json.loads((data / "agent" / "checkpoint.json").read_text())["story"]["records"]
    return next((int(record["restarts"]) for record in records if record["container"]["name"] == name), 0)

"""`midwatch up` to `midwatch down`, as a newcomer meets it: the demo breaks for real, pages once, resolves once."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli import demo
from cli.processes import Process
from tests.support.command import Ran, midwatch
from tests.support.engine import EngineUnderTest
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.support.webhook import Received, Webhook, receiver

QUICK = {"oom_storm_window_seconds": 60, "hold_seconds": 2, "oom_storm_node_kills": 1000, "mass_restarts_min": 1000}
"""Nothing pages for the node: other tests' containers may be on it."""
BEGUN = 5
"""Leaks begun in two replicas: three kills, which are a storm, and two that go on."""


@dataclass
class Newcomer:
    """Somebody who runs the commands, on ports, data and a project of a test's own."""

    engine: EngineUnderTest
    data: Path
    config: Path
    project: str
    url: str
    agent_url: str
    webhook: Webhook

    def run(self, *arguments: str, with_config: bool = False) -> Ran:
        """Run a command and demand that it ends well."""
        config = ["--config", str(self.config)] if with_config else []
        ran = midwatch(*arguments, "--data", str(self.data), *config, seconds=240.0, DOCKER_HOST=self.engine.url)
        assert ran.code == 0, ran
        return ran

    def up(self) -> Ran:
        """`midwatch up`."""
        return self.run("up", "--no-install", with_config=True)

    def pids(self) -> dict[str, int | None]:
        """What runs."""
        folders = {"server": "run", "agent": "run", "registry": "registry"}
        return {name: Process(name, self.data / folder).pid() for name, folder in folders.items()}

    def services(self) -> dict[str, dict[str, Any]]:
        """`midwatch ps`, by service."""
        told = json.loads(self.run("ps", "--json", with_config=True).out)
        return {one["service"]: one for one in told}

    def kills(self) -> int:
        """Leaks begun and not repaired, by the journal that the shop keeps of them: each ends by one kill."""
        container, *_ = demo.replicas(self.engine.client, "api", self.project)
        chunks, _ = container.get_archive(demo.STATE)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            files = [tar.extractfile(entry) for entry in tar if entry.name.endswith(".leaks")]
            journal = b"".join(file.read() for file in files if file)
        return journal.count(b" leak\n") - journal.count(b" repaired\n")


@pytest.fixture(scope="module")
def newcomer(engine: EngineUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """One whole `up`, with short windows, for all tests of this file."""
    folder = tmp_path_factory.mktemp("up")
    service, agent = free_port(), free_port()
    project = f"mwtest-{uuid.uuid4().hex[:8]}"
    with receiver() as hook:
        settings = {
            "service": {
                "listen": f"127.0.0.1:{service}",
                "receivers": [{"name": "pager", "url": hook.url, "roads": ["page"]}],
                "alerts": QUICK,
                "evaluate_seconds": 1,
            },
            "agent": {"listen": f"127.0.0.1:{agent}", "interval_seconds": 1},
            "demo": {"project": project, "registry_port": free_port(), "shop_port": free_port()},
        }
        config = folder / "midwatch.yaml"
        config.write_text(yaml.safe_dump(settings))
        urls = [f"http://127.0.0.1:{port}" for port in (service, agent)]
        found = Newcomer(engine, folder / "d", config, project, *urls, hook)
        try:
            found.up()
            yield found
        finally:
            found.run("down", "--purge")


def _of_the_api(newcomer: Newcomer, status: str) -> list[Received]:
    service = f"{newcomer.project}/api"
    return [it for it in newcomer.webhook.with_status(status) if it.json["groupLabels"].get("service") == service]


@pytest.mark.engine
def test_every_service_of_the_shop_stands_and_the_dashboards_show_it(newcomer: Newcomer) -> None:
    services = newcomer.services()
    wanted = {"front": 1, "api": 2, "worker": 1}
    for name, replicas in wanted.items():
        one = services[f"{newcomer.project}/{name}"]
        assert (one["desired"], one["healthy"]) == (replicas, replicas), name
    assert services[f"{newcomer.project}/stock"]["desired"] == 0
    for page in ("/", "/oncall", "/debug"):
        answer = httpx.get(f"{newcomer.url}{page}", trust_env=False, timeout=60.0, follow_redirects=True)
        assert answer.status_code == 200
        assert "text/html" in answer.headers["content-type"]
    assert f"{newcomer.project}/api" in httpx.get(f"{newcomer.url}/oncall", trust_env=False, timeout=60.0).text


@pytest.mark.engine
def test_the_shops_images_were_really_pulled(newcomer: Newcomer) -> None:
    text = httpx.get(f"{newcomer.agent_url}/metrics", trust_env=False, timeout=60.0).text
    pulls = [line for line in text.splitlines() if line.startswith("midwatch_image_pulls_total{")]
    ours = [line for line in pulls if f'service="{newcomer.project}/front"' in line and 'outcome="ok"' in line]
    assert [line.split()[-1] for line in ours] == ["1.0"]


@pytest.mark.engine
def test_a_second_up_finds_all_of_it(newcomer: Newcomer) -> None:
    before = newcomer.pids()
    assert None not in before.values()
    assert newcomer.url in newcomer.up().out
    assert newcomer.pids() == before


@pytest.mark.engine
def test_a_leak_pages_once_with_evidence_and_its_repair_resolves_once(newcomer: Newcomer) -> None:
    newcomer.run("demo", "break", "api", "--leak")
    until(lambda: newcomer.kills() >= BEGUN, 120.0, every=0.5, what="a storm of kills")
    until(lambda: _of_the_api(newcomer, "firing"), 30.0, what="the page")
    newcomer.run("demo", "repair", "api")
    until(lambda: newcomer.services()[f"{newcomer.project}/api"]["healthy"] == 2, 60.0, what="both stand again")
    kills = newcomer.kills()

    until(lambda: _of_the_api(newcomer, "resolved"), 120.0, what="the resolve")
    assert newcomer.services()[f"{newcomer.project}/api"]["oom_kills"] == kills == newcomer.kills()
    firing, resolved = _of_the_api(newcomer, "firing"), _of_the_api(newcomer, "resolved")
    assert (len(firing), len(resolved)) == (1, 1)
    assert firing[0].json["groupKey"] == resolved[0].json["groupKey"]
    assert "oom-storm" in {alert["labels"]["alertname"] for alert in resolved[0].json["alerts"]}
    assert "oom_kill" in httpx.get(f"{newcomer.url}/debug", trust_env=False, timeout=60.0).text.lower().replace(
        " ", "_"
    )


@pytest.mark.engine
def test_a_bad_pull_really_fails_while_the_service_goes_on(newcomer: Newcomer) -> None:
    newcomer.run("demo", "break", "front", "--bad-pull")
    until(lambda: f"{demo.MISSING_TAG} not found" in newcomer.run("ps", with_config=True).out, 60.0)
    assert newcomer.services()[f"{newcomer.project}/front"]["healthy"] == 1
    newcomer.run("demo", "repair", "front")
    until(lambda: "not found" not in newcomer.run("ps", with_config=True).out, 60.0, what="the good tag again")


@pytest.mark.engine
def test_down_ends_what_up_started_and_touches_nothing_else(
    newcomer: Newcomer, engine: EngineUnderTest, tiny_image: str
) -> None:
    bystander = engine.client.containers.run(tiny_image, ["sleep", "600"], detach=True, labels=engine.labels)
    out = newcomer.run("down").out
    assert "demo shop" in out and "agent" in out and "server" in out and "registry" in out
    assert newcomer.pids() == dict.fromkeys(newcomer.pids())
    for name in ("front", "api", "worker", "stock"):
        assert demo.replicas(engine.client, name, newcomer.project) == []
    bystander.reload()
    assert bystander.status == "running"
    assert "nothing was running" in newcomer.run("down").out

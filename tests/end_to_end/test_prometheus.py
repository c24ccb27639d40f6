"""A real Prometheus scrapes agent and service; promtool finds nothing to warn of."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli.processes import Process
from tests.support.engine import EngineUnderTest
from tests.support.ports import free_port
from tests.support.shop import project, shop_service
from tests.support.stack import Stack, running
from tests.support.waiting import until

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and not os.environ.get("MIDWATCH_TEST_REQUIRE"),
    reason="no prometheus on this machine",
)


class Prometheus:
    """A real one, on a port of its own, that scrapes every second."""

    def __init__(self, folder: Path, targets: dict[str, str]) -> None:
        self.port, self._process = free_port(), Process("prometheus", folder)
        jobs = [{"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in targets.items()]
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        binary = shutil.which("prometheus")
        assert binary is not None
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", listen]
        self._process.start(command, {"PATH": "/usr/bin:/bin"})

    def get(self, path: str, **query: str) -> Any:
        """The data of an API answer, None while it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
            return httpx.get(url, params=query, trust_env=False, timeout=60.0).raise_for_status().json()["data"]
        except httpx.HTTPError:
            return None

    def stop(self) -> None:
        """End it."""
        self._process.stop()


@pytest.fixture
def stack(engine: EngineUnderTest, python_image: str, data: Path) -> Iterator[Stack]:
    """A stack that watches a service which was killed for memory once."""
    with running(engine, data, service={"evaluate_seconds": 1}) as stack, project(stack) as shop:
        shop.run({"api": shop_service(python_image)})
        until(lambda: shop.ready("api"), 60.0)
        shop.kill_by_memory("api")
        until(lambda: stack.total("midwatch_oom_kills_total") >= 1)
        yield stack


def _targets(prometheus: Prometheus) -> dict[str, tuple[str, str]]:
    found = (prometheus.get("targets") or {}).get("activeTargets", ())
    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in found}


@needs_prometheus
@pytest.mark.engine
def test_prometheus_scrapes_agent_and_service_without_an_error(stack: Stack, tmp_path: Path) -> None:
    targets = {"agent": stack.agent_url.removeprefix("http://"), "service": stack.url.removeprefix("http://")}
    prometheus = Prometheus(tmp_path, targets)
    try:
        until(lambda: _targets(prometheus) == dict.fromkeys(targets, ("up", "")), 30.0, what="both targets are up")
        kills = until(lambda: (prometheus.get("query", query="sum(midwatch_oom_kills_total)") or {}).get("result"))
        assert kills[0]["value"][1] == "1"
    finally:
        prometheus.stop()


@needs_prometheus
@pytest.mark.engine
def test_promtool_finds_nothing_to_warn_of(stack: Stack) -> None:
    until(lambda: "midwatch_slo_state" in httpx.get(f"{stack.url}/metrics", trust_env=False, timeout=60.0).text, 30.0)
    for url in (stack.agent_url, stack.url):
        text = httpx.get(f"{url}/metrics", trust_env=False, timeout=60.0).text
        found = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert _ours(found.stdout + found.stderr) == [], url
        assert "error" not in found.stderr.lower(), url


def _ours(report: str) -> list[str]:
    """Without cAdvisor's and node_exporter's names: they are kept as they are, so that rules written for them fire."""
    return [
        line
        for line in report.splitlines()
        if line.strip() and not line.startswith(("container_", "node_", "machine_"))
    ]

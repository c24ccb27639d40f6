"""A real Prometheus scrapes agent and service; promtool finds nothing to warn of."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.engine import EngineUnderTest
from tests.support.prometheus import Prometheus, needs_prometheus
from tests.support.shop import project, shop_service
from tests.support.stack import Stack, running
from tests.support.waiting import until


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


def _ours(report: str) -> list[str]:
    """Without cAdvisor's and node_exporter's names: they are kept as they are, so that rules written for them fire."""
    return [
        line
        for line in report.splitlines()
        if line.strip() and not line.startswith(("container_", "node_", "machine_"))
    ]

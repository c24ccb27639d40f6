"""Numbers of the whole: from the deciding kill to the page, and what an agent costs. Printed, never asserted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import EngineUnderTest
from tests.support.shop import project, shop_service
from tests.support.stack import Stack, running
from tests.support.waiting import until
from tests.support.webhook import Webhook

KILLS_OF_A_STORM = 3
CONTAINERS = 20
WATCHED_SECONDS = 60.0


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="midwatch-") as folder:
        yield Path(folder)


@pytest.mark.engine
def test_time_from_the_deciding_kill_to_the_page(
    engine: EngineUnderTest, python_image: str, data: Path, webhook: Webhook
) -> None:
    receivers = [{"name": "pager", "url": webhook.url}]
    defaults = {"interval_seconds": 5}
    with running(engine, data, service={"receivers": receivers}, agent=defaults) as stack, project(stack) as shop:
        shop.run({"api": shop_service(python_image)})
        until(lambda: shop.ready("api"), 60.0)
        asked_ms = [shop.kill_by_memory("api") for _ in range(KILLS_OF_A_STORM)][-1]
        page = until(lambda: webhook.with_status("firing"), 120.0)[0]
        print(f"\nfrom asking for the third kill to the page: {(page.at_ms - asked_ms) / 1000:.2f} s")


@pytest.mark.engine
def test_cost_of_an_agent(engine: EngineUnderTest, tiny_image: str, data: Path) -> None:
    with running(engine, data, agent={"interval_seconds": 5}) as stack, project(stack) as many:
        sleeper = {"image": tiny_image, "command": ["sleep", "3600"], "stop_grace_period": "1s"}
        many.run({"sleeper": {**sleeper, "deploy": {"replicas": CONTAINERS}}}, wait_seconds=120.0)
        before, began = _cpu(stack), time.monotonic()
        time.sleep(WATCHED_SECONDS)
        share = (_cpu(stack) - before) / (time.monotonic() - began)
        resident = stack.total("midwatch_agent_resident_memory_bytes")
        print(f"\n{CONTAINERS} containers, a round each 5 s: {share:.2%} of a core, {resident / 1e6:.1f} MB resident")


def _cpu(stack: Stack) -> float:
    return stack.total("midwatch_agent_cpu_seconds_total")

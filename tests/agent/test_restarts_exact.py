"""Restarts by the policy and by hand, many at once, on a real engine: every service's count is exact.

MIDWATCH_TEST_RESTARTS says how many by the policy (20 if unset), and a fifth as many are by hand.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.agent.running import Running, running
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

pytestmark = pytest.mark.engine

EACH = 5
LOOPS = int(os.environ.get("MIDWATCH_TEST_RESTARTS") or 20) // EACH
STEADY = "trap 'exit 143' TERM; while :; do sleep 0.1; done"

Launch = Callable[..., Container]


@pytest.fixture
def launch(engine: EngineUnderTest, tiny_image: str) -> Iterator[Launch]:
    made: list[Container] = []

    def start(command: str, **policy: object) -> Container:
        name = f"midwatch-test-{uuid.uuid4().hex[:8]}"
        labels = {**engine.labels, "midwatch.service": name}
        container = engine.client.containers.run(
            tiny_image, ["sh", "-c", command], name=name, detach=True, labels=labels, network_mode="none",
            restart_policy=policy,
        )  # fmt: skip
        made.append(container)
        return container

    yield start
    for container in made:
        container.remove(force=True)


def test_every_restart_is_counted_once_and_by_who_made_it(
    engine: EngineUnderTest, launch: Launch, tmp_path: Path
) -> None:
    with running(tmp_path, engine.url) as watch, ThreadPoolExecutor(4) as hands:
        loops = [launch("exit 3", Name="on-failure", MaximumRetryCount=EACH) for _ in range(LOOPS)]
        steady = [launch(STEADY, Name=policy) for policy in ("always", "unless-stopped", "on-failure", "no")]
        by_hand = LOOPS // len(steady)
        # One container at a time is restarted by one hand only: two at once are one to the engine.
        list(hands.map(lambda one: [one.restart(timeout=1) for _ in range(by_hand)], steady))
        names = [str(one.name) for one in loops]
        until(lambda: all(watch.exits(name) == {"error": EACH + 1} for name in names), 240)
        until(lambda: all(sum(watch.exits(str(one.name)).values()) == by_hand for one in steady), 60)
        assert [watch.restarts(name) for name in names] == [{"policy": EACH, "manual": 0, "midwatch": 0}] * LOOPS
        assert [watch.restarts(str(one.name)) for one in steady] == [
            {"policy": 0, "manual": by_hand, "midwatch": 0}
        ] * len(steady)
        until(lambda: told(watch, names) == EACH * LOOPS, 10)


def told(watch: Running, names: list[str]) -> int:
    """Restarts of these services that events tell of."""
    return sum(event["count"] for name in names for event in watch.events("container.restart", name))

"""An engine that goes and comes back under the agent: every restart is counted once, by who made it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from runtime.engine import Engine
from tests.agent.running import Running, running
from tests.support.own_engine import OwnEngine, own_engine
from tests.support.waiting import until

pytestmark = pytest.mark.engine

STEADY = "trap 'exit 143' TERM; while :; do sleep 0.1; done"
SLEEP = ["sh", "-c", STEADY]
COUNTS = "echo x >> /runs; n=0; while read x; do n=$((n+1)); done < /runs"
CRASHES = ["sh", "-c", f"{COUNTS}; case $n in 1|5) {STEADY};; *) sleep 0.2; exit 3;; esac"]
"""Steady in its first and fifth run; the three between crash."""
NONE = {"policy": 0, "manual": 0, "midwatch": 0}


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[OwnEngine]:
    with own_engine(tiny=True, **{"live-restore": bool(getattr(request, "param", False))}) as it:
        yield it


def launched(engine: OwnEngine, name: str, command: list[str], policy: str, most: int = 0) -> None:
    restart = {"Name": policy, **({"MaximumRetryCount": most} if most else {})}
    with contextlib.closing(engine.client) as client:
        client.containers.run(
            engine.image, command, name=name, detach=True, network_mode="none",
            restart_policy=restart if policy != "no" else None,
        )  # fmt: skip


def inspected(engine: OwnEngine) -> dict[str, dict[str, Any]]:
    with contextlib.closing(engine.client) as client:
        return {str(one.name): one.attrs for one in client.containers.list(all=True)}


def by_name(engine: OwnEngine, name: str, do: Callable[[Container], object]) -> None:
    with contextlib.closing(engine.client) as client:
        do(client.containers.get(name))


@pytest.mark.parametrize(
    ("engine", "way", "agent"),
    [(False, "stop", "stays"), (False, "kill", "is away too"), (True, "kill", "stays")],
    ids=["stopped", "killed while the agent is away", "killed and its containers live on"],
    indirect=["engine"],
)
def test_what_an_engine_brings_back_and_what_crashes_then_is_exact(
    engine: OwnEngine, tmp_path: Path, way: str, agent: str
) -> None:
    policies = {"always": "always", "unless": "unless-stopped", "failure": "on-failure", "none": "no"}
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(running(tmp_path, engine.url))
        for name, policy in policies.items():
            launched(engine, name, CRASHES, policy)
            launched(engine, f"stopped-{name}", CRASHES, policy)
            by_name(engine, f"stopped-{name}", lambda one: one.stop(timeout=1))
        until(lambda: all(watch.knows(name) and ended(watch, f"stopped-{name}") for name in policies))
        before = inspected(engine)
        if agent != "stays":
            stack.pop_all().close()
        getattr(engine, way)()
        engine.start()
        until(lambda: all(rests(one, before[name]) for name, one in inspected(engine).items()), 60)
        if agent != "stays":
            watch = stack.enter_context(running(tmp_path, engine.url))
        until(lambda: watch.agent.watch.link.engine, 60)
        for name, container in inspected(engine).items():
            back = container["State"]["StartedAt"] != before[name]["State"]["StartedAt"]
            true = {**NONE, "policy": 1 + container["RestartCount"] if back else 0}
            until(lambda name=name, true=true: watch.restarts(name) == true, 10, what=f"{name} {true}")
        assert watch.restarts("stopped-always") == {**NONE, "policy": 4}


def rests(container: dict[str, Any], before: dict[str, Any]) -> bool:
    """True where it has no more to do: ended, in the run it had before, or steady after its three crashes."""
    state = container["State"]
    same = state["StartedAt"] == before["State"]["StartedAt"]
    return bool(
        state["Status"] == "exited" or (state["Status"] == "running" and (same or container["RestartCount"] == 3))
    )


def ended(watch: Running, name: str) -> bool:
    return any(one.container.name == name and one.phase == "ended" for one in watch.agent.lifecycle.records())


def test_a_lost_connection_alone_is_no_restart_of_the_engine(engine: OwnEngine, tmp_path: Path) -> None:
    with running(tmp_path, engine.url) as watch:
        launched(engine, "stopped", SLEEP, "always")
        by_name(engine, "stopped", lambda one: one.stop(timeout=1))
        until(lambda: ended(watch, "stopped"))
        last_ns = watch.agent.lifecycle.last_event_ns
    assert last_ns is not None
    by_name(engine, "stopped", lambda one: one.start())
    now_ns = watch.agent.clock.now_ms() * 1_000_000
    with contextlib.closing(Engine(engine.url)) as asked:
        assert asked.remembers(last_ns, now_ns) is True
        assert asked.remembers(last_ns - 1, now_ns) is False
        assert asked.remembers(now_ns + 10**9, now_ns) is None
    with running(tmp_path, engine.url) as watch:
        until(lambda: watch.restarts("stopped") == {**NONE, "manual": 1})

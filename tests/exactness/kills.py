"""Containers that the kernel kills for memory, and how many kills each of them has seen by its own account."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tests.support.engine import EngineUnderTest
from tests.support.stack import Stack

EAT = "dd if=/dev/zero of=/dev/null bs=200M count=1"
LIMIT = "16m"
KILLED = 137
AT_ONCE = f'for n in 1 2 3; do {EAT} & p="$p $!"; done; for one in $p; do wait $one; [ $? = 137 ] && k=$((k+1)); done'
ONE_BY_ONE = f"{EAT}; [ $? = 137 ] && k=1"


class Kind(NamedTuple):
    """One kind of kill: what a container runs, how many kills it sees, and how many containers run at a time."""

    name: str
    command: Sequence[str]
    each: int = 1
    parallel: int = 1
    victim: str = "main"


def children(script: str, each: int) -> list[str]:
    """A main process that lives on, counts the children that were killed, and ends well if they were so many."""
    return ["sh", "-c", f"k=0; {script}; sleep 0.1; [ $k = {each} ] || exit $((100 + k))"]


KINDS = (
    Kind("main", ["sh", "-c", f"sleep 0.2; exec {EAT}"]),
    Kind("young", EAT.split()),
    Kind("child", children(ONE_BY_ONE, 1), victim="child"),
    Kind("children", children(AT_ONCE, 3), each=3, victim="child"),
    Kind("parallel", EAT.split(), parallel=4),
)


class Ended(NamedTuple):
    """A container that is gone: its name, and the kills that it saw by its own account."""

    name: str
    kills: int


def cause(engine: EngineUnderTest, image: str, service: str, kind: Kind, count: int, **more: Any) -> list[Ended]:
    """Runs so many containers of a kind to their end and removes them at once."""
    names = [f"{service}-{n}" for n in range(count)]
    with ThreadPoolExecutor(kind.parallel) as pool:
        return list(pool.map(lambda name: _one(engine, image, service, name, kind, more), names))


def counted(agent: Stack, service: str, **labels: str) -> int:
    """Kills of a service by the agent's /metrics."""
    return int(agent.total("midwatch_oom_kills_total", service=service, **labels))


def _one(engine: EngineUnderTest, image: str, service: str, name: str, kind: Kind, more: dict[str, Any]) -> Ended:
    container = engine.client.containers.create(
        image,
        list(kind.command),
        name=name,
        labels={**engine.labels, "midwatch.service": service},
        network_mode="none",
        **({"mem_limit": LIMIT, "memswap_limit": LIMIT, "oom_score_adj": 500} | more),
    )
    container.start()
    code = int(container.wait()["StatusCode"])
    container.remove(force=True)
    return Ended(name, _own_account(kind, code))


def _own_account(kind: Kind, code: int) -> int:
    """A main process that was killed is one kill; one that lived on says how many it saw."""
    if kind.victim == "main":
        return int(code == KILLED)
    return kind.each if code == 0 else code - 100

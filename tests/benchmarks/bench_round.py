"""CPU time of one container in one round, by hand: `python -m tests.benchmarks.bench_round [containers]`.

Starts that many sleeping containers on the engine that answers, reads them as the agent does, and removes them: those
are read whole every 15 seconds only, and otherwise asked whether they used CPU. Then the same with containers that
all use CPU between two rounds, so that each is read whole in each round.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
from prometheus_client.exposition import generate_latest
from rich.console import Console
from rich.table import Table

from agent.collect import Collector, Target
from agent.exposition import Dropped, Exposition
from agent.model import NodeIdentity, Points, Resource
from agent.otlp import metrics_request
from agent.spool import Spool
from cli.engine import candidates, find
from runtime.engine_json import container_of
from runtime.identity import service_of
from tests.benchmarks.tools import least_cpu_seconds
from tests.support.engine import DEFAULT_DATA

IMAGE = "midwatch-test/busybox:1"
LABEL = "io.midwatch.bench"
NODE = NodeIdentity("n1", "5f0d8a52-6f0e-4f59-9d6f-1f2a3b4c5d6e")
IDLE, BUSY = "sleep 36000", "while :; do sleep 0.2; done"
PAUSE_SECONDS = {IDLE: 0.0, BUSY: 0.3}
ROUNDS = 12


@contextmanager
def sleepers(client: docker.DockerClient, count: int, script: str) -> Iterator[list[Target]]:
    """Containers that run a script, as targets; removed at the end."""
    mark = {LABEL: str(os.getpid())}
    options = {"detach": True, "labels": mark, "network_mode": "none"}
    made = [client.containers.run(IMAGE, ["sh", "-c", script], **options) for _ in range(count)]
    try:
        found = [container_of(client.api.inspect_container(one.id)) for one in made]
        yield [Target(one, Resource(service_of(one), one.name, f"/docker/{one.id}", one.image)) for one in found]
    finally:
        for one in made:
            one.remove(force=True)


def measured(targets: list[Target], pause_seconds: float) -> dict[str, float]:
    """CPU seconds of each step of a round over all targets, and of a scrape; rounds are so far apart."""
    with closing(Collector()) as collector, tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))

        def read(which: list[Target]) -> list[Points]:
            return collector.collect(which, time.time_ns() // 10**6)

        node = least_cpu_seconds(lambda: read([]))
        points = read(targets)
        whole = least_cpu_seconds(lambda: read(targets), pause_seconds=pause_seconds)
        request = metrics_request(NODE, points)
        rounds = [read(targets) for _ in range(ROUNDS) if not time.sleep(pause_seconds)]
        return {
            "read": whole - node,
            "encode": least_cpu_seconds(lambda: metrics_request(NODE, rounds.pop()), ROUNDS),
            "spool": least_cpu_seconds(lambda: spool.put("metrics", request)),
            "one scrape of /metrics": least_cpu_seconds(lambda: generate_latest(Exposition(points, Dropped()))),
            "the node itself, once a round": node,
        }


def main(count: int) -> None:
    """Measure and print one table."""
    url = find(candidates(DEFAULT_DATA, os.environ))
    if url is None:
        sys.exit("no container engine answers")
    table = Table(title=f"{count} containers, CPU microseconds for each")
    for heading in ("", "idle", "busy"):
        table.add_column(heading, justify="right" if heading else "left")
    with closing(docker.DockerClient(base_url=url, timeout=60)) as client:
        found = []
        for script in (IDLE, BUSY):
            with sleepers(client, count, script) as targets:
                found.append(measured(targets, PAUSE_SECONDS[script]))
    steps = ("read", "encode", "spool")
    for name in found[0]:
        share = 1 if name.startswith("the node") else count
        table.add_row(name, *(f"{each[name] / share * 1e6:.1f}" for each in found))
    table.add_row(
        "read, encode and spool", *(f"{sum(each[step] for step in steps) / count * 1e6:.1f}" for each in found)
    )
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)

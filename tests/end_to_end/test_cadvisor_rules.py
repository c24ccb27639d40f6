"""Rules that the public wrote for cAdvisor, unchanged but for their haste, fire on the agent's numbers for real faults.

The rules wait for minutes and days: here every time in them is a twelfth, the days are 20 s. How they do at full
length is in `test_cadvisor_rules_in_full.py`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from docker.models.containers import Container as Running

from agent.collect import Collector, Target
from agent.exposition_server import MetricsServer
from agent.model import Points, Resource
from runtime.engine_json import container_of
from runtime.identity import service_of
from runtime.layers import Layers
from runtime.layers import Running as LayerOf
from runtime.model import Container
from tests.support.engine import EngineUnderTest
from tests.support.prometheus import Prometheus, hastened, needs_prometheus, peer_file
from tests.support.waiting import until

RULES = "rules/docker-containers-google-cadvisor.yml"
FASTER, DAYS = 12, 20
KEEP_ENDED_MS = 300_000 // FASTER
BURN = "while :; do :; done"
LONG = 90.0


@dataclass
class Watched:
    """Real containers, read by a real collector, served on /metrics."""

    engine: EngineUnderTest
    collector: Collector
    made: dict[str, Running] = field(default_factory=dict)
    known: dict[str, Container] = field(default_factory=dict)
    hidden: bool = False

    def run(self, name: str, script: str, **options: object) -> None:
        """Starts a container whose service has its name."""
        labels = {**self.engine.labels, "midwatch.service": name}
        image = "midwatch-test/busybox:1"
        made = self.engine.client.containers.run(
            image, ["sh", "-c", script], detach=True, labels=labels, network_mode="none", **options
        )
        self.made[name] = made
        self.look(name)

    def look(self, name: str) -> None:
        """Asks the engine for what it says of a container now."""
        inspected = self.engine.client.api.inspect_container(self.made[name].id)
        self.known[name] = container_of(inspected)

    def points(self) -> Sequence[Points]:
        """One round over what the engine said last."""
        targets = [] if self.hidden else [self._target(name) for name in list(self.known)]
        return self.collector.collect(targets, time.time_ns() // 10**6)

    def _target(self, name: str) -> Target:
        container = self.known[name]
        resource = Resource(service_of(container), name, f"/docker/{container.id}", container.image)
        return Target(container, resource)


@pytest.fixture
def watched(engine: EngineUnderTest, tiny_image: str) -> Iterator[Watched]:
    assert tiny_image
    collector = Collector(keep_ended_ms=KEEP_ENDED_MS)
    found = Watched(engine, collector)
    try:
        yield found
    finally:
        for made in found.made.values():
            made.remove(force=True)
        collector.close()


@pytest.fixture
def prometheus(watched: Watched, tmp_path: Path) -> Iterator[Prometheus]:
    with serving(watched.points, tmp_path) as found:
        yield found


class serving:  # noqa: N801 - a context manager
    """Serves points on /metrics to a Prometheus that has the hastened rules."""

    def __init__(self, source: Callable[[], Sequence[Points]], folder: Path) -> None:
        rules = folder / "rules.yml"
        rules.write_text(hastened(peer_file(RULES).read_text(), FASTER, DAYS))
        self._server = MetricsServer("127.0.0.1", 0, source)
        self._prometheus = Prometheus(folder, {"agent": f"127.0.0.1:{self._server.start()}"}, (rules,), "2s")

    def __enter__(self) -> Prometheus:
        """The Prometheus."""
        return self._prometheus

    def __exit__(self, *_: object) -> None:
        """Ends both."""
        self._prometheus.stop()
        self._server.stop()


def settled(prometheus: Prometheus, alert: str, label: str, wanted: set[str]) -> None:
    """Waits until a rule fires for these and for no other."""
    seen: set[str] = set()

    def as_wanted() -> bool:
        seen.clear()
        seen.update(prometheus.firing(alert, label))
        return seen == wanted

    try:
        until(as_wanted, LONG, every=0.5)
    except AssertionError:
        told = prometheus.get("query", query=f'ALERTS{{alertname="{alert}"}}')
        pytest.fail(f"{alert} fires for {sorted(seen)}, not for {sorted(wanted)}: {told}")


@needs_prometheus
@pytest.mark.engine
def test_each_rule_fires_for_its_fault_and_for_nothing_else(watched: Watched, prometheus: Prometheus) -> None:
    busy = {"cpu_period": 100_000, "cpu_quota": 2_000}
    watched.run("steady", "sleep 600")
    watched.run("killed", "sleep 600")
    watched.run("throttled", BURN, **busy)
    watched.run("idle", "sleep 600", cpu_period=100_000, cpu_quota=50_000)
    watched.run("full", "dd if=/dev/zero of=/dev/shm/x bs=1M count=29; sleep 600", mem_limit="32m", shm_size="64m")
    watched.run("roomy", "sleep 600", mem_limit="64m")
    until(lambda: prometheus.get("query", query='container_last_seen{name="roomy"}'), LONG, every=0.5)
    assert all(rule["health"] in ("ok", "unknown") for rule in prometheus.rules()), prometheus.rules()

    settled(prometheus, "ContainerHighCpuUtilization", "container", {"throttled"})
    settled(prometheus, "ContainerHighThrottleRate", "container", {"throttled"})
    settled(prometheus, "ContainerHighMemoryUsage", "name", {"full"})
    settled(prometheus, "ContainerLowCpuUtilization", "container", {"idle"})
    settled(prometheus, "ContainerLowMemoryUsage", "name", {"roomy"})
    for quiet in ("ContainerKilled", "ContainerAbsent", "ContainerVolumeUsage"):
        assert prometheus.firing(quiet, "name") == set(), quiet

    watched.made["killed"].kill()
    until(lambda: watched.look("killed") or watched.known["killed"].state == "exited")  # type: ignore[func-returns-value]
    settled(prometheus, "ContainerKilled", "name", {"killed"})
    settled(prometheus, "ContainerKilled", "name", set())

    # Beside the engine's folder and with much weight: a busy machine is not to starve it.
    watched.run("sudden", f"sleep 6; {BURN}", cgroup_parent="/", cpu_shares=262_144)
    until(lambda: "sudden" in prometheus.firing("ContainerHighLowChangeCpuUsage", "name"), LONG, every=0.5)
    assert not {"steady", "idle", "roomy"} & prometheus.firing("ContainerHighLowChangeCpuUsage", "name")

    watched.hidden = True
    settled(prometheus, "ContainerAbsent", "severity", {"warning"})


@needs_prometheus
@pytest.mark.engine
def test_the_rule_of_volumes_fires_where_the_file_system_of_the_layers_runs_out_of_inodes(
    watched: Watched, tmp_path: Path
) -> None:
    """What the engine's own file system has can't be used up here: a small one is put in the place of the layer's."""
    small, proc = tmp_path / "small", tmp_path / "root/proc/1"
    small.mkdir()
    proc.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=100", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: it takes root")
    try:
        layers = Layers(tmp_path / "root")
        watched.collector.close()
        watched.collector = Collector(layer_of=layers.use)
        watched.run("writer", "sleep 600")
        made = container_of(watched.engine.client.api.inspect_container(watched.made["writer"].id))
        line = f"1 0 0:1 / / rw - overlay overlay rw,upperdir={small},workdir=/w\n"
        (proc / "mountinfo").write_text(line)
        (tmp_path / "root" / str(small).lstrip("/")).parent.mkdir(parents=True)
        (tmp_path / "root" / str(small).lstrip("/")).symlink_to(small)

        def points() -> Sequence[Points]:
            layers.look([LayerOf(made.id, 1)], {}, lambda: False)
            return watched.points()

        with serving(points, tmp_path) as prometheus:
            until(lambda: (prometheus.get("query", query="container_fs_inodes_total") or {}).get("result"))
            assert prometheus.firing("ContainerVolumeUsage", "severity") == set()
            for n in range(90):
                (small / str(n)).touch()
            settled(prometheus, "ContainerVolumeUsage", "severity", {"warning"})
    finally:
        subprocess.run(["umount", str(small)], check=False)

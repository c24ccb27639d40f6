from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.borrowed import CADVISOR, NODE
from agent.collect import MAX_INTERFACES, Collector, Target
from agent.collect_container import Facts, Seen, Shaper, Stamp
from agent.columns import Columns
from agent.model import Points, Resource, Value
from agent.names import OWN
from runtime.cgroup import DeviceIo, Memory, Reading
from runtime.devices import Devices
from runtime.kept import Allowance
from runtime.model import PLATFORM, Container, ServiceName
from runtime.node_capability import REASONS, REMEDIES
from tests.runtime import trees
from tests.runtime.trees import Tree
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until

NOW = 1_800_000_000_000
STARTED = NOW - 60_000
KNOWN = {**CADVISOR, **NODE, **OWN}


def container(host: Tree, **changes: object) -> Container:
    made = Container(
        id=host.container_id,
        name="shop-api-1",
        image="shop:1",
        image_id="sha256:" + "1" * 64,
        labels={},
        state="running",
        pid=host.pid,
        created_ms=STARTED - 180_000,
        started_ms=STARTED,
        finished_ms=None,
        exit_code=None,
        oom_killed=False,
        restart_count=0,
        restart_policy="no",
        max_retries=0,
        health="none",
        network_mode="bridge",
        address=None,
        memory_limit_bytes=64 << 20,
        cpu_limit_cores=0.5,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def target(made: Container) -> Target:
    return Target(made, Resource(ServiceName("shop", "api"), made.name, None, made.image))


def rounds(host: Tree, *containers: Container) -> list[Points]:
    collector = Collector(host.root, allowance=Allowance(200))
    found = collector.collect([target(one) for one in containers], NOW)
    collector.close()
    return found


def values(points: Points) -> dict[str, Value]:
    return {point.name: point for point in points.points if isinstance(point, Value)}


@pytest.fixture
def host(tmp_path: Path) -> Tree:
    return trees.hybrid().copy(tmp_path / "host")


def test_a_container_has_its_points_under_its_own_resource(host: Tree) -> None:
    platform, own = rounds(host, container(host))
    assert platform.resource == Resource(PLATFORM)
    assert own.resource == Resource(ServiceName("shop", "api"), "shop-api-1", f"/docker/{host.container_id}", "shop:1")
    found = values(own)
    assert found["container_cpu_usage_seconds_total"].value == 2.233230778
    assert found["container_cpu_cfs_throttled_seconds_total"].value == 1.544798124
    assert found["container_spec_memory_limit_bytes"].value == 64 << 20
    assert found["container_network_receive_bytes_total"].labels == (("interface", "eth0"),)
    assert found["container_fs_writes_bytes_total"].labels == (("device", "/dev/vda"),)


def test_every_name_is_known_with_its_kind_and_labels(host: Tree) -> None:
    for points in rounds(host, container(host)):
        for point in points.points:
            assert isinstance(point, Value)
            metric = KNOWN[point.name]
            assert sorted(name for name, _ in point.labels) == sorted(metric.labels)
            assert metric.kind == "counter" or point.start_ms is None


def test_counters_of_a_container_count_since_its_start_and_those_of_the_node_since_its_boot(host: Tree) -> None:
    platform, own = rounds(host, container(host))
    starts = {point.start_ms for point in own.points if isinstance(point, Value) and point.name.endswith("_total")}
    assert starts == {STARTED}
    boot = values(platform)["node_boot_time_seconds"].value * 1000
    assert values(platform)["node_cpu_seconds_total"].start_ms == boot


def test_the_start_is_the_last_one_and_not_the_making(host: Tree) -> None:
    found = values(rounds(host, container(host))[1])
    assert found["container_start_time_seconds"].value == STARTED / 1000
    assert found["container_creation_time_seconds"].value == (STARTED - 180_000) / 1000


@pytest.mark.parametrize(("health", "state"), [("healthy", 1), ("starting", 0), ("unhealthy", 0), ("none", -1)])
def test_health_is_told_as_cadvisor_tells_it(host: Tree, health: str, state: int) -> None:
    assert values(rounds(host, container(host, health=health))[1])["container_health_state"].value == state


def test_containers_in_the_hosts_network_have_no_network_points(host: Tree) -> None:
    found = values(rounds(host, container(host, network_mode="host"))[1])
    assert not [name for name in found if "network" in name]


def test_a_container_that_ended_keeps_when_it_was_last_seen_for_a_while(host: Tree) -> None:
    ended = container(host, state="exited", pid=None, finished_ms=NOW - 5_000)
    (_, own) = rounds(host, ended)
    assert [(point.name, point.value) for point in values(own).values()] == [
        ("container_last_seen", (NOW - 5_000) // 1000)
    ]
    assert len(rounds(host, replace(ended, finished_ms=NOW - 600_000))) == 1


def test_a_container_that_ended_before_the_engine_told_of_it_was_not_seen(host: Tree) -> None:
    gone = container(host, pid=999_999)
    assert len(rounds(host, gone)) == 1


def test_one_unreadable_container_costs_no_other(host: Tree) -> None:
    broken = container(host, id="f" * 64, pid=host.pid + 1)
    folder = host.root / "proc" / str(host.pid + 1)
    folder.mkdir()
    (folder / "cgroup").write_text("garbage\n")
    platform, *others = rounds(host, broken, container(host))
    assert [len(points.points) > 20 for points in others] == [False, True]
    lost = {point.labels: point.value for point in platform.points if point.name == "midwatch_agent_dropped_total"}
    assert lost[(("what", "containers"), ("reason", "unreadable"))] == 1


def test_a_garbled_file_costs_its_own_metrics_and_is_counted(host: Tree) -> None:
    (host.folder("memory") / "memory.stat").write_text("cache\n")
    platform, own = rounds(host, container(host))
    assert "container_memory_rss" not in values(own)
    assert "container_memory_usage_bytes" in values(own)
    lost = {point.labels: point.value for point in platform.points if point.name == "midwatch_agent_dropped_total"}
    assert lost[(("what", "kernel files"), ("reason", "garbled"))] == 1


def test_more_interfaces_than_the_bound_are_left_out_and_counted(host: Tree) -> None:
    dev = host.root / "proc" / str(host.pid) / "net/dev"
    dev.write_text("a\nb\n" + "".join(f"v{n}: {'0 ' * 16}\n" for n in range(MAX_INTERFACES + 5)))
    platform, own = rounds(host, container(host))
    seen = [point for point in own.points if point.name == "container_network_receive_bytes_total"]
    assert len(seen) == MAX_INTERFACES
    assert any(("reason", "bound") in point.labels and point.value > 0 for point in platform.points)


def test_a_restarted_container_is_opened_anew(host: Tree) -> None:
    collector = Collector(host.root, allowance=Allowance(200))
    collector.collect([target(container(host))], NOW)
    again = host.root / "proc" / "77"
    shutil.copytree(host.root / "proc" / str(host.pid), again)
    (again / "net/dev").write_text("a\nb\n eth0: 5 0 0 0 0 0 0 0 6 0 0 0 0 0 0 0\n")
    (_, own) = collector.collect([target(container(host, pid=77, started_ms=NOW - 1))], NOW)
    collector.close()
    assert values(own)["container_network_receive_bytes_total"].value == 5


def test_a_container_no_longer_asked_for_is_closed() -> None:
    host, allowance = trees.hybrid(), Allowance(200)
    collector = Collector(host.root, allowance=allowance)
    before = allowance.used
    collector.collect([target(container(host))], NOW)
    assert collector.cgroup_path(host.container_id) == f"/docker/{host.container_id}"
    assert allowance.used > before
    collector.collect([], NOW)
    assert (allowance.used, collector.cgroup_path(host.container_id)) == (before, None)
    collector.close()
    assert allowance.used == 0


def test_a_thousand_containers_are_read_with_few_open_files_and_the_shortage_is_counted(host: Tree) -> None:
    many = [another(host, number) for number in range(1_000)]
    scarce, alone = Allowance(2_000), names_without_network(rounds(host, container(host))[1])
    with closing(Collector(host.root, allowance=scarce)) as collector:
        platform, *found = collector.collect([target(one) for one in many], NOW)
        assert scarce.used == 2_000
    assert scarce.used == 0
    assert [names_without_network(one) for one in found] == [alone] * 1_000
    lost = {value.labels: value.value for value in platform.points if value.name == "midwatch_agent_dropped_total"}  # type: ignore[union-attr]
    assert lost[("what", "files kept open"), ("reason", "bound")] > 0


def names_without_network(points: Points) -> list[str]:
    """A network is read by a file that is kept open or not at all: opened by name it could be another process's."""
    return [name for name in values(points) if not name.startswith("container_network_")]


def another(host: Tree, number: int) -> Container:
    """One more container of that host, with the numbers of the captured one."""
    made = container(host, id=f"{number:064x}", pid=100_000 + number, name=f"shop-api-{number}")
    for folder in (host.root / "sys/fs/cgroup").glob(f"*/docker/{host.container_id}"):
        (folder.parent / made.id).symlink_to(folder, target_is_directory=True)
    process = host.root / "proc" / str(made.pid)
    process.mkdir()
    captured = host.root / "proc" / str(host.pid)
    for name in ("net", "limits", "stat", "status"):
        (process / name).symlink_to(captured / name)
    (process / "cgroup").write_text((captured / "cgroup").read_text().replace(host.container_id, made.id))
    return made


def test_what_cannot_be_measured_is_said_and_others_may_add_to_it() -> None:
    host = trees.hybrid()
    collector = Collector(host.root, more_capabilities=lambda: {"kmsg": False})
    (platform,) = collector.collect([], NOW)
    collector.close()
    told = {point.labels[0][1]: point.value for point in platform.points if point.name == "midwatch_capability"}
    assert told == {"cpu": 1, "memory": 1, "pids": 1, "blkio": 1, "psi": 1, "kmsg": 0}


def test_what_cannot_be_measured_is_logged_once_with_its_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(trees.v1(tmp_path).root)
    for _ in range(3):
        collector.collect([], NOW)
    collector.close()
    assert [record.message for record in caplog.records] == [f"this node can't measure psi: {REMEDIES['psi']}"]


def test_no_memory_limit_is_zero_as_cadvisor_has_it_and_an_unknown_one_is_absent() -> None:
    def limits(memory: Memory) -> list[float]:
        reading = Reading(None, memory, None, None, {}, None)
        seen = Seen(reading, container(trees.hybrid()))
        points = Shaper().columns(seen, Facts(Devices({}, frozenset())), Stamp(NOW, None))
        return [point.value for point in points if point.name == "container_spec_memory_limit_bytes"]

    assert limits(Memory(limit_known=True)) == [0]
    assert limits(Memory(limit_known=True, limit_bytes=5)) == [5]
    assert limits(Memory()) == []


def test_totals_of_io_leave_out_devices_that_are_made_of_others() -> None:
    io = (DeviceIo("8:0", 10, 1, 2, 3), DeviceIo("253:0", 10, 1, 2, 3), DeviceIo("8:16", 5, None, 1, 1))
    seen = Seen(Reading(None, None, None, io, {}, None), container(trees.hybrid()))
    facts = Facts(Devices({"8:0": "/dev/sda"}, frozenset({"253:0"})))
    points = list(Shaper().columns(seen, facts, Stamp(NOW, STARTED)))
    totals = {point.name: point.value for point in points if point.name.startswith("midwatch_container_io_")}
    assert list(totals.values()) == [15, 1, 3, 4]
    named = [dict(point.labels)["device"] for point in points if point.name == "container_fs_reads_bytes_total"]
    assert named == ["/dev/sda", "253:0", "8:16"]


def test_a_container_can_have_no_more_than_the_node_and_what_is_above_it(host: Tree) -> None:
    (host.root / "sys/fs/cgroup/memory/docker/memory.limit_in_bytes").write_text("1048576\n")
    found = values(rounds(host, container(host))[1])
    assert found["midwatch_container_memory_limit_bytes"].value == 1 << 20
    assert found["container_spec_memory_limit_bytes"].value == 64 << 20
    assert found["midwatch_container_cpu_limit_cores"].value == 0.5


def test_a_container_that_says_the_same_again_has_the_same_shape_and_this_moments_time(host: Tree) -> None:
    collector = Collector(host.root, allowance=Allowance(200))
    first, again = (collector.collect([target(container(host))], at)[1].points for at in (NOW, NOW + 1000))
    collector.close()
    assert isinstance(first, Columns)
    assert isinstance(again, Columns)
    assert again.shape is first.shape
    assert {point.at_ms for point in again} == {NOW + 1000}
    assert again.values[:-1] == first.values[:-1]


def test_what_cannot_be_measured_is_told_with_why_and_what_would_change_it(tmp_path: Path) -> None:
    collector = Collector(trees.v1(tmp_path).root)
    (platform,) = collector.collect([], NOW)
    collector.close()
    told = [dict(point.labels) for point in platform.points if point.name == "midwatch_capability_missing_info"]
    assert told == [{"name": "psi", "reason": REASONS["psi"], "remedy": REMEDIES["psi"]}]


def test_every_remedy_has_its_reason() -> None:
    assert set(REASONS) == set(REMEDIES)


@pytest.fixture
def live() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.mark.engine
def test_a_real_container_that_burns_cpu_shows_it(engine: EngineUnderTest, tiny_image: str, live: Collector) -> None:
    command = ["sh", "-c", "while :; do :; done"]
    made = engine.client.containers.run(tiny_image, command, detach=True, labels=engine.labels, mem_limit="64m")
    made.reload()
    known = replace(container(trees.hybrid()), id=made.id, pid=made.attrs["State"]["Pid"])

    def cpu_seconds() -> float:
        (_, own) = live.collect([target(known)], time.time_ns() // 10**6)
        return values(own)["container_cpu_usage_seconds_total"].value

    first = cpu_seconds()
    until(lambda: cpu_seconds() > first + 0.2)
    made.remove(force=True)
    assert len(live.collect([target(known)], NOW)) == 1

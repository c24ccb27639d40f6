from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from runtime.cgroup import CgroupPaths, OpenFiles, scope_of
from runtime.kept import Allowance
from runtime.namespaces import Networks, network_of, network_of_host
from runtime.openfiles import MOST_PROCESSES, open_files, soft_limit
from runtime.reader import IDLE_SECONDS, SELDOM_SECONDS, ContainerReader, open_container
from tests.runtime import trees
from tests.runtime.trees import Tree

A, B = "a" * 64, "b" * 64


@pytest.fixture(params=["hybrid", "v2"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    tree: Tree = getattr(trees, request.param)()
    return tree.copy(tmp_path / "host")


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(host: Tree, clock: Clock | None = None, networks: Networks | None = None) -> ContainerReader:
    reader = open_container(
        host.root,
        host.layout,
        Allowance(100),
        container_id=host.container_id,
        pid=host.pid,
        network_mode="bridge",
        networks=networks,
        clock=clock or Clock(),
    )
    assert reader is not None
    return reader


def cgroup_file(host: Tree) -> Path:
    return host.root / "proc" / str(host.pid) / "cgroup"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (f"/docker/{A}", f"/docker/{A}"),
        (f"/docker/{A}/init.scope", f"/docker/{A}"),
        (f"/docker/{A}/docker/{B}", f"/docker/{A}"),
        (f"/machine.slice/libpod-{A}.scope/container", f"/machine.slice/libpod-{A}.scope"),
        (f"/kubepods.slice/pod1.slice/crio-{A}.scope/inner", f"/kubepods.slice/pod1.slice/crio-{A}.scope"),
        (f"/machine.slice/libpod-conmon-{A}.scope", None),
        (f"/system.slice/x-{A}-merged.mount", None),
        ("/system.slice/docker.service", None),
        ("/", None),
    ],
)
def test_a_containers_own_folder_is_the_one_that_names_it(path: str, wanted: str | None) -> None:
    assert scope_of(path, A) == wanted
    assert scope_of(f"/docker/{A}/docker/{B}/x", B) == f"/docker/{A}/docker/{B}"


def test_a_process_further_down_does_not_hide_what_the_container_has(host: Tree) -> None:
    """systemd or an engine inside of it, and Podman, put its processes into children."""
    with opened(host) as reader:
        wanted = reader.read()
    text = cgroup_file(host).read_text().replace(host.container_id, f"{host.container_id}/init.scope")
    cgroup_file(host).write_text(text)
    with opened(host) as reader:
        assert reader.read() == wanted
        assert reader.paths.id == f"/docker/{host.container_id}"


def test_a_hierarchy_in_which_the_container_is_not_apart_tells_nothing_of_it(tmp_path: Path) -> None:
    """Else the pressure of the engine's own service would be told of each container."""
    host = trees.hybrid().copy(tmp_path / "host")
    lines = cgroup_file(host).read_text().splitlines()
    elsewhere = ["0::/" if line.startswith("0::") else line for line in lines]
    cgroup_file(host).write_text("\n".join(elsewhere) + "\n")
    with opened(host) as reader:
        reading = reader.read()
    assert reading is not None
    assert reading.pressure == {}
    assert reading.memory is not None


def use_memory(host: Tree) -> None:
    name = "memory.current" if host.layout.kind == "v2" else "memory.usage_in_bytes"
    (host.folder("memory") / name).write_text("4096\n")


def use_cpu(host: Tree) -> None:
    if host.layout.kind == "v2":
        stat = host.folder("cpu") / "cpu.stat"
        stat.write_text(stat.read_text().replace("usage_usec ", "usage_usec 9"))
    else:
        usage = host.folder("cpuacct") / "cpuacct.usage"
        usage.write_text(f"{int(usage.read_text()) + 1}\n")


def test_a_container_that_used_cpu_is_read_whole(host: Tree) -> None:
    with opened(host) as reader:
        first = reader.read()
        use_memory(host)
        use_cpu(host)
        second = reader.read()
    assert first is not None and second is not None
    assert second.cpu != first.cpu
    assert second.memory is not None and second.memory.usage_bytes == 4096


def test_an_idle_container_is_read_whole_again_after_its_time_at_most(host: Tree) -> None:
    clock = Clock()
    with opened(host, clock) as reader:
        first = reader.read()
        use_memory(host)
        assert reader.read() is first
        clock.now += IDLE_SECONDS
        later = reader.read()
    assert later is not None and later.memory is not None
    assert later.memory.usage_bytes == 4096


def test_what_did_not_change_is_the_very_object_of_before(host: Tree) -> None:
    clock = Clock()
    with opened(host, clock) as reader:
        first = reader.read()
        use_memory(host)
        clock.now += IDLE_SECONDS
        second = reader.read()
    assert first is not None
    assert second is not None
    assert second.cpu is first.cpu
    assert second.network is first.network
    assert second.memory is not first.memory
    assert second.memory is not None
    assert second.memory.usage_bytes == 4096


def test_a_changed_limit_shows_at_the_next_seldom_look(host: Tree) -> None:
    clock = Clock()
    limit = host.folder("memory") / ("memory.max" if host.layout.kind == "v2" else "memory.limit_in_bytes")
    with opened(host, clock) as reader:
        reader.read()
        limit.write_text("8192\n")
        before = reader.read()
        clock.now += SELDOM_SECONDS
        after = reader.read()
    assert before is not None and before.memory is not None
    assert before.memory.limit_bytes != 8192
    assert after is not None and after.memory is not None and after.limits is not None
    assert (after.memory.limit_bytes, after.limits.memory_bytes) == (8192, 8192)


def test_limits_read_earlier_do_not_make_a_container_alive_that_is_gone(host: Tree) -> None:
    reader = opened(host)
    assert reader.read() is not None
    reader.close()
    assert reader.read() is None


def test_a_fault_is_told_in_each_round_until_it_is_mended(host: Tree) -> None:
    procs = host.folder("pids") / "pids.current"
    with opened(host) as reader:
        procs.write_text("x\n")
        assert [len(reading.faults) for _ in range(2) if (reading := reader.read())] == [1, 1]
        procs.write_text("3\n")
        mended = reader.read()
    assert mended is not None
    assert mended.faults == ()


def test_a_network_namespace_is_counted_by_the_first_that_asks_until_it_ends() -> None:
    networks = Networks(host=1)
    assert not networks.claim("a", 1)
    assert networks.claim("a", 7)
    assert networks.claim("a", 7)
    assert not networks.claim("b", 7)
    assert networks.claim("c", None)
    networks.give_back("a")
    assert networks.claim("b", 7)


def test_a_container_in_a_namespace_that_another_counts_has_no_network(host: Tree) -> None:
    namespace = host.root / "proc" / str(host.pid) / "ns"
    namespace.mkdir()
    (namespace / "net").write_text("")
    networks = Networks(host=None)
    networks.claim("other", (namespace / "net").stat().st_ino)
    with opened(host, networks=networks) as reader:
        reading = reader.read()
    assert reading is not None
    assert reading.network is None


def test_our_own_namespace_is_the_hosts() -> None:
    process = os.open(f"/proc/{os.getpid()}", os.O_RDONLY)
    try:
        assert network_of(process) == network_of_host(Path("/proc"))
    finally:
        os.close(process)
    assert network_of_host(Path("/nowhere")) is None


def processes(root: Path, counts: dict[int, int], listed: list[int]) -> CgroupPaths:
    (root / "cgroup").mkdir()
    (root / "cgroup/cgroup.procs").write_text("".join(f"{pid}\n" for pid in listed))
    for pid, count in counts.items():
        (root / f"proc/{pid}/fd").mkdir(parents=True)
        for n in range(count):
            (root / f"proc/{pid}/fd/{n}").touch()
    return CgroupPaths("/c", {}, root / "cgroup")


def test_a_process_that_ended_meanwhile_has_no_descriptors_and_none_left_is_absent(tmp_path: Path) -> None:
    paths = processes(tmp_path, {}, [999_999])
    assert open_files(paths, tmp_path / "proc", 1) == OpenFiles(None, None)


def test_more_processes_than_the_bound_have_no_count(tmp_path: Path) -> None:
    paths = processes(tmp_path, {1: 3}, [1] * (MOST_PROCESSES + 1))
    assert open_files(paths, tmp_path / "proc", 1).descriptors is None


def test_our_own_descriptors_are_counted_as_the_kernel_lists_them(tmp_path: Path) -> None:
    paths = processes(tmp_path, {}, [os.getpid()])
    counted = open_files(paths, Path("/proc"), os.getpid())
    assert counted.descriptors is not None
    assert abs(counted.descriptors - len(list(Path("/proc/self/fd").iterdir()))) <= 3
    assert counted.soft_limit == soft_limit(Path("/proc/self/limits"))
    assert (counted.soft_limit or 0) > 100


def test_a_limit_that_is_unlimited_or_unreadable_is_absent(tmp_path: Path) -> None:
    file = tmp_path / "limits"
    assert soft_limit(file) is None
    file.write_text("Limit  Soft Limit  Hard Limit  Units\nMax open files  unlimited  unlimited  files\n")
    assert soft_limit(file) is None
    shutil.rmtree(tmp_path)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker.models.containers import Container

from runtime.cgroup import detect
from runtime.kept import Allowance, KeptFile
from runtime.procfs import mountinfo
from runtime.reader import ContainerReader, open_container
from tests.runtime import trees
from tests.runtime.trees import Tree
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until


def opened(host: Tree, *, allowance: Allowance | None = None, network_mode: str = "bridge") -> ContainerReader:
    reader = open_container(
        host.root,
        host.layout,
        allowance or Allowance(100),
        container_id=host.container_id,
        pid=host.pid,
        network_mode=network_mode,
    )
    assert reader is not None
    return reader


def test_a_hybrid_host_gives_controllers_of_v1_and_pressure_of_the_unified_hierarchy() -> None:
    with opened(trees.hybrid()) as reader:
        reading = reader.read()
    assert reading is not None
    assert reading.faults == ()
    assert reading.cpu is not None
    assert reading.cpu.shares == 1024
    assert reading.pids is not None
    assert reading.pids.processes == 3
    assert set(reading.pressure) == {"cpu", "memory", "io"}
    assert [interface.name for interface in reading.network or ()] == ["eth0"]


def test_a_v1_host_gives_the_same_but_pressure(tmp_path: Path) -> None:
    with opened(trees.v1(tmp_path)) as reader, opened(trees.hybrid()) as hybrid:
        reading, wanted = reader.read(), hybrid.read()
    assert wanted is not None
    assert reading == wanted._replace(pressure={})


def test_a_v2_host_gives_all_parts() -> None:
    with opened(trees.v2()) as reader:
        reading = reader.read()
    assert reading is not None
    assert None not in (reading.cpu, reading.memory, reading.pids, reading.io, reading.network)
    assert set(reading.pressure) == {"cpu", "memory", "io"}


@pytest.mark.parametrize("mode", ["host", "container:" + "a" * 64])
def test_a_container_in_a_network_of_others_has_none_of_its_own(mode: str) -> None:
    with opened(trees.hybrid(), network_mode=mode) as reader:
        reading = reader.read()
    assert reading is not None
    assert reading.network is None


def test_a_pid_that_is_anothers_by_now_is_not_read() -> None:
    host = trees.hybrid()
    arguments = {"pid": host.pid, "network_mode": "bridge"}
    assert open_container(host.root, host.layout, Allowance(100), container_id="f" * 64, **arguments) is None
    arguments["pid"] = 999_999
    assert open_container(host.root, host.layout, Allowance(100), container_id=host.container_id, **arguments) is None


def test_a_file_that_is_missing_or_garbled_costs_its_own_values_only(tmp_path: Path) -> None:
    host = trees.hybrid().copy(tmp_path / "host")
    (host.folder("memory") / "memory.stat").write_text("cache x\n")
    (host.folder("unified") / "cpu.pressure").unlink()
    shutil.rmtree(host.folder("blkio"))
    with opened(host) as reader:
        reading = reader.read()
    assert reading is not None
    assert reading.memory is not None
    assert (reading.memory.usage_bytes, reading.memory.rss_bytes) == (937984, None)
    assert set(reading.pressure) == {"memory", "io"}
    assert reading.io is None
    assert len(reading.faults) == 1
    assert "memory.stat:1" in str(reading.faults[0])


def test_values_change_between_rounds_though_files_stay_open(tmp_path: Path) -> None:
    host = trees.v2().copy(tmp_path / "host")
    with opened(host) as reader:
        (host.folder("") / "pids.current").write_text("7\n")
        reading = reader.read()
    assert reading is not None
    assert reading.pids is not None
    assert reading.pids.threads == 7


def test_beyond_the_allowance_numbers_are_the_same_and_the_refusals_are_counted() -> None:
    allowance = Allowance(4)
    with opened(trees.hybrid(), allowance=allowance) as reader, opened(trees.hybrid()) as wanted:
        assert allowance.used == 4
        assert allowance.refused > 0
        assert reader.read() == wanted.read()
    assert allowance.used == 0


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_closing_gives_every_file_back() -> None:
    before = open_files()
    allowance = Allowance(100)
    reader = opened(trees.hybrid(), allowance=allowance)
    assert open_files() == before + allowance.used
    reader.close()
    assert open_files() == before
    assert reader.read() is None


def test_a_text_longer_than_one_read_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "cgroup.procs"
    file.write_text("".join(f"{pid}\n" for pid in range(30_000)))
    kept = KeptFile(file, Allowance(1))
    assert kept.read() == file.read_bytes()
    kept.close()


@contextmanager
def running(engine: EngineUnderTest, image: str, **options: object) -> Iterator[Container]:
    container = engine.client.containers.run(
        image, ["sh", "-c", "while :; do :; done"], detach=True, labels=engine.labels, **options
    )
    try:
        container.reload()
        yield container
    finally:
        container.remove(force=True)


def read_by_pid(container: Container, pid: int) -> ContainerReader | None:
    layout = detect(mountinfo(Path("/proc/1/mountinfo").read_bytes()))
    mode = container.attrs["HostConfig"]["NetworkMode"]
    return open_container(Path("/"), layout, Allowance(100), container_id=container.id, pid=pid, network_mode=mode)


@pytest.mark.engine
def test_a_real_container_is_read_until_it_ends(engine: EngineUnderTest, tiny_image: str) -> None:
    options = {"mem_limit": "64m", "nano_cpus": 200_000_000, "pids_limit": 50}
    with running(engine, tiny_image, **options) as container:
        pid = container.attrs["State"]["Pid"]
        reader = read_by_pid(container, pid)
        assert reader is not None
        until(lambda: (reading := reader.read()) and reading.cpu and (reading.cpu.throttled_periods or 0) > 0)
        reading = reader.read()
        assert reading is not None
        assert reading.cpu is not None
        assert reading.cpu.quota_us == 20_000
        assert reading.memory is not None
        assert reading.memory.limit_bytes == 64 << 20
        assert reading.pids is not None
        assert (reading.pids.processes, reading.pids.threads_max) == (1, 50)
        assert reading.faults == ()
        container.kill()
        until(lambda: reader.read() is None)
        reader.close()
        assert read_by_pid(container, pid) is None


@pytest.mark.engine
def test_a_real_container_started_again_is_another_run(engine: EngineUnderTest, tiny_image: str) -> None:
    with running(engine, tiny_image) as container:
        reader = read_by_pid(container, container.attrs["State"]["Pid"])
        assert reader is not None
        container.restart(timeout=0)
        container.reload()
        assert reader.read() is None
        reader.close()
        again = read_by_pid(container, container.attrs["State"]["Pid"])
        assert again is not None
        assert again.read() is not None
        again.close()

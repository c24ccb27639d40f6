from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.kept import Allowance
from runtime.node import MonotoneCpu, NodeReader, measure, real_mounts
from runtime.node_capability import REMEDIES, capabilities
from runtime.procfs import CPU_MODES, Mount, mountinfo
from tests.runtime import trees

IDLE = CPU_MODES.index("idle")


def mounts(*lines: str) -> tuple[Mount, ...]:
    return mountinfo("".join(line + "\n" for line in lines).encode())


def test_the_captured_host_is_read_whole() -> None:
    reader = NodeReader(trees.hybrid().root, Allowance(20))
    reading = reader.read()
    reader.close()
    assert reading.faults == ()
    assert set(reading.cpu_seconds) == {"0", "1"}
    assert reading.memory is not None
    assert reading.memory["MemTotal_bytes"] == 24683656 * 1024
    assert [disk.name for disk in reading.disks] == ["vda"]
    assert reading.load is not None
    assert reading.files is not None
    assert "oom_kill" in reading.vmstat


def test_a_host_with_little_to_read_gives_what_there_is() -> None:
    reader = NodeReader(trees.v2().root, Allowance(20))
    reading = reader.read()
    reader.close()
    assert (reading.stat, reading.memory, reading.load, reading.files) == (None, None, None, None)
    assert reading.cpu_seconds == {}
    assert reading.vmstat["oom_kill"] >= 0


def test_garbled_files_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    host = trees.hybrid().copy(tmp_path / "host")
    (host.root / "proc/meminfo").write_text("MemTotal\n")
    (host.root / "proc/sys/fs/file-nr").write_text("1 2\n")
    reader = NodeReader(host.root, Allowance(20))
    reading = reader.read()
    reader.close()
    assert reading.memory is None
    assert reading.stat is not None
    assert sorted(str(fault).split(":")[0].rsplit("/", 1)[1] for fault in reading.faults) == ["file-nr", "meminfo"]


def test_the_nodes_ends_of_its_containers_links_are_not_counted_again(tmp_path: Path) -> None:
    host = trees.hybrid().copy(tmp_path / "host")
    dev = host.root / "proc/1/net/dev"
    line = " 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n"
    dev.write_text(f"a\nb\n eth7:{line} veth0a1b2c3:{line}")
    reader = NodeReader(host.root, Allowance(20))
    found = reader.read().interfaces
    reader.close()
    assert [one.name for one in found] == ["eth7"]


def test_idle_time_that_runs_backwards_a_little_stands_still() -> None:
    cpu = MonotoneCpu()
    cpu.advance({"0": (100, 0, 50, 1000, 20, 0, 0, 5, 0, 0)})
    after = cpu.advance({"0": (101, 0, 49, 999, 19, 0, 0, 6, 0, 0)})
    assert after["0"] == pytest.approx(
        {"user": 1.01, "nice": 0, "system": 0.5, "idle": 10, "iowait": 0.2, "irq": 0, "softirq": 0, "steal": 0.06}
        | {"guest": 0, "guest_nice": 0}
    )


def test_a_cpu_that_was_away_and_came_back_begins_anew() -> None:
    cpu = MonotoneCpu()
    cpu.advance({"0": (100, 0, 50, 1000)})
    assert cpu.advance({"0": (1, 0, 2, 300)})["0"]["user"] == 0.01


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=10, max_size=10), min_size=2, max_size=8))
def test_no_mode_falls_but_where_idle_fell_by_three_seconds(rows: list[list[int]]) -> None:
    cpu = MonotoneCpu()
    before = cpu.advance({"0": tuple(rows[0])})["0"]
    for row in rows[1:]:
        after = cpu.advance({"0": tuple(row)})["0"]
        anew = before["idle"] - row[IDLE] / 100 >= 3.0
        assert anew or all(after[mode] >= before[mode] for mode in CPU_MODES)
        before = after


def test_pseudo_file_systems_images_and_binds_are_left_out() -> None:
    found = real_mounts(
        mounts(
            "1 0 254:0 / / rw - ext4 /dev/vda rw",
            "2 1 0:5 / /proc rw - proc proc rw",
            "3 1 0:6 / /run rw - tmpfs tmpfs rw",
            "4 1 0:7 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw",
            "5 1 254:0 /var/data /srv rw - ext4 /dev/vda rw",
            "6 1 254:16 / /data rw - xfs /dev/vdb rw",
            "7 1 7:0 / /snap/x ro - squashfs /dev/loop0 ro",
            "8 1 0:9 / /mnt/nfs rw - nfs4 server:/x rw",
            "9 1 254:16 / /var/lib/docker/volumes/v/_data rw - xfs /dev/vdb rw",
        )
    )
    assert [mount.mountpoint for mount in found] == ["/", "/data"]


def test_a_bind_alone_still_shows_its_device() -> None:
    (mount,) = real_mounts(mounts("5 1 254:0 /var/data /srv rw - ext4 /dev/vda rw"))
    assert mount.mountpoint == "/srv"


def test_subvolumes_of_one_device_are_one_file_system() -> None:
    found = real_mounts(
        mounts("1 0 0:30 /@ / rw - btrfs /dev/sda2 rw", "2 1 0:31 /@home /home rw - btrfs /dev/sda2 rw")
    )
    assert [mount.mountpoint for mount in found] == ["/"]


def test_docker_on_a_disk_of_its_own_is_shown() -> None:
    found = real_mounts(mounts("6 1 254:16 / /var/lib/docker rw - xfs /dev/vdb rw"))
    assert [mount.mountpoint for mount in found] == ["/var/lib/docker"]


def test_a_read_only_file_system_says_so_and_a_missing_one_is_absent(tmp_path: Path) -> None:
    (mount,) = mounts("1 0 254:0 / / ro - ext4 /dev/vda rw")
    measured = measure(mount, tmp_path)
    assert measured is not None
    assert measured.readonly
    assert 0 < measured.avail_bytes <= measured.free_bytes <= measured.size_bytes
    assert measure(mount._replace(mountpoint="/nowhere"), tmp_path) is None


def test_a_mountpoint_that_is_no_unicode_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9").mkdir()
    (mount,) = mountinfo(b"1 0 254:0 / /caf\xe9 rw - ext4 /dev/vda rw\n")
    measured = measure(mount, tmp_path)
    assert measured is not None
    assert measured.mountpoint == "/caf\N{REPLACEMENT CHARACTER}"


def test_capabilities_of_the_captured_hosts(tmp_path: Path) -> None:
    wanted = dict.fromkeys(("cpu", "memory", "pids", "psi"), True)
    hybrid, v2, v1 = trees.hybrid(), trees.v2(), trees.v1(tmp_path)
    assert capabilities(v2.root, v2.layout) == {**wanted, "blkio": True}
    assert capabilities(hybrid.root, hybrid.layout) == {**wanted, "blkio": True}
    assert capabilities(v1.root, v1.layout) == {**wanted, "psi": False, "blkio": True}


def test_a_kernel_that_counts_no_device_in_blkio_says_so(tmp_path: Path) -> None:
    host = trees.v1(tmp_path)
    (host.root / "sys/fs/cgroup/blkio/blkio.throttle.io_service_bytes").write_text("Total 0\n")
    assert capabilities(host.root, host.layout)["blkio"] is False


def test_every_capability_has_a_remedy() -> None:
    host = trees.v2()
    assert set(capabilities(host.root, host.layout)) <= set(REMEDIES)


def test_this_machine_is_read() -> None:
    reader = NodeReader(Path("/"), Allowance(20))
    reading = reader.read()
    reader.close()
    assert reading.faults == ()
    assert reading.cpu_seconds["0"]["idle"] > 0
    assert reading.memory is not None
    assert reading.memory["MemAvailable_bytes"] <= reading.memory["MemTotal_bytes"]

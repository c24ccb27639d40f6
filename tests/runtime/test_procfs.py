from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import procfs
from runtime.errors import ParseFault
from tests.runtime import trees

PROC = trees.FIXTURES / "cgroup_hybrid/proc"
PARSERS: dict[str, Callable[[bytes, str], object]] = {
    "number": procfs.number,
    "flat_keyed": procfs.flat_keyed,
    "mountinfo": procfs.mountinfo,
    "pid_cgroup": procfs.pid_cgroup,
    "net_dev": procfs.net_dev,
    "stat": procfs.stat,
    "meminfo": procfs.meminfo,
    "loadavg": procfs.loadavg,
    "diskstats": procfs.diskstats,
    "inner_pid": procfs.inner_pid,
}
counts = st.integers(min_value=0, max_value=2**64 - 1)
keys = st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True)


def read(name: str) -> bytes:
    return (PROC / name).read_bytes()


def test_the_captured_stat_gives_steal_as_its_eighth_mode() -> None:
    found = procfs.stat(read("stat"))
    line = next(line.split() for line in read("stat").decode().splitlines() if line.startswith("cpu0 "))
    assert set(found.cpus) == {"0", "1"}
    assert found.cpus["0"][procfs.CPU_MODES.index("steal")] == int(line[8])
    assert found.boot_time_seconds is not None
    assert found.procs_running is not None


def test_a_kernel_without_steal_has_no_steal() -> None:
    found = procfs.stat(b"cpu  1 2 3 4\ncpu0 1 2 3 4\n")
    assert found.cpus == {"0": (1, 2, 3, 4)}
    assert found.boot_time_seconds is None


def test_the_loopback_interface_is_left_out() -> None:
    pid = trees.hybrid().pid
    (eth0,) = procfs.net_dev(read(f"{pid}/net/dev"))
    assert (eth0.name, eth0.receive_bytes, eth0.transmit_bytes, eth0.transmit_packets) == ("eth0", 1744, 1276, 13)


def test_an_interface_whose_numbers_touch_its_name_is_read() -> None:
    text = b"Inter-|\n face |\neth0:1234567890 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"
    assert procfs.net_dev(text)[0][:5] == ("eth0", 1234567890, 2, 3, 4)


def test_memory_is_in_bytes_and_counts_stay_counts() -> None:
    found = procfs.meminfo(b"MemTotal:  100 kB\nActive(anon): 2 kB\nHugePages_Total: 3\n")
    assert found == {"MemTotal_bytes": 102400, "Active_anon_bytes": 2048, "HugePages_Total": 3}


def test_disks_are_told_by_number_and_name_in_bytes_and_seconds() -> None:
    vda = next(disk for disk in procfs.diskstats(read("diskstats")) if disk.name == "vda")
    words = next(line.split() for line in read("diskstats").decode().splitlines() if " vda " in line)
    assert vda.device == "254:0"
    assert vda.read_bytes == int(words[5]) * 512
    assert vda.io_seconds == int(words[12]) / 1000


def test_a_disk_of_an_old_kernel_without_discards_is_read() -> None:
    (sda,) = procfs.diskstats(b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n")
    assert (sda.reads_completed, sda.written_bytes, sda.weighted_seconds) == (1, 7 * 512, 0.011)


def test_a_mountpoint_with_a_blank_is_unescaped() -> None:
    (mount,) = procfs.mountinfo(rb"27 1 254:0 / /my\040disk rw shared:1 master:2 - ext4 /dev/vda rw" + b"\n")
    assert (mount.mountpoint, mount.fstype, mount.source) == ("/my disk", "ext4", "/dev/vda")


def test_a_process_has_one_path_per_controller() -> None:
    found = procfs.pid_cgroup(b"4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n0::/docker/b (deleted)\n")
    assert found == {"memory": "/docker/a", "cpu": "/docker/a", "cpuacct": "/docker/a", "": "/docker/b"}


@pytest.mark.parametrize(
    ("status", "inner"),
    [
        (b"Name:\tdd\nNSpid:\t14529\t1\n", 1),
        (b"NSpid:\t14529\n", None),
        (b"Name:\tdd\n", None),
        (b"NSpid:\t9\t8\t7\n", 7),
    ],
)
def test_a_process_knows_its_pid_in_its_own_namespace(status: bytes, inner: int | None) -> None:
    assert procfs.inner_pid(status) == inner


@pytest.mark.parametrize(
    ("parser", "text", "line"),
    [
        ("number", b"12a\n", 1),
        ("number", b"", 1),
        ("number", b"-1\n", 1),
        ("flat_keyed", b"anon 1\nfile\n", 2),
        ("flat_keyed", b"anon 1\nfile 2 3\nslab\n", 2),
        ("flat_keyed", b"anon 1_0\n", 1),
        ("mountinfo", b"27 1 254:0 / / rw - ext4 /dev/vda rw\n27 1 254:0 / / rw ext4\n", 2),
        ("pid_cgroup", b"4:memory:/a\nmemory\n", 2),
        ("net_dev", b"a\nb\n  eth0: 1 2 x\n", 3),
        ("stat", b"cpu  1 2 3 4\ncpu0 1 2\n", 2),
        ("stat", b"cpu  1 2 3 4\nbtime x\n", 2),
        ("meminfo", b"MemTotal: 1 kB\nMemFree 1 kB\n", 2),
        ("loadavg", b"0.1 0.2\n", 1),
        ("diskstats", b" 8 0 sda 1 2 3\n", 1),
        ("inner_pid", b"Name: x\nNSpid:\tx\n", 2),
    ],
)
def test_garbage_is_refused_with_file_and_line(parser: str, text: bytes, line: int) -> None:
    with pytest.raises(ParseFault, match=re.escape(f"/proc/x:{line}: expected ")):
        PARSERS[parser](text, "/proc/x")


@given(st.sampled_from(sorted(PARSERS)), st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_parse_fault(parser: str, text: bytes) -> None:
    try:
        PARSERS[parser](text, "/proc/x")
    except ParseFault as fault:
        assert str(fault).startswith("/proc/x:")


@given(st.dictionaries(keys, counts, max_size=40))
def test_what_is_written_as_flat_keys_is_read_as_it_was(values: dict[str, int]) -> None:
    text = "".join(f"{key} {value}\n" for key, value in values.items()).encode()
    assert procfs.flat_keyed(text, "x") == {key.encode(): value for key, value in values.items()}


@given(st.lists(st.tuples(keys, st.lists(counts, min_size=16, max_size=16)), max_size=6))
def test_what_is_written_as_interfaces_is_read_as_it_was(rows: list[tuple[str, list[int]]]) -> None:
    text = "a\nb\n" + "".join(f"{name:>6}: {' '.join(map(str, values))}\n" for name, values in rows)
    found = procfs.net_dev(text.encode())
    wanted = [(name, *values[:4], *values[8:12]) for name, values in rows if name != "lo"]
    assert [tuple(one) for one in found] == wanted


def test_every_captured_file_of_proc_is_read() -> None:
    for name in ("stat", "meminfo", "loadavg", "diskstats"):
        assert PARSERS[name](read(name), str(Path("/proc") / name))
    assert b"oom_kill" in procfs.flat_keyed(read("vmstat"), "vmstat")

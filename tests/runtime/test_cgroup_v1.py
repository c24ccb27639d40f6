from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import cgroup_v1
from runtime.cgroup import Cpu, DeviceIo, Texts
from runtime.errors import ParseFault
from tests.runtime import trees


def captured(*controllers: str) -> Texts:
    host = trees.hybrid()
    files = [file for name in controllers for file in host.folder(name).iterdir()]
    return Texts({file.name: file.read_bytes() for file in files}, "/cg")


def test_throttled_time_is_nanoseconds_and_user_time_is_ticks() -> None:
    texts = captured("cpu", "cpuacct")
    cpu = cgroup_v1.cpu(texts)
    assert texts.faults == []
    assert cpu == Cpu(2.233230778, 1.97, 0.25, 46, 44, 1.544798124, 50000, 100000, 1024, 0, 0.0)


def test_no_quota_is_absent() -> None:
    assert cgroup_v1.quota(b"-1\n", "x") is None
    assert cgroup_v1.quota(b"50000\n", "x") == 50000
    with pytest.raises(ParseFault):
        cgroup_v1.quota(b"-2\n", "x")


def test_without_the_cpu_controller_throttling_is_absent_and_usage_is_not() -> None:
    cpu = cgroup_v1.cpu(Texts({"cpuacct.usage": b"1500000000\n"}, "/cg"))
    assert (cpu.usage_seconds, cpu.periods, cpu.throttled_seconds, cpu.quota_us) == (1.5, None, None, None)


def test_memory_of_the_captured_container() -> None:
    texts = captured("memory")
    memory = cgroup_v1.memory(texts)
    assert texts.faults == []
    assert memory.limit_bytes == 64 << 20
    assert memory.usage_bytes == 937984
    assert (memory.rss_bytes, memory.cache_bytes, memory.swap_bytes) == (163840, 53248, 0)
    assert (memory.failcnt, memory.oom_kills, memory.peak_bytes) == (0, 0, 4083712)


def test_the_working_set_keeps_shared_memory() -> None:
    texts = {
        "memory.usage_in_bytes": b"1000\n",
        "memory.stat": b"total_cache 900\ntotal_shmem 800\ntotal_inactive_file 50\ntotal_rss 90\n",
    }
    assert cgroup_v1.memory(Texts(texts, "/cg")).working_set_bytes == 950


@pytest.mark.parametrize("text", [b"9223372036854771712\n", b"9223372036854710272\n", b"18446744073709551615\n"])
def test_the_ceiling_of_every_page_size_is_no_limit(text: bytes) -> None:
    memory = cgroup_v1.memory(Texts({"memory.limit_in_bytes": text}, "/cg"))
    assert (memory.limit_known, memory.limit_bytes) == (True, None)


def test_an_unreadable_limit_is_not_the_same_as_none() -> None:
    assert cgroup_v1.memory(Texts({"memory.usage_in_bytes": b"1\n"}, "/cg")).limit_known is False


def test_a_kernel_that_counts_no_kills_gives_none() -> None:
    assert cgroup_v1.oom_kills(b"oom_kill_disable 0\nunder_oom 0\n", "x") is None
    assert cgroup_v1.oom_kills(b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "x") == 3


def test_one_garbled_file_costs_its_own_values_only() -> None:
    texts = Texts({"memory.usage_in_bytes": b"7\n", "memory.stat": b"total_rss\n", "memory.failcnt": b"2\n"}, "/cg")
    memory = cgroup_v1.memory(texts)
    assert (memory.usage_bytes, memory.rss_bytes, memory.failcnt) == (7, None, 2)
    assert [str(fault) for fault in texts.faults] == ["/cg/memory.stat:1: expected `key number`, found 'total_rss'"]


def test_io_is_by_device_without_the_total() -> None:
    assert cgroup_v1.io(captured("blkio")) == (DeviceIo("254:0", 144216064, 144179200, 2208, 2200),)


def test_a_kernel_that_counts_no_device_gives_none_of_them() -> None:
    assert cgroup_v1.io(Texts({cgroup_v1.IO_BYTES: b"Total 0\n", cgroup_v1.IO_COUNTS: b"Total 0\n"}, "/cg")) == ()
    assert cgroup_v1.io(Texts({}, "/cg")) is None


def test_operations_that_are_missing_are_absent() -> None:
    io = cgroup_v1.io(Texts({cgroup_v1.IO_BYTES: b"8:0 Read 5\nTotal 5\n"}, "/cg"))
    assert io == (DeviceIo("8:0", 5, None, None, None),)


@given(st.binary(max_size=100))
def test_any_bytes_as_io_give_a_value_or_a_parse_fault(text: bytes) -> None:
    try:
        cgroup_v1.io_lines(text, "io")
    except ParseFault as fault:
        assert str(fault).startswith("io:")


@given(st.integers(0, 2**63))
def test_nanoseconds_become_seconds(nanoseconds: int) -> None:
    cpu = cgroup_v1.cpu(Texts({"cpuacct.usage": f"{nanoseconds}\n".encode()}, "/cg"))
    assert cpu.usage_seconds == nanoseconds / 1e9

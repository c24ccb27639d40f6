from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import cgroup_v2
from runtime.cgroup import Cpu, DeviceIo, Pids, Pressure, Texts, pids
from runtime.errors import ParseFault
from tests.runtime import trees


def captured() -> Texts:
    folder = trees.v2().folder("")
    return Texts({file.name: file.read_bytes() for file in folder.iterdir()}, "/cg")


def test_cpu_of_the_captured_container_is_microseconds() -> None:
    texts = captured()
    assert cgroup_v2.cpu(texts) == Cpu(5.19636, 2.449961, 2.746398, 104, 100, 7.402042, 50000, 100000, None, 0, 0.0)
    assert texts.faults == []


def test_without_the_cpu_controller_throttling_is_absent() -> None:
    cpu = cgroup_v2.cpu(Texts({"cpu.stat": b"usage_usec 5\nuser_usec 3\nsystem_usec 2\n"}, "/cg"))
    assert (cpu.usage_seconds, cpu.periods, cpu.throttled_seconds, cpu.quota_us) == (5e-6, None, None, None)


@pytest.mark.parametrize(("text", "wanted"), [(b"max 100000\n", (None, 100000)), (b"50000 100000\n", (50000, 100000))])
def test_the_quota_is_read_or_absent(text: bytes, wanted: tuple[int | None, int]) -> None:
    assert cgroup_v2.cpu_max(text, "x") == wanted


@pytest.mark.parametrize("text", [b"", b"max\n", b"-1 100000\n", b"max 100000 3\n"])
def test_a_quota_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ParseFault, match=r"cpu\.max:1"):
        cgroup_v2.cpu_max(text, "cpu.max")


def test_memory_of_the_captured_container() -> None:
    texts = captured()
    memory = cgroup_v2.memory(texts)
    assert texts.faults == []
    assert (memory.usage_bytes, memory.working_set_bytes) == (880640, 880640 - 20480)
    assert (memory.rss_bytes, memory.cache_bytes, memory.swap_bytes) == (159744, 24576, 0)
    assert (memory.limit_bytes, memory.limit_known, memory.peak_bytes) == (64 << 20, True, 4755456)
    assert (memory.failcnt, memory.oom_kills) == (0, 0)


def test_the_working_set_counts_reclaimable_slab_as_cadvisor_does() -> None:
    stat = b"anon 663552\nfile 10313728\ninactive_file 5066752\nactive_file 5246976\nslab_reclaimable 1232589368\n"
    memory = cgroup_v2.memory(Texts({"memory.current": b"1243566648\n", "memory.stat": stat}, "/cg"))
    assert memory.working_set_bytes == 1243566648 - 5066752
    assert memory.rss_bytes == 663552


def test_an_old_kernel_without_peak_and_swap_has_neither() -> None:
    memory = cgroup_v2.memory(Texts({"memory.current": b"5\n", "memory.max": b"max\n"}, "/cg"))
    assert (memory.peak_bytes, memory.swap_bytes, memory.limit_bytes, memory.limit_known) == (None, None, None, True)


def test_kills_are_counted_where_the_limit_was_the_parents() -> None:
    events = b"low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\n"
    assert cgroup_v2.oom_kills(events, "x") == 1


def test_pids_are_threads_and_processes() -> None:
    assert pids(captured()) == Pids(2, 100, 2)


def test_io_of_the_captured_container() -> None:
    assert cgroup_v2.io(captured()) == (DeviceIo("254:0", 4096, 9621504, 1, 1047),)


def test_a_device_alone_on_its_line_and_values_of_io_cost_are_passed_over() -> None:
    text = b"8:0\n254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0 cost.usage=x\n"
    assert cgroup_v2.io_stat(text, "x") == (DeviceIo("254:0", 1, 2, 3, 4),)


def test_pressure_is_seconds() -> None:
    texts = captured()
    assert texts.parse("cpu.pressure", cgroup_v2.pressure) == Pressure(3.995203, 3.809468)


def test_pressure_without_a_full_line_has_no_full() -> None:
    assert cgroup_v2.pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n", "x") == Pressure(1.5, None)


@pytest.mark.parametrize("text", [b"", b"full avg10=0.00 total=1\n", b"some avg10=0.00\n", b"other total=1\n"])
def test_pressure_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ParseFault, match=r"cpu\.pressure:1"):
        cgroup_v2.pressure(text, "cpu.pressure")


@given(st.sampled_from([cgroup_v2.pressure, cgroup_v2.io_stat, cgroup_v2.cpu_max]), st.binary(max_size=100))
def test_any_bytes_give_a_value_or_a_parse_fault(parser: object, text: bytes) -> None:
    try:
        parser(text, "file")  # type: ignore[operator]
    except ParseFault as fault:
        assert str(fault).startswith("file:")

"""cgroup v1: the text of each controller's files to values, by kernel Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import os

from runtime.cgroup import Cpu, DeviceIo, Memory, Texts, working_set
from runtime.procfs import fault, flat_keyed, number

CPU_FILES = (
    ("cpuacct", "cpuacct.usage"),
    ("cpuacct", "cpuacct.stat"),
    ("cpu", "cpu.stat"),
    ("cpu", "cpu.cfs_quota_us"),
    ("cpu", "cpu.cfs_period_us"),
    ("cpu", "cpu.shares"),
)
MEMORY_FILES = (
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.stat"),
    ("memory", "memory.max_usage_in_bytes"),
    ("memory", "memory.limit_in_bytes"),
    ("memory", "memory.failcnt"),
    ("memory", "memory.oom_control"),
    ("memory", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.soft_limit_in_bytes"),
    ("memory", "memory.kmem.usage_in_bytes"),
)
PIDS_FILES = (("pids", "pids.current"), ("pids", "pids.max"), ("pids", "cgroup.procs"))
SETTINGS = frozenset(
    (
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "cpu.shares",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "memory.kmem.usage_in_bytes",
        "pids.max",
    )
)
"""What changes seldom or slowly, so that it is not read in each round."""
IO_BYTES = "blkio.throttle.io_service_bytes_recursive"
IO_COUNTS = "blkio.throttle.io_serviced_recursive"
IO_FILES = (("blkio", IO_BYTES), ("blkio", IO_COUNTS))

NO_LIMIT_BYTES = 1 << 62
"""The ceiling of v1 is the largest multiple of the page size, so it differs by architecture; no memory is so large."""

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def quota(text: bytes, where: str) -> int | None:
    """Microseconds of cpu.cfs_quota_us, None for -1."""
    return None if text.strip() == b"-1" else number(text, where)


def oom_kills(text: bytes, where: str) -> int | None:
    """Kills by memory.oom_control (kernel 4.13 and later), of this cgroup alone."""
    return flat_keyed(text, where).get(b"oom_kill")


def cpu(texts: Texts) -> Cpu:
    """CPU of the controllers cpu and cpuacct; cpuacct.usage and throttled_time are ns, cpuacct.stat ticks."""
    usage = texts.parse("cpuacct.usage", number)
    split = texts.parse("cpuacct.stat", flat_keyed) or {}
    throttling = texts.parse("cpu.stat", flat_keyed) or {}
    throttled, burst = throttling.get(b"throttled_time"), throttling.get(b"burst_time")
    return Cpu(
        usage_seconds=None if usage is None else usage / 1e9,
        user_seconds=_ticks(split.get(b"user")),
        system_seconds=_ticks(split.get(b"system")),
        periods=throttling.get(b"nr_periods"),
        throttled_periods=throttling.get(b"nr_throttled"),
        throttled_seconds=None if throttled is None else throttled / 1e9,
        quota_us=texts.parse("cpu.cfs_quota_us", quota),
        period_us=texts.parse("cpu.cfs_period_us", number),
        shares=texts.parse("cpu.shares", number),
        burst_periods=throttling.get(b"nr_bursts"),
        burst_seconds=None if burst is None else burst / 1e9,
    )


def _ticks(value: int | None) -> float | None:
    return None if value is None else value * _TICK_SECONDS


def memory(texts: Texts) -> Memory:
    """Memory; the working set is usage less `total_inactive_file`, at least 0, as cAdvisor has it."""
    usage = texts.parse("memory.usage_in_bytes", number)
    stat = texts.parse("memory.stat", flat_keyed) or {}
    ceiling_bytes = texts.parse("memory.limit_in_bytes", number)
    return Memory(
        usage_bytes=usage,
        working_set_bytes=working_set(usage, stat.get(b"total_inactive_file")),
        rss_bytes=stat.get(b"total_rss"),
        cache_bytes=stat.get(b"total_cache"),
        mapped_file_bytes=stat.get(b"total_mapped_file"),
        swap_bytes=stat.get(b"total_swap"),
        peak_bytes=texts.parse("memory.max_usage_in_bytes", number),
        limit_bytes=None if ceiling_bytes is None or ceiling_bytes >= NO_LIMIT_BYTES else ceiling_bytes,
        limit_known=ceiling_bytes is not None,
        failcnt=texts.parse("memory.failcnt", number),
        oom_kills=texts.parse("memory.oom_control", oom_kills),
        page_faults=stat.get(b"total_pgfault"),
        major_faults=stat.get(b"total_pgmajfault"),
        own_page_faults=stat.get(b"pgfault"),
        own_major_faults=stat.get(b"pgmajfault"),
        active_file_bytes=stat.get(b"total_active_file"),
        inactive_file_bytes=stat.get(b"total_inactive_file"),
        dirty_bytes=stat.get(b"total_dirty"),
        writeback_bytes=stat.get(b"total_writeback"),
        kernel_bytes=texts.parse("memory.kmem.usage_in_bytes", number),
        swap_limit_bytes=texts.parse("memory.memsw.limit_in_bytes", limit_or_zero),
        reservation_bytes=texts.parse("memory.soft_limit_in_bytes", limit_or_zero),
        file_refaults=stat.get(b"total_workingset_refault_file"),
        anon_refaults=stat.get(b"total_workingset_refault_anon"),
    )


def limit_or_zero(text: bytes, where: str) -> int:
    """Bytes of a limit, 0 for the ceiling that means none."""
    limit = number(text, where)
    return 0 if limit >= NO_LIMIT_BYTES else limit


def io(texts: Texts) -> tuple[DeviceIo, ...] | None:
    """Bytes and operations per device of blkio.throttle; None where the files are missing.

    Kernels from 6.10 count a device here only once a throttle limit was set on it: then there are no lines.
    """
    moved = texts.parse(IO_BYTES, io_lines)
    counted = texts.parse(IO_COUNTS, io_lines)
    if moved is None and counted is None:
        return None
    moved, counted = moved or {}, counted or {}
    return tuple(
        _device(device, moved.get(device, {}), counted.get(device, {})) for device in sorted({*moved, *counted})
    )


def _device(device: str, moved: dict[bytes, int], counted: dict[bytes, int]) -> DeviceIo:
    return DeviceIo(device, moved.get(b"Read"), moved.get(b"Write"), counted.get(b"Read"), counted.get(b"Write"))


def io_lines(text: bytes, where: str) -> dict[str, dict[bytes, int]]:
    """`major:minor Operation number` lines by device; the trailing `Total` over all devices is left out."""
    found: dict[str, dict[bytes, int]] = {}
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if len(words) == 2 and words[0] == b"Total" and words[1].isdigit():
            continue
        if len(words) != 3 or not words[2].isdigit():
            raise fault(where, row, "`major:minor Operation number`", line)
        found.setdefault(words[0].decode(errors="replace"), {})[words[1]] = int(words[2])
    return found

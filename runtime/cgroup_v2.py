"""cgroup v2: the text of each controller's files to values, by kernel Documentation/admin-guide/cgroup-v2."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.cgroup import Cpu, DeviceIo, Memory, Pressure, Texts, ceiling, working_set
from runtime.procfs import fault, flat_keyed, number

CPU_FILES = ("cpu.stat", "cpu.max")
MEMORY_FILES = (
    "memory.current",
    "memory.stat",
    "memory.swap.current",
    "memory.peak",
    "memory.max",
    "memory.events",
    "memory.swap.max",
    "memory.low",
)
SETTINGS = frozenset(("cpu.max", "memory.max", "memory.swap.max", "memory.low", "pids.max"))
"""What changes seldom, so that it is not read in each round."""
PIDS_FILES = ("pids.current", "pids.max", "cgroup.procs")
IO_FILES = ("io.stat",)
PRESSURE_FILES = ("cpu.pressure", "memory.pressure", "io.pressure")


def cpu_max(text: bytes, where: str) -> tuple[int | None, int]:
    """Quota and period in µs of cpu.max; the quota is None for `max`."""
    words = text.split()
    if len(words) != 2 or not words[1].isdigit() or not (words[0] == b"max" or words[0].isdigit()):
        raise fault(where, 1, "`max|number number`", text)
    return (None if words[0] == b"max" else int(words[0])), int(words[1])


def cpu(texts: Texts) -> Cpu:
    """CPU by cpu.stat, whose times are µs; throttling is absent where the controller is off.

    Shares can't be told from the weight: runc has two formulas, both lossy. The engine's inspect has them.
    """
    stat = texts.parse("cpu.stat", flat_keyed) or {}
    quota, period = texts.parse("cpu.max", cpu_max) or (None, None)
    return Cpu(
        usage_seconds=_micro(stat.get(b"usage_usec")),
        user_seconds=_micro(stat.get(b"user_usec")),
        system_seconds=_micro(stat.get(b"system_usec")),
        periods=stat.get(b"nr_periods"),
        throttled_periods=stat.get(b"nr_throttled"),
        throttled_seconds=_micro(stat.get(b"throttled_usec")),
        quota_us=quota,
        period_us=period,
        burst_periods=stat.get(b"nr_bursts"),
        burst_seconds=_micro(stat.get(b"burst_usec")),
    )


def _micro(value: int | None) -> float | None:
    return None if value is None else value / 1e6


def memory(texts: Texts) -> Memory:
    """Memory; the working set is memory.current less `inactive_file`, at least 0."""
    usage = texts.parse("memory.current", number)
    stat = texts.parse("memory.stat", flat_keyed) or {}
    events = texts.parse("memory.events", flat_keyed) or {}
    limit = texts.parse("memory.max", _limit)
    return Memory(
        usage_bytes=usage,
        working_set_bytes=working_set(usage, stat.get(b"inactive_file")),
        rss_bytes=stat.get(b"anon"),
        cache_bytes=stat.get(b"file"),
        mapped_file_bytes=stat.get(b"file_mapped"),
        swap_bytes=texts.parse("memory.swap.current", number),
        peak_bytes=texts.parse("memory.peak", number),
        limit_bytes=limit[0] if limit else None,
        limit_known=limit is not None,
        failcnt=events.get(b"max"),
        oom_kills=events.get(b"oom_kill"),
        page_faults=stat.get(b"pgfault"),
        major_faults=stat.get(b"pgmajfault"),
        own_page_faults=stat.get(b"pgfault"),
        own_major_faults=stat.get(b"pgmajfault"),
        active_file_bytes=stat.get(b"active_file"),
        inactive_file_bytes=stat.get(b"inactive_file"),
        dirty_bytes=stat.get(b"file_dirty"),
        writeback_bytes=stat.get(b"file_writeback"),
        kernel_bytes=stat.get(b"kernel"),
        reclaimable_slab_bytes=stat.get(b"slab_reclaimable"),
        swap_limit_bytes=texts.parse("memory.swap.max", _limit_or_zero),
        reservation_bytes=texts.parse("memory.low", number),
        high_events=events.get(b"high"),
        max_events=events.get(b"max"),
        pages_scanned=stat.get(b"pgscan"),
        pages_stolen=stat.get(b"pgsteal"),
        file_refaults=stat.get(b"workingset_refault_file"),
        anon_refaults=stat.get(b"workingset_refault_anon"),
    )


def _limit_or_zero(text: bytes, where: str) -> int:
    return ceiling(text, where) or 0


def _limit(text: bytes, where: str) -> tuple[int | None]:
    return (ceiling(text, where),)


def oom_kills(text: bytes, where: str) -> int | None:
    """Kills by memory.events, of this cgroup and all below it."""
    return flat_keyed(text, where).get(b"oom_kill")


def io(texts: Texts) -> tuple[DeviceIo, ...] | None:
    """Bytes and operations per device of io.stat; None where the file is missing."""
    return texts.parse("io.stat", io_stat)


def io_stat(text: bytes, where: str) -> tuple[DeviceIo, ...]:
    """`major:minor key=number…` lines; a device alone on its line has moved nothing yet and is left out."""
    found = []
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if len(words) < 2:
            continue
        values = _pairs(words[1:], where, row)
        device = words[0].decode(errors="replace")
        found.append(DeviceIo(device, *(values.get(key) for key in (b"rbytes", b"wbytes", b"rios", b"wios"))))
    return tuple(found)


def _pairs(words: list[bytes], where: str, row: int) -> Mapping[bytes, int]:
    values: dict[bytes, int] = {}
    for word in words:
        key, equals, value = word.partition(b"=")
        if equals and value.isdigit():
            values[key] = int(value)
        elif key in (b"rbytes", b"wbytes", b"rios", b"wios"):
            raise fault(where, row, "`key=number`", word)
    return values


def pressure(text: bytes, where: str) -> Pressure:
    """Totals of a pressure file, in it µs; `full` is None where the kernel writes no such line."""
    totals: dict[bytes, int] = {}
    for row, line in enumerate(text.splitlines(), 1):
        words = line.split()
        value = words[-1].removeprefix(b"total=") if words else b""
        if not value.isdigit() or words[0] not in (b"some", b"full"):
            raise fault(where, row, "`some|full … total=number`", line)
        totals[words[0]] = int(value)
    if b"some" not in totals:
        raise fault(where, 1, "a line `some`", text)
    full = totals.get(b"full")
    return Pressure(totals[b"some"] / 1e6, None if full is None else full / 1e6)

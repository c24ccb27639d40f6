"""One reading of the node to points with node_exporter's names; pure."""

from __future__ import annotations

from collections.abc import Iterator

from agent.borrowed import MEMORY_KEYS, NETSTAT_KEYS, NODE, PRESSURES, VMSTAT_KEYS
from agent.collect_container import Stamp
from agent.model import Labels, Value
from runtime.node import Filesystem, NodeReading
from runtime.procfs import Disk, Interface, Stat

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""node_exporter keeps `guest` apart, since `user` includes it."""


def node_points(reading: NodeReading, at_ms: int) -> Iterator[Value]:
    """All points of the node; its counters count since its boot."""
    boot = reading.stat.boot_time_seconds if reading.stat else None
    stamp = Stamp(at_ms, None if boot is None else boot * 1000)
    yield from cpu_points(reading, stamp)
    if reading.stat:
        yield from stat_points(reading.stat, stamp)
    yield from memory_points(reading, stamp)
    for disk in reading.disks:
        yield from disk_points(disk, stamp)
    for filesystem in reading.filesystems:
        yield from filesystem_points(filesystem, stamp)
    for interface in reading.interfaces:
        yield from interface_points(interface, stamp)
    yield from pressure_points(reading, stamp)
    for key in NETSTAT_KEYS:
        yield from stamp.gauge(f"node_netstat_{key}", reading.netstat.get(key))
    yield from more_points(reading, stamp)
    yield from stamp.gauge("node_time_seconds", at_ms / 1000)
    yield from stamp.gauge("node_uname_info", 1, tuple(sorted(reading.uname._asdict().items())))


def cpu_points(reading: NodeReading, stamp: Stamp) -> Iterator[Value]:
    """CPU time by cpu and mode, and the load."""
    for cpu, seconds in reading.cpu_seconds.items():
        for mode in _MODES:
            yield from stamp.counter("node_cpu_seconds_total", seconds.get(mode), (("cpu", cpu), ("mode", mode)))
    for minutes, load in zip((1, 5, 15), reading.load or (), strict=False):
        yield from stamp.gauge(f"node_load{minutes}", load)


def stat_points(stat: Stat, stamp: Stamp) -> Iterator[Value]:
    """What /proc/stat has beside CPU time."""
    yield from stamp.gauge("node_boot_time_seconds", stat.boot_time_seconds)
    yield from stamp.counter("node_context_switches_total", stat.context_switches)
    yield from stamp.counter("node_intr_total", stat.interrupts)
    yield from stamp.gauge("node_procs_running", stat.procs_running)
    yield from stamp.gauge("node_procs_blocked", stat.procs_blocked)


def memory_points(reading: NodeReading, stamp: Stamp) -> Iterator[Value]:
    """Memory, paging and open files."""
    for key in MEMORY_KEYS:
        yield from stamp.gauge(f"node_memory_{key}", (reading.memory or {}).get(key))
    for key in VMSTAT_KEYS:
        yield from stamp.gauge(f"node_vmstat_{key}", reading.vmstat.get(key))
    for name, files in zip(("allocated", "maximum"), reading.files or (), strict=False):
        yield from stamp.gauge(f"node_filefd_{name}", files)


def disk_points(disk: Disk, stamp: Stamp) -> Iterator[Value]:
    """One block device."""
    labels: Labels = (("device", disk.name),)
    yield from stamp.counter("node_disk_reads_completed_total", disk.reads_completed, labels)
    yield from stamp.counter("node_disk_reads_merged_total", disk.reads_merged, labels)
    yield from stamp.counter("node_disk_read_bytes_total", disk.read_bytes, labels)
    yield from stamp.counter("node_disk_read_time_seconds_total", disk.read_seconds, labels)
    yield from stamp.counter("node_disk_writes_completed_total", disk.writes_completed, labels)
    yield from stamp.counter("node_disk_writes_merged_total", disk.writes_merged, labels)
    yield from stamp.counter("node_disk_written_bytes_total", disk.written_bytes, labels)
    yield from stamp.counter("node_disk_write_time_seconds_total", disk.write_seconds, labels)
    yield from stamp.gauge("node_disk_io_now", disk.io_now, labels)
    yield from stamp.counter("node_disk_io_time_seconds_total", disk.io_seconds, labels)
    yield from stamp.counter("node_disk_io_time_weighted_seconds_total", disk.weighted_seconds, labels)


def filesystem_points(filesystem: Filesystem, stamp: Stamp) -> Iterator[Value]:
    """Space and inodes of one file system."""
    labels: Labels = tuple(zip(("device", "fstype", "mountpoint"), filesystem[:3], strict=True))
    yield from stamp.gauge("node_filesystem_device_error", int(filesystem.error), labels)
    if filesystem.error:
        return
    yield from stamp.gauge("node_filesystem_size_bytes", filesystem.size_bytes, labels)
    yield from stamp.gauge("node_filesystem_free_bytes", filesystem.free_bytes, labels)
    yield from stamp.gauge("node_filesystem_avail_bytes", filesystem.avail_bytes, labels)
    yield from stamp.gauge("node_filesystem_files", filesystem.files, labels)
    yield from stamp.gauge("node_filesystem_files_free", filesystem.files_free, labels)
    yield from stamp.gauge("node_filesystem_readonly", int(filesystem.readonly), labels)


def pressure_points(reading: NodeReading, stamp: Stamp) -> Iterator[Value]:
    """Pressure on the whole node; the kernel's `full` of CPU has no meaning here, and node_exporter leaves it out."""
    for name in PRESSURES:
        resource, word = name.split("_")
        pressure = reading.pressure.get(resource)
        if pressure is not None:
            seconds = pressure.some_seconds if word == "waiting" else pressure.full_seconds
            yield from stamp.counter(f"node_pressure_{name}_seconds_total", seconds)


def more_points(reading: NodeReading, stamp: Stamp) -> Iterator[Value]:
    """What is looked at seldom, and the size of the machine as cAdvisor has it."""
    memory, cpus = reading.memory or {}, len(reading.cpu_seconds)
    for name, labels, value in reading.more:
        if name == "machine":
            yield from stamp.gauge("machine_cpu_cores", cpus or None, labels)
            yield from stamp.gauge("machine_memory_bytes", memory.get("MemTotal_bytes"), labels)
            yield from stamp.gauge("machine_swap_bytes", memory.get("SwapTotal_bytes"), labels)
        elif NODE[name].kind == "counter":
            yield from stamp.counter(name, value, labels)
        else:
            yield from stamp.gauge(name, value, labels)


def interface_points(interface: Interface, stamp: Stamp) -> Iterator[Value]:
    """Bytes, packets, errors and drops of one of the node's interfaces."""
    labels: Labels = (("device", interface.name),)
    for way, values in (("receive", interface[1:5]), ("transmit", interface[5:9])):
        for what, value in zip(("bytes", "packets", "errs", "drop"), values, strict=True):
            yield from stamp.counter(f"node_network_{way}_{what}_total", value, labels)

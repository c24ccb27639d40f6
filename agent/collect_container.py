"""One reading of a container to points with cAdvisor's names; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from agent.model import Labels, Value
from runtime.cgroup import Cpu, DeviceIo, Memory, Pids, Pressure, Reading
from runtime.model import Container
from runtime.procfs import Interface

_NONE: Labels = ()
_TOTAL: Labels = (("cpu", "total"),)
_HEALTH = {"healthy": 1.0, "starting": 0.0, "unhealthy": 0.0, "none": -1.0}


class Stamp(NamedTuple):
    """When the reading was taken, and since when its counters count: the start of the container."""

    at_ms: int
    start_ms: int | None

    def counter(self, name: str, value: float | None, labels: Labels = _NONE) -> Iterator[Value]:
        """One counter, nothing where its value is not known."""
        if value is not None:
            yield Value(name, labels, float(value), self.at_ms, self.start_ms)

    def gauge(self, name: str, value: float | None, labels: Labels = _NONE) -> Iterator[Value]:
        """One gauge, nothing where its value is not known."""
        if value is not None:
            yield Value(name, labels, float(value), self.at_ms)


def reading_points(reading: Reading, stamp: Stamp, device_names: Mapping[str, str]) -> Iterator[Value]:
    """What the kernel said; `device_names` gives `/dev/vda` for `254:0`."""
    if reading.cpu:
        yield from cpu_points(reading.cpu, stamp)
    if reading.memory:
        yield from memory_points(reading.memory, stamp)
    if reading.pids:
        yield from pids_points(reading.pids, stamp)
    for device in reading.io or ():
        yield from io_points(device, stamp, device_names)
    for resource, pressure in reading.pressure.items():
        yield from pressure_points(resource, pressure, stamp)
    for interface in reading.network or ():
        yield from network_points(interface, stamp)


def cpu_points(cpu: Cpu, stamp: Stamp) -> Iterator[Value]:
    """CPU; the periods of a quota only where there is one, as cAdvisor has it."""
    yield from stamp.counter("container_cpu_usage_seconds_total", cpu.usage_seconds, _TOTAL)
    yield from stamp.counter("container_cpu_user_seconds_total", cpu.user_seconds)
    yield from stamp.counter("container_cpu_system_seconds_total", cpu.system_seconds)
    yield from stamp.gauge("container_spec_cpu_period", cpu.period_us)
    yield from stamp.gauge("container_spec_cpu_shares", cpu.shares)
    if cpu.quota_us is not None:
        yield from stamp.gauge("container_spec_cpu_quota", cpu.quota_us)
        yield from stamp.counter("container_cpu_cfs_periods_total", cpu.periods)
        yield from stamp.counter("container_cpu_cfs_throttled_periods_total", cpu.throttled_periods)
        yield from stamp.counter("container_cpu_cfs_throttled_seconds_total", cpu.throttled_seconds)


def memory_points(memory: Memory, stamp: Stamp) -> Iterator[Value]:
    """Memory; the limit is 0 where there is none, as cAdvisor has it, and absent where it is not known."""
    yield from stamp.gauge("container_memory_usage_bytes", memory.usage_bytes)
    yield from stamp.gauge("container_memory_working_set_bytes", memory.working_set_bytes)
    yield from stamp.gauge("container_memory_rss", memory.rss_bytes)
    yield from stamp.gauge("container_memory_cache", memory.cache_bytes)
    yield from stamp.gauge("container_memory_mapped_file", memory.mapped_file_bytes)
    yield from stamp.gauge("container_memory_swap", memory.swap_bytes)
    yield from stamp.gauge("container_memory_max_usage_bytes", memory.peak_bytes)
    yield from stamp.gauge("container_memory_failcnt", memory.failcnt)
    if memory.limit_known:
        yield from stamp.gauge("container_spec_memory_limit_bytes", memory.limit_bytes or 0)
    yield from stamp.counter("container_oom_events_total", memory.oom_kills)
    yield from stamp.counter("container_memory_failures_total", memory.page_faults, _failure("pgfault"))
    yield from stamp.counter("container_memory_failures_total", memory.major_faults, _failure("pgmajfault"))


def _failure(kind: str) -> Labels:
    return (("failure_type", kind), ("scope", "hierarchy"))


def pids_points(pids: Pids, stamp: Stamp) -> Iterator[Value]:
    """Processes and threads; the kernel's pids controller counts threads."""
    yield from stamp.gauge("container_processes", pids.processes)
    yield from stamp.gauge("container_threads", pids.threads)
    yield from stamp.gauge("container_threads_max", pids.threads_max)


def io_points(device: DeviceIo, stamp: Stamp, device_names: Mapping[str, str]) -> Iterator[Value]:
    """Bytes and operations of one device."""
    labels: Labels = (("device", device_names.get(device.device, device.device)),)
    yield from stamp.counter("container_fs_reads_total", device.reads, labels)
    yield from stamp.counter("container_fs_reads_bytes_total", device.read_bytes, labels)
    yield from stamp.counter("container_fs_writes_total", device.writes, labels)
    yield from stamp.counter("container_fs_writes_bytes_total", device.written_bytes, labels)


def pressure_points(resource: str, pressure: Pressure, stamp: Stamp) -> Iterator[Value]:
    """Pressure of one resource: waiting is the kernel's `some`, stalled its `full`."""
    yield from stamp.counter(f"container_pressure_{resource}_waiting_seconds_total", pressure.some_seconds)
    yield from stamp.counter(f"container_pressure_{resource}_stalled_seconds_total", pressure.full_seconds)


def network_points(interface: Interface, stamp: Stamp) -> Iterator[Value]:
    """Bytes, packets, errors and drops of one interface."""
    labels: Labels = (("interface", interface.name),)
    for way, bytes_, packets, errors, dropped in (
        ("receive", *interface[1:5]),
        ("transmit", *interface[5:9]),
    ):
        yield from stamp.counter(f"container_network_{way}_bytes_total", bytes_, labels)
        yield from stamp.counter(f"container_network_{way}_packets_total", packets, labels)
        yield from stamp.counter(f"container_network_{way}_errors_total", errors, labels)
        yield from stamp.counter(f"container_network_{way}_packets_dropped_total", dropped, labels)


def engine_points(container: Container, stamp: Stamp) -> Iterator[Value]:
    """What the engine says of a container that runs; its start is the last one, not its making."""
    yield from stamp.gauge("container_last_seen", stamp.at_ms // 1000)
    yield from stamp.gauge("container_start_time_seconds", _seconds(container.started_ms))
    yield from stamp.gauge("container_creation_time_seconds", _seconds(container.created_ms))
    yield from stamp.gauge("container_health_state", _HEALTH[container.health])
    yield from stamp.gauge("container_info", 1, (("image_id", container.image_id),))


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1000


def ended_points(container: Container, at_ms: int, keep_ms: int) -> Iterable[Value]:
    """When a container that ended was last seen, for a while: rules that wait for its silence need the series."""
    if container.finished_ms is None or not 0 <= at_ms - container.finished_ms <= keep_ms:
        return ()
    return Stamp(at_ms, None).gauge("container_last_seen", container.finished_ms // 1000)

"""One reading of a container to samples with cAdvisor's names; what did not change is not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import is_
from typing import Any, NamedTuple

from agent.columns import Columns, Key, Steady, shape_of
from agent.labels import info_labels
from agent.model import Labels, Value
from runtime.cgroup import Cpu, DeviceIo, Limits, Memory, OpenFiles, Pids, Pressure, Reading
from runtime.devices import Devices
from runtime.layers import LayerUse
from runtime.model import Container
from runtime.procfs import Interface

Row = tuple[Key, float | None]

_HEALTH = {"healthy": 1.0, "starting": 0.0, "unhealthy": 0.0, "none": -1.0}


class Stamp(NamedTuple):
    """When the reading was taken, and since when its counters count: the start of the container or the node."""

    at_ms: int
    start_ms: int | None

    def counter(self, name: str, value: float | None, labels: Labels = ()) -> Iterator[Value]:
        """One counter, nothing where its value is not known."""
        if value is not None:
            yield Value(name, labels, float(value), self.at_ms, self.start_ms)

    def gauge(self, name: str, value: float | None, labels: Labels = ()) -> Iterator[Value]:
        """One gauge, nothing where its value is not known."""
        if value is not None:
            yield Value(name, labels, float(value), self.at_ms)


class Facts(NamedTuple):
    """What holds for all containers of the node; the very same object while nothing of it changes."""

    devices: Devices
    memory_bytes: int | None = None
    cpus: int | None = None
    labels: tuple[str, ...] = ()
    """The container labels that `container_info` carries."""


class Seen(NamedTuple):
    """All that is known of a container in one round; a part is None where it can't be told."""

    reading: Reading | None
    container: Container
    layer: LayerUse | None = None


class Shaper:
    """Makes the columns of one run of a container; keeps the rows of each part until the part changes."""

    def __init__(self) -> None:
        self._facts: Facts | None = None
        self._parts: list[Any] = []
        self._keys: list[tuple[Key, ...]] = []
        self._values: list[tuple[float, ...]] = []
        self._shape = shape_of(())
        self._seen: Seen | None = None
        self._flat: list[float] = []
        self._steady = Steady()

    def columns(self, seen: Seen, facts: Facts, stamp: Stamp) -> Columns:
        """The samples of this moment."""
        if facts is not self._facts:
            self._facts = facts
            self._parts, self._keys, self._values = [_NEVER] * len(_ROWS), [()] * len(_ROWS), [()] * len(_ROWS)
            self._seen = None
        if self._seen is None or not all(map(is_, seen, self._seen)):
            self._look(seen, facts)
        values = [*self._flat, stamp.at_ms // 1000]
        return Columns(self._shape, values, stamp.at_ms, stamp.start_ms, self._steady)

    def _look(self, seen: Seen, facts: Facts) -> None:
        self._seen = seen
        changed = [(n, part) for n, part in enumerate(_parts(seen)) if part is not self._parts[n]]
        if not changed:
            return
        reshaped = [n for n, part in changed if self._renew(n, part, facts)]
        if reshaped:
            self._shape = shape_of((*chain.from_iterable(self._keys), _LAST_SEEN))
        self._flat, self._steady = [*chain.from_iterable(self._values)], Steady()

    def _renew(self, n: int, part: Any, facts: Facts) -> bool:
        rows = () if part is None else _ROWS[n](part, facts)
        known = [(key, value) for key, value in rows if value is not None]
        keys = tuple([key for key, _ in known])
        self._parts[n], self._values[n] = part, tuple([value for _, value in known])
        if keys == self._keys[n]:
            return False
        self._keys[n] = keys
        return True


_NEVER = object()


def _parts(seen: Seen) -> tuple[Any, ...]:
    reading = seen.reading
    if reading is None:
        return (None,) * (len(_ROWS) - 2) + (seen.container, seen.layer)
    return (*reading[:6], reading.limits, reading.files, seen.container, seen.layer)


def _gauge(name: str, *labels: tuple[str, str]) -> Key:
    return Key(name, labels, False)


def _counter(name: str, *labels: tuple[str, str]) -> Key:
    return Key(name, labels, True)


_LAST_SEEN = _gauge("container_last_seen")

_CPU = (
    _counter("container_cpu_usage_seconds_total", ("cpu", "total")),
    _counter("container_cpu_user_seconds_total"),
    _counter("container_cpu_system_seconds_total"),
    _gauge("container_spec_cpu_period"),
)
_QUOTA = (
    _gauge("container_spec_cpu_quota"),
    _counter("container_cpu_cfs_periods_total"),
    _counter("container_cpu_cfs_throttled_periods_total"),
    _counter("container_cpu_cfs_throttled_seconds_total"),
    _counter("container_cpu_cfs_burst_periods_total"),
    _counter("container_cpu_cfs_burst_seconds_total"),
)


def cpu_rows(cpu: Cpu, facts: Facts) -> Iterator[Row]:
    """CPU; the periods of a quota only where there is one, as cAdvisor has it."""
    yield from zip(_CPU, (cpu.usage_seconds, cpu.user_seconds, cpu.system_seconds, cpu.period_us), strict=True)
    if cpu.quota_us is not None:
        throttled = (cpu.periods, cpu.throttled_periods, cpu.throttled_seconds)
        yield from zip(_QUOTA, (cpu.quota_us, *throttled, cpu.burst_periods, cpu.burst_seconds), strict=True)


def _failures(kind: str, scope: str) -> Key:
    return _counter("container_memory_failures_total", ("failure_type", kind), ("scope", scope))


_MEMORY = (
    _gauge("container_memory_usage_bytes"),
    _gauge("container_memory_working_set_bytes"),
    _gauge("container_memory_rss"),
    _gauge("container_memory_cache"),
    _gauge("container_memory_mapped_file"),
    _gauge("container_memory_swap"),
    _gauge("container_memory_max_usage_bytes"),
    _gauge("container_memory_failcnt"),
    _counter("container_oom_events_total"),
    _failures("pgfault", "hierarchy"),
    _failures("pgmajfault", "hierarchy"),
    _failures("pgfault", "container"),
    _failures("pgmajfault", "container"),
    _gauge("container_memory_total_active_file_bytes"),
    _gauge("container_memory_total_inactive_file_bytes"),
    _gauge("container_memory_file_dirty_bytes"),
    _gauge("container_memory_file_writeback_bytes"),
    _gauge("container_memory_kernel_usage"),
    _gauge("midwatch_container_memory_reclaimable_slab_bytes"),
    _gauge("container_spec_memory_swap_limit_bytes"),
    _gauge("container_spec_memory_reservation_limit_bytes"),
    _counter("container_memory_events_high_total"),
    _counter("container_memory_events_max_total"),
    _counter("container_memory_pgscan_total"),
    _counter("container_memory_pgsteal_total"),
    _counter("container_memory_workingset_refault_file_total"),
    _counter("container_memory_workingset_refault_anon_total"),
)
"""In the order of the fields of `Memory`, without its limit."""
_MEMORY_LIMIT = _gauge("container_spec_memory_limit_bytes")


def memory_rows(memory: Memory, facts: Facts) -> Iterator[Row]:
    """Memory; the limit is 0 where there is none, as cAdvisor has it, and absent where it is not known."""
    yield from zip(_MEMORY, (*memory[:7], *memory[9:]), strict=True)
    if memory.limit_known:
        yield _MEMORY_LIMIT, memory.limit_bytes or 0


_PIDS = (_gauge("container_threads"), _gauge("container_threads_max"), _gauge("container_processes"))


def pids_rows(pids: Pids, facts: Facts) -> Iterable[Row]:
    """Processes and threads; the kernel's pids controller counts threads."""
    return zip(_PIDS, pids, strict=True)


_IO = (
    "container_fs_reads_bytes_total",
    "container_fs_writes_bytes_total",
    "container_fs_reads_total",
    "container_fs_writes_total",
)
_IO_TOTALS = tuple(map(_counter, (
    "midwatch_container_io_read_bytes_total",
    "midwatch_container_io_written_bytes_total",
    "midwatch_container_io_reads_total",
    "midwatch_container_io_writes_total",
)))  # fmt: skip


def io_rows(io: tuple[DeviceIo, ...], facts: Facts) -> Iterator[Row]:
    """Bytes and operations by device, and their totals over the devices that are not made of others."""
    names, stacked = facts.devices
    for device in io:
        label = ("device", names.get(device.device, device.device))
        for name, value in zip(_IO, device[1:], strict=True):
            yield _counter(name, label), value
    leaves = [device for device in io if device.device not in stacked]
    for total, values in zip(_IO_TOTALS, zip(*(device[1:] for device in leaves), strict=True), strict=bool(leaves)):
        known = [value for value in values if value is not None]
        yield total, sum(known) if known else None


def pressure_rows(pressures: Mapping[str, Pressure], facts: Facts) -> Iterator[Row]:
    """Pressure by resource: waiting is the kernel's `some`, stalled its `full`."""
    for resource, pressure in pressures.items():
        for word, value in zip(("waiting", "stalled"), pressure, strict=True):
            yield _counter(f"container_pressure_{resource}_{word}_seconds_total"), value


_NETWORK = tuple(
    f"container_network_{way}_{what}_total"
    for way in ("receive", "transmit")
    for what in ("bytes", "packets", "errors", "packets_dropped")
)


def network_rows(interfaces: tuple[Interface, ...], facts: Facts) -> Iterator[Row]:
    """Bytes, packets, errors and drops by interface."""
    for interface in interfaces:
        label = ("interface", interface.name)
        for name, value in zip(_NETWORK, interface[1:], strict=True):
            yield _counter(name, label), value


_MEMORY_ALLOWED = _gauge("midwatch_container_memory_limit_bytes")
_CPU_ALLOWED = _gauge("midwatch_container_cpu_limit_cores")


def limit_rows(limits: Limits, facts: Facts) -> Iterator[Row]:
    """What the container can really have: the least of its own limits, its ancestors' and the node's size."""
    yield _MEMORY_ALLOWED, _least(limits.memory_bytes, facts.memory_bytes)
    yield _CPU_ALLOWED, _least(limits.cpu_cores, facts.cpus)


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


_FILES = (_gauge("container_file_descriptors"), _gauge("container_ulimits_soft", ("ulimit", "max_open_files")))


def files_rows(files: OpenFiles, facts: Facts) -> Iterable[Row]:
    """Open files, and how many the main process may have."""
    return zip(_FILES, files, strict=True)


_START, _MADE = _gauge("container_start_time_seconds"), _gauge("container_creation_time_seconds")
_SHARES, _HEALTH_STATE = _gauge("container_spec_cpu_shares"), _gauge("container_health_state")


def engine_rows(container: Container, facts: Facts) -> Iterator[Row]:
    """What the engine says of a container that runs; its start is the last one, not its making."""
    yield _START, _seconds(container.started_ms)
    yield _MADE, _seconds(container.created_ms)
    yield _HEALTH_STATE, _HEALTH[container.health]
    yield _SHARES, container.cpu_shares
    yield _gauge("container_info", ("image_id", container.image_id), *info_labels(container.labels, facts.labels)), 1


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1000


def layer_rows(layer: LayerUse, facts: Facts) -> Iterator[Row]:
    """The writable layer, and the file system that it is on."""
    label = ("device", layer.device)
    yield _gauge("container_fs_usage_bytes", label), layer.used_bytes
    yield _gauge("container_fs_limit_bytes", label), layer.size_bytes
    yield _gauge("container_fs_inodes_free", label), layer.inodes_free
    yield _gauge("container_fs_inodes_total", label), layer.inodes


_ROWS: tuple[Callable[[Any, Facts], Iterable[Row]], ...] = (
    cpu_rows, memory_rows, pids_rows, io_rows, pressure_rows, network_rows,
    limit_rows, files_rows, engine_rows, layer_rows,
)  # fmt: skip
"""For each part in the order of `_parts`."""


def ended_points(container: Container, at_ms: int, keep_ms: int) -> Iterable[Value]:
    """When a container that ended was last seen, for a while: rules that wait for its silence need the series."""
    if container.finished_ms is None or not 0 <= at_ms - container.finished_ms <= keep_ms:
        return ()
    return Stamp(at_ms, None).gauge("container_last_seen", container.finished_ms // 1000)

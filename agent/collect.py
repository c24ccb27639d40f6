"""One collection round: every container's and the node's numbers, from files that stay open between rounds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.collect_container import Stamp, ended_points, engine_points, reading_points
from agent.collect_node import node_points
from agent.model import Points, Resource, Value
from runtime.cgroup import Layout, Reading, detect
from runtime.errors import ParseFault
from runtime.kept import Allowance, ContainerReader, open_container
from runtime.model import PLATFORM, Container
from runtime.node import NodeReader, NodeReading
from runtime.node_capability import REMEDIES, capabilities

LOG = logging.getLogger(__name__)

KEEP_ENDED_MS = 300_000
MAX_INTERFACES = 32
MAX_DEVICES = 64


class Target(NamedTuple):
    """A container to read and whose points they are; the resource's cgroup path is filled in here."""

    container: Container
    resource: Resource


class _Open(NamedTuple):
    """An open reader and the run it belongs to."""

    run: tuple[int | None, int | None]
    reader: ContainerReader


class Collector:
    """Reads containers and node; safe to call from several threads, one round at a time.

    `root` is where the node's `/` is seen from here. `more_capabilities` tells what others can measure.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        allowance: Allowance | None = None,
        more_capabilities: Callable[[], Mapping[str, bool]] = dict,
        keep_ended_ms: int = KEEP_ENDED_MS,
    ) -> None:
        self._root = root
        self._allowance = allowance or Allowance()
        self._more_capabilities = more_capabilities
        self._keep_ended_ms = keep_ended_ms
        self._node = NodeReader(root, self._allowance)
        self._open: dict[str, _Open] = {}
        self._paths: dict[str, str] = {}
        self._device_names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._lost: dict[tuple[str, str], int] = {}
        self._missing: set[str] = set()
        self._since_ms: int | None = None
        self.layout: Layout = detect(self._node.mounts(), root)

    def collect(self, targets: Sequence[Target], now_ms: int) -> list[Points]:
        """The points of one round: the node's, then those of each container that can be read."""
        with self._lock:
            self._since_ms = self._since_ms or now_ms
            self._forget_others({target.container.id for target in targets})
            reading = self._node.read()
            self._device_names = {disk.device: f"/dev/{disk.name}" for disk in reading.disks}
            found = [self._container(target, now_ms) for target in targets]
            return [self._platform(reading, now_ms), *(points for points in found if points.points)]

    def close_container(self, container_id: str) -> None:
        """Closes the files of a container that died, so that nothing holds its network namespace."""
        with self._lock:
            self._drop(container_id)

    def cgroup_path(self, container_id: str) -> str | None:
        """The cgroup path of a container of the last round, cAdvisor's `id`; None where it was never read."""
        return self._paths.get(container_id)

    def close(self) -> None:
        """Closes every file."""
        with self._lock:
            self._forget_others(set())
            self._node.close()

    def _platform(self, reading: NodeReading, now_ms: int) -> Points:
        self._note_faults(reading.faults)
        values = [*node_points(reading, now_ms), *self._about_itself(now_ms)]
        return Points(Resource(PLATFORM), tuple(values))

    def _about_itself(self, now_ms: int) -> Iterator[Value]:
        can = {**capabilities(self._root, self.layout), **self._more_capabilities()}
        self._say_what_is_missing(can)
        for name, able in sorted(can.items()):
            yield Value("midwatch_capability", (("name", name),), float(able), now_ms)
        self._lost["files kept open", "bound"] = self._allowance.refused
        for (what, reason), count in sorted(self._lost.items()):
            labels = (("what", what), ("reason", reason))
            yield Value("midwatch_agent_dropped_total", labels, float(count), now_ms, self._since_ms)

    def _say_what_is_missing(self, can: Mapping[str, bool]) -> None:
        """Once for each: what can't be measured on this node, and what would change it."""
        for name in sorted(name for name, able in can.items() if not able and name not in self._missing):
            self._missing.add(name)
            LOG.warning("this node can't measure %s: %s", name, REMEDIES.get(name, "see the documentation"))

    def _container(self, target: Target, now_ms: int) -> Points:
        container = target.container
        values: list[Value] = []
        if container.state in ("running", "paused"):
            stamp = Stamp(now_ms, container.started_ms)
            reading = self._read(container)
            if reading is not None:
                values += reading_points(reading, stamp, self._device_names)
            if reading is not None or self._has_process(container):
                values += engine_points(container, stamp)
        else:
            self._drop(container.id)
            values += ended_points(container, now_ms, self._keep_ended_ms)
        path = self._paths.get(container.id, target.resource.id)
        return Points(target.resource._replace(id=path), tuple(values))

    def _has_process(self, container: Container) -> bool:
        """False for a container that ended before the engine told us so: it was not seen now."""
        return container.pid is not None and (self._root / "proc" / str(container.pid)).exists()

    def _read(self, container: Container) -> Reading | None:
        try:
            reader = self._reader(container)
            reading = reader.read() if reader else None
        except (OSError, ParseFault) as error:
            self._note("containers", "unreadable", f"{container.name}: {error}")
            return None
        if reading is None:
            self._drop(container.id)
            return None
        self._note_faults(reading.faults)
        return self._bounded(reading)

    def _reader(self, container: Container) -> ContainerReader | None:
        run = (container.pid, container.started_ms)
        known = self._open.get(container.id)
        if known is not None and known.run == run:
            return known.reader
        self._drop(container.id)
        if container.pid is None:
            return None
        reader = open_container(
            self._root,
            self.layout,
            self._allowance,
            container_id=container.id,
            pid=container.pid,
            network_mode=container.network_mode,
        )
        if reader is not None:
            self._open[container.id] = _Open(run, reader)
            self._paths[container.id] = reader.paths.id
        return reader

    def _bounded(self, reading: Reading) -> Reading:
        network, devices = reading.network, reading.io
        if network is not None and len(network) > MAX_INTERFACES:
            self._note("interfaces of a container", "bound", f"{len(network)} interfaces, {MAX_INTERFACES} kept")
            network = network[:MAX_INTERFACES]
        if devices is not None and len(devices) > MAX_DEVICES:
            self._note("devices of a container", "bound", f"{len(devices)} devices, {MAX_DEVICES} kept")
            devices = devices[:MAX_DEVICES]
        return reading._replace(network=network, io=devices)

    def _note_faults(self, faults: Sequence[ParseFault]) -> None:
        for error in faults:
            self._note("kernel files", "garbled", str(error))

    def _note(self, what: str, reason: str, message: str) -> None:
        key = (what, reason)
        if key not in self._lost:
            LOG.warning("%s %s: %s", what, reason, message)
        self._lost[key] = self._lost.get(key, 0) + 1

    def _drop(self, container_id: str) -> None:
        known = self._open.pop(container_id, None)
        if known is not None:
            known.reader.close()

    def _forget_others(self, ids: set[str]) -> None:
        for container_id in set(self._open) - ids:
            self._drop(container_id)
        for container_id in set(self._paths) - ids:
            del self._paths[container_id]

"""One collection round: every container's and the node's numbers, from files that stay open between rounds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.collect_container import Facts, Seen, Shaper, Stamp, ended_points
from agent.collect_node import node_points
from agent.model import Points, Resource, Value
from runtime.cgroup import Layout, Reading, detect
from runtime.devices import Devices
from runtime.errors import ParseFault
from runtime.kept import Allowance
from runtime.layers import LayerUse, Running
from runtime.limits import Above
from runtime.model import PLATFORM, Container
from runtime.namespaces import Networks, network_of_host
from runtime.node import NodeReader, NodeReading
from runtime.node_capability import REASONS, REMEDIES, capabilities
from runtime.reader import ContainerReader, open_container

LOG = logging.getLogger(__name__)

KEEP_ENDED_MS = 300_000
CAPABLE_MS = 60_000
"""Time between two looks at what the node can measure: it changes with a mount or a boot."""
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
    shaper: Shaper


class Collector:
    """Reads containers and node; safe to call from several threads, one round at a time.

    `root` is where the node's `/` is seen from here. `more_capabilities` tells what others can measure, `layer_of`
    what is known of a container's writable layer. `labels` are the container labels that `container_info` carries.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        allowance: Allowance | None = None,
        more_capabilities: Callable[[], Mapping[str, bool]] = dict,
        keep_ended_ms: int = KEEP_ENDED_MS,
        layer_of: Callable[[str], LayerUse | None] = lambda _id: None,
        labels: tuple[str, ...] = (),
    ) -> None:
        self._root = root
        self._allowance = allowance or Allowance()
        self._more_capabilities = more_capabilities
        self._keep_ended_ms = keep_ended_ms
        self._node = NodeReader(root, self._allowance)
        self._open: dict[str, _Open] = {}
        self._paths: dict[str, str] = {}
        self._layer_of = layer_of
        self._above = Above()
        self._networks = Networks(network_of_host(root / "proc"))
        self._facts = Facts(Devices({}, frozenset()), labels=labels)
        self._lock = threading.Lock()
        self._lost: dict[tuple[str, str], int] = {}
        self._missing: set[str] = set()
        self._capable: Mapping[str, bool] = {}
        self._capable_until_ms = 0
        self._since_ms: int | None = None
        self.layout: Layout = detect(self._node.mounts(), root)

    def collect(self, targets: Sequence[Target], now_ms: int) -> list[Points]:
        """The points of one round: the node's, then those of each container that can be read."""
        with self._lock:
            self._since_ms = self._since_ms or now_ms
            self._forget_others({target.container.id for target in targets})
            reading = self._node.read()
            self._learn(reading)
            found = [self._container(target, now_ms) for target in targets]
            return [self._platform(reading, now_ms), *(points for points in found if points.points)]

    def close_container(self, container_id: str) -> None:
        """Closes the files of a container that died, so that nothing holds its network namespace."""
        with self._lock:
            self._drop(container_id)

    def cgroup_path(self, container_id: str) -> str | None:
        """The cgroup path of a container of the last round, cAdvisor's `id`; None where it was never read."""
        return self._paths.get(container_id)

    def running(self) -> list[Running]:
        """The containers of the last round by their main process, as far as they can be read."""
        with self._lock:
            return [Running(id, open.run[0]) for id, open in self._open.items() if open.run[0] is not None]

    def device_names(self) -> Mapping[str, str]:
        """What the block devices are called, by `major:minor`."""
        return self._facts.devices.names

    def close(self) -> None:
        """Closes every file."""
        with self._lock:
            self._forget_others(set())
            self._node.close()

    def _platform(self, reading: NodeReading, now_ms: int) -> Points:
        self._note_faults(reading.faults)
        values = [*node_points(reading, now_ms), *self._about_itself(now_ms)]
        return Points(Resource(PLATFORM), tuple(values))

    def _learn(self, reading: NodeReading) -> None:
        """Keeps the node's facts as one object while they don't change."""
        memory = (reading.memory or {}).get("MemTotal_bytes")
        facts = self._facts._replace(
            devices=reading.devices, memory_bytes=memory, cpus=len(reading.cpu_seconds) or None
        )
        if facts != self._facts:
            self._facts = facts

    def _about_itself(self, now_ms: int) -> Iterator[Value]:
        if now_ms >= self._capable_until_ms:
            self._capable, self._capable_until_ms = capabilities(self._root, self.layout), now_ms + CAPABLE_MS
        can = {**self._capable, **self._more_capabilities()}
        self._say_what_is_missing(can)
        for name, able in sorted(can.items()):
            yield Value("midwatch_capability", (("name", name),), float(able), now_ms)
            if not able:
                told = (("reason", REASONS.get(name, "unknown")), ("remedy", REMEDIES.get(name, "none")))
                yield Value("midwatch_capability_missing_info", (("name", name), *told), 1.0, now_ms)
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
        points: Sequence[Value] = ()
        if container.state in ("running", "paused"):
            points = self._of_running(container, Stamp(now_ms, container.started_ms))
        else:
            self._drop(container.id)
            points = tuple(ended_points(container, now_ms, self._keep_ended_ms))
        path = self._paths.get(container.id)
        if path is None or path == target.resource.id:
            return Points(target.resource, points)
        return Points(target.resource._replace(id=path), points)

    def _of_running(self, container: Container, stamp: Stamp) -> Sequence[Value]:
        reading = self._read(container)
        if reading is None and not self._has_process(container):
            return ()
        known = self._open.get(container.id)
        shaper = known.shaper if known else Shaper()
        return shaper.columns(Seen(reading, container, self._layer_of(container.id)), self._facts, stamp)

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
            networks=self._networks,
            above=self._above,
        )
        if reader is not None:
            self._open[container.id] = _Open(run, reader, Shaper())
            self._paths[container.id] = reader.paths.id
        return reader

    def _bounded(self, reading: Reading) -> Reading:
        network, devices = reading.network, reading.io
        if len(network or ()) <= MAX_INTERFACES and len(devices or ()) <= MAX_DEVICES:
            return reading
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
            self._networks.give_back(container_id)

    def _forget_others(self, ids: set[str]) -> None:
        for container_id in set(self._open) - ids:
            self._drop(container_id)
        for container_id in set(self._paths) - ids:
            del self._paths[container_id]

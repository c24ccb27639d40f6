"""Who follows the runs of containers: the probes, the OOM watch, and the files that are kept open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from agent.book import Record
from agent.coldstart import Probes
from agent.collect import Collector
from agent.engine_watch import cgroup_paths
from runtime.oom import OomWatcher
from runtime.probe import probe_of

LOG = logging.getLogger(__name__)


class Runs:
    """Tells the agent's parts of the beginning and end of each run; called on the engine watch's thread."""

    def __init__(
        self,
        probes: Probes,
        collector: Collector,
        oom: OomWatcher | None,
        kernel_count: Callable[[str], int | None],
        changed: Callable[[Record], None],
        root: Path = Path("/"),
    ) -> None:
        self._probes, self._collector, self._oom = probes, collector, oom
        self._kernel_count, self._changed, self._root = kernel_count, changed, root
        self._told: set[str] = set()

    def began(self, record: Record) -> None:
        """Watches its cgroup for kills, and probes it until it is ready."""
        container, started_ms = record.container, record.started_ms
        if self._oom is not None and container.pid is not None:
            paths = cgroup_paths(self._root, self._collector.layout, container.pid)
            if paths is not None:
                counted = self._counted(record)
                self._oom.watch(container.id, paths, pid=container.pid, started_ms=started_ms, counted=counted)
        if started_ms is not None and record.watch == "probe":
            probe = probe_of(container.labels)
            if probe is not None:
                self._probes.begin(container, started_ms, probe)
        self._tell_bad_label(record)

    def ended(self, record: Record) -> None:
        """Lets go of what belongs to the run."""
        self._probes.end(record.container.id)
        self._collector.close_container(record.container.id)

    def removed(self, container_id: str) -> None:
        """Forgets the container."""
        self._probes.end(container_id)
        self._told.discard(container_id)
        if self._oom is not None:
            self._oom.forget(container_id)

    def oom_reported(self, record: Record) -> None:
        """The engine's word is a floor of one kill."""
        if self._oom is not None and record.started_ms is not None:
            self._oom.floor(record.container.id, record.started_ms)

    def changed(self, record: Record) -> None:
        """Lets whoever waits for changes know."""
        self._changed(record)

    def _counted(self, record: Record) -> int | None:
        """Kills of the run that are in the ledger already; None where it begins under our eyes or nobody knows."""
        if record.live:
            return None
        return record.counted_kills if record.kills_known else self._kernel_count(record.container.id)

    def _tell_bad_label(self, record: Record) -> None:
        container = record.container
        if container.id in self._told:
            return
        try:
            probe_of(container.labels)
        except ValueError as error:
            self._told.add(container.id)
            LOG.warning("%s has no probe: %s", container.name, error)

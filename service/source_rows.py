"""Nodes and containers as they are now, from the newest samples of their series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dashboards.model import ContainerRow, DiskRow, NodeRow, Scope
from service.model import RangeSeries
from service.ports import Readings
from service.roster import Heard
from slo.model import Selector

MINUTE_MS = 60_000


def node_rows(store: Readings, heard: Sequence[Heard], now_ms: int) -> list[NodeRow]:
    """One row per node; None where no sample is younger than a minute."""
    total = _newest(store, "node_memory_MemTotal_bytes", now_ms)
    available = _newest(store, "node_memory_MemAvailable_bytes", now_ms)
    disks = _disks(store, now_ms)
    used = _cpu(store, now_ms)
    return [
        NodeRow(
            it.node,
            it.node_id,
            it.last_seen_ms,
            total.get(it.node_id),
            _used(total.get(it.node_id), available.get(it.node_id)),
            used.get(it.node_id),
            tuple(sorted(disks.get(it.node_id, ()))),
        )
        for it in heard
    ]


def _newest(store: Readings, metric: str, now_ms: int) -> dict[str, float]:
    points = store.instant(Selector(metric), now_ms, MINUTE_MS)
    return {dict(it.series.labels).get("node_id", ""): it.value for it in points}


def _used(total: float | None, available: float | None) -> float | None:
    return None if not total or available is None else 1 - available / total


def _disks(store: Readings, now_ms: int) -> dict[str, list[DiskRow]]:
    free = store.instant(Selector("node_filesystem_avail_bytes"), now_ms, MINUTE_MS)
    sizes = {
        it.series.labels: it.value for it in store.instant(Selector("node_filesystem_size_bytes"), now_ms, MINUTE_MS)
    }
    found: dict[str, list[DiskRow]] = defaultdict(list)
    for it in free:
        size = sizes.get(it.series.labels)
        if size:
            labels = dict(it.series.labels)
            found[labels.get("node_id", "")].append(DiskRow(labels.get("mountpoint", ""), size, 1 - it.value / size))
    return found


def _cpu(store: Readings, now_ms: int) -> dict[str, float]:
    """Share of the last minute's CPU time that was neither idle nor waiting, by node_id."""
    whole: dict[str, float] = defaultdict(float)
    idle: dict[str, float] = defaultdict(float)
    for it in _increases(store, "node_cpu_seconds_total", now_ms):
        labels, value = dict(it.series.labels), it.values[0]
        if value is not None:
            whole[labels.get("node_id", "")] += value
            idle[labels.get("node_id", "")] += value if labels.get("mode") in ("idle", "iowait") else 0.0
    return {node: 1 - idle[node] / total for node, total in whole.items() if total > 0}


def _increases(store: Readings, metric: str, now_ms: int) -> list[RangeSeries]:
    return store.range(Selector(metric), now_ms - MINUTE_MS, now_ms, MINUTE_MS, "increase")


def container_rows(store: Readings, scope: Scope, now_ms: int) -> list[ContainerRow]:
    """One row per container that reported within the last minute, most CPU first."""
    cpu = {
        _identity(dict(it.series.labels)): it.values[0]
        for it in _increases(store, "container_cpu_usage_seconds_total", now_ms)
    }
    limits = {
        _identity(dict(it.series.labels)): it.value
        for it in store.instant(Selector("container_spec_memory_limit_bytes"), now_ms, MINUTE_MS)
    }
    rows = []
    for it in store.instant(Selector("container_memory_working_set_bytes"), now_ms, MINUTE_MS):
        labels = dict(it.series.labels)
        if _within(labels, scope):
            key = _identity(labels)
            seconds = cpu.get(key)
            rows.append(
                ContainerRow(
                    labels.get("container", ""),
                    labels.get("id", ""),
                    labels.get("service", ""),
                    labels.get("node", ""),
                    labels.get("image"),
                    None if seconds is None else seconds / (MINUTE_MS / 1000),
                    it.value,
                    limits.get(key) or None,
                )
            )
    return sorted(rows, key=lambda it: (-(it.cpu_cores or 0.0), it.container))


def _identity(labels: dict[str, str]) -> tuple[str, str]:
    return labels.get("node_id", ""), labels.get("id", "")


def _within(labels: dict[str, str], scope: Scope) -> bool:
    return (
        scope.service in (None, labels.get("service"))
        and scope.container in (None, labels.get("container"))
        and scope.node in (None, labels.get("node"), labels.get("node_id"))
    )

"""Points to the families that prometheus_client writes as text: pure, no series twice, bounded in number and length."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from agent.borrowed import CADVISOR, NODE
from agent.labels import PREFIX
from agent.model import Histogram, Point, Points, Resource, Value
from agent.names import OWN, Metric
from runtime.model import PLATFORM

MAX_SERIES = 200_000
MAX_LABEL_CHARACTERS = 1024

FAMILIES: Mapping[str, Metric] = {**OWN, **CADVISOR, **NODE}
"""Every family that may appear on /metrics."""

_DROPPED = "midwatch_agent_dropped_total"


class Dropped:
    """Series that were left out of /metrics since the agent began, by reason; for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("duplicate", "bound", "unknown"), 0)

    def add(self, reason: str) -> None:
        """One more."""
        with self._lock:
            self._counts[reason] += 1

    def values(self) -> tuple[Value, ...]:
        """The counts as a counter of ours."""
        with self._lock:
            counts = dict(self._counts)
        what = ("what", "series on /metrics")
        return tuple(Value(_DROPPED, (what, ("reason", reason)), float(n), 0) for reason, n in counts.items())


@dataclass
class _Book:
    """Families under construction, and which series they hold already."""

    max_series: int
    created: bool
    dropped: Dropped
    families: dict[str, Family] = field(default_factory=dict)
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=set)

    def family(self, name: str, metric: Metric) -> Family:
        """The family of a name; counters are named without `_total` in the library."""
        if name not in self.families:
            base = name.removesuffix("_total") if metric.kind == "counter" else name
            self.families[name] = Family(base, metric.help, metric.kind)
        return self.families[name]

    def admit(self, name: str, labels: Mapping[str, str]) -> bool:
        """True for a series that is new and within the bound; what is not is counted."""
        key = (name, tuple(sorted(labels.items())))
        reason = "duplicate" if key in self.seen else "bound" if len(self.seen) >= self.max_series else None
        if reason is not None:
            self.dropped.add(reason)
            return False
        self.seen.add(key)
        return True


def families(
    rounds: Iterable[Points],
    dropped: Dropped,
    *,
    created: bool = False,
    max_series: int = MAX_SERIES,
    labels_everywhere: bool = False,
) -> list[Family]:
    """The families of all points; `created` adds the start of counters, for OpenMetrics.

    `labels_everywhere` puts the container labels that `container_info` has on every series of that container.

    Scraped points are left out: they are their container's to expose. What else is left out is counted in `dropped`.
    """
    book = _Book(max_series, created, dropped)
    for resource, points in rounds:
        extra = _container_labels(points) if labels_everywhere else {}
        for point in points:
            if isinstance(point, Value | Histogram):
                _add(book, resource, point, extra if point.name in CADVISOR else {})
    counts = dropped.values()
    book.max_series += len(counts)
    for value in counts:
        _add(book, Resource(PLATFORM), value, {})
    return list(book.families.values())


def _container_labels(points: Iterable[Point]) -> dict[str, str]:
    info = next((point for point in points if isinstance(point, Value) and point.name == "container_info"), None)
    return {name: value for name, value in info.labels if name.startswith(PREFIX)} if info else {}


def _add(book: _Book, resource: Resource, point: Value | Histogram, extra: Mapping[str, str]) -> None:
    metric = FAMILIES.get(point.name)
    if metric is None or (metric.kind == "histogram") != isinstance(point, Histogram):
        book.dropped.add("unknown")
        return
    labels = _labels(point, resource, extra)
    if not book.admit(point.name, labels):
        return
    family = book.family(point.name, metric)
    if isinstance(point, Histogram):
        _add_histogram(family, point, labels)
    else:
        family.add_sample(point.name, labels, point.value)
    if book.created and metric.kind != "gauge" and point.start_ms is not None:
        family.add_sample(f"{family.name}_created", labels, point.start_ms / 1000)


def _add_histogram(family: Family, point: Histogram, labels: dict[str, str]) -> None:
    total = 0
    for bound, count in zip((*map(repr, point.bounds), "+Inf"), point.counts, strict=True):
        total += count
        family.add_sample(f"{point.name}_bucket", {**labels, "le": bound}, total)
    family.add_sample(f"{point.name}_count", labels, total)
    family.add_sample(f"{point.name}_sum", labels, point.sum)


def _labels(point: Value | Histogram, resource: Resource, extra: Mapping[str, str]) -> dict[str, str]:
    """The container's labels, over them the point's, and over both those of its resource; empty ones leave no label."""
    merged = {**extra, **dict(point.labels), **identity(point.name, resource)}
    return {name: _bounded(value) for name, value in merged.items() if value}


def _bounded(value: str) -> str:
    """Valid Unicode of bounded length: what an engine relays may hold lone surrogates, which can't be written."""
    if len(value) <= MAX_LABEL_CHARACTERS and value.isascii():
        return value
    return value[:MAX_LABEL_CHARACTERS].encode("utf-8", "replace").decode()


def identity(name: str, resource: Resource) -> dict[str, str]:
    """The labels of a resource: node_exporter's metrics have none, cAdvisor's five, ours the service."""
    if name in NODE:
        return {}
    if resource.container is None:
        return {"service": str(resource.service)}
    return {
        "id": resource.id or "",
        "name": resource.container,
        "image": resource.image or "",
        "container": resource.service.name,
        "service": str(resource.service),
    }


class Exposition(Collector):
    """What prometheus_client's encoders read: one scrape's points as families."""

    def __init__(
        self,
        rounds: Iterable[Points],
        dropped: Dropped,
        *,
        created: bool = False,
        max_series: int = MAX_SERIES,
        labels_everywhere: bool = False,
    ) -> None:
        self._rounds = rounds
        self._dropped = dropped
        self._created = created
        self._max_series = max_series
        self._labels_everywhere = labels_everywhere

    def collect(self) -> Iterator[Family]:
        """All families."""
        yield from families(
            self._rounds,
            self._dropped,
            created=self._created,
            max_series=self._max_series,
            labels_everywhere=self._labels_everywhere,
        )

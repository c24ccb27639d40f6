"""Which objectives there can be: services, nodes, registries and the series that the store has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping

from service import roster
from service.ports import Readings, ask
from service.roster import Heard
from slo.indicators import (
    OWN_HISTOGRAMS,
    REGISTRY,
    REQUEST_COUNTERS,
    REQUEST_HISTOGRAMS,
    STATUS_LABELS,
    Catalogue,
    NodeName,
    ServiceFacts,
)
from slo.model import Selector

DAY_MS = 86_400_000
INTERVAL = "midwatch_agent_interval_seconds"
DEFAULT_INTERVAL_MS = 5_000


def services(store: Readings) -> list[ServiceFacts]:
    """Services that are declared or watched."""
    return roster.facts(ask(store.database, roster.present))


def nodes(store: Readings, now_ms: int) -> list[Heard]:
    """Nodes whose agents reported within the last day, by name and id."""
    last = ask(store.database, lambda cursor: roster.heard(cursor, now_ms - DAY_MS))
    intervals = {
        dict(it.series.labels).get("node_id", ""): round(it.value * 1000)
        for it in store.instant(Selector(INTERVAL), now_ms, DAY_MS)
    }
    names = {it.get("node_id", ""): it.get("node", "") for it in store.recent_labels(INTERVAL, now_ms - DAY_MS)}
    found = [Heard(names.get(it, it), it, at_ms, intervals.get(it, DEFAULT_INTERVAL_MS)) for it, at_ms in last.items()]
    return sorted(found, key=lambda it: (it.node, it.node_id))


def catalogue(store: Readings, heard: list[Heard], gone: Collection[str], now_ms: int) -> Catalogue:
    """The series of the last day that objectives depend on, without those of services that are `gone`."""

    def labels(metric: str) -> list[Mapping[str, str]]:
        found = store.recent_labels(metric, now_ms - DAY_MS)
        return [it for it in found if it.get("service", "") not in gone]

    registries = {it.get("registry", "") for it in labels(f"{REGISTRY}_count")} - {""}
    nodes = tuple(NodeName(it.node, it.node_id) for it in heard)
    whole = {
        (service, name, le): now_ms - since_ms
        for name in (*REQUEST_HISTOGRAMS, *OWN_HISTOGRAMS)
        for (service, le), since_ms in store.bounds_since(f"{name}_bucket").items()
    }
    return Catalogue(_status_labels(labels), _bounds(labels), nodes, tuple(sorted(registries)), whole)


Labels = Callable[[str], list[Mapping[str, str]]]
"""The labels of a metric's series."""


def _status_labels(labels: Labels) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for metric in (*REQUEST_COUNTERS, *(f"{name}_count" for name in REQUEST_HISTOGRAMS)):
        for it in labels(metric):
            found[it.get("service", ""), metric] |= {name for name in STATUS_LABELS if name in it}
    return {key: frozenset(names) for key, names in found.items()}


def _bounds(labels: Labels) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for metric in (*REQUEST_HISTOGRAMS, *OWN_HISTOGRAMS):
        for it in labels(f"{metric}_bucket"):
            found[it.get("service", ""), metric].add(it.get("le", ""))
    return {key: frozenset(texts) for key, texts in found.items()}

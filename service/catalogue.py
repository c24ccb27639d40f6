"""Which objectives there can be: services, nodes, registries and the series that the store has."""

from __future__ import annotations

from collections import defaultdict

from service import roster
from service.ports import Readings, ask
from service.roster import Heard
from service.store_series import Directory
from slo.builtin import (
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
    names = {labels.get("node_id", ""): labels.get("node", "") for labels in _labels(store.directory, INTERVAL)}
    found = [Heard(names.get(it, it), it, at_ms, intervals.get(it, DEFAULT_INTERVAL_MS)) for it, at_ms in last.items()]
    return sorted(found, key=lambda it: (it.node, it.node_id))


def catalogue(store: Readings, heard: list[Heard]) -> Catalogue:
    """The series that objectives depend on."""
    directory = store.directory
    registries = {labels.get("registry", "") for labels in _labels(directory, f"{REGISTRY}_count")} - {""}
    return Catalogue(
        _status_labels(directory),
        _bounds(directory),
        tuple(NodeName(it.node, it.node_id) for it in heard),
        tuple(sorted(registries)),
    )


def _labels(directory: Directory, metric: str) -> list[dict[str, str]]:
    return [dict(it) for it in directory.labels_of(metric).values()]


def _status_labels(directory: Directory) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for metric in (*REQUEST_COUNTERS, *(f"{name}_count" for name in REQUEST_HISTOGRAMS)):
        for labels in _labels(directory, metric):
            found[labels.get("service", ""), metric] |= {name for name in STATUS_LABELS if name in labels}
    return {key: frozenset(names) for key, names in found.items()}


def _bounds(directory: Directory) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for metric in (*REQUEST_HISTOGRAMS, *OWN_HISTOGRAMS):
        for labels in _labels(directory, f"{metric}_bucket"):
            found[labels.get("service", ""), metric].add(labels.get("le", ""))
    return {key: frozenset(texts) for key, texts in found.items()}

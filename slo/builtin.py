"""The built-in objectives: which of them a service, a node or a registry gets, and from which series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from slo.model import Objective

REQUEST_COUNTERS = ("http_requests_total", "http_server_requests_total")
"""Counters of responses, the first that a service has is taken; read from containers or sent by OTLP."""
REQUEST_HISTOGRAMS = ("http_request_duration_seconds", "http_server_request_duration_seconds")
"""Histograms of responses (names without `_bucket`); their `_count` serves where there is no counter."""
STATUS_LABELS = ("code", "status", "status_code", "http_response_status_code", "http_status_code")
"""Labels that carry the response's status, the first that a metric has is taken."""
OWN_HISTOGRAMS = (
    "midwatch_cold_start_seconds",
    "midwatch_image_build_seconds",
    "midwatch_registry_request_duration_seconds",
)
"""Histograms of our own whose bounds the catalogue needs."""
LABEL_PREFIX = "midwatch.slo."
"""Labels `midwatch.slo.<indicator>.target|threshold|window` of a container override an objective."""


@dataclass(frozen=True)
class ServiceFacts:
    """One service of the table `services`; several nodes that run it are one entry."""

    service: str
    replicas: int
    labels: Mapping[str, str]
    """Its labels that begin with `midwatch.`."""
    has_probe: bool
    """True where a readiness probe or a health check tells when it is ready."""
    nodes: tuple[str, ...] = ()


class NodeName(NamedTuple):
    """A node's name and the UUID of its agent."""

    node: str
    node_id: str


@dataclass(frozen=True)
class Catalogue:
    """Which series the store has, as far as objectives depend on it."""

    status_labels: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """(service, metric) -> those of STATUS_LABELS that its series have (an empty set: series without any).

    Metrics are REQUEST_COUNTERS and REQUEST_HISTOGRAMS with `_count`.
    """
    bounds: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """(service, histogram) -> texts of `le` of its `_bucket` series, for REQUEST_HISTOGRAMS and OWN_HISTOGRAMS."""
    nodes: tuple[NodeName, ...] = ()
    """Nodes whose agents reported within the last day."""
    registries: tuple[str, ...] = ()
    """Values of `registry` of midwatch_registry_request_duration_seconds_count."""


class Fault(NamedTuple):
    """A label that could not be obeyed: the default stands instead."""

    service: str
    label: str
    value: str
    problem: str
    """What is wrong and what would be right."""


def builtin(services: Sequence[ServiceFacts], known: Catalogue) -> list[Objective]:
    """All built-in objectives, ordered by service, then indicator; a faulty override is told in `note`."""
    raise NotImplementedError


def override_faults(services: Sequence[ServiceFacts]) -> list[Fault]:
    """Every `midwatch.slo.` label that can't be obeyed, all at once."""
    raise NotImplementedError

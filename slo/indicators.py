"""What built-in indicators count: from which series, under which title, and why nothing can measure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from slo.bounds import largest_within
from slo.model import Allowance, EventRatio, Indicator, Matcher, MinuteSlices, Selector
from slo.overrides import Goal

REQUEST_COUNTERS = ("http_requests_total", "http_server_requests_total")
"""Counters of responses, the first that a service has is taken; read from containers or sent by OTLP."""
REQUEST_HISTOGRAMS = ("http_request_duration_seconds", "http_server_request_duration_seconds")
"""Histograms of responses (names without `_bucket`); their `_count` serves where there is no counter."""
STATUS_LABELS = ("code", "status", "status_code", "http_response_status_code", "http_status_code")
"""Labels that carry the response's status, the first that a metric has is taken."""
COLD_START = "midwatch_cold_start_seconds"
BUILD = "midwatch_image_build_seconds"
REGISTRY = "midwatch_registry_request_duration_seconds"
OOM_KILLS = "midwatch_oom_kills_total"
OWN_HISTOGRAMS = (COLD_START, BUILD, REGISTRY)
"""Histograms of our own whose bounds the catalogue needs."""
PLATFORM = "platform"
NOT_NETWORKED = "cached|cancelled|bad_reference"
"""Outcomes of pulls that never reached for the network: neither good nor bad."""


@dataclass(frozen=True)
class ServiceFacts:
    """One service of the table `services`; several nodes that run it are one entry.

    An entry named `platform` may carry labels that override the objectives of nodes and registries.
    """

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


class Draft(NamedTuple):
    """What an indicator gave: how it is counted, how it is titled, and what to say."""

    indicator: Indicator
    title: str
    note: str | None = None
    unmeasurable: str | None = None


def draft_of(
    indicator: str, subject: str | NodeName, goal: Goal, facts: ServiceFacts | None, known: Catalogue
) -> Draft:
    """The indicator of a subject, also where nothing of it has been seen yet."""
    if isinstance(subject, NodeName):
        return node_disk(subject, goal) if indicator == "node-disk" else cpu_steal(subject, goal)
    found: Draft | None = None
    match indicator:
        case "request-availability":
            found = request_availability(subject, known)
        case "request-latency":
            found = request_latency(subject, goal, known)
        case "build-time":
            found = build_time(subject, goal, known)
        case "cold-start":
            found = cold_start(subject, goal, facts, known)
        case "registry-latency":
            found = registry_latency(subject, goal, known)
        case "vulnerabilities":
            found = vulnerabilities()
        case _:
            found = _SIMPLE[indicator](subject)
    return found or vulnerabilities()._replace(title=indicator, unmeasurable=f"{subject} has no series for it yet.")


def _select(metric: str, service: str, *matchers: Matcher) -> Selector:
    return Selector(metric, (Matcher("service", "=", service), *matchers))


def container_up(service: str) -> Draft:
    """Healthy container time of the desired."""
    total = _select("midwatch_container_desired_seconds_total", service)
    good = _select("midwatch_container_healthy_seconds_total", service)
    return Draft(EventRatio((total,), good=(good,), scale=1000), "Containers up and healthy")


def image_pull_success(service: str) -> Draft:
    """Pulls that worked, of those that reached for the network."""
    pulls = "midwatch_image_pulls_total"
    total = _select(pulls, service, Matcher("outcome", "!~", NOT_NETWORKED))
    good = _select(pulls, service, Matcher("outcome", "=", "ok"))
    return Draft(EventRatio((total,), good=(good,)), "Image pulls that worked")


def restart_rate(service: str) -> Draft:
    """Restarts by policy against the time of instances."""
    bad = _select("midwatch_container_restarts_total", service, Matcher("by", "=", "policy"))
    exposure = _select("midwatch_container_instance_seconds_total", service)
    return Draft(Allowance((bad,), (exposure,)), "Restarts within their allowance")


def _oom_kills(service: str) -> Draft:
    bad = _select(OOM_KILLS, service)
    exposure = _select("midwatch_container_instance_seconds_total", service)
    return Draft(Allowance((bad,), (exposure,)), "OOM kills within their allowance")


_SIMPLE = {
    "container-up": container_up,
    "image-pull-success": image_pull_success,
    "restart-rate": restart_rate,
    "oom-kills": _oom_kills,
}
"""Indicators that depend on the service's name alone."""


def cold_start(service: str, goal: Goal, facts: ServiceFacts | None, known: Catalogue) -> Draft:
    """Starts that were ready within the threshold."""
    draft = _within("Ready", service, COLD_START, goal, known, Matcher("segment", "=", "ready"))
    if facts is not None and facts.has_probe:
        return draft
    why = "No readiness probe and no health check: nothing tells when it is ready. Set the label midwatch.readiness."
    return draft._replace(unmeasurable=why)


def build_time(service: str, goal: Goal, known: Catalogue) -> Draft | None:
    """Builds within the threshold; None before the first."""
    return _within("Image builds done", service, BUILD, goal, known) if (service, BUILD) in known.bounds else None


def registry_latency(registry: str, goal: Goal, known: Catalogue) -> Draft:
    """Manifest requests within the threshold."""
    matchers = (Matcher("registry", "=", registry), Matcher("phase", "=", "total"))
    return _within("Manifest requests answered", PLATFORM, REGISTRY, goal, known, *matchers)


def request_availability(service: str, known: Catalogue) -> Draft | None:
    """Responses below 500; None where the service has no counter of responses."""
    names = (*REQUEST_COUNTERS, *(f"{name}_count" for name in REQUEST_HISTOGRAMS))
    present = [name for name in names if (service, name) in known.status_labels]
    if not present:
        return None
    labels = {name: known.status_labels[service, name] for name in present}
    metric = next((name for name in present if labels[name]), present[0])
    label = next((it for it in STATUS_LABELS if it in labels[metric]), None)
    bad = _select(metric, service, Matcher(label or "code", "=~", "5.."))
    draft = Draft(EventRatio((_select(metric, service),), bad=(bad,)), "Responses without a server error")
    if label:
        return draft
    return draft._replace(unmeasurable=f"{metric} has none of the labels {', '.join(STATUS_LABELS)}.")


def request_latency(service: str, goal: Goal, known: Catalogue) -> Draft | None:
    """Responses within the threshold; None where the service has no histogram of them."""
    metric = next((name for name in REQUEST_HISTOGRAMS if (service, name) in known.bounds), None)
    return _within("Responses", service, metric, goal, known) if metric else None


def _within(what: str, service: str, metric: str, goal: Goal, known: Catalogue, *matchers: Matcher) -> Draft:
    """Events within the threshold: those of the largest bucket that does not exceed it, over all."""
    bounds = known.bounds.get((service, metric), frozenset())
    limit = goal.threshold or Fraction(0)
    bound = largest_within(bounds, limit)
    total = _select(f"{metric}_count", service, *matchers)
    good = _select(f"{metric}_bucket", service, *matchers, Matcher("le", "=", bound or "none"))
    draft = Draft(EventRatio((total,), good=(good,)), f"{what} within {goal.threshold_text}")
    if not bounds:
        return draft._replace(unmeasurable=f"No sample of {metric} has been seen yet.")
    if bound is None:
        return draft._replace(unmeasurable=f"{metric} has no bucket at or below {goal.threshold_text}.")
    if Fraction(bound) != limit:
        note = f"{metric} has no bucket at {goal.threshold_text}: the next one below, {bound} s, is used"
        return draft._replace(note=note)
    return draft


def node_disk(node: NodeName, goal: Goal) -> Draft:
    """Minutes with every disk below the threshold."""
    mine = Matcher("node_id", "=", node.node_id)
    indicator = MinuteSlices(
        "gauge",
        Selector("node_filesystem_avail_bytes", (mine,)),
        Selector("node_filesystem_size_bytes", (mine,)),
        goal.threshold or Fraction(0),
        complement=True,
    )
    return Draft(indicator, f"Minutes with every disk below {goal.threshold_text} used")


def cpu_steal(node: NodeName, goal: Goal) -> Draft:
    """Minutes with less than the threshold stolen."""
    mine = Matcher("node_id", "=", node.node_id)
    indicator = MinuteSlices(
        "counter",
        Selector("node_cpu_seconds_total", (mine, Matcher("mode", "=", "steal"))),
        Selector("node_cpu_seconds_total", (mine,)),
        goal.threshold or Fraction(0),
    )
    return Draft(indicator, f"Minutes with less than {goal.threshold_text} of CPU time stolen")


def vulnerabilities() -> Draft:
    """Nothing yet: no scanner reports."""
    nothing = Selector("midwatch_vulnerabilities")
    return Draft(EventRatio((nothing,), good=(nothing,)), "Images without known critical vulnerabilities",
                  unmeasurable="No scanner reports to Midwatch.")  # fmt: skip

"""The built-in objectives: which of them a service, a node or a registry gets, and from which series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from slo.bounds import largest_within
from slo.burn import DEFAULT, Policy, table_rows
from slo.model import Allowance, EventRatio, Indicator, Labels, Matcher, MinuteSlices, Objective, Selector
from slo.overrides import DEFAULTS, Asked, Fault, Goal, goals
from slo.rows import lint

REQUEST_COUNTERS = ("http_requests_total", "http_server_requests_total")
"""Counters of responses, the first that a service has is taken; read from containers or sent by OTLP."""
REQUEST_HISTOGRAMS = ("http_request_duration_seconds", "http_server_request_duration_seconds")
"""Histograms of responses (names without `_bucket`); their `_count` serves where there is no counter."""
STATUS_LABELS = ("code", "status", "status_code", "http_response_status_code", "http_status_code")
"""Labels that carry the response's status, the first that a metric has is taken."""
COLD_START = "midwatch_cold_start_seconds"
BUILD = "midwatch_image_build_seconds"
REGISTRY = "midwatch_registry_request_duration_seconds"
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


class _Draft(NamedTuple):
    """What an indicator gave: how it is counted, how it is titled, and what to say."""

    indicator: Indicator
    title: str
    note: str | None = None
    unmeasurable: str | None = None


def builtin(
    services: Sequence[ServiceFacts], known: Catalogue, asked: Sequence[Asked] = (), policy: Policy = DEFAULT
) -> list[Objective]:
    """All built-in objectives, ordered by service and name; faulty overrides and useless rows are told in `note`.

    What a file asks for of an indicator stands instead of the built-in objective, and under its name; what it asks for
    beyond one objective of it stands beside, under the file's names. A file that names a service goes before the
    service's labels, and these before a file's pattern.
    """
    declared = {facts.service: facts for facts in services}
    apps = {service for service, _ in (*known.status_labels, *known.bounds)}
    names = sorted({*declared, *apps} - {PLATFORM})
    found = []
    for name in names:
        found.extend(_of_service(name, declared.get(name), known, policy))
    found.extend(_of_platform(declared.get(PLATFORM), known, policy))
    if not asked:
        return found
    own = {(it.slo, it.service, it.scope): it for it in found} | _of_files(asked, names, declared, known, policy)
    return sorted(own.values(), key=lambda it: (it.service == PLATFORM, it.service, it.slo, it.scope))


def _of_files(
    asked: Sequence[Asked],
    names: Sequence[str],
    declared: Mapping[str, ServiceFacts],
    known: Catalogue,
    policy: Policy,
) -> dict[tuple[str, str, Labels], Objective]:
    """What files ask for, by identity; what names its subject comes before patterns, and shuts them out."""
    found: dict[tuple[str, str, Labels], Objective] = {}
    named: set[tuple[str, str, Labels]] = set()
    for it in sorted(asked, key=lambda it: it.any):
        for service, scope, name in _subjects(it, names, known):
            key = (it.indicator, service, scope)
            if it.any and key in named:
                continue
            facts = declared.get(service)
            labels = facts.labels if facts is not None and it.any else {}
            goal = goals(service, labels, {**DEFAULTS, it.indicator: it.goal})[0][it.indicator]
            draft = _draft(it.indicator, name, goal, facts, known)
            draft = draft._replace(unmeasurable=it.unmeasurable or draft.unmeasurable)
            beside = it.name if it.name not in DEFAULTS else f"{it.indicator}-{it.name}"
            slo = it.indicator if key not in found else beside
            objective = _objective(slo, service, scope, goal, draft, (), policy)
            note = "; ".join(filter(None, (objective.note, f"asked for by {it.where}")))
            found[slo, service, scope] = replace(objective, note=note, calendar=it.calendar)
            if not it.any:
                named.add(key)
    return found


def _subjects(asked: Asked, names: Sequence[str], known: Catalogue) -> list[tuple[str, Labels, str | NodeName]]:
    """(service, scope, subject) of all that an objective is asked for; a service that is named need not be known."""
    match asked.indicator:
        case "node-disk" | "cpu-steal":
            nodes = [it for it in sorted(set(known.nodes)) if asked.covers(it.node)]
            return [(PLATFORM, node_scope(it, known.nodes), it) for it in nodes]
        case "registry-latency":
            registries = [it for it in sorted(set(known.registries)) if asked.covers(it)]
            return [(PLATFORM, (("registry", it),), it) for it in registries]
        case "vulnerabilities":
            return [(PLATFORM, (), PLATFORM)]
        case _:
            services = [it for it in names if asked.covers(it)] if asked.any else [asked.of]
            return [(it, (), it) for it in services]


def _draft(indicator: str, subject: str | NodeName, goal: Goal, facts: ServiceFacts | None, known: Catalogue) -> _Draft:
    """The indicator of a subject, also where nothing of it has been seen yet."""
    if isinstance(subject, NodeName):
        return _node_disk(subject, goal) if indicator == "node-disk" else _cpu_steal(subject, goal)
    found: _Draft | None = None
    match indicator:
        case "request-availability":
            found = _request_availability(subject, known)
        case "request-latency":
            found = _request_latency(subject, goal, known)
        case "build-time":
            found = _build_time(subject, goal, known)
        case "cold-start":
            found = _cold_start(subject, goal, facts, known)
        case "registry-latency":
            found = _registry_latency(subject, goal, known)
        case "vulnerabilities":
            found = _vulnerabilities()
        case _:
            found = _SIMPLE[indicator](subject)
    return found or _vulnerabilities()._replace(title=indicator, unmeasurable=f"{subject} has no series for it yet.")


def override_faults(services: Sequence[ServiceFacts]) -> list[Fault]:
    """Every `midwatch.slo.` label that can't be obeyed, all at once."""
    return [fault for facts in services for fault in goals(facts.service, facts.labels)[1]]


def node_scope(node: NodeName, nodes: Sequence[NodeName]) -> Labels:
    """What tells a node apart: its name, with the agent's UUID where several nodes share the name."""
    alike = Counter(name for name, _ in set(nodes))
    return (("node", node.node), ("node_id", node.node_id)) if alike[node.node] > 1 else (("node", node.node),)


def _of_service(service: str, facts: ServiceFacts | None, known: Catalogue, policy: Policy) -> list[Objective]:
    asked, faults = goals(service, facts.labels if facts else {})
    drafts: dict[str, _Draft | None] = {
        "request-availability": _request_availability(service, known),
        "request-latency": _request_latency(service, asked["request-latency"], known),
        "build-time": _build_time(service, asked["build-time"], known),
    }
    if facts is not None:
        drafts |= {
            "container-up": _container_up(service),
            "image-pull-success": _image_pull_success(service),
            "restart-rate": _restart_rate(service),
            "cold-start": _cold_start(service, asked["cold-start"], facts, known),
        }
    return [
        _objective(name, service, (), asked[name], draft, faults, policy)
        for name, draft in sorted(drafts.items())
        if draft
    ]


def _of_platform(facts: ServiceFacts | None, known: Catalogue, policy: Policy) -> list[Objective]:
    asked, faults = goals(PLATFORM, facts.labels if facts else {})
    rows: list[tuple[str, Labels, _Draft]] = []
    for node in sorted(set(known.nodes)):
        scope = node_scope(node, known.nodes)
        rows.append(("cpu-steal", scope, _cpu_steal(node, asked["cpu-steal"])))
        rows.append(("node-disk", scope, _node_disk(node, asked["node-disk"])))
    for registry in sorted(set(known.registries)):
        draft = _registry_latency(registry, asked["registry-latency"], known)
        rows.append(("registry-latency", (("registry", registry),), draft))
    rows.append(("vulnerabilities", (), _vulnerabilities()))
    return [_objective(name, PLATFORM, scope, asked[name], draft, faults, policy) for name, scope, draft in rows]


def _objective(
    name: str, service: str, scope: Labels, goal: Goal, draft: _Draft, faults: Sequence[Fault], policy: Policy
) -> Objective:
    mine = [f"{it.label} = {it.value!r} is ignored: {it.problem}" for it in faults if f".{name}." in it.label]
    budget = goal.target / 3_600_000 if goal.kind == "rate" else 1 - goal.target
    rows = lint(table_rows(goal.window_ms, policy), goal.window_ms, budget, draft.indicator)
    return Objective(
        slo=name,
        service=service,
        scope=scope,
        indicator=draft.indicator,
        budget=budget,
        target_text=goal.target_text,
        window_ms=goal.window_ms,
        title=draft.title,
        note="; ".join([*([draft.note] if draft.note else []), *mine, *rows]) or None,
        unmeasurable=draft.unmeasurable,
    )


def _select(metric: str, service: str, *matchers: Matcher) -> Selector:
    return Selector(metric, (Matcher("service", "=", service), *matchers))


def _container_up(service: str) -> _Draft:
    total = _select("midwatch_container_desired_seconds_total", service)
    good = _select("midwatch_container_healthy_seconds_total", service)
    return _Draft(EventRatio((total,), good=(good,), scale=1000), "Containers up and healthy")


def _image_pull_success(service: str) -> _Draft:
    pulls = "midwatch_image_pulls_total"
    total = _select(pulls, service, Matcher("outcome", "!~", NOT_NETWORKED))
    good = _select(pulls, service, Matcher("outcome", "=", "ok"))
    return _Draft(EventRatio((total,), good=(good,)), "Image pulls that worked")


def _restart_rate(service: str) -> _Draft:
    bad = _select("midwatch_container_restarts_total", service, Matcher("by", "=", "policy"))
    exposure = _select("midwatch_container_instance_seconds_total", service)
    return _Draft(Allowance((bad,), (exposure,)), "Restarts within their allowance")


def _oom_kills(service: str) -> _Draft:
    bad = _select("midwatch_oom_kills_total", service)
    exposure = _select("midwatch_container_instance_seconds_total", service)
    return _Draft(Allowance((bad,), (exposure,)), "OOM kills within their allowance")


_SIMPLE = {
    "container-up": _container_up,
    "image-pull-success": _image_pull_success,
    "restart-rate": _restart_rate,
    "oom-kills": _oom_kills,
}
"""Indicators that depend on the service's name alone."""


def _cold_start(service: str, goal: Goal, facts: ServiceFacts | None, known: Catalogue) -> _Draft:
    draft = _within("Ready", service, COLD_START, goal, known, Matcher("segment", "=", "ready"))
    if facts is not None and facts.has_probe:
        return draft
    why = "No readiness probe and no health check: nothing tells when it is ready. Set the label midwatch.readiness."
    return draft._replace(unmeasurable=why)


def _build_time(service: str, goal: Goal, known: Catalogue) -> _Draft | None:
    return _within("Image builds done", service, BUILD, goal, known) if (service, BUILD) in known.bounds else None


def _registry_latency(registry: str, goal: Goal, known: Catalogue) -> _Draft:
    matchers = (Matcher("registry", "=", registry), Matcher("phase", "=", "total"))
    return _within("Manifest requests answered", PLATFORM, REGISTRY, goal, known, *matchers)


def _request_availability(service: str, known: Catalogue) -> _Draft | None:
    names = (*REQUEST_COUNTERS, *(f"{name}_count" for name in REQUEST_HISTOGRAMS))
    present = [name for name in names if (service, name) in known.status_labels]
    if not present:
        return None
    labels = {name: known.status_labels[service, name] for name in present}
    metric = next((name for name in present if labels[name]), present[0])
    label = next((it for it in STATUS_LABELS if it in labels[metric]), None)
    bad = _select(metric, service, Matcher(label or "code", "=~", "5.."))
    draft = _Draft(EventRatio((_select(metric, service),), bad=(bad,)), "Responses without a server error")
    if label:
        return draft
    return draft._replace(unmeasurable=f"{metric} has none of the labels {', '.join(STATUS_LABELS)}.")


def _request_latency(service: str, goal: Goal, known: Catalogue) -> _Draft | None:
    metric = next((name for name in REQUEST_HISTOGRAMS if (service, name) in known.bounds), None)
    return _within("Responses", service, metric, goal, known) if metric else None


def _within(what: str, service: str, metric: str, goal: Goal, known: Catalogue, *matchers: Matcher) -> _Draft:
    """Events within the threshold: those of the largest bucket that does not exceed it, over all."""
    bounds = known.bounds.get((service, metric), frozenset())
    limit = goal.threshold or Fraction(0)
    bound = largest_within(bounds, limit)
    total = _select(f"{metric}_count", service, *matchers)
    good = _select(f"{metric}_bucket", service, *matchers, Matcher("le", "=", bound or "none"))
    draft = _Draft(EventRatio((total,), good=(good,)), f"{what} within {goal.threshold_text}")
    if not bounds:
        return draft._replace(unmeasurable=f"No sample of {metric} has been seen yet.")
    if bound is None:
        return draft._replace(unmeasurable=f"{metric} has no bucket at or below {goal.threshold_text}.")
    if Fraction(bound) != limit:
        note = f"{metric} has no bucket at {goal.threshold_text}: the next one below, {bound} s, is used"
        return draft._replace(note=note)
    return draft


def _node_disk(node: NodeName, goal: Goal) -> _Draft:
    mine = Matcher("node_id", "=", node.node_id)
    indicator = MinuteSlices(
        "gauge",
        Selector("node_filesystem_avail_bytes", (mine,)),
        Selector("node_filesystem_size_bytes", (mine,)),
        goal.threshold or Fraction(0),
        complement=True,
    )
    return _Draft(indicator, f"Minutes with every disk below {goal.threshold_text} used")


def _cpu_steal(node: NodeName, goal: Goal) -> _Draft:
    mine = Matcher("node_id", "=", node.node_id)
    indicator = MinuteSlices(
        "counter",
        Selector("node_cpu_seconds_total", (mine, Matcher("mode", "=", "steal"))),
        Selector("node_cpu_seconds_total", (mine,)),
        goal.threshold or Fraction(0),
    )
    return _Draft(indicator, f"Minutes with less than {goal.threshold_text} of CPU time stolen")


def _vulnerabilities() -> _Draft:
    nothing = Selector("midwatch_vulnerabilities")
    return _Draft(EventRatio((nothing,), good=(nothing,)), "Images without known critical vulnerabilities",
                  unmeasurable="No scanner reports to Midwatch.")  # fmt: skip

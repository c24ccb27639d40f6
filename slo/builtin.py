"""The built-in objectives: which of them a service, a node or a registry gets, and from which series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from slo.burn import DEFAULT, Policy, table_rows
from slo.indicators import (
    PLATFORM,
    Catalogue,
    Draft,
    NodeName,
    ServiceFacts,
    build_time,
    cold_start,
    container_up,
    cpu_steal,
    draft_of,
    image_pull_success,
    node_disk,
    registry_latency,
    request_availability,
    request_latency,
    restart_rate,
    vulnerabilities,
)
from slo.model import Allowance, EventRatio, Labels, Objective
from slo.overrides import DEFAULTS, Asked, Fault, Goal, MemberOf, goals
from slo.rows import lint
from slo.slices import RatioTimeslices, Timeslices

BY_NODE = ("node-disk", "cpu-steal")
"""Indicators of nodes."""


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
        if it.member_of is not None:
            found[it.name, it.member_of.service, ()] = _member(it, it.member_of, names, declared, known, policy)
            continue
        for service, scope, name in _subjects(it, names, known):
            key = (it.indicator, service, scope)
            if it.any and key in named:
                continue
            beside = it.name if it.name not in DEFAULTS else f"{it.indicator}-{it.name}"
            slo = it.indicator if key not in found else beside
            facts = declared.get(service)
            found[slo, service, scope] = _of_file(it, (slo, service, scope), name, facts, known, policy)
            if not it.any:
                named.add(key)
    return found


def _of_file(
    asked: Asked,
    identity: tuple[str, str, Labels],
    subject: str | NodeName,
    facts: ServiceFacts | None,
    known: Catalogue,
    policy: Policy,
) -> Objective:
    """One objective that a file asks for; labels go before a pattern, where they speak of the same kind of target."""
    same = asked.indicator not in DEFAULTS or asked.goal.kind == DEFAULTS[asked.indicator].kind
    labels = facts.labels if facts is not None and asked.any and same else {}
    goal = goals(identity[1], labels, {**DEFAULTS, asked.indicator: asked.goal})[0][asked.indicator]
    draft = draft_of(asked.indicator, subject, goal, facts, known)
    if isinstance(draft.indicator, Allowance) and asked.per_ms is not None:
        draft = draft._replace(indicator=replace(draft.indicator, per_ms=asked.per_ms))
    draft = draft._replace(unmeasurable=asked.unmeasurable or draft.unmeasurable)
    objective = _objective(*identity, goal, draft, (), policy, asked.slices)
    note = "; ".join(filter(None, (objective.note, f"asked for by {asked.where}")))
    return replace(objective, note=note, calendar=asked.calendar, slices=asked.slices, conditions=asked.conditions)


def _member(
    asked: Asked,
    composite: MemberOf,
    names: Sequence[str],
    declared: Mapping[str, ServiceFacts],
    known: Catalogue,
    policy: Policy,
) -> Objective:
    """A composite's member: of one subject, shown with the composite, and none of whose alerts go out."""
    subjects = _subjects(asked, names, known)
    service, _, subject = subjects[0] if subjects else (asked.of, (), asked.of)
    if isinstance(subject, str) and asked.indicator in BY_NODE:
        subject = NodeName(asked.of, "")
    found = _of_file(asked, (asked.name, composite.service, ()), subject, declared.get(service), known, policy)
    why = f"{len(subjects) or 'No'} nodes or registries are called {asked.of}." if len(subjects) != 1 else None
    title = f"{found.title} ({asked.of})"
    return replace(
        found, title=title, part_of=composite.slo if composite.judged else None, unmeasurable=why or found.unmeasurable
    )


def _subjects(asked: Asked, names: Sequence[str], known: Catalogue) -> list[tuple[str, Labels, str | NodeName]]:
    """(service, scope, subject) of all that an objective is asked for; a service that is named need not be known."""
    match asked.indicator:
        case it if it in BY_NODE:
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


def override_faults(services: Sequence[ServiceFacts]) -> list[Fault]:
    """Every `midwatch.slo.` label that can't be obeyed, all at once."""
    return [fault for facts in services for fault in goals(facts.service, facts.labels)[1]]


def node_scope(node: NodeName, nodes: Sequence[NodeName]) -> Labels:
    """What tells a node apart: its name, with the agent's UUID where several nodes share the name."""
    alike = Counter(name for name, _ in set(nodes))
    return (("node", node.node), ("node_id", node.node_id)) if alike[node.node] > 1 else (("node", node.node),)


def _of_service(service: str, facts: ServiceFacts | None, known: Catalogue, policy: Policy) -> list[Objective]:
    asked, faults = goals(service, facts.labels if facts else {})
    drafts: dict[str, Draft | None] = {
        "request-availability": request_availability(service, known),
        "request-latency": request_latency(service, asked["request-latency"], known),
        "build-time": build_time(service, asked["build-time"], known),
    }
    if facts is not None:
        drafts |= {
            "container-up": container_up(service),
            "image-pull-success": image_pull_success(service),
            "restart-rate": restart_rate(service),
            "cold-start": cold_start(service, asked["cold-start"], facts, known),
        }
    return [
        _objective(name, service, (), asked[name], draft, faults, policy)
        for name, draft in sorted(drafts.items())
        if draft
    ]


def _of_platform(facts: ServiceFacts | None, known: Catalogue, policy: Policy) -> list[Objective]:
    asked, faults = goals(PLATFORM, facts.labels if facts else {})
    rows: list[tuple[str, Labels, Draft]] = []
    for node in sorted(set(known.nodes)):
        scope = node_scope(node, known.nodes)
        rows.append(("cpu-steal", scope, cpu_steal(node, asked["cpu-steal"])))
        rows.append(("node-disk", scope, node_disk(node, asked["node-disk"])))
    for registry in sorted(set(known.registries)):
        draft = registry_latency(registry, asked["registry-latency"], known)
        rows.append(("registry-latency", (("registry", registry),), draft))
    rows.append(("vulnerabilities", (), vulnerabilities()))
    return [_objective(name, PLATFORM, scope, asked[name], draft, faults, policy) for name, scope, draft in rows]


def _objective(
    name: str,
    service: str,
    scope: Labels,
    goal: Goal,
    draft: Draft,
    faults: Sequence[Fault],
    policy: Policy,
    slices: Timeslices | RatioTimeslices | None = None,
) -> Objective:
    mine = [f"{it.label} = {it.value!r} is ignored: {it.problem}" for it in faults if f".{name}." in it.label]
    budget = goal.target / 3_600_000 if goal.kind == "rate" else 1 - goal.target
    every = table_rows(goal.window_ms, policy)
    counted = draft.indicator if slices is None else EventRatio(())
    rows = lint(every, goal.window_ms, budget, counted, 0 if slices is None else slices.slice_ms)
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

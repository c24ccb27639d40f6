"""Every name and label value that the service's rooms ask for is one that the agent or the service emits."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import slo
from agent import names
from agent.borrowed import CADVISOR, NODE
from agent.ledger import By, Cause, ExitReason, Segment, Victim
from agent.spool import LEAST_VALUABLE_FIRST
from runtime.model import PullOutcome, PullPhase, PullQuality
from runtime.procfs import CPU_MODES
from service.selfmetrics import OWN_COUNTERS, OWN_GAUGES
from slo.builtin import builtin
from slo.indicators import (
    OWN_HISTOGRAMS,
    REQUEST_COUNTERS,
    REQUEST_HISTOGRAMS,
    STATUS_LABELS,
    Catalogue,
    NodeName,
    ServiceFacts,
)
from slo.model import Allowance, Indicator, Matcher, MinuteSlices, Objective, Selector

ROOMS = ("slo", "alerts", "dashboards", "service")
HOUSE = Path(slo.__file__).parent.parent
IDENTITY = frozenset({"node", "node_id", "service", "container", "id", "image"})
VALUES: dict[str, frozenset[str]] = {
    "by": frozenset(get_args(By)),
    "reason": frozenset(get_args(ExitReason)),
    "cause": frozenset(get_args(Cause)),
    "victim": frozenset(get_args(Victim)),
    "segment": frozenset(get_args(Segment)),
    "outcome": frozenset(get_args(PullOutcome)),
    "mode": frozenset(CPU_MODES),
    "phase": frozenset({"total", *get_args(PullPhase)}),
    "quality": frozenset(get_args(PullQuality)),
    "what": frozenset(f"batch_{what}" for what in LEAST_VALUABLE_FIRST),
}
"""Labels whose values are words of the agent; others are named by who runs the containers."""


@cache
def emitted() -> dict[str, frozenset[str]]:
    """Series that the agent sends, with their labels beside the identity."""
    found: dict[str, frozenset[str]] = {}
    for table in (names.OWN, CADVISOR, NODE):
        for name, metric in table.items():
            labels = frozenset(metric.labels)
            if metric.kind == "histogram":
                found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
            else:
                found[name] = labels
    return found


APPLICATIONS = {
    **dict.fromkeys(REQUEST_COUNTERS, frozenset(STATUS_LABELS)),
    **{f"{name}_count": frozenset(STATUS_LABELS) for name in REQUEST_HISTOGRAMS},
    **{f"{name}_bucket": frozenset({*STATUS_LABELS, "le"}) for name in REQUEST_HISTOGRAMS},
}
"""What containers expose themselves."""


def every_objective() -> list[Objective]:
    """The built-in objectives of a service, a node and a registry about which everything is known."""
    bounds = frozenset({"0.3", "0.5", "300", "+Inf"})
    histograms = (*REQUEST_HISTOGRAMS, *OWN_HISTOGRAMS)
    services = ("shop/api", "platform")
    known = Catalogue(
        status_labels={("shop/api", name): frozenset({"code"}) for name in REQUEST_COUNTERS},
        bounds={(service, name): bounds for service in services for name in histograms},
        nodes=(NodeName("n1", "uuid"),),
        registries=("127.0.0.1:5000",),
    )
    return builtin([ServiceFacts("shop/api", 2, {}, has_probe=True, nodes=("n1",))], known)


def selectors(indicator: Indicator) -> tuple[Selector, ...]:
    if isinstance(indicator, MinuteSlices):
        return indicator.numerator, indicator.denominator
    if isinstance(indicator, Allowance):
        return (*indicator.bad, *indicator.exposure)
    return (*indicator.total, *indicator.good, *indicator.bad)


def assert_asks_for_what_is_sent(selector: Selector) -> None:
    known = {**APPLICATIONS, **emitted()}
    assert selector.metric in known
    for matcher in selector.matchers:
        assert matcher.name in known[selector.metric] | IDENTITY, selector
        assert_value_is_sent(matcher)


def assert_value_is_sent(matcher: Matcher) -> None:
    """Every alternative of a matcher's value is a word of the agent, where the label has such words."""
    words = VALUES.get(matcher.name)
    if words is None:
        return
    for alternative in matcher.value.split("|") if matcher.op in ("=~", "!~") else [matcher.value]:
        matching = [word for word in words if re.fullmatch(alternative, word)]
        assert matching or alternative == "spool.*", f"no {matcher.name} is ever {alternative!r}"


@pytest.mark.parametrize("objective", every_objective(), ids=lambda objective: f"{objective.service}-{objective.slo}")
def test_an_objective_asks_for_what_is_sent(objective: Objective) -> None:
    if objective.unmeasurable is None:
        for selector in selectors(objective.indicator):
            assert_asks_for_what_is_sent(selector)


def test_every_indicator_is_among_them() -> None:
    unmeasurable = {objective.slo for objective in every_objective() if objective.unmeasurable is not None}
    assert {objective.slo for objective in every_objective()} - unmeasurable == {
        "container-up", "image-pull-success", "restart-rate", "cold-start", "node-disk", "cpu-steal",
        "registry-latency", "request-availability", "request-latency", "build-time",
    }  # fmt: skip
    assert unmeasurable == {"vulnerabilities"}


def nodes_of(room: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted((HOUSE / room).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path, node


def texts_of(room: str) -> Iterator[tuple[Path, str]]:
    for path, node in nodes_of(room):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield path, node.value


@pytest.mark.parametrize("room", ROOMS)
def test_a_metric_that_a_room_names_is_sent_or_is_the_services_own(room: str) -> None:
    known = {*emitted(), *names.OWN, *OWN_COUNTERS, *OWN_GAUGES, *IDENTITY, "midwatch_vulnerabilities"}
    named = {
        text
        for _, text in texts_of(room)
        if re.fullmatch(r"(midwatch|container|node|machine)_[A-Za-z0-9_]*[A-Za-z0-9]", text)
    }
    assert named - known == set()


@pytest.mark.parametrize("room", ROOMS)
def test_a_label_that_a_room_matches_is_sent_with_a_value_that_is(room: str) -> None:
    labels = IDENTITY.union(*emitted().values(), STATUS_LABELS)
    for path, node in nodes_of(room):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Matcher"):
            continue
        words = [part.value for part in node.args if isinstance(part, ast.Constant)]
        if words and isinstance(words[0], str) and isinstance(node.args[0], ast.Constant):
            assert words[0] in labels, f"{path.name}:{node.lineno}"
        if len(words) == 3:
            assert_value_is_sent(Matcher(*words))  # type: ignore[arg-type]


def _is_module(text: str) -> bool:
    """Modules that are imported when they are needed are named in texts too."""
    return text.count(".") == 1 and importlib.util.find_spec(text) is not None


@pytest.mark.parametrize("room", ROOMS)
def test_an_event_that_a_room_names_is_one_that_happens(room: str) -> None:
    roots = {name.partition(".")[0] for name in names.EVENTS}
    attributes = {"container.name", "container.id", "container.image.name", "service.name", "service.namespace"}
    attributes |= {"service.instance.id"}
    named = {text for _, text in texts_of(room) if re.fullmatch(rf"({'|'.join(roots)})\.[a-z_.]+", text)}
    named = {text for text in named if not (text.startswith(f"{room}.") and _is_module(text))}
    assert named - attributes - set(names.EVENTS) == set()


@pytest.mark.parametrize("room", ["service", "dashboards"])
def test_an_attribute_that_a_room_reads_of_an_event_is_documented(room: str) -> None:
    documented = " ".join(names.EVENTS.values())
    for path, node in nodes_of(room):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and isinstance(node.func.value, ast.Attribute)
            and node.func.value.attr == "attributes"
            and isinstance(node.args[0], ast.Constant)
        ):
            word = str(node.args[0].value)
            assert re.search(rf"\b{re.escape(word)}\b", documented), f"{path.name}:{node.lineno} reads {word!r}"


def test_our_histograms_have_a_bound_at_every_default_threshold() -> None:
    for name, threshold in [
        ("midwatch_cold_start_seconds", 0.5),
        ("midwatch_registry_request_duration_seconds", 0.3),
        ("midwatch_image_build_seconds", 300.0),
    ]:
        assert threshold in names.OWN[name].bounds
    for metric in names.OWN.values():
        assert all(low < high for low, high in itertools.pairwise(metric.bounds))


def test_no_name_that_we_send_could_come_from_a_container() -> None:
    for name in emitted():
        assert name.startswith(names.RESERVED_PREFIXES)

"""What the agent's parts hand to each other: resources, points, events and log lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agent.log_json import NOTHING, Lifted
from runtime.model import ServiceName

Labels = tuple[tuple[str, str], ...]


class NodeIdentity(NamedTuple):
    """The host's name and the agent's persisted UUID."""

    node: str
    node_id: str


class Resource(NamedTuple):
    """Whose points these are. Service level: container, id and image are None; node level: service is PLATFORM."""

    service: ServiceName
    container: str | None = None
    id: str | None = None
    """The container's cgroup path, as cAdvisor's label `id`."""
    image: str | None = None


class Value(NamedTuple):
    """One counter or gauge sample; `start_ms` is a counter's start, None where it is unknown."""

    name: str
    labels: Labels
    value: float
    at_ms: int
    start_ms: int | None = None


class Histogram(NamedTuple):
    """One cumulative histogram; `counts` has one entry per bound and one for +Inf, not yet accumulated."""

    name: str
    labels: Labels
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    at_ms: int
    start_ms: int | None


class Scraped(NamedTuple):
    """One sample of a container's own metrics, whose kind its exposition told."""

    kind: Literal["counter", "gauge"]
    value: Value


Point = Value | Histogram | Scraped


class Points(NamedTuple):
    """The points of one resource in one round."""

    resource: Resource
    points: Sequence[Point]


@dataclass(frozen=True)
class Event:
    """What happened once, to a container, an image or the agent; names are in `agent.names.EVENTS`."""

    name: str
    at_ms: int
    resource: Resource
    body: str
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class LogLine(NamedTuple):
    """One line that a container wrote, bounded in length, hostile in content."""

    at_ms: int
    resource: Resource
    stream: Literal["stdout", "stderr"]
    text: str
    lifted: Lifted = NOTHING
    """What the line tells of its severity and trace, where it is JSON."""

"""What pages are drawn from, as a `DataSource` gives it: frozen, times in milliseconds UTC, absent is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from slo.model import Labels, Selector


class Scope(NamedTuple):
    """What a reader narrowed a page to; None means all.

    `node` is a node's name or, where several share the name, its `node_id`: match either.
    """

    service: str | None = None
    node: str | None = None
    container: str | None = None


ALL = Scope()


@dataclass(frozen=True)
class Status:
    """How far the service is: what tells an empty store from a quiet one."""

    first_sample_ms: int | None
    """The oldest sample that is stored, None where nothing ever arrived."""
    last_sample_ms: int | None
    """When the newest batch of metrics was stored."""
    evaluated_ms: int | None
    """When objectives were last judged."""
    interval_ms: int
    """Time between collection rounds, as the agents report it (the longest); 5000 where none has yet."""
    receiver: bool
    """True where a webhook is configured: without one, pages go nowhere and the dashboards say so."""


@dataclass(frozen=True)
class PanelQuery:
    """One family of lines: series that satisfy the selectors, folded by label values.

    `of`: `last` is a gauge's last sample in each step, `increase` a counter's summed increments in it, `rate` those
    divided by the step in seconds. A step without a sample is None. Lines with equal values of the labels `by` are
    folded into one; labels that a series lacks count as "".
    """

    selectors: tuple[Selector, ...]
    of: Literal["last", "rate", "increase"]
    by: tuple[str, ...]
    fold: Literal["sum", "max"] = "sum"
    limit: int = 12
    """At most this many lines: those with the greatest maximum."""


class Line(NamedTuple):
    """One line on the asked grid: element i is of the step `(since + i x step, since + (i + 1) x step]`."""

    key: Labels
    """(name, value) of the labels `by`, in that order."""
    values: tuple[float | None, ...]


class BurnLine(NamedTuple):
    """How fast one objective burnt, as it was judged: the fast row's long window, the last judgement of each step.

    None where no judgement was made in the step, or it had no traffic.
    """

    slo: str
    service: str
    scope: Labels
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class EventQuery:
    """Events of these names (`agent.names.EVENTS`); `where` are attributes that must equal, as text."""

    names: tuple[str, ...]
    scope: Scope = ALL
    where: Labels = ()


@dataclass(frozen=True)
class Happening:
    """One stored event of an agent."""

    name: str
    at_ms: int
    node: str
    service: str
    container: str | None
    image: str | None
    body: str
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class LogLine(NamedTuple):
    """One line of a container's log; hostile text."""

    at_ms: int
    node: str
    service: str
    container: str | None
    stream: str
    text: str


@dataclass(frozen=True)
class ServiceRow:
    """One service that is declared or watched; several nodes that run it are one row."""

    service: str
    nodes: tuple[str, ...]
    desired: int | None
    """Last `midwatch_containers_desired`, summed over nodes; None where no sample is younger than a minute."""
    healthy: int | None
    first_seen_ms: int


class DiskRow(NamedTuple):
    """One filesystem of a node, now."""

    mountpoint: str
    size_bytes: float
    used_ratio: float


@dataclass(frozen=True)
class NodeRow:
    """One node, now; None where no sample is younger than a minute."""

    node: str
    node_id: str
    last_seen_ms: int
    """When its newest batch of metrics was stored."""
    memory_total_bytes: float | None
    memory_used_ratio: float | None
    """1 - available / total."""
    cpu_used_ratio: float | None
    """Share of the last minute's CPU time that was not idle."""
    disks: tuple[DiskRow, ...]


@dataclass(frozen=True)
class ContainerRow:
    """One container that reported within the last minute."""

    container: str
    id: str
    service: str
    node: str
    image: str | None
    cpu_cores: float | None
    """CPU time of the last minute by its seconds."""
    memory_bytes: float | None
    """The working set."""
    memory_limit_bytes: float | None
    """None where it has no limit (cAdvisor's 0)."""

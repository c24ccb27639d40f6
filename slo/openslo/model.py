"""Documents of OpenSLO v1 as values; what a file leaves out is None, and where things stand is no part of equality."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Literal

from slo.openslo.faults import At
from slo.openslo.tree import Mapping, Node
from slo.openslo.values import Duration

Method = Literal["Occurrences", "Timeslices", "RatioTimeslices"]
Op = Literal["lt", "lte", "gt", "gte"]
METHODS: tuple[Method, ...] = ("Occurrences", "Timeslices", "RatioTimeslices")
OPS: tuple[Op, ...] = ("lt", "lte", "gt", "gte")


@dataclass(frozen=True)
class Meta:
    """What every document says of itself."""

    name: str
    display_name: str | None = None
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(key, values); one value may have been written as a text or as a list of one."""
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class MetricSource:
    """Where a number comes from; `spec` is for the type to read."""

    type: str | None
    ref: str | None
    spec: Mapping
    at: At = field(compare=False)


@dataclass(frozen=True)
class Ratio:
    """A ratio metric: total with good or bad, or a raw ratio."""

    counter: bool | None
    good: MetricSource | None
    bad: MetricSource | None
    total: MetricSource | None
    raw: MetricSource | None
    raw_type: Literal["success", "failure"] | None


@dataclass(frozen=True)
class SliSpec:
    """One indicator: exactly one of `threshold` and `ratio` in a document without faults."""

    description: str | None
    threshold: MetricSource | None
    ratio: Ratio | None


@dataclass(frozen=True)
class Sli:
    """An indicator, of its own or inline."""

    meta: Meta
    spec: SliSpec
    at: At = field(compare=False)


@dataclass(frozen=True)
class Calendar:
    """Where periods begin, in wall time."""

    start: datetime
    zone: str


@dataclass(frozen=True)
class TimeWindow:
    """The window of a budget; without a calendar it rolls."""

    duration: Duration
    calendar: Calendar | None
    at: At = field(compare=False)


@dataclass(frozen=True)
class Ref:
    """A document that is named elsewhere."""

    name: str
    at: At = field(compare=False)


@dataclass(frozen=True)
class ObjectiveSpec:
    """One objective as written; `target` is a share, whichever way it was written."""

    display_name: str | None
    op: Op | None
    value: Fraction | None
    target: Fraction
    target_text: str
    """As people read it, in percent: `99.9 %`."""
    slice_target: Fraction | None
    slice_window: Duration | None
    indicator: Sli | None
    indicator_ref: Ref | None
    weight: Fraction | None
    at: At = field(compare=False)


@dataclass(frozen=True)
class ConditionSpec:
    """A burn-rate condition."""

    description: str | None
    severity: str
    op: Op
    threshold: Fraction
    lookback: Duration
    after: Duration
    kind: str = "burnrate"


@dataclass(frozen=True)
class AlertCondition:
    """A condition, of its own or inline."""

    meta: Meta
    spec: ConditionSpec
    at: At = field(compare=False)


@dataclass(frozen=True)
class AlertNotificationTarget:
    """Whom a policy tells."""

    meta: Meta
    description: str | None
    target: str
    at: At = field(compare=False)


@dataclass(frozen=True)
class AlertPolicy:
    """When to tell whom, of its own or inline."""

    meta: Meta
    description: str | None
    when_no_data: bool | None
    when_resolved: bool | None
    when_breaching: bool | None
    conditions: tuple[AlertCondition | Ref, ...]
    targets: tuple[AlertNotificationTarget | Ref, ...]
    at: At = field(compare=False)


@dataclass(frozen=True)
class Slo:
    """An SLO; `indicator` and `indicator_ref` are None where each objective has its own."""

    meta: Meta
    description: str | None
    service: str
    method: Method
    window: TimeWindow | None
    indicator: Sli | None
    indicator_ref: Ref | None
    objectives: tuple[ObjectiveSpec, ...]
    policies: tuple[AlertPolicy | Ref, ...]
    at: At = field(compare=False)


@dataclass(frozen=True)
class Service:
    """A service that SLOs speak of."""

    meta: Meta
    description: str | None
    at: At = field(compare=False)


@dataclass(frozen=True)
class DataSource:
    """Where metrics are; `connection` is any YAML, and may hold secrets: it is never shown."""

    meta: Meta
    description: str | None
    type: str
    connection: Node = field(repr=False)
    at: At = field(compare=False)


Document = Slo | Sli | Service | DataSource | AlertPolicy | AlertCondition | AlertNotificationTarget

KINDS: dict[str, type[Document]] = {
    "SLO": Slo,
    "SLI": Sli,
    "Service": Service,
    "DataSource": DataSource,
    "AlertPolicy": AlertPolicy,
    "AlertCondition": AlertCondition,
    "AlertNotificationTarget": AlertNotificationTarget,
}

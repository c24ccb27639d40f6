"""Findings, alerts, incidents and silences: what other rooms see of alerting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Labels = tuple[tuple[str, str], ...]
Road = Literal["page", "ticket"]
EVERYBODY = "*"
"""All receivers of the road that an incident is on."""


def pairs(labels: Labels) -> str:
    """Labels in text, `a="b",c="d"`, with PromQL's escapes: no value can pose as another label."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Subject(NamedTuple):
    """Whom an incident concerns: a service, or with service `platform` a node or a registry."""

    service: str
    scope: Labels = ()

    @property
    def key(self) -> str:
        """The identity in text: `service="shop/api"` or `service="platform",node="n1"`."""
        return pairs((("service", self.service), *self.scope))


@dataclass(frozen=True)
class Evidence:
    """One line of proof, shown as it stands: `fast row: 1 h burns 31.2x, 5 m burns 44x (limit 14.4x)`."""

    label: str
    text: str


@dataclass(frozen=True)
class Finding:
    """What one rule says of one subject at one moment.

    `firing` is None where it can't be known (unmeasured): the alert then neither fires nor resolves.
    """

    alert: str
    """The rule's name and its runbook: `oom-storm`."""
    subject: Subject
    labels: Labels
    """Further identity of the alert beside the subject: (("slo", "container-up"),)."""
    road: Road
    firing: bool | None
    at_ms: int
    summary: str
    evidence: tuple[Evidence, ...] = ()
    since_ms: int | None = None
    """When the condition began, where the rule knows it."""
    hold_ms: int = 0
    """How long the condition must be gone before the alert resolves."""
    receivers: tuple[str, ...] = ()
    """Names of those who are to be told; empty: all whose roads it is on."""
    end_told: bool = True
    """False where its rule asks that its end be told to nobody; who was paged is told all the same."""

    @property
    def key(self) -> str:
        """Identity of the alert across evaluations."""
        extra = pairs(self.labels)
        return f"{self.alert}:{self.subject.key}" + (f",{extra}" if extra else "")


@dataclass(frozen=True)
class AlertState:
    """One alert between evaluations."""

    key: str
    alert: str
    subject: Subject
    labels: Labels
    road: Road
    status: Literal["firing", "resolved"]
    started_ms: int
    last_true_ms: int
    ended_ms: int | None
    summary: str
    evidence: tuple[Evidence, ...]
    frozen: bool = False
    """Its condition can't be known now: it neither fires nor resolves."""
    gone_since_ms: int | None = None
    """Since when its condition has been known to be gone, without a break; it resolves after the hold."""
    receivers: tuple[str, ...] = ()
    end_told: bool = True


@dataclass(frozen=True)
class Incident:
    """One incident of one subject on one road: one page, one resolve."""

    id: str
    subject: Subject
    road: Road
    status: Literal["open", "resolved"]
    opened_ms: int
    resolved_ms: int | None
    notified: bool
    """A firing message was put into the outbox: its resolve must go too."""
    alerts: tuple[AlertState, ...]
    acknowledged_ms: int | None = None
    acknowledged_by: str | None = None
    told: tuple[str, ...] = ()
    """Who was told that it fires: names of receivers, and EVERYBODY for all whose road it is on."""


@dataclass(frozen=True)
class AlertBook:
    """What alerting remembers between evaluations: the open incidents, at most one per subject and road."""

    incidents: tuple[Incident, ...] = ()

    def open(self, subject: Subject, road: Road) -> Incident | None:
        """The open incident of this subject on this road."""
        return next((it for it in self.incidents if it.subject == subject and it.road == road), None)

    def firing(self) -> tuple[AlertState, ...]:
        """All alerts that fire, of all open incidents."""
        return tuple(alert for it in self.incidents for alert in it.alerts if alert.status == "firing")


class SilenceMatcher(NamedTuple):
    """One matcher of a silence with Alertmanager's meaning; anchored, a missing label is empty."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


@dataclass(frozen=True)
class Silence:
    """While active it keeps firing messages from going out; a resolve of what was sent always goes."""

    id: str
    matchers: tuple[SilenceMatcher, ...]
    starts_ms: int
    ends_ms: int
    created_by: str
    comment: str


class Change(NamedTuple):
    """What one step decided: the reason is one of Alertmanager's notification reasons or of ours."""

    kind: Literal["opened", "joined", "resolved", "suppressed"]
    incident: Incident
    reason: str
    notify: bool
    """A message belongs into the outbox in the same transaction."""
    to: tuple[str, ...] = (EVERYBODY,)
    """Whom it goes to."""
    but: tuple[str, ...] = ()
    """Who was told before, and is not told again."""

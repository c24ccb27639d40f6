"""JSON of budget adjustments: what is asked for, checked, and what is told of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import time
from typing import Literal

from pydantic import Field

from alerts.model import Incident
from service.api import ApiFault
from service.api_models import Asked, Model
from slo.adjust import MOST_INTERVAL, Adjustment, Recurrence, Revoked, coming, faults, state, when
from slo.model import Objective
from slo.openslo.values import Refused, zone

MOST_MS = 2**52


class RecurrenceBody(Asked):
    """Times that come again on the clock of a zone."""

    every: Literal["day", "week", "month"] = Field(description="On which days, with `on`.")
    on: list[str] = Field([], max_length=31, description="Of a week mon to sun; of a month 15, last, 1-sun, last-fri.")
    at: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="When, on the zone's clock.")
    zone: str = Field("UTC", max_length=100, description="An IANA name.")
    length_ms: int = Field(ge=0, lt=MOST_MS, description="How long: elapsed time.")
    interval: int = Field(1, ge=1, le=MOST_INTERVAL, description="2: every second day, week or month.")


class AskedAdjustment(Asked):
    """What is to be taken out of budgets."""

    slos: list[str] = Field([], max_length=50, description="Names of objectives, * is any text; none: all.")
    services: list[str] = Field([], max_length=50, description="Names of services; none: all.")
    nodes: list[str] = Field([], max_length=50, description="Names or ids of nodes, or registries.")
    since_ms: int | None = Field(None, ge=0, lt=MOST_MS, description="Now by default; when the incident opened.")
    until_ms: int | None = Field(None, ge=0, lt=MOST_MS, description="Its end; of what comes again the last begin.")
    recurrence: RecurrenceBody | None = Field(None, description="Times that come again, from since_ms on.")
    incident: str | None = Field(
        None, max_length=200, description="An incident, whose time and subject are taken where none are given."
    )
    reason: str = Field(max_length=2000, description="Why it does not count.")
    created_by: str = Field(max_length=2000, description="Who says so.")
    silence: bool = Field(False, description="Whether pages of what it covers are silenced meanwhile.")


class AskedRevoke(Asked):
    """Who revokes an adjustment, and why."""

    by: str = Field(min_length=1, max_length=500, description="Who.")
    why: str = Field(min_length=1, max_length=500, description="Why it counts again.")


class RecurrenceModel(Model):
    """Times that come again on the clock of a zone."""

    every: Literal["day", "week", "month"] = Field(description="On which days, with `on`.")
    on: list[str] = Field(description="Days of the week or month.")
    at: str = Field(description="When, on the zone's clock.")
    zone: str = Field(description="An IANA name.")
    length_ms: int = Field(description="How long: elapsed time.")
    interval: int = Field(description="2: every second day, week or month.")


class RevokedModel(Model):
    """That an adjustment holds no more."""

    at_ms: int = Field(description="Since when.")
    by: str = Field(description="Who revoked it.")
    why: str = Field(description="Why it counts again.")


class TimeModel(Model):
    """One time `(since, until]` that is taken out."""

    since_ms: int = Field(description="Its begin, not in it.")
    until_ms: int = Field(description="Its end.")


class AdjustmentModel(Model):
    """One adjustment; it is never deleted."""

    id: str = Field(description="Its id.")
    kind: Literal["maintenance", "incident"] = Field(description="Planned, or an incident that was marked.")
    state: Literal["pending", "active", "past", "revoked"] = Field(description="How it is now.")
    when: str = Field(description="Its time in words.")
    slos: list[str] = Field(description="Names of objectives, * is any text; none: all.")
    services: list[str] = Field(description="Names of services; none: all.")
    nodes: list[str] = Field(description="Names or ids of nodes, or registries.")
    since_ms: int = Field(description="Its begin; of what comes again the first may begin from then on.")
    until_ms: int | None = Field(description="Its end; of what comes again the last begin, null for none.")
    recurrence: RecurrenceModel | None = Field(description="Times that come again; null for one time.")
    next: TimeModel | None = Field(description="The time that is now, or comes next; null for none.")
    incident: str | None = Field(description="The incident that it takes out.")
    reason: str = Field(description="Why it does not count.")
    created_by: str = Field(description="Who says so.")
    created_ms: int = Field(description="When it was made.")
    silence: bool = Field(description="Whether pages of what it covers are silenced meanwhile.")
    covers: int | None = Field(description="Objectives judged now that it covers; null of one that was revoked.")
    revoked: RevokedModel | None = Field(description="That it holds no more; null while it does.")


def made(asked: AskedAdjustment, incident: Incident | None, now_ms: int) -> Adjustment:
    """The adjustment that is asked for, of this incident where one is named; raises ApiFault with all its faults."""
    patterns = tuple(asked.slos), tuple(asked.services), tuple(asked.nodes)
    since_ms, until_ms = asked.since_ms, asked.until_ms
    if incident is not None:
        since_ms = incident.opened_ms if since_ms is None else since_ms
        until_ms = incident.resolved_ms if until_ms is None else until_ms
        patterns = patterns if any(patterns) else _of_subject(incident)
        if until_ms is None:
            raise ApiFault(400, "the incident is still open: wait until it is resolved, or give until_ms")
    found = Adjustment(
        id=str(uuid.uuid4()),
        kind="maintenance" if incident is None else "incident",
        slos=patterns[0],
        services=patterns[1],
        nodes=patterns[2],
        since_ms=now_ms if since_ms is None else since_ms,
        until_ms=until_ms,
        reason=asked.reason.strip(),
        created_by=asked.created_by.strip(),
        created_ms=now_ms,
        recurrence=None if asked.recurrence is None else _recurrence(asked.recurrence),
        incident=None if incident is None else incident.id,
        silence=asked.silence,
    )
    if wrong := faults(found):
        raise ApiFault(400, "; ".join(wrong)[:1000])
    return found


def _of_subject(incident: Incident) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    scope = dict(incident.subject.scope)
    node = scope.get("node_id") or next(iter(scope.values()), None)
    return (), (incident.subject.service,), () if node is None else (node,)


def _recurrence(asked: RecurrenceBody) -> Recurrence:
    try:
        zone(asked.zone)
    except Refused as fault:
        raise ApiFault(400, f"recurrence.zone: {asked.zone[:40]!r} is no time zone: such as Europe/Berlin") from fault
    days = tuple(it.strip().lower() for it in asked.on)
    return Recurrence(asked.every, days, time.fromisoformat(asked.at), asked.zone, asked.length_ms, asked.interval)


def told(it: Adjustment, objectives: Sequence[Objective], now_ms: int) -> AdjustmentModel:
    """One adjustment as the API tells it; `objectives` are those that are judged."""
    found, again = coming(it, now_ms), it.recurrence
    return AdjustmentModel(
        id=it.id,
        kind=it.kind,
        state=state(it, now_ms),
        when=when(it),
        slos=list(it.slos),
        services=list(it.services),
        nodes=list(it.nodes),
        since_ms=it.since_ms,
        until_ms=it.until_ms,
        recurrence=None if again is None else _told_again(again),
        next=None if found is None else TimeModel(since_ms=found.since_ms, until_ms=found.until_ms),
        incident=it.incident,
        reason=it.reason,
        created_by=it.created_by,
        created_ms=it.created_ms,
        silence=it.silence,
        covers=None if it.revoked is not None else sum(map(it.covers, objectives)),
        revoked=None if it.revoked is None else RevokedModel(**it.revoked._asdict()),
    )


def _told_again(it: Recurrence) -> RecurrenceModel:
    return RecurrenceModel(
        every=it.every, on=list(it.on), at=f"{it.at:%H:%M}", zone=it.zone, length_ms=it.length_ms, interval=it.interval
    )


def revoked(asked: AskedRevoke, now_ms: int) -> Revoked:
    """That an adjustment holds no more; raises ApiFault."""
    by, why = asked.by.strip(), asked.why.strip()
    if not by or not why:
        raise ApiFault(400, "by and why must say who and why")
    return Revoked(now_ms, by, why)

"""JSON of budget adjustments: what is asked for, checked, and what is told of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import time
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from alerts.model import Incident
from service.api import ApiFault
from service.words import words
from slo.adjust import Adjustment, Interval, Recurrence, Revoked, faults, when
from slo.openslo.values import Refused, zone

MOST_MS = 2**52
AHEAD_MS = 400 * 86_400_000
"""How far ahead the next time is looked for."""
_B = TypeVar("_B", bound=BaseModel)


class RecurrenceBody(BaseModel):
    """Times that come again on the clock of a zone."""

    model_config = ConfigDict(strict=True, extra="forbid")

    every: Literal["day", "week", "month"]
    on: list[str] = Field(default=[], max_length=31)
    """Of a week `mon` to `sun`; of a month `1` to `31`, `last`, `1-sun` to `5-sun`, `last-sun`."""
    at: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")
    """On the zone's clock."""
    zone: str = Field("UTC", max_length=100)
    """An IANA name."""
    length_ms: int = Field(ge=0, lt=MOST_MS)
    """Elapsed time."""
    interval: int = 1
    """2: every second day, week or month."""


class AdjustmentBody(BaseModel):
    """What is to be taken out of budgets."""

    model_config = ConfigDict(strict=True, extra="forbid")

    slos: list[str] = Field(default=[], max_length=50)
    """Names of objectives, `*` stands for any text; none: all."""
    services: list[str] = Field(default=[], max_length=50)
    nodes: list[str] = Field(default=[], max_length=50)
    """Names or ids of nodes, or registries."""
    since_ms: int | None = Field(None, ge=0, lt=MOST_MS)
    """Now where it is left out; of an incident when it opened."""
    until_ms: int | None = Field(None, ge=0, lt=MOST_MS)
    """Of an incident when it was resolved; of what comes again the last begin, or none."""
    recurrence: RecurrenceBody | None = None
    incident: str | None = Field(None, max_length=200)
    """The id of an incident whose time is taken out, of all objectives of its subject where none are named."""
    reason: str = Field(max_length=2000)
    created_by: str = Field(max_length=2000)
    silence: bool = False
    """Whether pages of what it covers are silenced meanwhile."""


class RevokeBody(BaseModel):
    """Who revokes an adjustment, and why."""

    model_config = ConfigDict(strict=True, extra="forbid")

    by: str = Field(min_length=1, max_length=500)
    why: str = Field(min_length=1, max_length=500)


class RevokedTold(BaseModel):
    """That an adjustment holds no more."""

    at_ms: int
    by: str
    why: str


class TimeTold(BaseModel):
    """One time `(since, until]` that is taken out."""

    since_ms: int
    until_ms: int


class AdjustmentTold(BaseModel):
    """One adjustment."""

    id: str
    kind: Literal["maintenance", "incident"]
    state: Literal["pending", "active", "past", "revoked"]
    when: str
    """Its time in words."""
    slos: list[str]
    services: list[str]
    nodes: list[str]
    since_ms: int
    until_ms: int | None
    recurrence: RecurrenceBody | None
    next: TimeTold | None
    """The time that is now, or comes next."""
    incident: str | None
    reason: str
    created_by: str
    created_ms: int
    silence: bool
    revoked: RevokedTold | None


def body(model: type[_B], text: bytes) -> _B:
    """The body as this model; raises ApiFault with everything that is wrong."""
    return _checked(lambda: model.model_validate_json(text))


def form(model: type[_B], fields: Mapping[str, str]) -> _B:
    """The fields of a form as this model; raises ApiFault with everything that is wrong."""
    known = {name: fields[name] for name in model.model_fields if name in fields}
    return _checked(lambda: model.model_validate(known))


def _checked(read: Callable[[], _B]) -> _B:
    try:
        return read()
    except ValidationError as error:
        raise ApiFault(400, "; ".join(_said(it) for it in error.errors(include_url=False)[:10])[:1000]) from error


def _said(fault: ErrorDetails) -> str:
    where = ".".join(str(it) for it in fault["loc"]) or "the body"
    return f"{where[:200]} {words(fault['type'], fault.get('ctx', {}))}"


def made(asked: AdjustmentBody, incident: Incident | None, now_ms: int) -> Adjustment:
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


def told(it: Adjustment, now_ms: int) -> AdjustmentTold:
    """One adjustment as the API tells it."""
    coming = next(iter(it.within(now_ms - 1, max(now_ms, it.since_ms) + AHEAD_MS)), None)
    again = it.recurrence
    return AdjustmentTold(
        id=it.id,
        kind=it.kind,
        state=_state(it, coming, now_ms),
        when=when(it),
        slos=list(it.slos),
        services=list(it.services),
        nodes=list(it.nodes),
        since_ms=it.since_ms,
        until_ms=it.until_ms,
        recurrence=None if again is None else _told_again(again),
        next=None if coming is None or it.revoked else TimeTold(since_ms=coming.since_ms, until_ms=coming.until_ms),
        incident=it.incident,
        reason=it.reason,
        created_by=it.created_by,
        created_ms=it.created_ms,
        silence=it.silence,
        revoked=None if it.revoked is None else RevokedTold(**it.revoked._asdict()),
    )


def _state(it: Adjustment, coming: Interval | None, now_ms: int) -> Literal["pending", "active", "past", "revoked"]:
    if it.revoked is not None:
        return "revoked"
    if coming is None:
        return "past"
    return "active" if coming.since_ms < now_ms else "pending"


def _told_again(it: Recurrence) -> RecurrenceBody:
    return RecurrenceBody(
        every=it.every, on=list(it.on), at=f"{it.at:%H:%M}", zone=it.zone, length_ms=it.length_ms, interval=it.interval
    )


def revoked(asked: RevokeBody, now_ms: int) -> Revoked:
    """That an adjustment holds no more; raises ApiFault."""
    by, why = asked.by.strip(), asked.why.strip()
    if not by or not why:
        raise ApiFault(400, "by and why must say who and why")
    return Revoked(now_ms, by, why)


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """A body as the OpenAPI document tells it: the route reads it within a bound of its own."""
    told_as = model.model_json_schema(ref_template="#/components/schemas/{model}")
    told_as.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": told_as}}}}

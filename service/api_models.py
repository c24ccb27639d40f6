"""What the API answers, as it stands in the OpenAPI document: the watch itself, incidents, silences, and faults.

Times whose name ends in `_ms` are milliseconds since 1970 in UTC, or lengths in milliseconds. Ratios are numbers beside
the exact fraction as text where they are judged by; null where nothing was counted, and never NaN or infinite.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A part of an answer: no field that is not told here, no number that JSON has not."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Asked(BaseModel):
    """A part of a body that is sent: no field that is not told here, and each of its own type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Fault(Model):
    """Why a request was not obeyed, and what would be right."""

    error: str = Field(description="What is wrong, where, and the remedy; faults of files one a line.")


Responses = dict[int | str, dict[str, Any]]
_WHY: dict[int, tuple[str, bool]] = {
    400: ("What was asked can't be understood or obeyed.", True),
    401: ("A token is needed: that of `service.token`, as a bearer or as the password of basic authentication.", False),
    403: ("A browser says that a page of another site asks.", False),
    404: ("There is no such thing.", True),
    408: ("The body took too long to come.", True),
    409: ("As many are kept as may be.", True),
    413: ("The body is longer than is read.", True),
    429: ("As much as may be done at once is being done; try again when it is.", True),
    503: ("The store can't answer now; try again after `Retry-After` seconds.", True),
}


def faults(*statuses: int) -> Responses:
    """What else than an answer comes back, for a route; 401 and 503 may from any."""
    found: Responses = {}
    for status in sorted({401, 503, *statuses}):
        text, typed = _WHY[status]
        plain = {"content": {"text/plain": {"schema": {"type": "string"}}}}
        found[status] = {"description": text, **({"model": Fault} if typed else plain)}
    return found


def asked_with(model: type[BaseModel], *form: str) -> dict[str, Any]:
    """The part of a route's description that tells of its body, which the route reads itself, within a bound.

    `form`: the fields of a page's form, where that is taken too.
    """
    schema = model.model_json_schema()
    whole = _inlined(schema, schema.pop("$defs", {}))
    content: dict[str, Any] = {"application/json": {"schema": whole}}
    return {"requestBody": {"required": True, "content": content | (_form(form) if form else {})}}


def sent_by_form(*fields: str) -> dict[str, Any]:
    """The same of a route that takes a form alone, none of whose fields must be there."""
    return {"requestBody": {"required": False, "content": _form(fields)}}


def _form(fields: tuple[str, ...]) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name in fields}
    return {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": properties}}}


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        ref = schema.get("$ref")
        if ref is not None:
            return _inlined(parts[ref.rpartition("/")[2]], parts)
        return {key: _inlined(value, parts) for key, value in schema.items()}
    return [_inlined(it, parts) for it in schema] if isinstance(schema, list) else schema


class StatusAnswer(Model):
    """How far the service is."""

    first_sample_ms: int | None = Field(description="The oldest sample; null before any came.")
    last_sample_ms: int | None = Field(description="The newest sample; null before any came.")
    evaluated_ms: int | None = Field(description="When objectives were last judged; null before the first time.")
    faults: list[str] = Field(description="Why the service is not ready, one sentence each; empty where it is.")


class ServiceNow(Model):
    """One service that is declared or watched; several nodes that run it are one."""

    service: str = Field(description="Its name, such as `shop/api`.")
    nodes: list[str] = Field(description="The nodes that run it, by name.")
    desired: int | None = Field(description="Containers that should run; null where no sample is younger than 1 min.")
    healthy: int | None = Field(description="Containers that are healthy; null where no sample is younger than 1 min.")


class SubjectModel(Model):
    """Whom an incident concerns."""

    service: str = Field(description="A service, or `platform` for nodes and registries.")
    scope: list[tuple[str, str]] = Field(description="What else identifies it, as pairs of label and value.")


class AlertModel(Model):
    """One alert of an incident."""

    key: str = Field(description="Its identity across evaluations.")
    alert: str = Field(description="The rule's name, which is its runbook's too.")
    subject: SubjectModel = Field(description="Whom it concerns.")
    labels: list[tuple[str, str]] = Field(description="Further identity, as pairs of label and value.")
    road: Literal["page", "ticket"] = Field(description="How urgent it is.")
    status: Literal["firing", "resolved"] = Field(description="Whether it fires.")
    started_ms: int = Field(description="When it began to fire.")
    last_true_ms: int = Field(description="When its condition was last known to hold.")
    ended_ms: int | None = Field(description="When it resolved; null while it fires.")
    summary: str = Field(description="One sentence for people.")
    evidence: list[tuple[str, str]] = Field(description="Lines of proof, as pairs of label and text.")
    frozen: bool = Field(description="Its condition can't be known now: it neither fires anew nor resolves.")
    gone_since_ms: int | None = Field(description="Since when its condition is known to be gone; null where it is not.")
    receivers: list[str] = Field(description="Names of those whom its policy tells; empty: all whose road it is on.")
    end_told: bool = Field(description="False where its policy asks that its end be told to nobody.")


class IncidentModel(Model):
    """One incident of one subject on one road: one page, one resolve."""

    id: str = Field(description="Its id, the same in every message about it.")
    subject: SubjectModel = Field(description="Whom it concerns.")
    road: Literal["page", "ticket"] = Field(description="How urgent it is.")
    status: Literal["open", "resolved"] = Field(description="Whether it is over.")
    opened_ms: int = Field(description="When it was opened.")
    resolved_ms: int | None = Field(description="When it was resolved; null while it is open.")
    notified: bool = Field(description="Receivers were told of it, so that they are told of its end too.")
    alerts: list[AlertModel] = Field(description="What fired.")
    acknowledged_ms: int | None = Field(description="When someone took it; null where nobody has.")
    acknowledged_by: str | None = Field(description="Who took it; null where nobody has.")
    told: list[str] = Field(description="Receivers that were told of it; `*`: all whose road it is on.")


class SilenceStatus(Model):
    """Whether a silence is in force."""

    state: Literal["pending", "active", "expired"] = Field(description="Before, within or after its time.")


class MatcherModel(Model):
    """One matcher of a silence, in Alertmanager's form; a label that is missing is empty."""

    name: str = Field(description="The label.")
    value: str = Field(description="The value, or a pattern that must match all of it.")
    isRegex: bool = Field(description="The value is a regular expression.")  # noqa: N815 - Alertmanager's name
    isEqual: bool = Field(description="True: it must match; false: it must not.")  # noqa: N815


class SilenceModel(Model):
    """One silence, in Alertmanager's form."""

    id: str = Field(description="Its id.")
    status: SilenceStatus = Field(description="Whether it is in force.")
    matchers: list[MatcherModel] = Field(description="All of them must match an alert.")
    startsAt: str = Field(description="From when on, RFC 3339 in UTC.")  # noqa: N815
    endsAt: str = Field(description="Until when, RFC 3339 in UTC.")  # noqa: N815
    createdBy: str = Field(description="Who made it.")  # noqa: N815
    comment: str = Field(description="Why.")


class SilenceMade(Model):
    """A silence was made."""

    silenceID: str = Field(description="Its id.")  # noqa: N815 - Alertmanager's name


class AskedMatcher(BaseModel):
    """One matcher, in Alertmanager's form."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="The label.")
    value: str = Field(description="The value, or a pattern that must match all of it.")
    isRegex: bool = Field(False, description="The value is a regular expression.")  # noqa: N815
    isEqual: bool = Field(True, description="True: it must match; false: it must not.")  # noqa: N815


class AskedSilence(BaseModel):
    """A silence that is asked for, in Alertmanager's form; what else Alertmanager knows is ignored."""

    model_config = ConfigDict(extra="ignore")
    matchers: list[AskedMatcher] = Field(max_length=100, description="All of them must match an alert.")
    startsAt: datetime | None = Field(None, description="From when on; now where it is left out.")  # noqa: N815
    endsAt: datetime = Field(description="Until when.")  # noqa: N815
    createdBy: str = Field("", description="Who makes it.")  # noqa: N815
    comment: str = Field("", description="Why.")

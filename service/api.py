"""The API's incidents and silences, told and asked for, and the fault of a request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from alerts import codec
from alerts.model import Incident, Silence, SilenceMatcher
from alerts.silence import faults
from service.api_models import AskedSilence, IncidentModel, MatcherModel, SilenceModel, SilenceStatus
from service.words import words

M = TypeVar("M", bound=BaseModel)


class ApiFault(Exception):
    """A request that can't be obeyed: the status, and what to correct."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def incident(it: Incident) -> IncidentModel:
    """One incident with its alerts."""
    return IncidentModel.model_validate(codec.encode_incident(it))


def silence(it: Silence, now_ms: int) -> SilenceModel:
    """One silence in Alertmanager's form."""
    state: Literal["pending", "active", "expired"] = (
        "pending" if it.starts_ms > now_ms else "active" if it.ends_ms > now_ms else "expired"
    )
    return SilenceModel(
        id=it.id,
        status=SilenceStatus(state=state),
        matchers=[
            MatcherModel(name=m.name, value=m.value, isRegex=m.is_regex, isEqual=m.is_equal) for m in it.matchers
        ],
        startsAt=_iso(it.starts_ms),
        endsAt=_iso(it.ends_ms),
        createdBy=it.created_by,
        comment=it.comment,
    )


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def silence_of(body: bytes, now_ms: int) -> Silence:
    """The silence that a JSON body in Alertmanager's form asks for; raises ApiFault."""
    asked = asked_as(AskedSilence, body)
    matchers = tuple(SilenceMatcher(it.name, it.value, it.isRegex, it.isEqual) for it in asked.matchers)
    starts = now_ms if asked.startsAt is None else max(_ms(asked.startsAt), now_ms)
    return checked(matchers, starts, _ms(asked.endsAt), asked.createdBy, asked.comment, now_ms)


def asked_as(model: type[M], body: bytes) -> M:
    """What a JSON body asks for; raises ApiFault 400 with all that is wrong with it, and never its values."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise told_faults(error) from error


def form_as(model: type[M], fields: Mapping[str, str]) -> M:
    """What a form asks for, those of its fields that the model has; raises ApiFault 400 as `asked_as` does."""
    known = {name: fields[name] for name in model.model_fields if name in fields}
    try:
        return model.model_validate(known)
    except ValidationError as error:
        raise told_faults(error) from error


def told_faults(error: ValidationError) -> ApiFault:
    """All that is wrong with what was asked for, without its values."""
    return ApiFault(400, "; ".join(_told(it) for it in error.errors(include_url=False)[:10])[:1000])


def _told(fault: ErrorDetails) -> str:
    where = ".".join(str(it)[:80] for it in fault["loc"]) or "the body"
    return f"{where[:200]} {words(fault['type'], fault.get('ctx', {}))}"


def silence_of_form(form: Mapping[str, str], found: Incident, now_ms: int) -> Silence:
    """The silence that the form on an incident asks for: all of its subject, for some minutes; raises ApiFault."""
    minutes = form.get("minutes", "")
    if not minutes.isascii() or not minutes.isdigit() or not 1 <= int(minutes[:6]) <= 10_080:
        raise ApiFault(400, "minutes must be a whole number from 1 to 10080")
    pairs = (("service", found.subject.service), *found.subject.scope)
    matchers = tuple(SilenceMatcher(name, value) for name, value in pairs)
    by, comment = form.get("by") or "dashboard", form.get("comment") or "silenced on the dashboard"
    return checked(matchers, now_ms, now_ms + int(minutes) * 60_000, by, comment, now_ms)


def checked(
    matchers: tuple[SilenceMatcher, ...], starts_ms: int, ends_ms: int, by: str, comment: str, now_ms: int
) -> Silence:
    """A new silence; raises ApiFault with everything that is wrong with it."""
    found = Silence(str(uuid.uuid4()), matchers, starts_ms, ends_ms, by, comment)
    if wrong := faults(found, now_ms):
        raise ApiFault(400, "; ".join(wrong))
    return found


def _ms(moment: datetime) -> int:
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

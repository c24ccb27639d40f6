"""JSON of the API: judgements, services, incidents and silences, with exact ratios as numbers and as text."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from alerts import codec
from alerts.model import Incident, Silence, SilenceMatcher
from alerts.silence import faults
from service.words import words
from slo.model import Judgement
from slo.text import utc


class ApiFault(Exception):
    """A request that can't be obeyed: the status, and what to correct."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Matcher(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    value: str
    isRegex: bool = False  # noqa: N815 - Alertmanager's name
    isEqual: bool = True  # noqa: N815


class _Silence(BaseModel):
    model_config = ConfigDict(extra="ignore")
    matchers: list[_Matcher] = Field(max_length=100)
    startsAt: datetime | None = None  # noqa: N815
    endsAt: datetime  # noqa: N815
    createdBy: str = ""  # noqa: N815
    comment: str = ""


def judgement(it: Judgement) -> dict[str, Any]:
    """One objective as it was judged."""
    return {
        "slo": it.objective.slo,
        "service": it.objective.service,
        "scope": dict(it.objective.scope),
        "title": it.objective.title,
        "target": it.objective.target_text,
        "window_ms": it.objective.window_ms,
        "period_ms": it.objective.period_ms,
        "state": it.state,
        "reason": it.reason,
        "note": it.objective.note,
        "at": utc(it.at_ms),
        "bad": it.counts.bad,
        "total": it.counts.total,
        "observed_ms": it.counts.observed_ms,
        "expected_ms": it.counts.expected_ms,
        "unknown_starts": it.counts.unknown_starts,
        "unscraped_ms": it.counts.unscraped_ms,
        "unscraped_events": it.counts.unscraped_events,
        "baseline": it.baseline,
        "sli": _number(it.sli),
        "sli_exact": None if it.sli is None else str(it.sli),
        "budget_remaining": _number(it.budget_remaining),
        "coverage": _number(it.coverage),
        "in_part": it.in_part,
        "burns": {str(window): _number(burn) for window, burn in it.burns},
        "rows": [{"row": row.row.name, "fired": row.fired, "measured": row.measured} for row in it.rows],
        "exhausted_at": None if it.exhausted_at_ms is None else utc(it.exhausted_at_ms),
        "since": None if it.since_ms is None else utc(it.since_ms),
    }


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def incident(it: Incident) -> dict[str, Any]:
    """One incident with its alerts."""
    return codec.encode_incident(it)


def silence(it: Silence, now_ms: int) -> dict[str, Any]:
    """One silence in Alertmanager's form."""
    state = "pending" if it.starts_ms > now_ms else "active" if it.ends_ms > now_ms else "expired"
    return {
        "id": it.id,
        "status": {"state": state},
        "matchers": [
            {"name": m.name, "value": m.value, "isRegex": m.is_regex, "isEqual": m.is_equal} for m in it.matchers
        ],
        "startsAt": _iso(it.starts_ms),
        "endsAt": _iso(it.ends_ms),
        "createdBy": it.created_by,
        "comment": it.comment,
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def silence_of(body: bytes, now_ms: int) -> Silence:
    """The silence that a JSON body in Alertmanager's form asks for; raises ApiFault."""
    try:
        asked = _Silence.model_validate_json(body)
    except ValidationError as error:
        raise ApiFault(400, "; ".join(_told(it) for it in error.errors(include_url=False)[:10])[:1000]) from error
    matchers = tuple(SilenceMatcher(it.name, it.value, it.isRegex, it.isEqual) for it in asked.matchers)
    starts = now_ms if asked.startsAt is None else max(_ms(asked.startsAt), now_ms)
    return checked(matchers, starts, _ms(asked.endsAt), asked.createdBy, asked.comment, now_ms)


def _told(fault: ErrorDetails) -> str:
    where = ".".join(str(it) for it in fault["loc"]) or "the body"
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

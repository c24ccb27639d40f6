"""The form of a new maintenance window on the page of adjustments, read as the API is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from dashboards.adjustment_views import WindowForm
from service.api import ApiFault, told_faults
from service.api_adjustments import AskedAdjustment
from slo.report_spans import zone_named

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BETWEEN: Final = re.compile(r"[,;\n]")
MINUTE_MS: Final = 60_000


def form_of(fields: Mapping[str, str]) -> WindowForm:
    """The fields of the form, as they were sent; others are left out."""
    return WindowForm(**{name: fields[name] for name in WindowForm._fields if name in fields})


def asked_by(form: WindowForm) -> AskedAdjustment:
    """What the form asks for; raises ApiFault 400 with what is wrong."""
    zone = _zone(form.zone)
    body: dict[str, Any] = {
        "slos": _names(form.slos), "services": _names(form.services), "nodes": _names(form.nodes),
        "since_ms": _ms("from", form.begin, zone), "until_ms": _ms("until", form.end, zone),
        "recurrence": _again(form, zone) if form.every else None, "silence": bool(form.silence),
        "reason": form.reason, "created_by": form.created_by,
    }  # fmt: skip
    try:
        return AskedAdjustment.model_validate(body)
    except ValidationError as error:
        raise told_faults(error) from error


def _zone(text: str) -> str:
    try:
        return zone_named(text.strip() or "UTC")
    except ValueError as fault:
        raise ApiFault(400, str(fault)) from fault


def _names(text: str) -> list[str]:
    return [it.strip() for it in _BETWEEN.split(text) if it.strip()]


def _ms(what: str, text: str, zone: str) -> int | None:
    """A time on a zone's clock: one that it skips with the offset before, of one that comes twice the first."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as fault:
        raise ApiFault(400, f"{what}: {text[:40]!r} is no time; write one such as 2026-03-01 02:00") from fault
    return ((found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))) - _EPOCH) // timedelta(milliseconds=1)


def _again(form: WindowForm, zone: str) -> dict[str, Any]:
    if not form.at:
        raise ApiFault(400, "at is empty; write when it begins on those days, such as 02:00")
    return {
        "every": form.every, "on": _names(form.on), "at": form.at[:5], "zone": zone,
        "length_ms": _whole("minutes", form.minutes) * MINUTE_MS,
        "interval": _whole("each so many", form.interval or "1"),
    }  # fmt: skip


def _whole(what: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text.strip(), re.ASCII):
        raise ApiFault(400, f"{what}: {text[:40]!r} is no whole number; write one such as 90")
    return int(text)

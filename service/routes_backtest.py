"""`/api/slo/backtest`: what objectives would have done over stored history."""

from __future__ import annotations

import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from service.api import ApiFault
from service.bodies import body_of
from service.parts import Parts
from service.remote_store import RemoteStore
from service.slo_backtest import BacktestFault, Tried, objectives_in, tried, with_target
from slo.backtest import Backtest
from slo.model import Objective
from slo.text import number

MOST_BYTES: Final = 4 << 20
MOST_FAULTS: Final = 50


class _Asked(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(strict=True, extra="forbid")

    files: dict[str, str] = Field(min_length=1, max_length=1000)
    """Texts of OpenSLO files by name."""
    since_ms: int = Field(ge=0, lt=2**52)
    until_ms: int | None = Field(None, ge=0, lt=2**52)
    """Now where it is left out."""
    target_percent: str | None = Field(None, pattern=r"^[0-9]{1,2}(\.[0-9]{1,12})?$")
    """In place of the files' targets."""
    strict: bool = False


def add(app: FastAPI, parts: Parts) -> None:
    """The route; one backtest at a time."""
    busy = threading.Semaphore(1)

    @app.post("/api/slo/backtest", tags=["objectives"])
    async def backtest(request: Request) -> dict[str, Any]:
        """Try objectives over stored history."""
        asked = _asked(await body_of(request, MOST_BYTES))
        if not busy.acquire(blocking=False):
            raise ApiFault(429, "another backtest is under way; try again when it is done")
        try:
            return await run_in_threadpool(_tried, parts, asked)
        finally:
            busy.release()


def _asked(body: bytes) -> _Asked:
    try:
        return _Asked.model_validate_json(body)
    except ValidationError as error:
        where = {".".join(str(part)[:80] for part in it["loc"]) or "the body" for it in error.errors()[:10]}
        raise ApiFault(400, f"not what a backtest is asked with: {', '.join(sorted(where))}") from error


def _tried(parts: Parts, asked: _Asked) -> dict[str, Any]:
    until_ms = parts.clock() if asked.until_ms is None else asked.until_ms
    if asked.since_ms >= until_ms:
        raise ApiFault(400, "since_ms must be before until_ms")
    if isinstance(parts.store, RemoteStore):
        raise ApiFault(400, "history in a remote store can't be tried; it needs service.store: duckdb")
    files, faults = objectives_in(sorted(asked.files.items()), asked.strict, parts.settings.burn.policy())
    if faults:
        raise ApiFault(400, "\n".join(str(it) for it in faults[:MOST_FAULTS]))
    objectives = parts.evaluator.asked_by(files)
    if asked.target_percent is not None:
        target, text = Fraction(Decimal(asked.target_percent)) / 100, f"{asked.target_percent} %"
        objectives = [with_target(it, target, text) for it in objectives]
    last = parts.evaluator.last
    in_force = [] if last is None else [it.objective for it in last.judgements]
    settings = parts.settings
    try:
        found = tried(
            parts.store, objectives, in_force, asked.since_ms, until_ms,
            settings.burn.policy(), settings.thresholds().hold_ms,
        )  # fmt: skip
    except BacktestFault as fault:
        raise ApiFault(400, str(fault)) from fault
    return {"since_ms": asked.since_ms, "until_ms": until_ms, "objectives": [_told(it) for it in found]}


def _told(it: Tried) -> dict[str, Any]:
    return {
        **_objective(it.objective),
        "why_not": it.why_not,
        "asked": None if it.asked is None else _result(it.asked),
        "in_force": None if it.in_force is None else _result(it.in_force),
    }


def _objective(it: Objective) -> dict[str, Any]:
    return {
        "slo": it.slo,
        "service": it.service,
        "scope": dict(it.scope),
        "title": it.title,
        "target": it.target_text,
        "window_ms": it.window_ms,
        "note": it.note,
    }


def _result(it: Backtest) -> dict[str, Any]:
    return {
        "target": it.objective.target_text,
        "bad": it.bad,
        "total": it.total,
        "sli": _float(it.sli),
        "budget_left": _float(it.budget_left),
        "least_left": _float(it.least_left),
        "coverage": _float(it.coverage),
        "suggested_target_percent": None if it.suggested is None else number(it.suggested * 100, 4),
        "alerts": [one._asdict() for one in it.alerts],
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)

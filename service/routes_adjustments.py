"""`/api/slo/adjustments` and the page's form: what is taken out of budgets; made and revoked, never deleted."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from alerts.model import Incident
from dashboards.adjustment_views import WindowForm
from dashboards.adjustments import adjustments as adjustments_page
from dashboards.assets import CONTENT_SECURITY_POLICY
from dashboards.render import render
from dashboards.reporting import reported
from service import adjusted_silences, adjustment_form, adjustments
from service.adjustments import TooMany
from service.api import ApiFault, asked_as, form_as
from service.api_adjustments import AdjustmentModel, AskedAdjustment, AskedRevoke, made, revoked, told
from service.api_models import asked_with, faults
from service.bodies import FORM_BYTES, body_of, form_of
from service.parts import Parts
from service.ports import ask
from service.routes_api import done
from service.store_db import Cursor
from slo.adjust import Adjustment, Revoked
from slo.model import Objective

PATH = "/api/slo/adjustments"


def add(app: FastAPI, parts: Parts) -> None:
    """The routes."""

    @app.get(PATH, tags=["objectives"], responses=faults())
    def every(all: bool = False) -> list[AdjustmentModel]:
        """Those that stand, the newest first; with `all` those too that were revoked."""
        found = ask(parts.store.database, adjustments.read)
        objectives, now_ms = _judged(parts), parts.clock()
        return [told(it, objectives, now_ms) for it in reversed(found) if all or it.revoked is None]

    @app.post(
        PATH, tags=["objectives"], response_model=AdjustmentModel, responses=faults(400, 403, 404, 408, 409, 413),
        openapi_extra=asked_with(AskedAdjustment, "incident", "reason", "created_by", "return_to"),
    )  # fmt: skip
    async def create(request: Request) -> AdjustmentModel | Response:
        """Take time out of budgets."""
        if "json" in request.headers.get("content-type", ""):
            return await run_in_threadpool(_made, parts, asked_as(AskedAdjustment, await body_of(request, FORM_BYTES)))
        fields = await form_of(request)
        await run_in_threadpool(_made, parts, form_as(AskedAdjustment, fields))
        return done(request, fields.get("return_to", ""))

    @app.post(
        f"{PATH}/{{adjustment_id}}/revoke", tags=["objectives"], response_model=AdjustmentModel,
        responses=faults(400, 403, 404, 408, 413), openapi_extra=asked_with(AskedRevoke, "by", "why", "return_to"),
    )  # fmt: skip
    async def revoke(adjustment_id: str, request: Request) -> AdjustmentModel | Response:
        """Let what an adjustment took out count again."""
        if "json" in request.headers.get("content-type", ""):
            asked = revoked(asked_as(AskedRevoke, await body_of(request, FORM_BYTES)), parts.clock())
            return await run_in_threadpool(_revoked, parts, adjustment_id, asked)
        fields = await form_of(request)
        asked = revoked(form_as(AskedRevoke, fields), parts.clock())
        await run_in_threadpool(_revoked, parts, adjustment_id, asked)
        return done(request, fields.get("return_to", ""))


def add_page(app: FastAPI, parts: Parts) -> None:
    """The form of a new window on the page `/adjustments`."""

    @app.post("/adjustments", include_in_schema=False)
    async def window(request: Request) -> Response:
        form = adjustment_form.form_of(await form_of(request))
        return await run_in_threadpool(_window, parts, form)


def _window(parts: Parts, form: WindowForm) -> Response:
    try:
        _made(parts, adjustment_form.asked_by(form))
    except ApiFault as fault:
        text = render(adjustments_page(parts.source, parts.clock(), form, str(fault)))
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return Response(text, fault.status, headers, "text/html; charset=utf-8")
    return RedirectResponse("/adjustments", 303)


def _made(parts: Parts, asked: AskedAdjustment) -> AdjustmentModel:
    now_ms = parts.clock()
    found = made(asked, _incident(parts, asked.incident), now_ms)
    if wrong := adjusted_silences.problems(found, now_ms):
        raise ApiFault(400, "; ".join(wrong)[:1000])

    def run(cursor: Cursor) -> None:
        adjustments.add(cursor, found)
        adjusted_silences.begun(cursor, [found], now_ms + 1)  # one that begins now is there at once

    try:
        parts.store.database.write(run)
    except TooMany as fault:
        raise ApiFault(409, str(fault)) from fault
    _changed(parts)
    return told(found, _judged(parts), now_ms)


def _judged(parts: Parts) -> list[Objective]:
    return [it.objective for it in reported(parts.source.judgements())]


def _incident(parts: Parts, number: str | None) -> Incident | None:
    if number is None:
        return None
    found = parts.source.incident(number)
    if found is None:
        raise ApiFault(404, f"no incident {number[:80]!r}")
    return found


def _revoked(parts: Parts, number: str, asked: Revoked) -> AdjustmentModel:
    def run(cursor: Cursor) -> Adjustment | None:
        if not adjustments.revoke(cursor, number, asked):
            return None
        found = next(it for it in adjustments.read(cursor) if it.id == number)
        adjusted_silences.ended(cursor, found, asked.at_ms)
        return found

    found = parts.store.database.write(run)
    if found is None:
        raise ApiFault(404, f"no adjustment {number[:80]!r} that stands")
    _changed(parts)
    return told(found, _judged(parts), asked.at_ms)


def _changed(parts: Parts) -> None:
    parts.pace.ask()
    parts.live.changed()

"""The API: judgements, services, incidents, silences, and the status of the service."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from alerts.model import Silence
from service import api, desk
from service.api import ApiFault
from service.api_models import (
    AskedSilence,
    IncidentModel,
    ServiceNow,
    SilenceMade,
    SilenceModel,
    StatusAnswer,
    asked_with,
    faults,
    sent_by_form,
)
from service.bodies import FORM_BYTES, body_of, form_of
from service.parts import Parts

DAY_MS = 86_400_000


def add(app: FastAPI, parts: Parts) -> None:
    """All routes under /api that don't belong to a page."""
    _add_reading(app, parts)
    _add_silences(app, parts)

    @app.post(
        "/api/incidents/{incident_id}/ack", tags=["incidents"], status_code=204, responses=faults(403, 404, 413),
        openapi_extra=sent_by_form("by", "return_to"),
    )  # fmt: skip
    async def acknowledge(incident_id: str, request: Request) -> Response:
        """Note that someone is at an incident; a form with `by`. A browser is sent back to `return_to`."""
        form = await form_of(request)
        try:
            await run_in_threadpool(parts.evaluator.acknowledge, incident_id, form.get("by") or "dashboard")
        except KeyError:
            raise ApiFault(404, f"no open incident {incident_id[:80]!r}") from None
        parts.live.changed()
        return done(request, form.get("return_to", ""))


def _add_reading(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/services", tags=["services"], responses=faults())
    def services() -> list[ServiceNow]:
        """Every service that is not gone, by name."""
        return [
            ServiceNow(service=it.service, nodes=list(it.nodes), desired=it.desired, healthy=it.healthy)
            for it in parts.source.services(parts.clock())
        ]

    @app.get("/api/incidents", tags=["incidents"], responses=faults())
    def incidents() -> list[IncidentModel]:
        """Open incidents, and those that were resolved within a day, newest first."""
        return [api.incident(it) for it in parts.source.incidents(parts.clock() - DAY_MS)]

    @app.get("/api/status", tags=["service"], responses=faults())
    def status() -> StatusAnswer:
        """How far the service is."""
        found = parts.source.status()
        return StatusAnswer(
            first_sample_ms=found.first_sample_ms,
            last_sample_ms=found.last_sample_ms,
            evaluated_ms=found.evaluated_ms,
            faults=parts.faults(),
        )


def _add_silences(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/silences", tags=["incidents"], responses=faults())
    def silences() -> list[SilenceModel]:
        """Silences that have not ended."""
        return [api.silence(it, parts.clock()) for it in parts.source.silences(parts.clock())]

    asked = asked_with(AskedSilence, "incident", "minutes", "by", "comment", "return_to")

    @app.post(
        "/api/silences", tags=["incidents"], response_model=SilenceMade, responses=faults(400, 403, 404, 408, 413),
        openapi_extra=asked,
    )  # fmt: skip
    async def add_silence(request: Request) -> Response:
        """Keep messages back for a while, as Alertmanager's API takes it; or a page's form, which is sent back."""
        if "json" in request.headers.get("content-type", ""):
            found = api.silence_of(await body_of(request, FORM_BYTES), parts.clock())
            await run_in_threadpool(_write, parts, found)
            return JSONResponse(SilenceMade(silenceID=found.id).model_dump())
        form = await form_of(request)
        incident = await run_in_threadpool(parts.source.incident, form.get("incident", ""))
        if incident is None:
            raise ApiFault(404, "no such incident")
        await run_in_threadpool(_write, parts, api.silence_of_form(form, incident, parts.clock()))
        return done(request, form.get("return_to", ""))

    @app.delete("/api/silences/{silence_id}", tags=["incidents"], status_code=204, responses=faults(403, 404))
    def expire(silence_id: str) -> Response:
        """End a silence now."""
        if not parts.store.database.write(lambda cursor: desk.end_silence(cursor, silence_id, parts.clock())):
            raise ApiFault(404, f"no silence {silence_id[:80]!r} that has not ended")
        parts.pace.ask()
        return Response(status_code=204)


def _write(parts: Parts, silence: Silence) -> None:
    parts.store.database.write(lambda cursor: desk.write_silence(cursor, silence))
    parts.pace.ask()
    parts.live.changed()


def done(request: Request, return_to: str) -> Response:
    """A browser goes back to its page, a path of this service only; a script gets 204."""
    if "application/json" in request.headers.get("accept", ""):
        return Response(status_code=204)
    local = return_to.startswith("/") and not return_to.startswith(("//", "/\\")) and return_to.isprintable()
    return RedirectResponse(return_to if local else "/oncall", 303)

"""`/api/judgements` and `/api/slo/…`: objectives as they are judged, burn rows, OpenSLO files, and checks of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from service import api_slo
from service.api import ApiFault, asked_as
from service.api_models import asked_with, faults
from service.api_models_slo import Burn, CheckAsked, Checked, Files, Judged, Judgements, Rules
from service.bodies import body_of
from service.evaluate import Evaluated
from service.parts import Parts
from service.slo_export import rules_of
from slo.model import Judgement, State
from slo.openslo.export import export as written
from slo.openslo.plans import LONGEST_MS, SHORTEST_MS
from slo.openslo.sources import shown
from slo.rows import WORKBOOK_MS

MOST_BYTES = 4 << 20
"""The body of a check."""
Name = Annotated[str | None, Query(max_length=500)]


def add(app: FastAPI, parts: Parts) -> None:
    """All of them but backtests."""
    _add_judged(app, parts)
    _add_files(app, parts)

    @app.get("/api/slo/burn", tags=["objectives"], responses=faults(400))
    def burn(
        period_ms: Annotated[
            int, Query(ge=SHORTEST_MS, le=LONGEST_MS, description="The period that rows are told for.")
        ] = WORKBOOK_MS,
    ) -> Burn:
        """The tables of burn rows, with the one in force."""
        return api_slo.burn(parts.settings.burn, period_ms)

    @app.get("/api/slo/rules", tags=["objectives"], responses=faults())
    def rules() -> Rules:
        """The objectives in force as recording and alerting rules of Prometheus."""
        found = rules_of(parts.evaluator.objectives(), parts.settings)
        return Rules(groups=[dict(it) for it in found.groups], left_out=list(found.left_out))


def _add_judged(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/judgements", tags=["objectives"], responses=faults())
    def judgements() -> Judgements:
        """Every objective as it was last judged."""
        return _told(parts.evaluator.last, lambda it: True)

    @app.get("/api/slo/objectives", tags=["objectives"], responses=faults(400))
    def objectives(service: Name = None, slo: Name = None, state: State | None = None) -> Judgements:
        """Objectives as they were last judged, of one service, of one name, in one state."""

        def asked(it: Judgement) -> bool:
            of = it.objective
            return service in (None, of.service) and slo in (None, of.slo) and state in (None, it.state)

        return _told(parts.evaluator.last, asked)

    @app.get("/api/slo/objective", tags=["objectives"], responses=faults(400, 404))
    def objective(
        slo: Annotated[str, Query(max_length=500, description="The objective's name.")],
        service: Annotated[str, Query(max_length=500)] = "platform",
        where: Annotated[str, Query(max_length=2000, description="Its scope: `node=n1,node_id=…`.")] = "",
    ) -> Judged:
        """One objective as it was last judged, with its burn rows and their counts."""
        return api_slo.judged(_one(parts, slo, service, where))


def _told(last: Evaluated | None, asked: Callable[[Judgement], bool]) -> Judgements:
    found = [] if last is None else [api_slo.judged(it) for it in last.judgements if asked(it)]
    return Judgements(evaluated_ms=last.at_ms if last else None, judgements=found)


def _one(parts: Parts, slo: str, service: str, where: str) -> Judgement:
    """The objective; of several of one name and service the first where no scope is asked for."""
    named = [it for it in parts.source.judgements() if (it.objective.slo, it.objective.service) == (slo, service)]
    found = [it for it in named if not where or api_slo.where_is(it.objective, where)]
    if not found:
        what = f"no objective {slo[:80]!r} of {service[:80]!r}" + (f" with {where[:80]!r}" if named else "")
        raise ApiFault(404, f"there is {what}; /api/slo/objectives lists all")
    return found[0]


def _add_files(app: FastAPI, parts: Parts) -> None:
    book = parts.evaluator.slos

    @app.get("/api/slo/files", tags=["objectives"], responses=faults())
    def files() -> Files:
        """The OpenSLO files that `service.slos` names: which are in force, and all that is to be said of them."""
        return api_slo.files(book.shelf, book.strict)

    @app.post(
        "/api/slo/check", tags=["objectives"], response_model=Checked, responses=faults(400, 403, 408, 413),
        openapi_extra=asked_with(CheckAsked),
    )  # fmt: skip
    async def check(request: Request) -> Checked:
        """Check OpenSLO texts, which may name one another; nothing is loaded."""
        asked = asked_as(CheckAsked, await body_of(request, MOST_BYTES))
        return await run_in_threadpool(
            api_slo.checked, sorted(asked.files.items()), asked.strict, parts.settings.burn.policy()
        )

    @app.get(
        "/api/slo/export", tags=["objectives"], response_class=PlainTextResponse,
        responses={**faults(400), 200: {"content": {"application/yaml": {}}, "description": "OpenSLO v1, normalised."}},
    )  # fmt: skip
    def export(
        form: Annotated[Literal["openslo"], Query(alias="format", description="openslo: OpenSLO v1.")] = "openslo",
    ) -> Response:
        """The documents of the OpenSLO files in force, normalised; how data sources are reached is left out."""
        return Response(written(shown(book.shelf.documents)), media_type="application/yaml")

"""`/api/slo/report`, `/api/slo/history`, `/api/slo/changes`: the numbers of the pages of objectives and reports."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Query, Request

from dashboards.desk import Desk, open_desk
from dashboards.errors import RequestFault
from dashboards.objective import chosen
from dashboards.report_data import many, single, span_of
from dashboards.reporting import key_of
from dashboards.request import DAY_MS, parse
from service.api import ApiFault
from service.api_models import faults
from service.parts import Parts
from service.report_models import (
    ChangesAnswer,
    HistoryAnswer,
    ReportAnswer,
    StateRun,
    change_answer,
    history_point,
    identity,
    objective_report,
    single_report,
)

MOST_POINTS: Final = 50_000
MOST_CHANGES: Final = 1_000
LONGEST: Final = 2**52
Slo = Annotated[str | None, Query(max_length=512, description="The objective's name.")]
Service = Annotated[str | None, Query(max_length=512, description="Its service; `platform` where it has none.")]
Where = Annotated[str | None, Query(max_length=512, description="Its further identity: `node=n1,node_id=…`.")]
Since = Annotated[int | None, Query(alias="since_ms", ge=0, lt=LONGEST, description="Begin in ms UTC.")]
Until = Annotated[int | None, Query(alias="until_ms", ge=0, lt=LONGEST, description="End in ms UTC; else now.")]


def add(app: FastAPI, parts: Parts) -> None:
    """The routes."""
    _add_report(app, parts)
    _add_history(app, parts)


def _add_report(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/slo/report", tags=["objectives"], responses=faults(400, 404))
    def report(
        request: Request,
        slo: Slo = None,
        service: Service = None,
        where: Where = None,
        period: Annotated[str | None, Query(max_length=40, description="last-week, 2026-W47, 2026-11, 30d, …")] = None,
        since: Annotated[str | None, Query(alias="from", max_length=20, description="A day, or ms UTC.")] = None,
        until: Annotated[str | None, Query(alias="to", max_length=20, description="The last day, or ms UTC.")] = None,
        zone: Annotated[str | None, Query(max_length=64, description="Time zone of the days; UTC by default.")] = None,
    ) -> ReportAnswer:
        """What became of one objective, of a service's, or of all, in a period; 30 days where none is given."""
        desk = _desk(parts, request, "reports")
        try:
            return _report(desk)
        except RequestFault as fault:
            raise ApiFault(fault.status, str(fault)) from fault


def _desk(parts: Parts, request: Request, page: str) -> Desk:
    now_ms = parts.clock()
    try:
        asked = parse("reports" if page == "reports" else "slo", request.query_params, now_ms)
        return open_desk(parts.source, asked, now_ms)
    except RequestFault as fault:
        raise ApiFault(fault.status, str(fault)) from fault


def _report(desk: Desk) -> ReportAnswer:
    span = span_of(desk)
    head = {"period": span.name, "since_ms": span.since_ms, "until_ms": span.until_ms, "zone": span.zone}
    if desk.request.slo:
        one = single(desk)
        found = single_report(one.report, one.incidents, span)
        return ReportAnswer(**head, objective=found, objectives=[], left_out=0)  # type: ignore[arg-type]
    every = many(desk)
    rows = [objective_report(it) for it in every.reports]
    return ReportAnswer(**head, objective=None, objectives=rows, left_out=every.left_out)  # type: ignore[arg-type]


def _add_history(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/slo/history", tags=["objectives"], responses=faults(400, 404))
    def history(
        request: Request,
        slo: Annotated[str, Query(max_length=512, description="The objective's name.")],
        service: Service = None,
        where: Where = None,
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, Query(ge=1, le=MOST_POINTS, description="The newest so many judgements.")] = 1500,
    ) -> HistoryAnswer:
        """How one objective was judged: each stored judgement, and how its state went."""
        begin, end = _span(since, until, parts.clock())
        try:
            objective = chosen(_desk(parts, request, "slo")).objective
        except RequestFault as fault:
            raise ApiFault(fault.status, str(fault)) from fault
        key = key_of(objective)
        runs = parts.source.runs(begin, end, objective.service, objective.slo).get(key, ())
        return HistoryAnswer(
            **identity(objective),  # type: ignore[arg-type]
            points=[history_point(it) for it in parts.source.points(key, begin, end, limit)],
            runs=[StateRun(**it._asdict()) for it in runs],
        )

    @app.get("/api/slo/changes", tags=["objectives"], responses=faults(400))
    def changes(
        slo: Slo = None,
        service: Service = None,
        since: Since = None,
        until: Until = None,
        limit: Annotated[int, Query(ge=1, le=MOST_CHANGES)] = 100,
    ) -> ChangesAnswer:
        """Objectives that appeared, changed or vanished, newest first; all of them where no begin is given."""
        begin, end = _span(0 if since is None else since, until, parts.clock())
        return ChangesAnswer(
            changes=[change_answer(it) for it in parts.source.changes(begin, end, limit, service, slo)]
        )


def _span(since_ms: int | None, until_ms: int | None, now_ms: int) -> tuple[int, int]:
    end = now_ms if until_ms is None else until_ms
    begin = end - DAY_MS if since_ms is None else since_ms
    if begin >= end:
        raise ApiFault(400, "since_ms must be before until_ms")
    return begin, end

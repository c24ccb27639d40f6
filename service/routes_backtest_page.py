"""`/slo/backtest`: the page that tries an OpenSLO text over history, by a form or while it is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from dashboards.assets import CONTENT_SECURITY_POLICY
from dashboards.backtest import SPANS, Outcome, backtest
from dashboards.backtest_views import Asked, BacktestView
from dashboards.render import fragment, render
from dashboards.slo_rows import by_gravity
from service.api import ApiFault
from service.api_backtest import FaultyTexts
from service.api_models_backtest import BacktestAsked
from service.api_slo import where_is
from service.bodies import body_of
from service.parts import Parts
from service.routes_backtest import Bench
from service.slo_prefill import EXAMPLE, text_of
from slo.model import Objective

MOST_BYTES: Final = 1 << 20
"""Of a form: the text is escaped in it."""
NAME: Final = "objective.yaml"
DAY_MS: Final = 86_400_000
BESIDE: Final = ("99", "99.5", "99.9", "99.95", "99.99")
"""Targets that stand beside the one that is tried."""


def add(app: FastAPI, parts: Parts, bench: Bench) -> None:
    """The page, its form, and the part that changes while one types."""

    @app.get("/slo/backtest", include_in_schema=False)
    async def page(request: Request) -> Response:
        chosen = await run_in_threadpool(_chosen, parts, request.query_params)
        text = None if chosen is None else text_of(chosen, parts.evaluator.slos.shelf)
        asked = Asked(text or EXAMPLE, "", "30d", parts.settings.burn.named)
        return _html(render(await _view(parts, bench, asked, chosen)))

    @app.post("/slo/backtest", include_in_schema=False)
    async def whole(request: Request) -> Response:
        return _html(render(await _view(parts, bench, await _form(parts, request))))

    @app.post("/slo/backtest/part", include_in_schema=False)
    async def part(request: Request) -> Response:
        return _html(fragment(await _view(parts, bench, await _form(parts, request)), "backtest"))


def _html(text: str) -> Response:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(text, headers=headers, media_type="text/html; charset=utf-8")


def _chosen(parts: Parts, query: Mapping[str, str]) -> Objective | None:
    """The objective that the address names; without one the one that is worst off of those with a text."""
    given = dict(parse_qsl(query.get("objective", "")[:2000])) or query
    judgements = parts.source.judgements()
    for it in judgements:
        of = it.objective
        named = of.slo == given.get("slo") and of.service == (given.get("service") or "platform")
        if named and where_is(of, given.get("where", "")):
            return of
    shelf = parts.evaluator.slos.shelf
    if "objective" in query:
        return None
    counted = (it.objective for it in by_gravity(judgements) if it.budget_remaining is not None)
    return next((it for it in counted if text_of(it, shelf) is not None), None)


async def _form(parts: Parts, request: Request) -> Asked:
    body = await body_of(request, MOST_BYTES)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=20, keep_blank_values=True))
    since = form.get("since", "")
    table = form.get("table", "") or parts.settings.burn.named
    target = form.get("target", "").strip().removesuffix("%").strip()
    text = form.get("text", "").replace("\r\n", "\n")
    return Asked(text, target[:20], since if since in SPANS else "30d", table[:20])


async def _view(parts: Parts, bench: Bench, asked: Asked, chosen: Objective | None = None) -> BacktestView:
    outcome = await _outcome(parts, bench, asked)
    return await run_in_threadpool(backtest, parts.source, asked, outcome, parts.clock(), chosen)


async def _outcome(parts: Parts, bench: Bench, asked: Asked) -> Outcome:
    """What became of the try, faults of the text and of the form among it."""
    days = int(asked.since.removesuffix("d"))
    try:
        question = BacktestAsked.model_validate(
            {
                "files": {NAME: asked.text},
                "since_ms": max(0, parts.clock() - days * DAY_MS),
                "target_percent": asked.target or None,
                "targets_percent": list(BESIDE),
                "burn_table": asked.table,
            }
        )
        found = await bench.run(question)
    except ValidationError:
        return Outcome(problem="The target is no share in percent below 100, such as 99.9, or the table is not known.")
    except FaultyTexts as fault:
        return Outcome(findings=fault.faults)
    except ApiFault as fault:
        return Outcome(problem=str(fault))
    return Outcome(found.tried, found.findings)

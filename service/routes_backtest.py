"""`/api/slo/backtest`: what objectives would have done over stored history; one at a time, others wait a little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from service.api import ApiFault, asked_as
from service.api_backtest import FaultyTexts, Outcome, outcome, told
from service.api_models import asked_with, faults
from service.api_models_backtest import BacktestAsked, BacktestTold, Refused
from service.api_slo import finding
from service.bodies import body_of
from service.parts import Parts
from service.slo_histories import Histories

T = TypeVar("T")
MOST_BYTES: Final = 4 << 20
BUSY: Final = 429
WAIT_SECONDS: Final = 20.0
MOST_WAITING: Final = 4
"""Backtests that wait for their turn; one more is told to come again."""


class Turns:
    """One backtest at a time, whatever pages and commands ask at once."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns; raises ApiFault 429 where its turn does not come."""
        self._limiter = self._limiter or anyio.CapacityLimiter(1)  # made here: it belongs to the loop that runs
        if self._waiting >= MOST_WAITING:
            raise ApiFault(BUSY, "other backtests are under way; try again when they are done")
        self._waiting += 1
        try:
            with anyio.move_on_after(WAIT_SECONDS) as waited:
                await self._limiter.acquire()
            if waited.cancelled_caught:
                raise ApiFault(BUSY, "another backtest is under way; try again when it is done")
        finally:
            self._waiting -= 1
        try:
            return await run_in_threadpool(work)
        finally:
            self._limiter.release()


class Bench:
    """Where backtests are run, for the API and the page: what one read the other needs not read again."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._turns = parts, Turns()
        self._histories = Histories(parts.store, parts.queries.engine)

    async def run(self, asked: BacktestAsked) -> Outcome:
        """What was asked, tried; raises ApiFault."""
        try:
            found = await self._turns.run(lambda: outcome(self._parts, self._histories, asked))
        except ApiFault as fault:
            self._count("turned_away" if fault.status == BUSY else "refused")
            raise
        self._count("done")
        return found

    def _count(self, outcome: str) -> None:
        self._parts.own.add("midwatch_server_backtests_total", (outcome,))


def add(app: FastAPI, parts: Parts, bench: Bench) -> None:
    """The route."""

    @app.post(
        "/api/slo/backtest", tags=["objectives"], response_model=BacktestTold,
        responses=faults(403, 408, 413, 429) | {400: {"description": "Nothing was tried.", "model": Refused}},
        openapi_extra=asked_with(BacktestAsked),
    )  # fmt: skip
    async def backtest(request: Request) -> BacktestTold:
        """Try objectives over stored history: budget, pages and tickets, beside those in force and other targets."""
        asked = asked_as(BacktestAsked, await body_of(request, MOST_BYTES))
        found = await bench.run(asked)
        return await run_in_threadpool(told, found, parts.settings.burn.named)

    @app.exception_handler(FaultyTexts)
    async def of_texts(_: Request, fault: FaultyTexts) -> Response:
        refused = Refused(error=str(fault), faults=[finding(it) for it in fault.faults])
        return JSONResponse(refused.model_dump(), fault.status)

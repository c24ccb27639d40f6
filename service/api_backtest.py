"""A backtest over HTTP: what is asked for put together, tried, and told."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from service.api import ApiFault
from service.api_models_backtest import (
    AlertTold,
    BacktestAsked,
    BacktestTold,
    BothTold,
    DifferenceTold,
    PointTold,
    Result,
    SuggestionTold,
    TriedObjective,
)
from service.api_slo import finding, ratio
from service.parts import Parts
from service.slo_backtest import BacktestFault, Question, objectives_in, tried, with_target
from service.slo_histories import Histories
from slo.backtest import Backtest, Suggestion
from slo.backtest_alerts import Alert
from slo.compare import Difference, Tried, taken_out
from slo.model import Objective
from slo.openslo.faults import Finding
from slo.openslo.objectives import FromFiles
from slo.text import number
from slo.wording import indicator_text, units

MOST_FAULTS: Final = 50
MOST_ALERTS: Final = 500
"""Alerts of one objective that are told; all are counted."""


class FaultyTexts(ApiFault):
    """Texts that can't be tried, with every fault."""

    def __init__(self, faults: Sequence[Finding]) -> None:
        super().__init__(400, "\n".join(str(it) for it in faults[:MOST_FAULTS]))
        self.faults = tuple(faults[:MOST_FAULTS])


class Outcome(NamedTuple):
    """What was asked, tried: the one result that pages and programs are told."""

    question: Question
    table: str
    findings: tuple[Finding, ...]
    """Warnings and notes on the texts."""
    tried: list[Tried]


def outcome(parts: Parts, histories: Histories, asked: BacktestAsked) -> Outcome:
    """What was asked, tried; raises ApiFault."""
    until_ms = parts.clock() if asked.until_ms is None else asked.until_ms
    if asked.since_ms >= until_ms:
        raise ApiFault(400, "since_ms must be before until_ms")
    settings = parts.settings
    burn = settings.burn.with_table(asked.burn_table)
    files, findings = objectives_in(sorted(asked.files.items()), asked.strict, burn.policy())
    if faults := [it for it in findings if it.level == "error"]:
        raise FaultyTexts(faults)
    last = parts.evaluator.last
    question = Question(
        objectives=_objectives(parts, asked, files),
        in_force=() if last is None else [it.objective for it in last.judgements],
        since_ms=asked.since_ms,
        until_ms=until_ms,
        policy=burn.policy(),
        policy_in_force=settings.burn.policy(),
        hold_ms=settings.thresholds().hold_ms,
        targets=[target(it) for it in asked.targets_percent],
        adjustments=parts.evaluator.adjustments.standing,
    )
    try:
        return Outcome(question, burn.named, findings, tried(histories, question))
    except BacktestFault as fault:
        raise ApiFault(400, str(fault)) from fault


def told(it: Outcome, table_in_force: str) -> BacktestTold:
    """The outcome for programs."""
    return BacktestTold(
        since_ms=it.question.since_ms,
        until_ms=it.question.until_ms,
        burn_table=it.table,
        burn_table_in_force=table_in_force,
        warnings=[finding(one) for one in it.findings],
        objectives=[_told(one, it) for one in it.tried],
    )


def _objectives(parts: Parts, asked: BacktestAsked, files: FromFiles) -> list[Objective]:
    found = parts.evaluator.asked_by(files)
    return found if asked.target_percent is None else [with_target(it, *target(asked.target_percent)) for it in found]


def target(percent: str) -> tuple[Fraction, str]:
    """A target in percent as a share, with its text; raises ApiFault where it is none."""
    share = Fraction(Decimal(percent)) / 100
    if not 0 <= share < 1:
        raise ApiFault(400, f"{percent} % is no target; write one from 0 to below 100")
    return share, f"{percent} %"


def _told(it: Tried, outcome: Outcome) -> TriedObjective:
    of, question = it.objective, outcome.question
    return TriedObjective(
        slo=of.slo,
        service=of.service,
        scope=dict(of.scope),
        title=of.title,
        target=of.target_text,
        window_ms=of.window_ms,
        indicator=indicator_text(of),
        note=of.note,
        adjustments=taken_out(of, outcome.question.adjustments, question.since_ms, question.until_ms),
        why_not=it.why_not,
        asked=None if it.asked is None else _result(it.asked),
        in_force=None if it.in_force is None else _result(it.in_force),
        difference=None if it.difference is None else _difference(it.difference, it.asked, it.in_force),
        what_if=[_result(one) for one in it.what_if],
    )


def _result(it: Backtest) -> Result:
    unit, roads = units(it.objective), [one.road for one in it.alerts]
    return Result(
        target=it.objective.target_text,
        window_ms=it.objective.window_ms,
        since_ms=it.since_ms,
        until_ms=it.until_ms,
        bad=it.bad,
        total=it.total,
        bad_unit=unit.bad,
        total_unit=unit.total,
        parts=unit.parts,
        sli=ratio(it.sli),
        sli_exact=None if it.sli is None else str(it.sli),
        budget_left=ratio(it.budget_left),
        budget_left_exact=None if it.budget_left is None else str(it.budget_left),
        least_left=ratio(it.least_left),
        least_ms=it.least_ms,
        coverage=ratio(it.coverage),
        pages=roads.count("page"),
        tickets=roads.count("ticket"),
        alerts=[_alert(one) for one in it.alerts[:MOST_ALERTS]],
        line=[PointTold(at_ms=one.at_ms, left=ratio(one.left)) for one in it.line],
        suggested=_suggestion(it.suggested),
        suggested_target_percent=None if it.suggested is None else _percent(it.suggested),
    )


def _suggestion(it: Suggestion | None) -> SuggestionTold | None:
    if it is None:
        return None
    return SuggestionTold(target_percent=_percent(it), spent=float(it.spent), windows=it.windows)


def _percent(it: Suggestion) -> str:
    return number(it.target * 100, 4)


def _alert(it: Alert) -> AlertTold:
    return AlertTold(road=it.road, opened_ms=it.opened_ms, resolved_ms=it.resolved_ms, rows=list(it.rows))


def _difference(it: Difference, asked: Backtest | None, other: Backtest | None) -> DifferenceTold:
    def more(road: str) -> int:
        one, two = ([alert.road for alert in of.alerts] if of is not None else [] for of in (asked, other))
        return one.count(road) - two.count(road)  # type: ignore[arg-type]

    return DifferenceTold(
        pages=more("page"),
        tickets=more("ticket"),
        budget_left=ratio(it.budget_left),
        new=[_alert(one) for one in it.new[:MOST_ALERTS]],
        gone=[_alert(one) for one in it.gone[:MOST_ALERTS]],
        both=[
            BothTold(
                road=one.asked.road,
                asked_ms=one.asked.opened_ms,
                in_force_ms=one.in_force.opened_ms,
                sooner_ms=one.sooner_ms,
            )
            for one in it.both[:MOST_ALERTS]
        ],
    )

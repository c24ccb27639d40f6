"""What a backtest is asked with and answers: objectives over stored history, beside those in force."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from service.api_models import Asked, Fault, Model
from service.api_models_slo import FindingModel, Road

_PERCENT: Final = r"[0-9]{1,2}(\.[0-9]{1,12})?"


def _percent(text: str) -> str:
    if not re.fullmatch(_PERCENT, text, re.ASCII):
        raise ValueError("is no target; write a percentage from 0 to below 100, such as 99.95")
    return text


Percent = Annotated[str, AfterValidator(_percent), Field(json_schema_extra={"pattern": f"^{_PERCENT}$"})]


class BacktestAsked(Asked):
    """OpenSLO texts, which may name one another, and the time over which they are tried."""

    files: dict[str, str] = Field(min_length=1, max_length=1000, description="Texts of OpenSLO files by name.")
    since_ms: int = Field(ge=0, lt=2**52, description="From when on.")
    until_ms: int | None = Field(None, ge=0, lt=2**52, description="Until when; now where it is left out.")
    target_percent: Percent | None = Field(None, description="A target in place of the files'.")
    targets_percent: list[Percent] = Field(
        default_factory=list, max_length=10, description="Targets that are tried too, in `what_if`."
    )
    burn_table: Literal["workbook", "sloth-7d", "pyrra", "own"] | None = Field(
        None,
        description="Burn rows in place of those in force, for what is tried alone; own: those of service.burn.rows.",
    )
    strict: bool = Field(False, description="To the letter of the specification.")


class Refused(Fault):
    """Why nothing was tried."""

    faults: list[FindingModel] = Field(default_factory=list, description="Of faulty texts each fault with its line.")


class AlertTold(Model):
    """A page or a ticket that would have gone out."""

    road: Road = Field(description="How urgent it would have been.")
    opened_ms: int = Field(description="When.")
    resolved_ms: int | None = Field(description="When its end would have been told; null where it goes on.")
    rows: list[str] = Field(description="Rows and conditions that fired when it opened; `projection`: soon gone.")


class PointTold(Model):
    """What was left of the budget at a moment."""

    at_ms: int = Field(description="The moment.")
    left: float | None = Field(description="The share that was left, below 0 where overspent; null without traffic.")


class SuggestionTold(Model):
    """A target that history would have kept, with a quarter of its budget to spare."""

    target_percent: str = Field(description="The strictest of the usual ones.")
    spent: float = Field(description="The share of its budget that was spent, by the worst window or all of history.")
    windows: bool = Field(description="True: judged by the worst whole window; false: history is shorter than one.")


class Result(Model):
    """What one objective would have done."""

    target: str = Field(description="Its target as people write it.")
    window_ms: int = Field(description="Its window.")
    since_ms: int = Field(description="From when on.")
    until_ms: int = Field(description="Until when: the last whole minute.")
    bad: int = Field(description="Bad over all the time, in `bad_unit`; of a composite 0.")
    total: int = Field(description="All, in `total_unit`; of a composite 0.")
    bad_unit: str = Field(description="What `bad` counts.")
    total_unit: str = Field(description="What `total` counts.")
    parts: int = Field(description="Counts are in so many parts of their unit.")
    sli: float | None = Field(description="Good over all; null without traffic and where there is none.")
    sli_exact: str | None = Field(description="The same as a fraction.")
    budget_left: float | None = Field(description="Of its window, at the end; null without traffic.")
    budget_left_exact: str | None = Field(description="The same as a fraction.")
    least_left: float | None = Field(description="The least that was left at any moment.")
    least_ms: int | None = Field(description="When that was.")
    coverage: float | None = Field(description="Observed over expected time; null where nothing was expected.")
    pages: int = Field(description="Pages that would have gone out.")
    tickets: int = Field(description="Tickets that would have gone out.")
    alerts: list[AlertTold] = Field(description="Each of them, by time; at most 500.")
    line: list[PointTold] = Field(description="The budget's line from the first traffic on, at most 240 points.")
    suggested: SuggestionTold | None = Field(description="Null without traffic and where no usual target is so low.")
    suggested_target_percent: str | None = Field(description="The suggestion's target.")


class BothTold(Model):
    """An alert that either would have sent."""

    road: Road = Field(description="How urgent.")
    asked_ms: int = Field(description="When what is tried would have sent it.")
    in_force_ms: int = Field(description="When what is in force sends it.")
    sooner_ms: int = Field(description="How much sooner what is tried is; below 0: later.")


class DifferenceTold(Model):
    """What is tried against what is in force."""

    pages: int = Field(description="So many more pages; below 0: fewer.")
    tickets: int = Field(description="So many more tickets; below 0: fewer.")
    budget_left: float | None = Field(description="So much more of the budget would be left; null where unknown.")
    new: list[AlertTold] = Field(description="Alerts that come anew.")
    gone: list[AlertTold] = Field(description="Alerts that no longer come.")
    both: list[BothTold] = Field(description="Alerts that overlap in time, and which is sooner.")


class TriedObjective(Model):
    """One objective as it was tried."""

    slo: str = Field(description="Its name.")
    service: str = Field(description="Its service, or `platform`.")
    scope: dict[str, str] = Field(description="What else identifies it.")
    title: str = Field(description="What it is, for people.")
    target: str = Field(description="Its target as people write it.")
    window_ms: int = Field(description="Its window.")
    indicator: str = Field(description="What is counted or asked, in words of PromQL.")
    note: str | None = Field(description="A remark: where it was asked for.")
    adjustments: int = Field(description="Budget adjustments whose times are taken out of what is tried.")
    why_not: str | None = Field(description="Why it can't be tried, and what would be right; null where it was.")
    asked: Result | None = Field(description="What it would have done; null where it can't be tried.")
    in_force: Result | None = Field(description="The same of the objective of its name in force; null: there is none.")
    difference: DifferenceTold | None = Field(description="The one against the other; null where either is missing.")
    what_if: list[Result] = Field(description="The same with the other targets that were asked for.")


class BacktestTold(Model):
    """What objectives would have done over stored history."""

    since_ms: int = Field(description="From when on.")
    until_ms: int = Field(description="Until when.")
    burn_table: str = Field(description="The burn rows of what is tried.")
    burn_table_in_force: str = Field(description="The burn rows in force.")
    warnings: list[FindingModel] = Field(description="What of the texts is likely not meant, and good to know.")
    objectives: list[TriedObjective] = Field(description="One each.")

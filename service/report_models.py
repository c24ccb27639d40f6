"""What `/api/slo/report`, `/history` and `/changes` answer, typed: exact numbers as text beside numbers for drawing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, Field

from alerts.model import Incident
from slo.history import Change, Point
from slo.model import Objective
from slo.report import Report, Tally
from slo.report_spans import Span, day_name


class ObjectiveIdentity(BaseModel):
    """Which objective."""

    slo: str
    service: str = Field(description="`platform` for what concerns a node or a registry.")
    scope: dict[str, str] = Field(description="What else identifies it: node, node_id or registry.")


class Counted(BaseModel):
    """One stretch of time `(since, until]`, in ms UTC."""

    since_ms: int
    until_ms: int
    bad: int
    total: int = Field(description="0 where nothing was counted: then there is no SLI and nothing is spent.")
    observed_ms: int
    expected_ms: int
    unmeasured_ms: int
    sli: float | None
    sli_exact: str | None = Field(description="The SLI as a fraction: `9999/10000`.")
    budget_spent: float | None = Field(description="Share of the whole period's budget that went in it.")
    budget_spent_exact: str | None


class DayCounted(Counted):
    """One day of the report's zone."""

    day: str
    budget_left: float | None = Field(description="What is left of the period's budget after it; signed.")


class IncidentShare(BaseModel):
    """An incident, and what was counted while it was open within the period."""

    incident: str
    road: str
    status: str
    opened_ms: int
    resolved_ms: int | None
    summary: str
    counted: Counted | None


class PromiseField(BaseModel):
    """One field of a promise that changed."""

    field: str
    before: str
    after: str


class Promise(BaseModel):
    """What an objective promises, as text."""

    target: str
    budget: str = Field(description="The share that may be bad, exact.")
    window: str
    method: str
    indicator: str
    source: str


class ChangeAnswer(ObjectiveIdentity):
    """One change of one objective."""

    at_ms: int
    kind: Literal["appeared", "changed", "vanished"]
    differences: list[PromiseField]
    before: Promise | None
    after: Promise | None


class ObjectiveReport(ObjectiveIdentity):
    """What became of one objective in the period."""

    title: str
    target: str
    attained: bool | None = Field(description="None where nothing was counted.")
    counted: Counted
    why_not: str | None = Field(description="Why nothing can measure it.")
    changes: list[ChangeAnswer]


class SingleReport(ObjectiveReport):
    """The same with its days, incidents and worst minutes."""

    days: list[DayCounted]
    incidents: list[IncidentShare]
    spent_outside_incidents: float | None
    worst: list[Counted]
    no_traffic_ms: int | None


class ReportAnswer(BaseModel):
    """A report for a period: of one objective where one was asked for, else of many, the most spent first."""

    period: str
    since_ms: int
    until_ms: int
    zone: str
    objective: SingleReport | None
    objectives: list[ObjectiveReport]
    left_out: int = Field(description="Objectives beyond the bound of one report.")


class HistoryPoint(BaseModel):
    """One stored judgement; None where it was not known."""

    at_ms: int
    state: str
    burn: float | None
    remaining: float | None
    bad: int | None
    total: int | None
    observed_ms: int | None
    expected_ms: int | None
    target: str | None
    budget: str | None
    window_ms: int | None


class StateRun(BaseModel):
    """A stretch of one state; between runs nothing was judged."""

    state: str
    since_ms: int
    until_ms: int


class HistoryAnswer(ObjectiveIdentity):
    """How one objective was judged."""

    points: list[HistoryPoint]
    runs: list[StateRun]


class ChangesAnswer(BaseModel):
    """Changes of objectives, newest first."""

    changes: list[ChangeAnswer]


def identity(objective: Objective) -> dict[str, object]:
    """The identity's fields."""
    return {"slo": objective.slo, "service": objective.service, "scope": dict(objective.scope)}


def counted(tally: Tally) -> Counted:
    """One stretch of time."""
    return Counted(**_counted(tally))  # type: ignore[arg-type]


def _counted(tally: Tally) -> dict[str, object]:
    it = tally.counts
    return {
        "since_ms": it.since_ms, "until_ms": it.until_ms, "bad": it.bad, "total": it.total,
        "observed_ms": it.observed_ms, "expected_ms": it.expected_ms, "unmeasured_ms": tally.unmeasured_ms,
        "sli": number(tally.sli), "sli_exact": exact(tally.sli),
        "budget_spent": number(tally.spent), "budget_spent_exact": exact(tally.spent),
    }  # fmt: skip


def number(value: Fraction | None) -> float | None:
    """A ratio as a number."""
    return None if value is None else float(value)


def exact(value: Fraction | None) -> str | None:
    """A ratio to the last digit."""
    return None if value is None else str(value)


def change_answer(it: Change) -> ChangeAnswer:
    """One change."""
    return ChangeAnswer(
        at_ms=it.at_ms, slo=it.slo, service=it.service, scope=dict(it.scope), kind=it.kind,
        differences=[PromiseField(**one._asdict()) for one in it.differences],
        before=None if it.before is None else Promise(**it.before._asdict()),
        after=None if it.after is None else Promise(**it.after._asdict()),
    )  # fmt: skip


def objective_report(it: Report) -> ObjectiveReport:
    """One objective of many."""
    return ObjectiveReport(**_report(it))  # type: ignore[arg-type]


def _report(it: Report) -> dict[str, object]:
    return {
        **identity(it.objective), "title": it.objective.title, "target": it.objective.target_text,
        "attained": it.attained, "counted": counted(it.whole), "why_not": it.objective.unmeasurable,
        "changes": [change_answer(one) for one in it.changes],
    }  # fmt: skip


def single_report(it: Report, incidents: Sequence[Incident], span: Span) -> SingleReport:
    """One objective with all that there is."""
    shares = {happened.name: tally for happened, tally in it.during}
    return SingleReport(
        **_report(it),  # type: ignore[arg-type]
        days=[
            DayCounted(**_counted(day), day=day_name(day.counts.since_ms, span.zone), budget_left=number(left))  # type: ignore[arg-type]
            for day, left in zip(it.days, it.left, strict=True)
        ],
        incidents=[_share(one, shares.get(one.id)) for one in incidents],
        spent_outside_incidents=number(it.elsewhere),
        worst=[counted(one) for one in it.worst],
        no_traffic_ms=it.no_traffic_ms,
    )


def _share(it: Incident, tally: Tally | None) -> IncidentShare:
    return IncidentShare(
        incident=it.id, road=it.road, status=it.status, opened_ms=it.opened_ms, resolved_ms=it.resolved_ms,
        summary=it.alerts[0].summary if it.alerts else "", counted=None if tally is None else counted(tally),
    )  # fmt: skip


def history_point(it: Point) -> HistoryPoint:
    """One stored judgement."""
    return HistoryPoint(**it._asdict())

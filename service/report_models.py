"""What `/api/slo/report`, `/history` and `/changes` answer, typed: exact numbers as text beside numbers for drawing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from pydantic import Field

from alerts.model import Incident
from service.api_models import Model
from slo.history import Change, Point
from slo.model import Objective
from slo.report import Report, Tally
from slo.report_spans import Span, day_name
from slo.wording import units


class ObjectiveIdentity(Model):
    """Which objective."""

    slo: str = Field(description="Its name.")
    service: str = Field(description="`platform` for what concerns a node or a registry.")
    scope: dict[str, str] = Field(description="What else identifies it: node, node_id or registry.")


class Counted(Model):
    """One stretch of time `(since, until]`, in ms UTC."""

    since_ms: int = Field(description="Begin, exclusive.")
    until_ms: int = Field(description="End, inclusive.")
    bad: int = Field(description="Bad, in `parts` of the report's `bad_unit`.")
    total: int = Field(description="In `parts` of `total_unit`; 0 where nothing was counted: then nothing is spent.")
    observed_ms: int = Field(description="Time that was observed.")
    expected_ms: int = Field(description="Time since the first sight, within.")
    unmeasured_ms: int = Field(description="Expected and not observed.")
    taken_out_ms: int = Field(description="What adjustments took out; nothing else here is of it.")
    sli: float | None = Field(description="Good share; null where nothing was counted.")
    sli_exact: str | None = Field(description="The SLI as a fraction: `9999/10000`.")
    budget_spent: float | None = Field(description="Share of the whole period's budget that went in it.")
    budget_spent_exact: str | None = Field(description="The same as a fraction.")


class DayCounted(Counted):
    """One day of the report's zone."""

    day: str = Field(description="`2026-11-28`.")
    budget_left: float | None = Field(description="What is left of the period's budget after it; signed.")


class IncidentShare(Model):
    """An incident, and what was counted while it was open within the period."""

    incident: str = Field(description="Its id.")
    road: str = Field(description="`page` or `ticket`.")
    status: str = Field(description="`open` or `resolved`.")
    opened_ms: int = Field(description="When it opened.")
    resolved_ms: int | None = Field(description="When it was resolved; null while it is open.")
    summary: str = Field(description="Its first alert's sentence.")
    counted: Counted | None = Field(description="What was counted; null where nothing can be told.")


class PromiseField(Model):
    """One field of a promise that changed."""

    field: str = Field(description="Which field.")
    before: str = Field(description="As it was; null where there was none.")
    after: str = Field(description="As it is now; null where there is none.")


class Promise(Model):
    """What an objective promises, as text."""

    target: str = Field(description="The target as people write it.")
    budget: str = Field(description="The share that may be bad, exact.")
    window: str = Field(description="Its window as text.")
    method: str = Field(description="OpenSLO's budgeting method, or what stands in its place.")
    indicator: str = Field(description="What is counted.")
    source: str = Field(description="The file it is from, or `built in`.")


class ChangeAnswer(ObjectiveIdentity):
    """One change of one objective."""

    at_ms: int = Field(description="When.")
    kind: Literal["appeared", "changed", "vanished"] = Field(description="What happened to it.")
    differences: list[PromiseField] = Field(description="The fields that changed.")
    before: Promise | None = Field(description="As it was; null where there was none.")
    after: Promise | None = Field(description="As it is now; null where there is none.")


class ObjectiveReport(ObjectiveIdentity):
    """What became of one objective in the period."""

    title: str = Field(description="Its title.")
    target: str = Field(description="The target as people write it.")
    attained: bool | None = Field(
        description="Null where nothing was counted, or nothing measured a member that could have missed it."
    )
    in_part: bool = Field(description="Too little of the period was observed: all else is of what was measured.")
    bad_unit: str = Field(description="What `bad` counts: events, milliseconds, minutes, slices.")
    total_unit: str = Field(description="What `total` counts.")
    parts: int = Field(description="Counts are in so many parts of their unit: 1, 10^9 for queries, 10^12 for ratios.")
    counted: Counted = Field(description="What was counted; null where nothing can be told.")
    why_not: str | None = Field(description="Why nothing can measure it.")
    changes: list[ChangeAnswer] = Field(description="How its promise changed, newest first.")


class SingleReport(ObjectiveReport):
    """The same with its days, incidents and worst minutes."""

    days: list[DayCounted] = Field(description="Each day.")
    incidents: list[IncidentShare] = Field(description="Those that were open in the period.")
    spent_outside_incidents: float | None = Field(description="Share of the budget that went while none was open.")
    worst: list[Counted] = Field(description="The minutes with the most bad events.")
    no_traffic_ms: int | None = Field(description="Observed time without traffic; null where nobody looked.")


class ReportAnswer(Model):
    """A report for a period: of one objective where one was asked for, else of many, the most spent first."""

    period: str = Field(description="Its name, `2026-W47`; empty for one from a day to another.")
    since_ms: int = Field(description="Begin, exclusive.")
    until_ms: int = Field(description="End, inclusive.")
    zone: str = Field(description="The time zone of its days.")
    objective: SingleReport | None = Field(description="The one that was asked for.")
    objectives: list[ObjectiveReport] = Field(description="All that were asked for, the most spent first.")
    left_out: int = Field(description="Objectives beyond the bound of one report.")


class HistoryPoint(Model):
    """One stored judgement; None where it was not known."""

    at_ms: int = Field(description="When.")
    state: str = Field(description="The state of the judgement.")
    burn: float | None = Field(description="Burn rate of the fast row's long window.")
    remaining: float | None = Field(description="Share of the budget that was left.")
    bad: int | None = Field(description="Bad events, in the unit of the indicator.")
    total: int | None = Field(description="All events.")
    observed_ms: int | None = Field(description="Time that was observed.")
    expected_ms: int | None = Field(description="Time since the first sight, within.")
    target: str | None = Field(description="The target as people write it.")
    budget: str | None = Field(description="The share that may be bad, exact.")
    window_ms: int | None = Field(description="Length of the window.")


class StateRun(Model):
    """A stretch of one state; between runs nothing was judged."""

    state: str = Field(description="The state of the judgement.")
    since_ms: int = Field(description="Begin, exclusive.")
    until_ms: int = Field(description="End, inclusive.")


class HistoryAnswer(ObjectiveIdentity):
    """How one objective was judged."""

    points: list[HistoryPoint] = Field(description="Each stored judgement, oldest first.")
    runs: list[StateRun] = Field(description="How the state went, oldest first.")


class ChangesAnswer(Model):
    """Changes of objectives, newest first."""

    changes: list[ChangeAnswer] = Field(description="How its promise changed, newest first.")


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
        "taken_out_ms": it.taken_ms, "sli": number(tally.sli), "sli_exact": exact(tally.sli),
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
    unit = units(it.objective)
    return {
        **identity(it.objective), "title": it.objective.title, "target": it.objective.target_text,
        "attained": it.attained, "in_part": it.in_part, "counted": counted(it.whole),
        "bad_unit": unit.bad, "total_unit": unit.total, "parts": unit.parts,
        "why_not": it.objective.unmeasurable if it.whole.spent is None else None,
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

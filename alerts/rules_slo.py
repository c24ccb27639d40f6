"""Rules over judgements: the burn of an error budget, and its projected end."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from alerts.model import Evidence, Finding, Labels, Road, Subject
from alerts.thresholds import Thresholds
from slo.ending import present_burn
from slo.indicators import OOM_KILLS
from slo.model import Allowance, BurnRow, Counts, Judgement, MinuteSlices, Objective, RowResult, unit
from slo.text import counted, duration, number, percent, times, utc
from slo.wording import by_a_part

BURN, PROJECTED, NO_DATA = "slo-burn", "budget-projected-gone", "slo-no-data"
ALERTS = (BURN, PROJECTED, NO_DATA)
WATCHED_BY_A_RULE = frozenset({"node-disk"})
"""Objectives whose quantity has an alert of its own, which knows when it is worth a page: their burn is a ticket."""


def of_judgement(judgement: Judgement, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    """The findings of one judgement: both roads of the burn, the projection page, and those of its policies.

    None of a composite's member.
    """
    if judgement.objective.part_of is not None:
        return []
    rows = [it for it in judgement.rows if it.row.op is None]
    pages = [it for it in rows if it.row.road == "page"]
    tickets = [it for it in rows if it.row.road == "ticket"]
    no_page = judgement.objective.slo in WATCHED_BY_A_RULE
    paging = [it for it in pages if it.fired and not it.guarded and not no_page]
    ticketing = [it for it in (*pages, *tickets) if it.fired and (it.guarded or no_page or it.row.road == "ticket")]
    page = _burn(judgement, "page", paging, _known(judgement, pages), thresholds, now_ms)
    ticket = _burn(judgement, "ticket", ticketing, _known(judgement, rows), thresholds, now_ms)
    policies = [*_conditions(judgement, thresholds, now_ms), *_no_data(judgement, thresholds, now_ms)]
    return [page, ticket, _projected(judgement, thresholds, now_ms), *policies]


def _conditions(judgement: Judgement, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    """What conditions of policies say, each by itself: a page with too few events is a ticket."""
    found = []
    for it in judgement.rows:
        if it.row.op is None or not it.row.telling.breaching:
            continue
        low = it.guarded or judgement.objective.slo in WATCHED_BY_A_RULE
        roads: tuple[Road, ...] = ("page", "ticket") if it.row.road == "page" else ("ticket",)
        for road in roads:
            fired = [it] if it.fired and (road == "ticket") == (low or it.row.road == "ticket") else []
            plain = _burn(judgement, road, fired, it.measured, thresholds, now_ms)
            found.append(_told(plain, judgement.objective, it.row))
    return found


def _no_data(judgement: Judgement, thresholds: Thresholds, now_ms: int) -> list[Finding]:
    """What conditions say whose policy asks to be told where there is no burn rate: which of both it is, always."""
    found = []
    missing = dict(judgement.no_data)
    subject, labels = identity(judgement.objective)
    for it in judgement.objective.conditions:
        if it.telling.no_data:
            why = missing.get(it.name)
            summary = f"{subject.service}: {judgement.objective.slo} has no data" + (f", {why}" if why else "")
            evidence = (Evidence(f"condition {it.name} has no burn rate", why),) if why else ()
            road: Road = "ticket" if judgement.objective.slo in WATCHED_BY_A_RULE else it.road
            firing = True if why else None if judgement.paused else False
            plain = Finding(NO_DATA, subject, labels, road, firing, now_ms, summary, evidence,
                            hold_ms=thresholds.hold_ms)  # fmt: skip
            found.append(_told(plain, judgement.objective, it))
    return found


def _told(finding: Finding, objective: Objective, row: BurnRow) -> Finding:
    """The finding as its condition's own, to be told as its policy says."""
    telling = row.telling
    return replace(finding, labels=of_condition(objective, row), receivers=telling.receivers, end_told=telling.resolved)


def of_condition(objective: Objective, row: BurnRow) -> Labels:
    """The labels of a condition's alerts."""
    return (("condition", row.name), ("slo", objective.slo))


def identity(objective: Objective) -> tuple[Subject, Labels]:
    """The subject and the labels of an objective's alerts."""
    return Subject(objective.service, objective.scope), (("slo", objective.slo),)


def alerts_of(objective: Objective) -> set[tuple[str, Subject, Labels]]:
    """(alert, subject, labels) of all alerts that an objective may have; none of a composite's member."""
    if objective.part_of is not None:
        return set()
    subject, labels = identity(objective)
    found = {(BURN, subject, labels), (PROJECTED, subject, labels)}
    for it in objective.conditions:
        own = of_condition(objective, it)
        found |= {(BURN, subject, own)} if it.telling.breaching else set()
        found |= {(NO_DATA, subject, own)} if it.telling.no_data else set()
    return found


def _known(judgement: Judgement, rows: list[RowResult]) -> bool:
    """Whether all of these rows are known; a road without any row is as quiet as what was judged is known."""
    return bool(judgement.rows) and all(it.measured for it in rows)


def _burn(
    judgement: Judgement, road: Road, fired: list[RowResult], known: bool, thresholds: Thresholds, now_ms: int
) -> Finding:
    subject, labels = identity(judgement.objective)
    firing = True if fired else (False if known else None)
    evidence = (*(_row_line(it) for it in fired), *_lines(judgement, fired)) if fired else ()
    what = judgement.objective.slo
    summary = f"{subject.service}: the error budget of {what} burns {times(fired[0].long_burn)}" if fired else (
        f"{subject.service}: the error budget of {what} does not burn too fast"
        if known
        else f"{subject.service}: {what} is not measured"
    )  # fmt: skip
    return Finding(BURN, subject, labels, road, firing, now_ms, summary, evidence, hold_ms=thresholds.hold_ms)


def _projected(judgement: Judgement, thresholds: Thresholds, now_ms: int) -> Finding:
    subject, labels = identity(judgement.objective)
    what = judgement.objective.slo
    firing = _projection_fires(judgement)
    return Finding(
        alert=PROJECTED,
        subject=subject,
        labels=labels,
        road="ticket" if what in WATCHED_BY_A_RULE else "page",
        firing=firing,
        at_ms=now_ms,
        summary=f"{subject.service}: at the present burn the error budget of {what} is gone soon",
        evidence=_lines(judgement, list(judgement.rows[:1])) if firing else (),
        hold_ms=thresholds.hold_ms,
    )


def _projection_fires(judgement: Judgement) -> bool | None:
    """Unknown where unmeasured, and where the projection came true: a budget that is gone is no recovery."""
    if judgement.projected_gone:
        return True
    if not judgement.rows or not judgement.rows[0].measured or judgement.rows[0].in_part:
        return None
    rate = present_burn(judgement.rows)
    spent = judgement.budget_remaining is not None and judgement.budget_remaining <= 0
    return None if spent and rate is not None and rate > 1 else False


def _row_line(result: RowResult) -> Evidence:
    row = result.row
    if row.op is not None:
        text = f"{times(result.long_burn)} over {duration(row.long_ms)} ({row.op} {times(row.factor)})"
        return Evidence(f"condition {row.name} holds", text + by_a_part(result))
    few = f", but only {result.long_counts.bad} bad events, too few for a page" if result.guarded else ""
    return Evidence(
        f"{row.name} row fired",
        f"{times(result.long_burn)} over {duration(row.long_ms)} and {times(result.short_burn)} over "
        f"{duration(row.short_ms)} (limit {times(row.factor)}){few}{by_a_part(result)}",
    )


def _lines(judgement: Judgement, rows: list[RowResult]) -> tuple[Evidence, ...]:
    objective = judgement.objective
    lines = [Evidence("objective", f"{objective.title}: {objective.target_text} over {duration(objective.period_ms)}")]
    lines += [
        Evidence(f"counted in {duration(it.row.long_ms)}", _counted(objective, it.long_counts))
        for it in {it.row.long_ms: it for it in rows}.values()
    ]
    if judgement.budget_remaining is not None:
        lines.append(Evidence("budget left", percent(judgement.budget_remaining)))
    lines.append(Evidence("budget runs out", _runs_out(judgement)))
    return tuple(lines)


def _runs_out(judgement: Judgement) -> str:
    if judgement.budget_remaining is not None and judgement.budget_remaining <= 0:
        return "it is spent already"
    if judgement.exhausted_at_ms is None:
        return "not at the present burn"
    how = ", with what leaves the window until then" if judgement.ending == "tail" else ""
    return f"{utc(judgement.exhausted_at_ms)}, in {duration(judgement.exhausted_at_ms - judgement.at_ms)}{how}"


def _counted(objective: Objective, counts: Counts) -> str:
    indicator = objective.indicator
    if objective.members:
        return f"{counts.bad_events} bad of {counts.all_events} events of its members"
    scale = unit(objective)
    if scale is not None:
        bad, total = (number(Fraction(it, scale), 3) for it in (counts.bad, counts.total))
        what = "events" if objective.slices is None else f"slices of {duration(objective.slices.slice_ms)}"
        return f"{bad} bad of {total} {what}"
    if isinstance(indicator, Allowance):
        kills = any(it.metric == OOM_KILLS for it in indicator.bad)
        return f"{counted(counts.bad, 'OOM kill' if kills else 'restart')} in {duration(counts.total)} of instance time"
    if isinstance(indicator, MinuteSlices):
        return f"{counts.bad} bad of {counts.total} minutes"
    if indicator.scale == 1000:
        return f"{duration(counts.bad)} bad of {duration(counts.total)} of container time"
    return f"{counts.bad} bad of {counts.total} events"

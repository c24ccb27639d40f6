"""Reports from what a `DataSource` tells: one function each for an objective and for many, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from alerts.model import Incident
from dashboards.source import DataSource
from slo.history import Change, Key
from slo.model import Counts, Judgement, Objective
from slo.openslo.objectives import REFUSED
from slo.report import Budget, Happened, Part, Report, Tally, during, edges_of, merged, no_traffic_ms, worst
from slo.report_spans import Span, day_edges_ms
from slo.slices import Timeslices

MOST_INCIDENTS: Final = 100
"""Incidents of one report; of more the newest."""
MOST_CHANGES: Final = 100
MOST_STEPS: Final = 400
"""Steps that a source counts at once."""


def key_of(objective: Objective) -> Key:
    """The identity of an objective."""
    return objective.slo, objective.service, objective.scope


def reported(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Those that are objectives, without what stands for faulty files."""
    return [it for it in judgements if it.objective.slo != REFUSED]


def concerns(incident: Incident, objective: Objective) -> bool:
    """True where an incident is of the objective's subject."""
    subject = incident.subject
    return subject.service == objective.service and set(subject.scope) <= set(objective.scope)


def incidents_of(source: DataSource, objective: Objective, since_ms: int, until_ms: int) -> list[Incident]:
    """Incidents of the objective's subject that were open within a period, newest first, at most MOST_INCIDENTS."""
    found = source.incidents_within(since_ms, until_ms, 10 * MOST_INCIDENTS)
    return [it for it in found if concerns(it, objective)][:MOST_INCIDENTS]


def parts_of(objective: Objective, judgements: Sequence[Judgement]) -> tuple[Part, ...]:
    """What spends the objective's budget: itself, or the members of a composite; none where nothing measures one."""
    if not objective.members or isinstance(objective.slices, Timeslices):  # of slices members have bad ones in common
        return (Part(objective),)
    known = {it.objective.slo: it.objective for it in judgements if it.objective.service == objective.service}
    if any(name not in known or not _tells(known[name]) for name, _ in objective.members):
        return ()
    return tuple(Part(known[name], weight) for name, weight in objective.members)


def _tells(objective: Objective) -> bool:
    """Whether anything can tell of it; a query that can't be answered now may have been, and so a composite."""
    return objective.unmeasurable is None or objective.query is not None or bool(objective.members)


def report(source: DataSource, objective: Objective, judgements: Sequence[Judgement], span: Span) -> Report:
    """All that there is to say of one objective in a period."""
    parts = parts_of(objective, judgements) if _tells(objective) else ()
    days = _steps(source, parts, day_edges_ms(span.since_ms, span.until_ms, span.zone)) if parts else []
    if not days or not all(days):
        return _nothing(objective, span, _changes(source, objective, span))
    budget = Budget(objective, parts, [merged(it) for it in days])
    happened = [_happened(it, span) for it in incidents_of(source, objective, span.since_ms, span.until_ms)]
    edges = edges_of(happened, span.since_ms, span.until_ms)
    shares, elsewhere = during(budget, happened, edges, _steps(source, parts, edges))
    fine = source.fine(objective, span.since_ms, span.until_ms)
    first = _first_ms(days)
    return Report(
        objective, span.since_ms, span.until_ms,
        whole=budget.tally([merged(it) for it in days]),
        days=tuple(
            budget.tally(list(day)) for day in zip(*days, strict=True) if first is not None and day[0].until_ms > first
        ),
        during=shares, elsewhere=elsewhere, worst=worst(budget, fine) if fine else (),
        no_traffic_ms=no_traffic_ms(fine) if fine else None,
        changes=tuple(_changes(source, objective, span)),
    )  # fmt: skip


def reports(
    source: DataSource, objectives: Sequence[Objective], judgements: Sequence[Judgement], span: Span
) -> list[Report]:
    """Of each objective what became of it in a period as a whole; `judgements` are all, members of composites too."""
    parts = [parts_of(it, judgements) if _tells(it) else () for it in objectives]
    every = {key_of(part.objective): part.objective for its in parts for part in its}
    counted = source.steps(list(every.values()), [span.since_ms, span.until_ms]) if every else []
    wholes = {key: steps for key, steps in zip(every, counted, strict=True) if steps}
    changes = source.changes(span.since_ms, span.until_ms, 10 * MOST_CHANGES)
    by_key = {key: tuple(its) for key, its in groupby(sorted(changes, key=_key), _key)}
    found = []
    for objective, its in zip(objectives, parts, strict=True):
        mine = [wholes[key_of(part.objective)][0] for part in its if key_of(part.objective) in wholes]
        told = by_key.get(key_of(objective), ())
        if not its or len(mine) < len(its):
            found.append(_nothing(objective, span, told))
        else:
            whole = Budget(objective, its, mine).tally(mine)
            found.append(Report(objective, span.since_ms, span.until_ms, whole, changes=told))
    return found


def _key(change: Change) -> Key:
    return change.slo, change.service, change.scope


def _steps(source: DataSource, parts: Sequence[Part], edges_ms: Sequence[int]) -> list[list[Counts]]:
    """Counts of each part between the edges; so many at once as a source counts."""
    objectives = [it.objective for it in parts]
    found: list[list[Counts]] = [[] for _ in parts]
    for at in range(0, len(edges_ms) - 1, MOST_STEPS):
        for row, more in zip(found, source.steps(objectives, edges_ms[at : at + MOST_STEPS + 1]), strict=True):
            row += more
    return found


def _happened(incident: Incident, span: Span) -> Happened:
    end = span.until_ms if incident.resolved_ms is None else min(incident.resolved_ms, span.until_ms)
    return Happened(incident.id, max(incident.opened_ms, span.since_ms), end)


def _first_ms(days: Sequence[Sequence[Counts]]) -> int | None:
    """The first sight of what there is, of all parts the latest; None where one was never seen."""
    firsts = [next((it.first_ms for it in part if it.first_ms is not None), None) for part in days]
    return None if None in firsts else max(it for it in firsts if it is not None)


def _changes(source: DataSource, objective: Objective, span: Span) -> list[Change]:
    found = source.changes(span.since_ms, span.until_ms, MOST_CHANGES, objective.service, objective.slo)
    return [it for it in found if it.scope == objective.scope]


def _nothing(objective: Objective, span: Span, changes: Sequence[Change] = ()) -> Report:
    """The report of what nothing measured: no time was expected, so none is missing."""
    whole = Tally(Counts(span.since_ms, span.until_ms, 0, 0, 0, 0), None, None)
    return Report(objective, span.since_ms, span.until_ms, whole, changes=tuple(changes))

"""What a report is about, and its numbers: one objective, those of a service, or all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from alerts.model import Incident
from dashboards.desk import Desk
from dashboards.errors import RequestFault
from dashboards.objective import chosen
from dashboards.reporting import concerns, incidents_of, report, reported, reports
from slo.history import Change
from slo.model import Judgement
from slo.report import Report
from slo.report_spans import Span, day_begin_ms, day_edges_ms, local_day

MOST_OBJECTIVES: Final = 1_000
MOST_INCIDENTS: Final = 100
MOST_CHANGES: Final = 100


class Single(NamedTuple):
    """The report of one objective."""

    judgement: Judgement
    report: Report
    incidents: tuple[Incident, ...]


class Many(NamedTuple):
    """The reports of many objectives, each as a whole; `left_out` are beyond MOST_OBJECTIVES."""

    service: str | None
    reports: tuple[Report, ...]
    incidents: tuple[Incident, ...]
    changes: tuple[Change, ...]
    left_out: int


def span_of(desk: Desk) -> Span:
    """The asked period, begun with a day of its zone."""
    request = desk.settled
    since, until = request.span(desk.now_ms)
    begin = day_begin_ms(local_day(since, request.zone), request.zone)
    span = Span(request.period, max(0, begin), until, request.zone)
    try:
        day_edges_ms(span.since_ms, span.until_ms, span.zone)
    except ValueError as fault:
        raise RequestFault(f"{fault}.") from fault
    return span


def single(desk: Desk) -> Single:
    """The report of the objective that is asked for. Raises RequestFault where there is none."""
    judgement, span = chosen(desk), span_of(desk)
    found = report(desk.source, judgement.objective, desk.source.judgements(), span)
    return Single(judgement, found, tuple(incidents_of(desk.source, judgement.objective, span.since_ms, span.until_ms)))


def many(desk: Desk) -> Many:
    """Reports of a service's objectives, or of all. Raises RequestFault for a service without any."""
    service, span = desk.request.scope.service, span_of(desk)
    every = desk.source.judgements()
    mine = [it.objective for it in reported(every) if service in (None, it.objective.service)]
    if service is not None and not mine:
        raise RequestFault(f"There is no objective of {service[:80]!r}: it may have been removed.", 404)
    ordered = sorted(mine, key=lambda it: (it.service, it.slo, it.scope))
    shown = ordered[:MOST_OBJECTIVES]
    found = _in_order(reports(desk.source, shown, every, span))
    incidents = desk.source.incidents_within(span.since_ms, span.until_ms, 5 * MOST_INCIDENTS)
    concerned = [it for it in incidents if service is None or it.subject.service == service]
    changes = desk.source.changes(span.since_ms, span.until_ms, MOST_CHANGES, service)
    return Many(service, tuple(found), tuple(concerned[:MOST_INCIDENTS]), tuple(changes), len(ordered) - len(shown))


def _in_order(found: Sequence[Report]) -> list[Report]:
    """Missed ones first, the most spent first; then by name; those of which nothing is known last."""
    return sorted(found, key=lambda it: (it.attained is None, -(it.whole.spent or 0)))


def incidents_with(objective_report: Report, incidents: Sequence[Incident]) -> int:
    """How many of these incidents are of the report's objective."""
    return sum(concerns(it, objective_report.objective) for it in incidents)

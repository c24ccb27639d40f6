"""The report page: what was promised for a period, what was kept, and what the budget went into."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final
from urllib.parse import urlencode

from dashboards import incident_rows
from dashboards.desk import Desk, frame
from dashboards.marks import NO_DATA, Mark, mark
from dashboards.page_views import DayRow
from dashboards.report_data import Many, Single, incidents_with, many, single, span_of
from dashboards.report_views import Form, ReportView, SummaryRow
from dashboards.reporting import reported
from dashboards.slo_parts import change_rows, share_meter, share_rows, share_text, worst_rows
from dashboards.slo_rows import (
    MOST_TOLD,
    counted,
    exposure,
    objective_href,
    report_href,
    service_href,
    short_target,
    subject,
    where,
)
from dashboards.slo_views import Link, ShareRow
from dashboards.text import coarse, duration, number, percent, percent_split, stamp
from dashboards.timeline import Plot, Tick, burn_down_plot
from dashboards.views import Meter, Option, Tile
from slo.adjust import Adjustment, standing
from slo.burndown import BurnDownPoint
from slo.model import Judgement, Objective
from slo.report import Report, Tally
from slo.report_spans import Span, day_name
from slo.text import counted as of

COVERAGE_FLOOR: Final = Fraction(9, 10)
PERIODS: Final = (
    ("last-week", "last week"), ("this-week", "this week"), ("last-month", "last month"),
    ("this-month", "this month"), ("7d", "last 7 days"), ("30d", "last 30 days"),
)  # fmt: skip
MOST_TICKS: Final = 8
FORMATS: Final = (("CSV", "csv"), ("JSON", "json"), ("Parquet", "parquet"), ("HTML file", "html"))


def report(desk: Desk) -> ReportView:
    """The view. Raises RequestFault for an objective or a service that does not exist."""
    return _single(desk, single(desk)) if desk.request.slo else _many(desk, many(desk))


def _single(desk: Desk, found: Single) -> ReportView:
    told, span = found.report, span_of(desk)
    objective = told.objective
    return ReportView(
        frame=frame(desk, f"Report: {objective.slo} of {subject(objective)}", "reports"),
        form=_form(desk, span),
        heading=f"{objective.title} · {subject(objective)}",
        target=f"{objective.target_text} over {duration(objective.period_ms)}",
        period=period_text(span),
        note=f"{_note(told)}{_taken_note(told, desk.source.adjustments())}",
        files=_files(desk),
        tiles=_tiles(told),
        plot=_plot(told, span),
        rows=tuple(_row(it, left, told, span) for it, left in zip(told.days, told.left, strict=True)),
        worst=worst_rows(told),
        worst_note=_worst_note(told),
        summary=(),
        incidents=share_rows(desk, told, found.incidents),
        elsewhere="" if told.elsewhere is None else share_text(told.elsewhere),
        changes=change_rows(told.changes),
        single=True,
        page_href=objective_href(objective),
    )


def _many(desk: Desk, found: Many) -> ReportView:
    span = span_of(desk)
    silences = desk.source.silences(desk.now_ms)
    none = Meter(None, NO_DATA, "")
    more = f" {found.left_out} more are left out: ask for a service." if found.left_out else ""
    return ReportView(
        frame=frame(desk, f"Report: {found.service or 'all services'}", "reports"),
        form=_form(desk, span),
        heading=found.service or "All services",
        target=f"{len(found.reports)} objectives",
        period=period_text(span),
        note=f"Each objective is held against what it allows in this period, whatever its own window.{more}",
        files=_files(desk),
        tiles=_summary_tiles(found),
        plot=None,
        rows=(),
        worst=(),
        worst_note="",
        summary=tuple(_summary(it, found, span) for it in found.reports),
        incidents=tuple(
            ShareRow(incident_rows.row(it, silences, desk.now_ms), it.resolved_ms, "", "", none)
            for it in found.incidents
        ),
        elsewhere="",
        changes=change_rows(found.changes),
        single=False,
        page_href="/slo" if found.service is None else service_href(found.service),
    )


def period_text(span: Span) -> str:
    """A period in words: `2026-W47: 2026-11-16 to 2026-11-22, Europe/Berlin`."""
    first, last = day_name(span.since_ms, span.zone), day_name(span.until_ms - 1, span.zone)
    days = first if first == last else f"{first} to {last}"
    named = f"{span.name}: " if span.name and span.name != first else ""
    return f"{named}{days}, {span.zone}"


def _form(desk: Desk, span: Span) -> Form:
    request, judgements = desk.request, reported(desk.source.judgements())
    services = sorted({it.objective.service for it in judgements})
    options = [Option("", "all services", not request.slo and not request.scope.service)]
    options += [
        Option(urlencode({"service": it}), f"{it} (all)", not request.slo and request.scope.service == it)
        for it in services
    ]
    options += [_option(it, desk) for it in sorted(judgements, key=_option_order)]
    asked = {name for name, _ in PERIODS if request.period == name}
    named = [Option(request.period, request.period, True)] if request.period and not asked else []
    periods = [
        *named,
        Option("", "from … to …", not asked and not named),
        *(Option(it, text, it in asked) for it, text in PERIODS),
    ]
    return Form(
        tuple(options), tuple(periods), day_name(span.since_ms, span.zone),
        day_name(span.until_ms - 1, span.zone), span.zone,
    )  # fmt: skip


def _option_order(judgement: Judgement) -> tuple[str, str, str]:
    found = judgement.objective
    return found.service, found.slo, where(found)


def _option(judgement: Judgement, desk: Desk) -> Option:
    found, request = judgement.objective, desk.request
    value = urlencode({"slo": found.slo, "service": found.service, "where": where(found)})
    same = (request.slo, request.where, request.scope.service or "platform") == (found.slo, where(found), found.service)
    return Option(value, f"{subject(found)} · {found.slo}", same)


def _files(desk: Desk) -> tuple[Link, ...]:
    query = desk.request.query()
    return tuple(
        Link(text, f"/api/slo/report{query}" if form == "json" else f"/reports.{form}{query}") for text, form in FORMATS
    )


def _attained(told: Report) -> Mark:
    if told.attained is None:
        return mark("quiet") if told.whole.counts.observed_ms else NO_DATA
    if not told.attained:
        return mark("crit", "missed")
    return mark("part", "kept, in part") if told.in_part else mark("ok", "kept")


def _tiles(told: Report) -> tuple[Tile, ...]:
    objective, whole, state = told.objective, told.whole, _attained(told)
    counts, total = whole.counts, whole.counts.total > 0
    value, unit = sli_split(whole, objective)
    quiet = "not looked for" if told.no_traffic_ms is None else f"{minutes(told.no_traffic_ms)} without traffic"
    hollow = mark("ok", "measured") if counts.expected_ms and not whole.unmeasured_ms else mark("unmeasured", "in part")
    bad = Tile("bad", state, "Bad of all", counted(counts.bad, objective) if total else "no data", "",
               f"of {exposure(counts.total, objective)}" if total else "nothing counted", "#worst")  # fmt: skip
    return (
        Tile("sli", state, f"{state.word.capitalize()}: SLI" if state.known else "SLI", value, unit,
             f"target {objective.target_text}", "#days"),
        Tile("spent", state, "Budget spent", *_spent_split(whole.spent), _spent_of(told), "#days"),
        *(() if objective.members else (bad,)),
        Tile("hollow", hollow, "Unmeasured", minutes(whole.unmeasured_ms) if counts.expected_ms else "no data", "",
             quiet, "#days"),
    )  # fmt: skip


def _spent_of(told: Report) -> str:
    some = told.attained is None and told.whole.spent is not None
    return "by members that were measured" if some else "of what the period allows"


def _spent_split(spent: Fraction | None) -> tuple[str, str]:
    return percent_split(spent, 1)


def sli_split(whole: Tally, objective: Objective) -> tuple[str, str]:
    """The SLI, or for an allowance the rate per instance-hour, as (number, unit)."""
    if objective.allowance and whole.counts.total > 0:
        return number(Fraction(whole.counts.bad * 3_600_000, whole.counts.total), 3), "/ h"
    return percent_split(whole.sli) if whole.sli is not None or not objective.members else ("no SLI", "")


def minutes(ms: int) -> str:
    """A time as whole minutes and more; below a minute in seconds."""
    return "none" if ms <= 0 else coarse(ms) if ms >= 1_000 else "< 1 s"


def _plot(told: Report, span: Span) -> Plot | None:
    left = told.left
    if not any(it is not None for it in left):
        return None
    first = told.days[0].counts.since_ms
    points = [BurnDownPoint(it.counts.until_ms, value) for it, value in zip(told.days, left, strict=True)]
    found = burn_down_plot(points, first, told.until_ms, span.zone)
    every = -(-len(told.days) // MOST_TICKS)
    ticks = [
        Tick(
            round((it.counts.since_ms - first) / (told.until_ms - first) * 100, 2),
            day_name(it.counts.since_ms, span.zone)[5:],
            "middle" if at else "start",
        )
        for at, it in enumerate(told.days)
        if at % every == 0
    ]
    return found._replace(ticks=tuple(ticks))


def _row(day: Tally, left: Fraction | None, told: Report, span: Span) -> DayRow:
    state, objective, counts = _day_mark(day, left), told.objective, day.counts
    name = day_name(counts.since_ms, span.zone)
    busy = counts.total > 0 and not objective.members
    return DayRow(
        day=name,
        mark=state,
        sli=" ".join(sli_split(day, objective)).strip(),
        bad=counted(counts.bad, objective) if busy else "–",
        total=exposure(counts.total, objective) if busy else "–",
        spent="–" if day.spent is None else percent(day.spent, 1),
        left="–" if left is None else percent(left, 1),
        coverage="no data" if counts.coverage is None else minutes(day.unmeasured_ms),
        meter=Meter(None if day.spent is None else float(day.spent), state, f"budget spent on {name}"),
    )


def _day_mark(day: Tally, left: Fraction | None) -> Mark:
    coverage = day.counts.coverage
    if coverage is None or coverage < COVERAGE_FLOOR:
        return mark("unmeasured", "no data" if not coverage else "in part")
    if left is None:
        return mark("quiet")
    return mark("crit", "over") if left < 0 else mark("ok")


def _note(told: Report) -> str:
    if told.objective.unmeasurable is not None:
        now = " now" if told.whole.spent is not None else ""
        return f"Nothing measures this objective{now}: {told.objective.unmeasurable}"
    if not told.days and told.whole.spent is not None:
        return "Nothing measured one of its members: what the others spent is told, and not whether it was kept."
    if not told.days:
        return "Nothing was measured in this period."
    first = told.days[0].counts.first_ms
    begin = f" History begins at {stamp(first, day=True)} UTC." if first and first > told.since_ms else ""
    return f"The budget is what the whole period allows.{begin}"


def _taken_note(told: Report, every: Sequence[Adjustment]) -> str:
    """What adjustments took out of the period, why, and who made them; empty where none did."""
    if not told.whole.counts.taken_ms:
        return ""
    mine = [it for it in standing(every) if it.covers(told.objective) and it.within(told.since_ms, told.until_ms)]
    why = "; ".join(f"{it.reason} ({it.created_by})" for it in mine[:MOST_TOLD])
    more = f"; and {len(mine) - MOST_TOLD} more" if len(mine) > MOST_TOLD else ""
    return f" {duration(told.whole.counts.taken_ms)} taken out of the budget: {why or 'by its members'}{more}."


def _worst_note(told: Report) -> str:
    if told.objective.members:
        return "A composite counts nothing itself: see its members."
    if told.worst:
        five = any(it.counts.until_ms - it.counts.since_ms > 60_000 for it in told.worst)
        return "Minutes of long ago are told in fives: single samples of then are gone." if five else ""
    return "Nothing was bad." if told.whole.counts.total > 0 else "Nothing was counted."


def _summary(told: Report, found: Many, span: Span) -> SummaryRow:
    objective, whole, state = told.objective, told.whole, _attained(told)
    query = {"period": span.name} if span.name else {"from": str(span.since_ms), "to": str(span.until_ms)}
    more = urlencode(query | ({"zone": span.zone} if span.zone != "UTC" else {}))
    total = whole.counts.total > 0 and not objective.members
    spent = None if told.attained is None else whole.spent
    incidents = incidents_with(told, found.incidents)
    return SummaryRow(
        mark=state,
        subject=subject(objective),
        slo=objective.slo,
        href=f"{report_href(objective)}&{more}",
        target=short_target(objective),
        sli=" ".join(sli_split(whole, objective)).strip(),
        kept=state.word,
        spent=share_text(spent),
        meter=share_meter(spent, f"{objective.slo} of {subject(objective)}: budget spent"),
        counts=f"{counted(whole.counts.bad, objective)} of {exposure(whole.counts.total, objective)}" if total else "–",
        unmeasured=minutes(whole.unmeasured_ms) if whole.counts.expected_ms else "all",
        incidents=str(incidents) if incidents else "–",
    )


def _summary_tiles(found: Many) -> tuple[Tile, ...]:
    known = [it for it in found.reports if it.attained is not None]
    kept, partly = sum(it.attained is True for it in known), sum(it.attained is True and it.in_part for it in known)
    missed, hollow = len(known) - kept, len(found.reports) - len(known)
    longest = max((it.whole.unmeasured_ms for it in found.reports), default=0)
    most = minutes(longest) if all(it.whole.counts.expected_ms for it in found.reports) else "all of it"
    return (
        Tile("kept", _kept_mark(len(known), missed, partly),
             "Objectives kept", str(kept) if known else "no data", f"of {len(known)}" if known else "",
             f"{partly} measured in part" if partly else "those that are known", "#summary"),
        Tile("missed", mark("crit" if missed else "ok") if known else NO_DATA, "Missed",
             str(missed) if known else "no data", "", _worst_of(known), "#summary"),
        Tile("hollow", mark("ok", "all known") if known and not hollow else NO_DATA, "Not known", str(hollow), "",
             f"most unmeasured: {most}", "#summary"),
        Tile("incidents", mark("warn" if found.incidents else "ok" if known else "quiet"), "Incidents",
             str(len(found.incidents)), "", of(sum(it.road == "page" for it in found.incidents), "page"), "#incidents"),
    )  # fmt: skip


def _kept_mark(known: int, missed: int, partly: int) -> Mark:
    if not known:
        return NO_DATA
    return mark("crit", "missed") if missed else mark("part") if partly else mark("ok")


def _worst_of(known: Sequence[Report]) -> str:
    worst = next((it for it in known if it.attained is False), None)
    return "none" if worst is None else f"{subject(worst.objective)} · {worst.objective.slo}"

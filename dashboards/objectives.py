"""The page of objectives, all or those of one service: what each promises, what is left, and how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, get_args
from urllib.parse import urlencode

from dashboards import incident_rows
from dashboards.desk import PLATFORM, Desk, frame
from dashboards.errors import RequestFault
from dashboards.marks import NO_DATA, RANK, Level, mark, of_judgement, worst
from dashboards.reporting import key_of, reported
from dashboards.request import DAY_MS
from dashboards.slo_parts import change_rows
from dashboards.slo_rows import Columns, burn_columns, by_gravity, objective_href, service_href, slo_row, subject
from dashboards.slo_views import Link, ObjectiveGroup, ObjectiveRow, ObjectivesView, ShareRow
from dashboards.timeline import strip
from dashboards.views import Meter, Option, Tile
from slo.history import Key, Run
from slo.model import Judgement, State

MOST_LISTED: Final = 500
MOST_STRIPS: Final = 150
"""Objectives whose states of the last day are drawn."""
STRIP_CELLS: Final = 96
MOST_CHANGES: Final = 12
MOST_INCIDENTS: Final = 20
INCIDENT_DAYS: Final = 30
STATES: Final = get_args(State)


def objectives(desk: Desk) -> ObjectivesView:
    """The view; raises RequestFault for a state or a service that there is not."""
    request = desk.request
    service, everything = request.scope.service, reported(desk.source.judgements())
    if request.state and request.state not in STATES:
        raise RequestFault(f"There is no state {request.state[:40]!r}; the states are {', '.join(STATES)}.")
    mine = [it for it in everything if service in (None, it.objective.service)]
    if service is not None and not mine:
        raise RequestFault(f"There is no objective of {service[:80]!r}: it may have been removed.", 404)
    chosen = [it for it in by_gravity(mine) if request.state in ("", it.state)]
    shown = chosen[:MOST_LISTED]
    runs, columns = _runs(desk, shown), burn_columns(mine)
    return ObjectivesView(
        frame=frame(desk, service or "Objectives", "slo", ranges=False),
        service=service,
        tiles=_tiles(desk, mine),
        services=_services(everything, service),
        states=tuple(_state_option(it, mine, request.state) for it in STATES),
        burn_columns=tuple(window for _, window in columns),
        groups=_groups(desk, shown, runs, columns),
        note=_note(len(chosen), len(mine), request.state),
        links=_links(desk, service),
        incidents=_incidents(desk, service) if service else (),
        changes=change_rows(desk.source.changes(0, desk.now_ms, MOST_CHANGES, service)),
    )


def _runs(desk: Desk, shown: Sequence[Judgement]) -> Mapping[Key, Sequence[Run]] | None:
    if len(shown) > MOST_STRIPS:
        return None
    return desk.source.runs(desk.now_ms - DAY_MS, desk.now_ms, desk.request.scope.service)


def _groups(
    desk: Desk, shown: Sequence[Judgement], runs: Mapping[Key, Sequence[Run]] | None, columns: Columns
) -> tuple[ObjectiveGroup, ...]:
    by_subject: dict[str, list[Judgement]] = {}
    for it in shown:
        by_subject.setdefault(subject(it.objective), []).append(it)
    found = [_group(desk, name, mine, runs, columns) for name, mine in by_subject.items()]
    return tuple(sorted(found, key=lambda it: RANK[it.mark.level]))


def _group(
    desk: Desk, name: str, mine: Sequence[Judgement], runs: Mapping[Key, Sequence[Run]] | None, columns: Columns
) -> ObjectiveGroup:
    words = Counter(of_judgement(it).word for it in mine)
    return ObjectiveGroup(
        subject=name,
        href=service_href(mine[0].objective.service),
        mark=worst([of_judgement(it) for it in mine]),
        said=", ".join(f"{count} {word}" for word, count in words.most_common()),
        about=desk.source.about(mine[0].objective.service),
        rows=tuple(_row(desk, it, runs, columns) for it in mine),
    )


def _row(desk: Desk, judgement: Judgement, runs: Mapping[Key, Sequence[Run]] | None, columns: Columns) -> ObjectiveRow:
    it = slo_row(desk, judgement, None, columns)
    mine = () if runs is None else runs.get(key_of(judgement.objective), ())
    return ObjectiveRow(
        mark=it.mark,
        slo=it.slo,
        title=it.title,
        href=objective_href(judgement.objective),
        sli=it.sli,
        target=it.target,
        budget=it.budget,
        budget_text=it.budget_text,
        burns=it.burns,
        strip=None if runs is None else strip(mine, desk.now_ms - DAY_MS, desk.now_ms, STRIP_CELLS),
        runs_out=it.runs_out,
        runs_out_title=it.runs_out_title,
        coverage=it.coverage,
        coverage_low=it.coverage_low,
        reason=it.reason,
        taken_out=it.taken_out,
        taken_out_title=it.taken_out_title,
    )


def _tiles(desk: Desk, judgements: Sequence[Judgement]) -> tuple[Tile, ...]:
    """How many there are in each state; a click narrows the list."""
    counts = Counter(it.state for it in judgements)
    partly = sum(it.state == "ok" and it.in_part for it in judgements)
    said: tuple[tuple[State, Level, str], ...] = (
        ("exhausted", "crit", "the budget is spent"),
        ("burning", "warn", "faster than allowed"),
        ("ok", "part" if partly else "ok", f"{partly} measured in part" if partly else "within the budget"),
        ("no-traffic", "quiet", "measured, nothing counted"),
        ("learning", "learning", "too young to tell"),
        ("unmeasured", "unmeasured", "nobody knows"),
    )
    found = []
    for state, level, detail in said:
        shown = mark(level) if counts[state] else mark("quiet", "none")
        word = state.replace("-", " ").capitalize()
        href = desk.request.link("slo", state=state)
        found.append(Tile(state, shown if judgements else NO_DATA, word, str(counts[state]), "", detail, href))
    return tuple(found)


def _services(judgements: Sequence[Judgement], chosen: str | None) -> tuple[Option, ...]:
    names = sorted({it.objective.service for it in judgements}, key=lambda it: (it == PLATFORM, it))
    return tuple(Option(it, it, it == chosen) for it in names)


def _state_option(state: str, judgements: Sequence[Judgement], chosen: str) -> Option:
    count = sum(it.state == state for it in judgements)
    return Option(state, f"{state.replace('-', ' ')} ({count})", state == chosen)


def _note(chosen: int, of: int, state: str) -> str:
    if not of:
        return "No objective exists yet: they come with the first service and the first node."
    if not chosen:
        return f"No objective is {state.replace('-', ' ')} now."
    if chosen > MOST_LISTED:
        return f"{MOST_LISTED} of {chosen} are shown, the worst first: narrow the page to a service or a state."
    return ""


def _links(desk: Desk, service: str | None) -> tuple[Link, ...]:
    if service is None:
        return (
            Link("Try one", "/slo/backtest?objective="), Link("Adjustments", "/adjustments"),
            Link("Report of all", "/reports?period=last-week"),
        )  # fmt: skip
    report = f"/reports?{urlencode({'service': service, 'range': '30d'})}"
    found = [Link("Report, 30 days", report), Link("On-call", desk.request.link("oncall", service=service))]
    if service == PLATFORM:
        return (Link("Report, 30 days", report),)
    return (*found, Link("Debug", desk.request.link("debug", service=service)))


def _incidents(desk: Desk, service: str) -> tuple[ShareRow, ...]:
    """Incidents of the service in the last days, newest first."""
    found = desk.source.incidents_within(desk.now_ms - INCIDENT_DAYS * DAY_MS, desk.now_ms, 10 * MOST_INCIDENTS)
    silences = desk.source.silences(desk.now_ms)
    mine = [it for it in found if it.subject.service == service][:MOST_INCIDENTS]
    none = Meter(None, NO_DATA, "")
    return tuple(ShareRow(incident_rows.row(it, silences, desk.now_ms), it.resolved_ms, "", "", none) for it in mine)

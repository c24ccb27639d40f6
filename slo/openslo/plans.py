"""SLOs as they are to be computed: exact budget, method, period, and how each objective is measured."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

from slo.burn import DEFAULT, Policy, table_rows
from slo.model import Allowance, BurnRow, EventRatio, Telling
from slo.openslo.faults import At, Finding, Promql, Report
from slo.openslo.measures import Foreign, Measure, Own, RatioOf, RawOf, ThresholdOf, look_into, measure
from slo.openslo.model import (
    AlertCondition,
    AlertNotificationTarget,
    AlertPolicy,
    ConditionSpec,
    ObjectiveSpec,
    Ref,
    Sli,
    Slo,
    TimeWindow,
)
from slo.openslo.resolve import Loaded
from slo.openslo.values import Duration
from slo.periods import CalendarPeriods, Period, Rolling, Unit
from slo.rows import DAY_MS, HOUR_MS, MINUTE_MS, condition_lint, guard_lint, lint, projection_lint
from slo.slices import Method, Occurrences, RatioTimeslices, Timeslices
from slo.text import duration

DEFAULT_WINDOW = Duration(30, "d")
"""The window where a file names none."""
SHORTEST_MS, LONGEST_MS = HOUR_MS, 366 * DAY_MS
"""Windows that are judged; shorter ones hold too little, longer ones more than is kept."""
MOST_TITLE, MOST_SLUG = 160, 63
"""Characters of a title and of the part of a name that is made from a display name."""
SHORTEST_SLICE_MS = 60_000
"""Slices that are judged; OpenSLO has no shorter ones."""
PAGING = frozenset({"page", "critical", "crit", "high", "error", "fatal", "emergency", "sev1", "p1"})
"""Severities of conditions that page; all others are tickets."""
_UNITS: dict[str, Unit] = {"m": "m", "h": "h", "d": "d", "w": "w", "M": "M", "Q": "Q", "Y": "Y"}


@dataclass(frozen=True)
class Plan:
    """One objective as it is to be computed."""

    name: str
    """The SLO's name; where it has several objectives, with the objective's own."""
    slo: str
    title: str
    service: str
    measure: Measure
    method: Method
    period: Period
    window_ms: int
    """Nominal length of the period: a month has 30 days here."""
    budget: Fraction
    target_text: str
    conditions: tuple[BurnRow, ...]
    """Of its alert policies."""
    weight: Fraction | None
    """The weight in a composite; None where the SLO is none."""
    at: At


class Planned(NamedTuple):
    """Plans of all SLOs, and what there is to say of them."""

    plans: tuple[Plan, ...]
    findings: tuple[Finding, ...]


def plan(
    slos: tuple[Slo, ...],
    strict: bool = False,
    promql: Promql | None = None,
    receivers: Collection[str] | None = None,
    policy: Policy = DEFAULT,
) -> Planned:
    """The plans of SLOs whose references are resolved; one that can't be computed is a fault, and gives none.

    With `promql` queries are looked into, with names of `receivers` whom policies tell; `policy` is by which burn rows
    they are to be judged.
    """
    plans: list[Plan] = []
    findings: list[Finding] = []
    called: dict[tuple[str, str], Slo] = {}
    for slo in slos:
        report = Report(slo.at.file, strict, promql=promql)
        found = _plans(slo, report, receivers)
        _senseless(found, report)
        names = _called(slo, found)
        _stand_twice(slo, names, called, report)
        if not report.errors:
            plans += found
            called |= dict.fromkeys(names, slo)
            _unjudged(slo, found, report, receivers)
            for it in found:
                _lint(it, report, policy)
        findings += report.findings
    return Planned(tuple(plans), tuple(dict.fromkeys(findings)))


def indicators(loaded: Loaded, strict: bool, promql: Promql) -> tuple[Finding, ...]:
    """What there is to say of the queries of indicators that no plan tells of.

    Those are documents of their own, named by an SLO or not, and those of documents that have other faults.
    """
    own = [it for it in (*loaded.documents, *loaded.faulty) if isinstance(it, Sli)]
    for slo in loaded.faulty:
        if isinstance(slo, Slo):
            own += [it for it in (slo.indicator, *(one.indicator for one in slo.objectives)) if it is not None]
    found: list[Finding] = []
    for it in own:
        report = Report(it.at.file, strict, promql=promql)
        look_into(it.spec, report)
        found += report.findings
    return tuple(found)


def why_not(plan: Plan) -> str | None:
    """Why an objective is not judged as it is asked for; None where it is."""
    if isinstance(plan.measure, Foreign):
        return f"Midwatch does not read sources of type {plan.measure.type}."
    if not isinstance(plan.method, Occurrences) and plan.method.slice_ms < SHORTEST_SLICE_MS:
        return f"Slices from {duration(SHORTEST_SLICE_MS)} on are judged."
    if not SHORTEST_MS <= plan.window_ms <= LONGEST_MS:
        return f"Windows from {duration(SHORTEST_MS)} to {duration(LONGEST_MS)} are judged."
    return None


def _senseless(plans: Sequence[Plan], report: Report) -> None:
    """What can't be computed by any means: a method that its indicator has no meaning for, slices beyond the window."""
    for it in plans:
        allowance = isinstance(it.measure, Own) and it.measure.per_ms is not None
        if isinstance(it.method, RatioTimeslices) and allowance:
            what = (
                "RatioTimeslices is a mean of shares, and an allowance is none: one event can be many times a slice's"
            )
            report.error(it.at, what, "write Timeslices, whose slices keep within it or don't, or Occurrences")
        if not isinstance(it.method, Occurrences) and it.method.slice_ms > it.window_ms:
            where = it.at._replace(path=f"{it.at.path}.timeSliceWindow")
            what = f"a slice of {duration(it.method.slice_ms)} is longer than the window of {duration(it.window_ms)}"
            report.error(where, what, "write shorter slices or a longer window")
    members = [it for it in plans if it.weight is not None] if len(plans) > 1 else []
    for it in members:
        if isinstance(it.measure, Own) and "*" in it.measure.of:
            what = f"a composite's member is of one service, node or registry, and {it.measure.of} may be several"
            report.error(it.measure.at, what, "name the one that is meant")
        first, mine = members[0].method, it.method
        if isinstance(first, Timeslices) and isinstance(mine, Timeslices) and first.slice_ms != mine.slice_ms:
            where = it.at._replace(path=f"{it.at.path}.timeSliceWindow")
            what = f"is {duration(mine.slice_ms)}, and that of the first member is {duration(first.slice_ms)}"
            report.error(where, what, "write one length for all: a slice is bad where it is bad for any member")


def _called(slo: Slo, plans: Sequence[Plan]) -> dict[tuple[str, str], At]:
    """What becomes of an SLO by name and service: its objectives, and the composite of them."""
    composite = len(plans) > 1 and plans[0].weight is not None
    alone = [it.measure.of if isinstance(it.measure, Own) and not composite else it.service for it in plans]
    found = {(it.name, of): it.at for it, of in zip(plans, alone, strict=True)}
    return found | ({(slo.meta.name, slo.service): slo.at} if composite else {})


def _stand_twice(
    slo: Slo, names: Mapping[tuple[str, str], At], called: Mapping[tuple[str, str], Slo], report: Report
) -> None:
    """Objectives that are called as those of another SLO: one would take the other's place."""
    for (name, service), at in names.items():
        first = called.get((name, service))
        if first is not None and first.meta.name != slo.meta.name:  # of SLOs of one name it is told already
            what = f"an objective of {service} is called {name} already, by SLO {first.meta.name} in "
            where = f"{first.at.file}:{first.at.line}"
            report.error(at, what + where, "rename the SLO or the displayName of its objective")


def _plans(slo: Slo, report: Report, receivers: Collection[str] | None) -> list[Plan]:
    period, window_ms = _period(slo.window)
    composite = slo.indicator is None
    found = []
    for name, objective in zip(_names(slo), slo.objectives, strict=True):
        sli = objective.indicator or slo.indicator
        how = measure(sli, objective, slo, report) if sli is not None else None
        if how is None:
            continue
        found.append(
            Plan(
                name,
                slo.meta.name,
                _short(objective.display_name or slo.meta.display_name or slo.meta.name),
                slo.service,
                how,
                _method(slo, objective),
                period,
                window_ms,
                1 - objective.target,
                objective.target_text,
                _conditions(slo, receivers),
                (objective.weight or Fraction(1)) if composite else None,
                objective.at,
            )
        )
    return found


def _conditions(slo: Slo, receivers: Collection[str] | None) -> tuple[BurnRow, ...]:
    """The conditions of its policies, as rows with one window; of one condition in several policies all are told."""
    found: dict[str, BurnRow] = {}
    for policy in slo.policies:
        for it in policy.conditions if isinstance(policy, AlertPolicy) else ():
            if isinstance(policy, AlertPolicy) and isinstance(it, AlertCondition):
                row = _condition(it.meta.name or policy.meta.name, it.spec, _telling(policy, receivers))
                same = found.get(row.name)
                if same is not None and replace(same, telling=row.telling) != row:
                    row = replace(row, name=f"{policy.meta.name}/{row.name}")
                elif same is not None:
                    row = replace(row, telling=_both(same.telling, row.telling))
                found[row.name] = row
    return tuple(found.values())


def _telling(policy: AlertPolicy, receivers: Collection[str] | None) -> Telling:
    """Whom a policy tells of what; without alertWhenBreaching and alertWhenResolved of both."""
    return Telling(
        tuple(dict.fromkeys(_receiver(it, receivers) for it in policy.targets)),
        policy.when_breaching is not False,
        bool(policy.when_no_data),
        policy.when_resolved is not False,
    )


def _both(one: Telling, other: Telling) -> Telling:
    receivers = tuple(dict.fromkeys((*one.receivers, *other.receivers))) if one.receivers and other.receivers else ()
    return Telling(
        receivers,
        one.breaching or other.breaching,
        one.no_data or other.no_data,
        one.resolved or other.resolved,
    )


def _condition(name: str, spec: ConditionSpec, telling: Telling) -> BurnRow:
    long_ms = min(spec.lookback.ms, LONGEST_MS)
    road: Literal["page", "ticket"] = "page" if spec.severity.lower() in PAGING else "ticket"
    after_ms = min(spec.after.ms, LONGEST_MS)
    return BurnRow(name, long_ms, long_ms, Fraction(0), spec.threshold, road, spec.op, after_ms, telling)


def _names(slo: Slo) -> list[str]:
    """The objectives' names, no two alike; by number where a display name is no name or too long for one."""
    if len(slo.objectives) == 1:
        return [slo.meta.name]
    slugs = [re.sub(r"[^a-z0-9]+", "-", (it.display_name or "").lower()).strip("-") for it in slo.objectives]
    alike = len(set(slugs)) < len(slugs) or not all(0 < len(it) <= MOST_SLUG for it in slugs)
    return [f"{slo.meta.name}-{index if alike else slug}" for index, slug in enumerate(slugs)]


def _short(title: str) -> str:
    """A title that has room on a page and in a message."""
    return title if len(title) <= MOST_TITLE else f"{title[: MOST_TITLE - 1]}…"


def _period(window: TimeWindow | None) -> tuple[Period, int]:
    length = window.duration if window is not None else DEFAULT_WINDOW
    if window is None or window.calendar is None:
        return Rolling(length.ms), length.ms
    calendar = window.calendar
    return CalendarPeriods(calendar.start, calendar.zone, length.number, _UNITS[length.unit]), length.ms


def _method(slo: Slo, objective: ObjectiveSpec) -> Method:
    slice_ms = objective.slice_window.ms if objective.slice_window is not None else 0
    match slo.method:
        case "Occurrences":
            return Occurrences()
        case "Timeslices":
            return Timeslices(objective.slice_target or Fraction(1), slice_ms)
        case "RatioTimeslices":
            return RatioTimeslices(slice_ms)


def _unjudged(slo: Slo, plans: Sequence[Plan], report: Report, receivers: Collection[str] | None) -> None:
    """What of an SLO is read, and not done."""
    for it in plans:
        why = why_not(it)
        if why is not None and not isinstance(it.measure, Foreign):  # of a foreign source it was told already
            report.warn(it.at, why.rstrip("."), "until it is, the objective is shown as unmeasured")
    for policy in slo.policies:
        if isinstance(policy, AlertPolicy):
            _untold(policy, receivers, report)


def _untold(policy: AlertPolicy, receivers: Collection[str] | None, report: Report) -> None:
    """What of a policy is done otherwise than it asks for."""
    for it in policy.targets:
        if not isinstance(it, AlertNotificationTarget) or receivers is None or _receiver(it, receivers) in receivers:
            continue
        what = f"no receiver of midwatch.yaml is called {it.meta.name or it.target}"
        report.warn(it.at, what, "add one of that name under service.receivers; until then all of the road are told")
    road = [it for it in policy.conditions if isinstance(it, AlertCondition) and it.spec.severity.lower() in PAGING]
    if policy.when_resolved is False and road:
        where = policy.at._replace(path=f"{policy.at.path}.spec.alertWhenResolved".lstrip("."))
        report.note(where, "is false, and its condition pages", "who was paged is told the end in any case")
    if policy.when_breaching is False and not policy.when_no_data:
        where = policy.at._replace(path=f"{policy.at.path}.spec.alertWhenBreaching".lstrip("."))
        report.warn(where, "is false, and so is alertWhenNoData", "set one of them, or the policy tells of nothing")


def _receiver(target: AlertNotificationTarget | Ref, receivers: Collection[str] | None) -> str:
    """The receiver that a target names: by its own name, or by what it says its target is."""
    if isinstance(target, Ref):
        return target.name
    named = target.meta.name or target.target
    return target.target if receivers and named not in receivers and target.target in receivers else named


def _lint(it: Plan, report: Report, policy: Policy) -> None:
    """What of the objective's burn rows and projection can't work as it stands."""
    allowance = isinstance(it.measure, Own) and it.measure.per_ms is not None
    unbounded = allowance and isinstance(it.method, Occurrences)
    indicator = Allowance((), ()) if unbounded else EventRatio(())
    rows = table_rows(it.window_ms, policy)
    slice_ms = 0 if isinstance(it.method, Occurrences) else it.method.slice_ms
    target = it.at._replace(path=f"{it.at.path}.target")
    for text in lint(rows, it.window_ms, it.budget, indicator, slice_ms):
        what, _, remedy = text.partition("; ")
        report.warn(target, what, remedy or "use a longer window or a stricter target")
    if isinstance(it.measure, RatioOf | RawOf | ThresholdOf):
        for text in guard_lint((*rows, *it.conditions), slice_ms or MINUTE_MS, policy.min_bad):
            report.warn(target, text, "use a longer window or shorter slices")
    for text in condition_lint(it.conditions, it.budget, indicator):
        what, _, remedy = text.partition("; ")
        report.warn(target, what, remedy)
    if not unbounded and (impossible := projection_lint(it.window_ms, it.budget, policy.projection_ms)):
        report.note(target, impossible, "nothing need be done: the burn rows page before")
    if it.window_ms < 2 * slice_ms:
        report.warn(it.at, "the window is shorter than two slices", "use a longer window or shorter slices")

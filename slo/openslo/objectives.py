"""From plans to objectives that are judged: counters, indicators of our own by name, and the rest with why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from slo.burn import DEFAULT, Policy, table_rows
from slo.model import EventRatio, Objective, QueryIndicator, Selector
from slo.openslo.faults import Finding
from slo.openslo.measures import Measure, Own, RatioOf, RawOf, ThresholdOf
from slo.openslo.plans import LONGEST_MS, SHORTEST_MS, Plan, why_not
from slo.overrides import DEFAULTS, Asked, Goal, MemberOf, with_threshold
from slo.periods import CalendarPeriods
from slo.rows import DAY_MS, HOUR_MS, lint
from slo.slices import Occurrences
from slo.text import duration, number

REFUSED = "slo-files"
"""The name under which faults of files are shown."""
PLATFORM = "platform"
_NOTHING = EventRatio((Selector("midwatch_nothing"),), good=(Selector("midwatch_nothing"),))
_THINGS = {"restart-rate": "restarts", "oom-kills": "kills"}


class FromFiles(NamedTuple):
    """What files ask for."""

    asked: tuple[Asked, ...]
    """On built-in indicators."""
    objectives: tuple[Objective, ...]
    """On counters of their own, and those that can't be judged, which say so."""

    @property
    def services(self) -> frozenset[str]:
        """The services that they name."""
        return frozenset({it.service for it in self.objectives} | {it.of for it in self.asked if not it.any})


def objectives_of(plans: Sequence[Plan], policy: Policy = DEFAULT) -> FromFiles:
    """The objectives that plans are; `policy` is by which burn rows they are judged."""
    composites = _composites(plans, policy)
    # where the composite can't alert, its members do
    judged = {(it.slo, it.service) for it in composites if it.unmeasurable is None}
    found = [_objective(it, policy) for it in plans if not isinstance(it.measure, Own)]
    alone = [it if (it.part_of, it.service) in judged else replace(it, part_of=None) for it in found]
    asked = tuple(_asked(it, it.measure, composites) for it in plans if isinstance(it.measure, Own))
    return FromFiles(asked, (*alone, *composites))


def _composites(plans: Sequence[Plan], policy: Policy) -> list[Objective]:
    """Composites of several members, which are objectives of their own."""
    groups: dict[tuple[str, str], list[Plan]] = {}
    for it in plans:
        if it.weight is not None:
            groups.setdefault((it.slo, it.service), []).append(it)
    return [_composite(group, policy) for group in groups.values() if len(group) > 1]


def _composite(group: Sequence[Plan], policy: Policy) -> Objective:
    first = group[0]
    members = tuple((it.name, it.weight or Fraction(1)) for it in group)
    said = ", ".join(f"{name} x {number(weight)}" for name, weight in members)
    return replace(
        _objective(first, policy),
        slo=first.slo,
        indicator=_NOTHING,
        budget=Fraction(1),
        target_text=f"the budgets of its members ({said})"[:300],
        title=f"Composite {first.slo}",
        note=f"asked for by {_where(first)}",
        unmeasurable=next((why for it in group if (why := why_not(it)) is not None), None),
        query=None,
        members=members,
        part_of=None,
    )


def refused(faults: Sequence[Finding]) -> list[Objective]:
    """Faults of files as one objective that nothing can measure, so that every page of objectives shows them."""
    if not faults:
        return []
    more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
    why = f"{str(faults[0])[:400]}.{more} What was good before goes on."
    budget, target = Fraction(1, 100), "99 %"
    title = "Objectives of files"
    return [Objective(REFUSED, PLATFORM, (), _NOTHING, budget, target, 30 * DAY_MS, title, unmeasurable=why)]


def replaced(objectives: Sequence[Objective], by: Sequence[Objective]) -> list[Objective]:
    """Objectives with those of `by` in the place of what has their name, service and scope."""
    return list({(it.slo, it.service, it.scope): it for it in (*objectives, *by)}.values())


def _asked(plan: Plan, own: Own, composites: Sequence[Objective]) -> Asked:
    mine = [it for it in composites if (it.slo, it.service) == (plan.slo, plan.service) and plan.weight is not None]
    return Asked(
        own.indicator,
        own.of,
        plan.name,
        _goal(plan, own),
        _where(plan),
        why_not(plan),
        _calendar(plan),
        None if isinstance(plan.method, Occurrences) else plan.method,
        own.per_ms,
        plan.conditions,
        next((MemberOf(it.slo, it.service, it.unmeasurable is None) for it in mine), None),
    )


def _goal(plan: Plan, own: Own) -> Goal:
    window_ms = min(max(plan.window_ms, SHORTEST_MS), LONGEST_MS)
    if own.per_ms is not None and isinstance(plan.method, Occurrences):
        rate = plan.budget * HOUR_MS / own.per_ms
        of = "instance-hour" if own.per_ms == HOUR_MS else f"instance and {duration(own.per_ms)}"
        text = f"{number(plan.budget, 6)} {_THINGS[own.indicator]} per {of}"
        return Goal("service", "rate", Fraction(rate), text, window_ms)
    default = DEFAULTS.get(own.indicator, DEFAULTS["restart-rate"])
    goal = replace(default, kind="percent", target=1 - plan.budget, target_text=plan.target_text, window_ms=window_ms)
    return goal if own.threshold is None else with_threshold(goal, own.threshold)


def _objective(plan: Plan, policy: Policy) -> Objective:
    indicator = plan.measure if isinstance(plan.measure, EventRatio) else _NOTHING
    window_ms = min(max(plan.window_ms, SHORTEST_MS), LONGEST_MS)
    useless = lint(table_rows(window_ms, policy), window_ms, plan.budget, indicator)
    return Objective(
        slo=plan.name,
        service=plan.service,
        scope=(),
        indicator=indicator,
        budget=plan.budget,
        target_text=plan.target_text,
        window_ms=window_ms,
        title=plan.title,
        note="; ".join((*useless, f"asked for by {_where(plan)}")),
        unmeasurable=why_not(plan),
        calendar=_calendar(plan),
        slices=None if isinstance(plan.method, Occurrences) else plan.method,
        query=_query(plan.measure),
        conditions=plan.conditions,
        part_of=plan.slo if plan.weight is not None and plan.name != plan.slo else None,
    )


def _query(measure: Measure) -> QueryIndicator | None:
    """What is asked of the query engine; None for what is counted."""
    match measure:
        case RatioOf(total, good, bad):
            part = good or bad
            return None if part is None else QueryIndicator("good" if good else "bad", part.text, total.text)
        case RawOf(query, good):
            return QueryIndicator("raw-good" if good else "raw-bad", query.text)
        case ThresholdOf(query, op, value):
            return QueryIndicator("threshold", query.text, op=op, value=value)
        case _:
            return None


def _calendar(plan: Plan) -> CalendarPeriods | None:
    return plan.period if isinstance(plan.period, CalendarPeriods) else None


def _where(plan: Plan) -> str:
    return f"{plan.at.file}:{plan.at.line}"

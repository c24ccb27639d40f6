"""What of burn rows can't work for built-in objectives, before any service is there to judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from slo.burn import DEFAULT, Policy, table_rows
from slo.model import Allowance, EventRatio, Indicator, MinuteSlices, Selector
from slo.overrides import DEFAULTS, Goal
from slo.rows import HOUR_MS, lint

_MINUTES = frozenset({"node-disk", "cpu-steal"})
_NOTHING = Selector("midwatch_vulnerabilities")


def goal_lint(goals: Mapping[str, Goal] = DEFAULTS, policy: Policy = DEFAULT) -> Iterator[str]:
    """One sentence of each row that can't work for an objective, with the indicator's name."""
    for name, goal in goals.items():
        budget = budget_of(goal)
        for said in lint(table_rows(goal.window_ms, policy), goal.window_ms, budget, _like(name, goal)):
            yield f"{name}: {said}"


def budget_of(goal: Goal) -> Fraction:
    """The share that may be bad; of an allowance events per millisecond of an instance."""
    return goal.target / HOUR_MS if goal.kind == "rate" else 1 - goal.target


def _like(name: str, goal: Goal) -> Indicator:
    """An indicator of the same kind."""
    if goal.kind == "rate":
        return Allowance((), ())
    if name in _MINUTES:
        return MinuteSlices("gauge", _NOTHING, _NOTHING, goal.threshold or Fraction(0))
    return EventRatio(())

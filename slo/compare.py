"""Two backtests of the same time beside one another: which alerts come anew, which are gone, how much sooner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from slo.adjust import Adjustment
from slo.backtest import Backtest
from slo.backtest_alerts import Alert
from slo.model import Objective


class Both(NamedTuple):
    """An alert that either would have told, with how much sooner the one that is tried would have."""

    asked: Alert
    in_force: Alert
    sooner_ms: int
    """Below 0: later."""


@dataclass(frozen=True)
class Difference:
    """What is tried against what is in force."""

    new: tuple[Alert, ...]
    """Alerts that only what is tried would have sent."""
    gone: tuple[Alert, ...]
    """Alerts that only what is in force sends."""
    both: tuple[Both, ...]
    budget_left: Fraction | None
    """How much more of the budget would be left; None where either has none."""


def difference(asked: Backtest, in_force: Backtest) -> Difference:
    """Alerts of one road that overlap in time are the same; of several the earliest is compared."""
    pairs = [(it, _same(it, in_force.alerts)) for it in asked.alerts]
    seen = {other for _, found in pairs for other in found}
    left = (asked.budget_left, in_force.budget_left)
    return Difference(
        new=tuple(it for it, found in pairs if not found),
        gone=tuple(it for it in in_force.alerts if it not in seen),
        both=tuple(Both(it, found[0], found[0].opened_ms - it.opened_ms) for it, found in pairs if found),
        budget_left=None if left[0] is None or left[1] is None else left[0] - left[1],
    )


def _same(alert: Alert, among: Sequence[Alert]) -> list[Alert]:
    return [it for it in among if it.road == alert.road and _before(it, alert) and _before(alert, it)]


def _before(one: Alert, other: Alert) -> bool:
    """Whether the one begins before the other is over."""
    return other.resolved_ms is None or one.opened_ms <= other.resolved_ms


@dataclass(frozen=True)
class Tried:
    """One objective as asked for and, where one of its name is in force, that one; or why it can't be tried."""

    objective: Objective
    asked: Backtest | None
    in_force: Backtest | None
    difference: Difference | None
    what_if: tuple[Backtest, ...]
    """The same with other targets."""
    why_not: str | None


def taken_out(objective: Objective, adjustments: Sequence[Adjustment], since_ms: int, until_ms: int) -> int:
    """How many budget adjustments that stand take something out of what is tried."""
    begin_ms = since_ms - objective.window_ms
    return sum(
        it.revoked is None and it.covers(objective) and bool(it.within(begin_ms, until_ms)) for it in adjustments
    )

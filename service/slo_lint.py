"""Burn rows that can't work for an objective, told in the log once: at the start, and where an objective changes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from slo.burn import DEFAULT, Policy, table_rows
from slo.goal_lint import budget_of
from slo.model import Objective
from slo.overrides import DEFAULTS
from slo.rows import lint

_LOG = logging.getLogger(__name__)
MOST_TOLD: Final = 10_000


class Linted:
    """Looks at objectives as they come; to be used by one thread at a time."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self._policy = policy
        self._told: set[tuple[object, ...]] = set()

    def look(self, objectives: Iterable[Objective]) -> None:
        """Tell of those that are new; what our own defaults make so is no warning."""
        for it in objectives:
            key = (it.slo, it.service, it.scope, it.period_ms if it.calendar is None else 0, it.budget)
            if key in self._told or it.members:
                continue
            if len(self._told) >= MOST_TOLD:
                self._told.clear()
            self._told.add(key)
            level = logging.INFO if self._usual(it) else logging.WARNING
            for said in lint(table_rows(it.period_ms, self._policy), it.period_ms, it.budget, it.indicator):
                _LOG.log(level, "objective %s of %s: %s", it.slo, it.service, said)

    def _usual(self, it: Objective) -> bool:
        goal = DEFAULTS.get(it.slo)
        if goal is None or self._policy.rows != DEFAULT.rows:
            return False
        return (goal.window_ms, budget_of(goal)) == (it.window_ms, it.budget)

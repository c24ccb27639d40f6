"""Rules before they are text, the names of what they record, and what could not be made a rule."""

from __future__ import annotations

from typing import Final, NamedTuple

from slo.model import Labels, Objective

TOTAL: Final = "midwatch_slo:total:increase"
"""Events, with the window at the end of the name, as of the four below."""
BAD: Final = "midwatch_slo:bad:increase"
ERROR: Final = "midwatch_slo:sli_error:ratio_rate"
BURN: Final = "midwatch_slo:burn:rate"
COVERAGE: Final = "midwatch_slo:coverage:ratio"
SLICE_TOTAL: Final = "midwatch_slo:total:slice"
"""Events of one slice or minute, with its length at the end of the name."""
SLICE_BAD: Final = "midwatch_slo:bad:slice"
SLICE_SPENT: Final = "midwatch_slo:spent:slice"
"""What one slice with traffic spends of itself: 0 or 1 by Timeslices, its bad share by RatioTimeslices."""
OBJECTIVE: Final = "midwatch_slo:objective:ratio"
BUDGET: Final = "midwatch_slo:error_budget:ratio"
PERIOD: Final = "midwatch_slo:period:seconds"
REMAINING: Final = "midwatch_slo:error_budget_remaining:ratio"
PRESENT_BURN: Final = "midwatch_slo:burn:present"
EXHAUSTION: Final = "midwatch_slo:exhaustion:seconds"
INFO: Final = "midwatch_slo:info"


class Rule(NamedTuple):
    """One recording or alerting rule."""

    name: str
    expr: str
    labels: Labels
    annotations: Labels = ()
    alert: bool = False
    after_ms: int = 0
    """How long an alert's condition must hold."""


class Group(NamedTuple):
    """Rules that are evaluated one after another."""

    name: str
    every_ms: int
    rules: tuple[Rule, ...]


class LeftOut(NamedTuple):
    """What of an objective is no rule, and why."""

    slo: str
    service: str
    what: str
    why: str

    def __str__(self) -> str:
        """One sentence."""
        return f"{self.service} {self.slo}: {self.what} left out: {self.why}"


class Exported(NamedTuple):
    """Groups of rules, and what could not be one."""

    groups: tuple[Group, ...]
    left_out: tuple[LeftOut, ...]


def identity(objective: Objective) -> Labels:
    """The labels of everything that is recorded of an objective, sorted."""
    return tuple(sorted({**dict(objective.scope), "slo": objective.slo, "service": objective.service}.items()))

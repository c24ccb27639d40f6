"""Backtests over the store's history: each objective beside the one in force of its name, and with other targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from alerts.rules_slo import WATCHED_BY_A_RULE
from service.errors import ServiceFault
from service.slo_histories import MINUTE_MS, Histories, longest_ms
from service.slo_histories_taken import without
from service.slo_promql import why_not as no_query
from slo.adjust import Adjustment
from slo.backtest import Backtest, backtest
from slo.backtest_rows import Shared
from slo.burn import DEFAULT, Policy, rows_of
from slo.compare import Tried, difference
from slo.model import Objective
from slo.openslo.faults import Finding
from slo.openslo.objectives import FromFiles, objectives_of
from slo.openslo.plans import plan
from slo.openslo.resolve import load
from slo.slices import Timeslices
from slo.stepped_history import History

MOST_OBJECTIVES: Final = 200
MOST_STEPS: Final = 6_000_000
"""Objectives times minutes of one backtest."""
FINEST_MS: Final = 10_000
"""Windows that are no whole minutes are told apart down to this."""


Found = Mapping[Objective, History | str]
"""Histories by objective, or why there is none."""


class BacktestFault(ServiceFault):
    """What can't be tried."""


@dataclass(frozen=True)
class Question:
    """What is tried, against what, and how it is judged."""

    objectives: Sequence[Objective]
    in_force: Sequence[Objective]
    since_ms: int
    until_ms: int
    policy: Policy = DEFAULT
    policy_in_force: Policy = DEFAULT
    hold_ms: int = MINUTE_MS
    targets: Sequence[tuple[Fraction, str]] = ()
    """Other targets of each objective."""
    adjustments: Sequence[Adjustment] = ()
    """What is taken out of budgets."""


def objectives_in(
    texts: Sequence[tuple[str, str]], strict: bool = False, policy: Policy = DEFAULT
) -> tuple[FromFiles, tuple[Finding, ...]]:
    """What files ask for, and all that there is to say of them."""
    loaded = load(texts, strict)
    planned = plan(loaded.slos, strict, no_query, policy=policy)
    return objectives_of(planned.plans, policy), (*loaded.findings, *planned.findings)


def with_target(objective: Objective, target: Fraction, text: str) -> Objective:
    """The same with another target; an allowance and a composite have none."""
    if objective.allowance or objective.members:
        return objective
    return replace(objective, budget=1 - target, target_text=text)


def tried(histories: Histories, question: Question) -> list[Tried]:
    """Backtests of objectives, each beside the one in force of its name and service; raises BacktestFault."""
    _bounded(question)
    named = {_name(it): it for it in question.in_force}
    pairs = [(it, named.get(_name(it))) for it in question.objectives]
    every = [it for pair in pairs for it in pair if it is not None and it.unmeasurable is None]
    members = [one for it in every for one in _members(it, question.objectives, question.in_force)]
    wanted = [it for it in (*every, *members) if it.unmeasurable is None]
    found = histories.of(wanted, question.since_ms, question.until_ms, step_ms(wanted, question))
    found = without(found, question.adjustments, question.until_ms)
    return [_tried(question, it, other, found, {}) for it, other in pairs]


def _tried(
    question: Question,
    asked: Objective,
    other: Objective | None,
    found: Found,
    shared: Shared,
) -> Tried:
    mine = _histories(asked, question.objectives, found)
    theirs = None if other is None else _histories(other, question.in_force, found)
    if isinstance(mine, str):
        return Tried(asked, None, _of(question, other, theirs, question.policy_in_force, shared), None, (), mine)
    one = _of(question, asked, mine, question.policy, shared)
    two = _of(question, other, theirs, question.policy_in_force, shared)
    than = None if one is None or two is None else difference(one, two)
    others = [with_target(asked, *target) for target in question.targets]
    tries = [
        _of(question, it, [(it, mine[0][1])], question.policy, shared)
        for it in others
        if it != asked and not it.members
    ]
    return Tried(asked, one, two, than, tuple(it for it in tries if it is not None), None)


def _of(
    question: Question,
    objective: Objective | None,
    histories: list[tuple[Objective, History]] | str | None,
    policy: Policy,
    shared: Shared,
) -> Backtest | None:
    if objective is None or histories is None or isinstance(histories, str):
        return None
    no_page = objective.slo in WATCHED_BY_A_RULE
    return backtest(
        objective, histories, question.since_ms, question.until_ms, question.hold_ms, policy, no_page, shared
    )


def _histories(objective: Objective, among: Sequence[Objective], found: Found) -> list[tuple[Objective, History]] | str:
    """The objective with its history, of a composite its members with theirs; or why there is none."""
    if objective.unmeasurable is not None:
        return objective.unmeasurable
    every = _members(objective, among, ()) if objective.members else [objective]
    if len(every) < max(1, len(objective.members)):
        return "One of its members is no objective of its own."
    histories: list[tuple[Objective, History]] = []
    for it in every:
        told = it.unmeasurable or found.get(it, "Its history was not read.")
        if isinstance(told, str):
            return told if it is objective else f"Its member {it.slo} is not tried: {told}"
        histories.append((it, told))
    united = bool(objective.members) and isinstance(objective.slices, Timeslices)
    if united and any(it.taken is not None for _, it in histories):
        return "Of a composite of Timeslices what adjustments take out is not left out here; its members are tried."
    return histories


def _members(objective: Objective, among: Sequence[Objective], others: Sequence[Objective]) -> list[Objective]:
    """The members of a composite, in the order of their names, of each list that has them all."""
    found = []
    for every in (among, others):
        known = {(it.slo, it.service): it for it in every}
        found += [known[name, objective.service] for name, _ in objective.members if (name, objective.service) in known]
    return found


def _name(it: Objective) -> tuple[object, ...]:
    return it.slo, it.service, it.scope


def _bounded(question: Question) -> None:
    n = len(question.objectives)
    if n > MOST_OBJECTIVES:
        raise BacktestFault(f"{n} objectives are more than {MOST_OBJECTIVES}; try fewer at once")
    length = question.until_ms - question.since_ms + max(map(longest_ms, question.objectives), default=0)
    if length // MINUTE_MS * n > MOST_STEPS:
        raise BacktestFault(f"{n} objectives over so long are too many; try fewer, or less time")


def step_ms(objectives: Sequence[Objective], question: Question) -> int:
    """The step of time that divides every window, so that each is whole: a minute, or some seconds."""
    windows = [
        ms
        for it in objectives
        if it.query is None
        for policy in (question.policy, question.policy_in_force)
        for row in rows_of(it, policy)
        for ms in (row.long_ms, row.short_ms)
    ]
    found = math.gcd(MINUTE_MS, *windows)
    return found if found >= FINEST_MS else MINUTE_MS

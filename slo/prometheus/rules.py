"""The rules of one objective: what it counts by window, its burn and budget, and its alerts.

Windows and limits are those by which Midwatch judges. Burn alerts have no `for`: a failure that comes and goes within
it would never page while it spends the budget (SRE Workbook, chapter 5); the short window ends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from slo.burn import DEFAULT, Policy, rows_of
from slo.judge import windows
from slo.model import BurnRow, Labels, Objective
from slo.prometheus import model
from slo.prometheus.model import Group, LeftOut, Rule, identity
from slo.prometheus.sources import Source, source
from slo.prometheus.words import decimal, divided, series, window
from slo.rows import HOUR_MS
from slo.slices import Timeslices

FAST_EVERY_MS, SLOW_EVERY_MS = 30_000, 120_000
"""How often windows are counted: the fast ones up to FAST_MS, the others; below Prometheus's five minutes of memory."""
FAST_MS = 6 * HOUR_MS


def budget_of(objective: Objective) -> Fraction:
    """The share of the recorded total that may be bad; of an allowance events per second of an instance."""
    return objective.budget * 1000 if objective.allowance else objective.budget


def left_out(objective: Objective) -> list[LeftOut]:
    """What of an objective can't be a rule."""
    named = objective.slo, objective.service
    if objective.unmeasurable is not None:
        return [LeftOut(*named, "everything", objective.unmeasurable)]
    if objective.calendar is not None:
        what = "budget, its end and the page for a budget that is projected to be gone"
        return [LeftOut(*named, what, "PromQL has no calendar; the burn rows of its nominal period are there")]
    return []


def spans(objective: Objective, policy: Policy = DEFAULT) -> tuple[int, ...]:
    """The windows that are counted: those of the rows, and the objective's own where it rolls."""
    rows = rows_of(objective, policy)
    found = windows(objective, policy) if objective.calendar is None else ()
    return tuple(sorted({*found, *(ms for row in rows for ms in (row.long_ms, row.short_ms))}))


def recorded(objective: Objective, policy: Policy, known: Mapping[str, Objective]) -> list[Group]:
    """The groups that record what the alerts of an objective ask for; `known` are a composite's members by name."""
    name = " ".join((objective.service, objective.slo, *(value for _, value in objective.scope)))
    counted = None if objective.members else source(objective)
    rules = {
        ms: _together(objective, ms, known) if counted is None else _counted(objective, counted, ms)
        for ms in spans(objective, policy)
    }
    fast = [rule for ms, found in rules.items() if ms <= FAST_MS for rule in found]
    slow = [rule for ms, found in rules.items() if ms > FAST_MS for rule in found]
    rolling = _meta(objective) + (_budget(objective, policy) if objective.calendar is None else [])
    groups = [
        Group(f"{name}: windows to {window(FAST_MS)}", FAST_EVERY_MS, tuple(fast)),
        Group(f"{name}: longer windows and budget", SLOW_EVERY_MS, (*slow, *rolling)),
    ]
    slices, slice_ms = ((), 0) if counted is None else (counted.slices, counted.slice_ms)
    if objective.members and isinstance(objective.slices, Timeslices):
        slices, slice_ms = (_dearest(objective, objective.slices.slice_ms, known),), objective.slices.slice_ms
    if slices:
        groups.insert(0, Group(f"{name}: slices of {window(slice_ms)}", slice_ms, slices))
    return groups


def _dearest(objective: Objective, slice_ms: int, known: Mapping[str, Objective]) -> Rule:
    """Of a composite's slice what it costs: it is bad once, and the member with the most to lose pays.

    A second more than a slice, for members' slices of the same moment may be recorded after this.
    """
    text = window(slice_ms)
    costs = []
    for name, weight in objective.members:
        spent = series(f"{model.SLICE_SPENT}{text}", identity(known[name]))
        costs.append(divided(f"last_over_time({spent}[{window(slice_ms + 1_000)}])", known[name].budget / weight))
    return Rule(f"{model.SLICE_SPENT}{text}", f"max({' or '.join(costs)})", identity(objective))


def fastest(objective: Objective, policy: Policy) -> BurnRow:
    """The row whose burn is the present one."""
    return min((it for it in rows_of(objective, policy) if it.op is None), key=lambda it: it.short_ms)


def _counted(objective: Objective, it: Source, window_ms: int) -> list[Rule]:
    labels, text = identity(objective), window(window_ms)
    total, bad = (series(f"{name}{text}", labels) for name in (model.TOTAL, model.BAD))
    at = (*labels, ("window", text))
    rules = [
        Rule(f"{model.TOTAL}{text}", it.total(window_ms), labels),
        Rule(f"{model.BAD}{text}", it.bad(window_ms), labels),
    ]
    if not objective.allowance:
        rules.append(Rule(f"{model.ERROR}{text}", f"{bad} / ({total} > 0)", at))
    rules.append(Rule(f"{model.BURN}{text}", divided(f"{bad} / ({total} > 0)", budget_of(objective)), at))
    rules.append(Rule(f"{model.COVERAGE}{text}", it.coverage(window_ms), labels))
    return rules


def _together(objective: Objective, window_ms: int, known: Mapping[str, Objective]) -> list[Rule]:
    """A composite burns the weighted sum of its members' burns, and is covered as its least covered member is.

    A member that has no samples at all is one that is not covered.
    """
    labels, text = identity(objective), window(window_ms)
    burns, covers = [], []
    for name, weight in objective.members:
        of = identity(known[name])
        burn = series(f"{model.BURN}{text}", of)
        burns.append(divided(burn, 1 / weight) if weight != 1 else burn)
        covers.append(f"({series(f'{model.COVERAGE}{text}', of)} or on () vector(0))")
    burn = f"sum({' or '.join(burns)})"
    if isinstance(objective.slices, Timeslices):
        slice_ms = objective.slices.slice_ms
        slices = max(1, window_ms // slice_ms)
        spent = series(f"{model.SLICE_SPENT}{window(slice_ms)}", labels)
        burn = f"sum_over_time({spent}[{window(slices * slice_ms - 1)}]) / {slices}"
    return [
        Rule(f"{model.BURN}{text}", burn, (*labels, ("window", text))),
        Rule(f"{model.COVERAGE}{text}", f"min({' or '.join(covers)})", labels),
    ]


def _meta(objective: Objective) -> list[Rule]:
    labels = identity(objective)
    told = {
        "target": objective.target_text[:200],
        "method": "Occurrences" if objective.slices is None else type(objective.slices).__name__,
        "rolling": str(objective.calendar is None).lower(),
    }
    rules = [
        Rule(model.PERIOD, f"vector({objective.period_ms // 1000})", labels),
        Rule(model.INFO, "vector(1)", (*labels, *told.items())),
    ]
    if objective.members:
        return rules
    budget = _vector(budget_of(objective))
    if objective.allowance:
        return [Rule(model.BUDGET, budget, labels), *rules]
    objective_rule = Rule(model.OBJECTIVE, _vector(1 - objective.budget), labels)
    return [objective_rule, Rule(model.BUDGET, budget, labels), *rules]


def _budget(objective: Objective, policy: Policy) -> list[Rule]:
    """Budget left, the present burn, and the seconds until it is gone: those of `slo/budget.py`, with constant traffic.

    The present burn is the lower one of the fastest row's windows.
    """
    labels, own = identity(objective), window(objective.window_ms)
    row = fastest(objective, policy)
    burns = [series(f"{model.BURN}{window(ms)}", labels) for ms in (row.long_ms, row.short_ms)]
    both = f"min without (window) ({burns[0]} or {burns[1]})"
    left, burn = series(model.REMAINING, labels), series(model.PRESENT_BURN, labels)
    remaining = f"1 - max without (window) ({series(f'{model.BURN}{own}', labels)})"
    if objective.members:
        remaining = f"({remaining}) and on () ({series(f'{model.COVERAGE}{own}', labels)} > 0)"
    return [
        Rule(model.REMAINING, remaining, labels),
        Rule(
            model.PRESENT_BURN,
            f"{both} and ignoring (window) {burns[0]} and ignoring (window) {burns[1]}",
            labels,
        ),
        Rule(model.EXHAUSTION, _gone_in(objective, left, burn, labels), labels),
    ]


def whole_gone_in(objective: Objective, left: str, burn: str, labels: Labels) -> str:
    """Seconds until the budget of the whole window is gone: (P - (1 - R) x H) / burn, H the time that was observed."""
    seconds = objective.period_ms // 1000
    if isinstance(objective.slices, Timeslices):
        return f"{left} * {seconds} / {burn}"
    cover = series(f"{model.COVERAGE}{window(objective.window_ms)}", labels)
    return f"(1 - (1 - {left}) * {cover}) * {seconds} / {burn}"


def _gone_in(objective: Objective, left: str, burn: str, labels: Labels) -> str:
    """The time of the whole window; a younger history's budget is gone before, where it is gone before it is whole."""
    seconds = objective.period_ms // 1000
    falling = f"{left} > 0 and {burn} > 1"
    whole = whole_gone_in(objective, left, burn, labels)
    if isinstance(objective.slices, Timeslices):
        return f"{whole} and {falling}"
    cover = series(f"{model.COVERAGE}{window(objective.window_ms)}", labels)
    growing = f"{left} * {cover} / ({burn} - 1)"
    young = f"({growing}) * {seconds} and {cover} + {growing} <= 1"
    return f"(({young}) or {whole}) and {falling}"


def _vector(value: Fraction) -> str:
    text = decimal(value)
    return f"vector({text})" if text is not None else f"vector({value.numerator} / {value.denominator})"

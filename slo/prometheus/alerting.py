"""The alerting rules of one objective, with the names and labels that Midwatch's own alerts have.

What this can't do of Midwatch's: an alert that fires is not held where its data end, for PromQL takes silence for an
end. An alert of its own tells that nothing is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from slo.burn import Policy, rows_of
from slo.model import BurnRow, Labels, Objective
from slo.prometheus import model
from slo.prometheus.model import Group, Rule, identity
from slo.prometheus.rules import FAST_EVERY_MS, budget_of, fastest, whole_gone_in
from slo.prometheus.sources import source
from slo.prometheus.words import compared, literal, series, window
from slo.slices import Timeslices
from slo.text import duration, number, percent

BURN_ALERT, PROJECTION_ALERT, UNMEASURED_ALERT = "slo-burn", "budget-projected-gone", "slo-unmeasured"
UNMEASURED_AFTER_MS = 600_000
_SEVERITIES = {"page": "critical", "ticket": "warning"}
_OPS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


class Alerting(NamedTuple):
    """How alerts are written."""

    runbooks: str | None = None
    """The address below which runbooks stand; None where there is none."""
    never_page: frozenset[str] = frozenset()
    """Objectives whose burn is always a ticket."""


def alerts(objective: Objective, policy: Policy, known: Mapping[str, Objective], how: Alerting) -> list[Group]:
    """The group of its alerts; none of a composite's member, which alerts as a part of it."""
    if objective.part_of is not None:
        return []
    rules = [rule for row in rows_of(objective, policy) if row.telling.breaching
             for rule in _row(objective, row, policy, known, how)]  # fmt: skip
    if objective.calendar is None:
        rules.append(_projection(objective, policy, known, how))
    rules.append(_unmeasured(objective, policy, how))
    name = " ".join((objective.service, objective.slo, *(value for _, value in objective.scope)))
    return [Group(f"{name}: alerts", FAST_EVERY_MS, tuple(rules))]


def _row(
    objective: Objective, row: BurnRow, policy: Policy, known: Mapping[str, Objective], how: Alerting
) -> list[Rule]:
    """One row; a page with too few events is a ticket."""
    fires = _fires(objective, row)
    if row.road == "ticket" or objective.slo in how.never_page:
        return [_burn(objective, row, "ticket", fires, how)]
    few = _enough(objective, row.long_ms, policy, known)
    return [
        _burn(objective, row, "page", f"{fires}\nand on () {few}", how),
        _burn(objective, row, "ticket", f"{fires}\nunless on () {few}", how),
    ]


def _fires(objective: Objective, row: BurnRow) -> str:
    """The long window's burn, where both windows burn faster than the limit; of a condition its one window."""
    labels = identity(objective)
    shown = f"max without (window) ({series(f'{model.BURN}{window(row.long_ms)}', labels)})"
    long = _beyond(objective, row, row.long_ms, scaled=row.op is None)
    if row.op is not None:
        return f"{shown}\nand {long}"
    return f"{shown}\nand {long}\nand {_beyond(objective, row, row.short_ms, scaled=False)}"


def _beyond(objective: Objective, row: BurnRow, window_ms: int, *, scaled: bool) -> str:
    """Bad events beyond the limit's share of all, in whole numbers.

    `scaled`: against the traffic that the whole window would have at the observed pace, as far as it was not observed.
    """
    labels, text, op = identity(objective), window(window_ms), _OPS[row.op or "gt"]
    cover = series(f"{model.COVERAGE}{text}", labels)
    if objective.members:
        burn = f"max without (window) ({series(f'{model.BURN}{text}', labels)})"
        scaled = scaled and not isinstance(objective.slices, Timeslices)
        return f"({compared(f'{burn} * {cover}' if scaled else burn, op, row.factor, '1')})"
    bad, total = (series(f"{name}{text}", labels) for name in (model.BAD, model.TOTAL))
    if scaled and not isinstance(objective.slices, Timeslices):
        bad = f"{bad} * {cover}"
    found = f"({compared(bad, op, row.factor * budget_of(objective), total)})"
    return found if row.op is None else f"{found} and {total} > 0"


def _enough(objective: Objective, window_ms: int, policy: Policy, known: Mapping[str, Objective]) -> str:
    """Enough bad events, and events, for a page."""
    if objective.members:
        parts = [source(known[name]).few(window_ms) for name, _ in objective.members]
        bad, total = (f"sum({' or '.join(str(it[index]) for it in parts)})" for index in (0, 1))
        scale = max(it[2] for it in parts)
    else:
        bad, total, scale = source(objective).few(window_ms)
    least = [f"{_scaled(bad, scale)} >= {policy.min_bad}"]
    if policy.min_total:
        least.append(f"{_scaled(total, scale)} >= {policy.min_total}")
    return f"({' and on () '.join(least)})"


def _scaled(text: str, scale: int) -> str:
    return text if scale == 1 else f"{text} * {scale}"


def _burn(objective: Objective, row: BurnRow, road: str, expr: str, how: Alerting) -> Rule:
    labels = (
        *_labels(objective, road),
        ("row", literal(row.name)),
        ("long_window", window(row.long_ms)),
        *(() if row.op is not None else (("short_window", window(row.short_ms)),)),
    )
    limit = f"{number(row.factor, 3)}x"
    over = f"over {duration(row.long_ms)}"
    if row.op is None:
        over += f" and over {duration(row.short_ms)}; the row {row.name} fires above {limit}"
        if row.budget_share:
            over += f", when {percent(row.budget_share)} of the budget is spent"
    else:
        over += f"; the condition {row.name} of its alert policy is {row.op} {limit}"
    summary = f"{objective.service}: the error budget of {objective.slo} burns "
    notes = (
        ("summary", f'{literal(summary)}{{{{ $value | printf "%.4g" }}}}x'),
        ("description", literal(f"{objective.title}: {objective.target_text}. It burns so {over}.")),
        *_runbook(how, BURN_ALERT),
    )
    return Rule(BURN_ALERT, expr, labels, notes, alert=True, after_ms=row.after_ms)


def _projection(objective: Objective, policy: Policy, known: Mapping[str, Objective], how: Alerting) -> Rule:
    """The whole window's budget is left now, and gone within the policy's time at the present burn."""
    labels = identity(objective)
    left, burn = series(model.REMAINING, labels), series(model.PRESENT_BURN, labels)
    gone_in = whole_gone_in(objective, left, burn, labels)
    enough = _enough(objective, fastest(objective, policy).long_ms, policy, known)
    expr = f"{gone_in} <= {policy.projection_ms // 1000}\nand {left} > 0\nand {burn} > 1\nand on () {enough}"
    road = "ticket" if objective.slo in how.never_page else "page"
    summary = f"{objective.service}: at the present burn the error budget of {objective.slo} is gone in "
    notes = (
        ("summary", f"{literal(summary)}{{{{ $value | humanizeDuration }}}}"),
        ("description", literal(f"{objective.title}: {objective.target_text}.")),
        *_runbook(how, PROJECTION_ALERT),
    )
    return Rule(PROJECTION_ALERT, expr, _labels(objective, road), notes, alert=True)


def _unmeasured(objective: Objective, policy: Policy, how: Alerting) -> Rule:
    """Less of the fastest row's short window was observed than Midwatch believes, or nothing."""
    own = identity(objective)
    cover = series(f"{model.COVERAGE}{window(fastest(objective, policy).short_ms)}", own)
    floor = policy.coverage_floor
    expr = f"({compared(cover, '<', floor, '1')}) or absent({cover})"
    notes = (
        ("summary", literal(f"{objective.service}: {objective.slo} is not measured: silence is no health")),
        ("description", literal(f"{objective.title}: its burn alerts can't fire while its series are missing.")),
        *_runbook(how, BURN_ALERT),
    )
    labels = _labels(objective, "ticket")
    return Rule(UNMEASURED_ALERT, expr, labels, notes, alert=True, after_ms=UNMEASURED_AFTER_MS)


def _labels(objective: Objective, road: str) -> Labels:
    """Those of its series, said once more so that no two rules are alike, and the road."""
    own = tuple((name, literal(value)) for name, value in identity(objective))
    return (*own, ("road", road), ("severity", _SEVERITIES[road]))


def _runbook(how: Alerting, alert: str) -> Labels:
    return () if how.runbooks is None else (("runbook_url", literal(f"{how.runbooks.rstrip('/')}/{alert}")),)

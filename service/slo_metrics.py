"""Families of `midwatch_slo_…`: every objective as it was judged last; what is unmeasured has a state and no ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, Metric

from slo.model import EventRatio, Judgement, State, unit
from slo.prometheus.words import window

IDENTITY: Final = ("slo", "service", "node", "node_id", "registry")
STATES: Final[tuple[str, ...]] = get_args(State)
MOST_OBJECTIVES: Final = 5_000
"""Objectives that are told of, some thirty series each; what burns or is spent goes before the others."""
MOST_TEXT: Final = 200
FAMILIES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("info", "1; how the budget is counted, by which windows, and the target as it is written.",
     ("method", "window", "target")),
    ("objective_ratio", "Share that must be good.", ()),
    ("window_seconds", "Length of the objective's window; of a calendar that of the present period.", ()),
    ("sli_ratio", "Share that was good in the objective's window.", ()),
    ("events", "Events of the objective's window; slices, seconds of containers or instances where those count.", ()),
    ("bad_events", "Bad ones among them.", ()),
    ("error_budget_remaining_ratio", "Share of the error budget that is left; negative where it is overspent.", ()),
    ("exhaustion_seconds", "Time until the error budget is gone at the present burn; none where it is not.", ()),
    ("burn_rate", "How fast the error budget burns: 1 spends it exactly in the objective's window.", ("window",)),
    ("burn_row_fired", "1 where both windows of a burn row are beyond its limit; none where that is not known.",
     ("row", "road")),
    ("coverage_ratio", "Observed over expected time of the objective's window.", ()),
    ("taken_out_seconds", "Time of the objective's window that adjustments took out of the budget.", ()),
    ("state", "1 for the state that the objective is in.", ("state",)),
)  # fmt: skip
"""Names below `midwatch_slo_`, and what each has beside IDENTITY."""


def objective_families(judgements: Sequence[Judgement]) -> Iterator[Metric]:
    """All families, of the MOST_OBJECTIVES that matter most."""
    found = {
        name: GaugeMetricFamily(f"midwatch_slo_{name}", text, labels=(*IDENTITY, *more))
        for name, text, more in FAMILIES
    }
    shown = judgements
    if beyond(len(judgements)):
        shown = sorted(judgements, key=lambda it: it.state not in ("burning", "exhausted"))[:MOST_OBJECTIVES]
    for it in shown:
        scope = dict(it.objective.scope)
        key = (it.objective.slo, it.objective.service, *(scope.get(name, "") for name in IDENTITY[2:]))
        _told(found, key, it)
        if it.state != "unmeasured":
            _measured(found, key, it)
    yield from found.values()


def beyond(objectives: int) -> int:
    """How many of so many objectives are not told of."""
    return max(0, objectives - MOST_OBJECTIVES)


def _told(found: dict[str, GaugeMetricFamily], key: tuple[str, ...], it: Judgement) -> None:
    """What is known of an objective whether or not it is measured."""
    of = it.objective
    for state in STATES:
        found["state"].add_metric((*key, state), float(it.state == state))
    method = "Composite" if of.members else "Occurrences" if of.slices is None else type(of.slices).__name__
    kind = "rolling" if of.calendar is None else "calendar"
    found["info"].add_metric((*key, method, kind, of.target_text[:MOST_TEXT]), 1.0)
    _add(found["window_seconds"], key, Fraction(of.period_ms, 1000))
    if not of.members and not of.allowance:
        _add(found["objective_ratio"], key, 1 - of.budget)
    _add(found["coverage_ratio"], key, it.coverage)
    if it.taken_out:
        _add(found["taken_out_seconds"], key, Fraction(sum(one.ms for one in it.taken_out), 1000))


def _measured(found: dict[str, GaugeMetricFamily], key: tuple[str, ...], it: Judgement) -> None:
    _add(found["sli_ratio"], key, it.sli)
    _add(found["error_budget_remaining_ratio"], key, it.budget_remaining)
    for window_ms, burn in it.burns:
        _add(found["burn_rate"], (*key, window(window_ms)), burn)
    for result in it.rows:
        if result.measured:
            found["burn_row_fired"].add_metric((*key, result.row.name[:MOST_TEXT], result.row.road), result.fired)
    if it.exhausted_at_ms is not None:
        _add(found["exhaustion_seconds"], key, Fraction(it.exhausted_at_ms - it.at_ms, 1000))
    if not it.objective.members:
        bad, total = _units(it)
        _add(found["events"], key, Fraction(it.counts.total, total))
        _add(found["bad_events"], key, Fraction(it.counts.bad, bad))


def _units(it: Judgement) -> tuple[int, int]:
    """How many units of the counts are one bad event, and one of all."""
    scale = unit(it.objective)
    if scale is not None:
        return scale, scale
    if it.objective.allowance:
        return 1, 1000
    scale = it.objective.indicator.scale if isinstance(it.objective.indicator, EventRatio) else 1
    return scale, scale


def _add(family: GaugeMetricFamily, key: tuple[str, ...], value: Fraction | None) -> None:
    if value is not None:
        family.add_metric(key, float(value))

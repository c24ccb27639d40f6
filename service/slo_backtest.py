"""Backtests over the store's history: counts of each minute, read at once, and judged as if it were then."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import ServiceFault
from service.increments import DEFAULT as RULES
from service.slo_promql import why_not as no_query
from service.store import Store
from service.store_counts import Known, known
from service.store_sums import sums
from slo.backtest import Backtest, History, backtest
from slo.burn import DEFAULT, Policy
from slo.model import Allowance, EventRatio, Indicator, MinuteSlices, Objective
from slo.openslo.faults import Finding
from slo.openslo.objectives import FromFiles, objectives_of
from slo.openslo.plans import plan
from slo.openslo.resolve import load

MINUTE_MS: Final = 60_000
FIVE_MS: Final = 5 * MINUTE_MS
MOST_OBJECTIVES: Final = 200
MOST_STEPS: Final = 3_000_000
"""Objectives times minutes of one backtest."""
NANO: Final = 10**9


class BacktestFault(ServiceFault):
    """What can't be tried."""


class Tried(NamedTuple):
    """One objective as asked for and, where one of its name is in force, that one; or why it can't be tried."""

    objective: Objective
    asked: Backtest | None
    in_force: Backtest | None
    why_not: str | None


def objectives_in(
    texts: Sequence[tuple[str, str]], strict: bool = False, policy: Policy = DEFAULT
) -> tuple[FromFiles, tuple[Finding, ...]]:
    """What files ask for, and their faults."""
    loaded = load(texts, strict)
    planned = plan(loaded.slos, strict, no_query, policy)
    faults = tuple(it for it in (*loaded.findings, *planned.findings) if it.level == "error")
    return objectives_of(planned.plans, policy), faults


def with_target(objective: Objective, target: Fraction, text: str) -> Objective:
    """The same with another target; an allowance has none."""
    if objective.allowance:
        return objective
    return replace(objective, budget=1 - target, target_text=text)


def tried(
    store: Store,
    objectives: Sequence[Objective],
    in_force: Sequence[Objective],
    since_ms: int,
    until_ms: int,
    policy: Policy = DEFAULT,
    hold_ms: int = MINUTE_MS,
) -> list[Tried]:
    """Backtests of objectives, each beside the one in force of its name and service; raises BacktestFault."""
    if len(objectives) > MOST_OBJECTIVES:
        raise BacktestFault(f"{len(objectives)} objectives are more than {MOST_OBJECTIVES}; try fewer at once")
    named = {(it.slo, it.service, it.scope): it for it in in_force}
    pairs = [(it, named.get((it.slo, it.service, it.scope))) for it in objectives]
    every = list(dict.fromkeys(it for pair in pairs for it in pair if it is not None and why_not(it) is None))
    found = dict(zip(every, histories(store, every, since_ms, until_ms), strict=True))

    def of(objective: Objective | None) -> Backtest | None:
        if objective is None or objective not in found:
            return None
        return backtest(objective, found[objective], since_ms, hold_ms, policy)

    return [Tried(it, of(it), of(other), why_not(it)) for it, other in pairs]


def why_not(objective: Objective) -> str | None:
    """Why an objective can't be tried; None where it can."""
    if objective.unmeasurable is not None:
        return objective.unmeasurable
    if objective.members:
        return "Composites are not tried over history yet; their members are."
    if objective.query is not None:
        return "Objectives of queries are not tried over history yet: those of counters are."
    if objective.slices is not None and isinstance(objective.indicator, Allowance):
        return "Slices of an allowance are not tried over history yet: its events are."
    if isinstance(objective.indicator, MinuteSlices):
        return "Objectives of minutes are not tried over history yet: those of counters are."
    if objective.calendar is not None:
        return "Objectives of calendar periods are not tried over history yet: those whose window rolls are."
    if objective.slices is not None and objective.slices.slice_ms % FIVE_MS and objective.slices.slice_ms != MINUTE_MS:
        return "Slices of 1 min and of multiples of 5 min are tried over history."
    return None


def histories(store: Store, objectives: Sequence[Objective], since_ms: int, until_ms: int) -> list[History]:
    """The counts of each objective, in one reading: from its window before `since` on, as far as they are kept."""
    if not objectives:
        return []
    with store.memory.reading(lambda: [known(it.indicator, store.directory, store.state) for it in objectives]) as (
        moment,
        series,
    ):
        first_ms = min((it.first_ms for it in series if it.first_ms is not None), default=until_ms)
        edges = _edges(objectives, moment.layout.oldest_raw_ms(), first_ms, since_ms, until_ms)
        parts = [part for it in series for part in (it.bad, it.total)]
        summed = sums(moment, parts, edges, RULES)
    pairs = zip(summed[::2], summed[1::2], strict=True)
    return [
        _history(it.indicator, edges, counted, its) for it, counted, its in zip(objectives, pairs, series, strict=True)
    ]


def _edges(
    objectives: Sequence[Objective], oldest_ms: int | None, first_ms: int, since_ms: int, until_ms: int
) -> list[int]:
    """Steps of a minute, or of five where single samples of so long ago are gone; they begin where slices do."""
    begin = max(since_ms - max(it.window_ms for it in objectives), first_ms - FIVE_MS)
    step_ms = FIVE_MS if oldest_ms is not None and begin < oldest_ms and first_ms < oldest_ms else MINUTE_MS
    align = math.lcm(step_ms, *(it.slices.slice_ms for it in objectives if it.slices is not None))
    begin = begin // align * align
    end = until_ms // step_ms * step_ms
    if (end - begin) // step_ms * len(objectives) > MOST_STEPS:
        raise BacktestFault(f"{len(objectives)} objectives over so long are too many; try fewer, or less time")
    return list(range(begin, max(begin, end) + 1, step_ms))


def _history(indicator: Indicator, edges: Sequence[int], counted: tuple[list[int], list[int]], its: Known) -> History:
    bad, total = counted
    if its.good:
        bad = [max(0, whole - good) for good, whole in zip(bad, total, strict=True)]
    scale, exposure = (indicator.scale, 1) if isinstance(indicator, EventRatio) else (1, 1000)
    bad, total = [it * scale for it in bad], [it * scale * exposure for it in total]
    events = 1 if all(it % NANO == 0 for it in (*bad, *total)) else NANO
    if events == 1:
        bad, total = [it // NANO for it in bad], [it // NANO for it in total]
    step_ms = edges[1] - edges[0] if len(edges) > 1 else MINUTE_MS
    return History(edges[0], step_ms, _column(bad), _column(total), _observed(its, edges), its.first_ms, events)


def _column(values: list[int]) -> NDArray[np.int64] | NDArray[np.object_]:
    """As 64 bits where all sums fit."""
    return np.array(values, np.int64 if sum(values) < 2**61 else object)


def _observed(its: Known, edges: Sequence[int]) -> NDArray[np.int64]:
    """Covered milliseconds of each step."""
    if not its.cover.runs:
        return np.zeros(len(edges) - 1, np.int64)
    runs = np.array(its.cover.runs, np.int64)
    lengths = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0])])
    at = np.searchsorted(runs[:, 0], np.asarray(edges), side="left")
    last = np.maximum(0, at - 1)
    within = np.clip(np.asarray(edges) - runs[last, 0], 0, runs[last, 1] - runs[last, 0])
    until = np.where(at > 0, lengths[last] + within, 0)
    found: NDArray[np.int64] = np.diff(until)
    return found

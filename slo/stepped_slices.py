"""Slices of time judged from steps, as `slo.slices` judges each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slo.model import Allowance, Indicator
from slo.slices import RatioTimeslices, Slice, Timeslices, badness
from slo.stepped_history import FIVE_MS, NONE, Bools, History, Ints, Whole, counted


class Judged(NamedTuple):
    """Slices: what each spent, and whether it had traffic; the first begins at `since_ms`."""

    since_ms: int
    bad: Ints
    total: Ints


def sliced(history: History, rule: Timeslices | RatioTimeslices, indicator: Indicator) -> Judged:
    """Slices of the steps, whose length theirs is a multiple of; they end at multiples of their own length.

    One of which less than 90 % was observed is neither good nor bad, nor is one that ends within five minutes which
    are kept as one.
    """
    per = rule.slice_ms // history.step_ms
    skip = -(history.since_ms // history.step_ms) % per
    n = max(0, (len(history.bad) - skip) // per)

    def folded(values: Whole) -> Whole:
        found: Whole = values[skip : skip + n * per].reshape(n, per).sum(axis=1)
        return found

    bad, total = counted(history, folded(history.bad), folded(history.total))
    observed = folded(history.observed_ms)
    begins = history.since_ms + skip * history.step_ms + rule.slice_ms * np.arange(n)
    ends = begins + rule.slice_ms
    first = NONE if history.first_ms is None else history.first_ms
    expected = np.maximum(0, ends - np.maximum(begins, first))
    measured = (observed > 0) & (observed * 10 >= expected * 9) & (total > 0)
    blind = _within_five(begins, history.coarse_ms) | _within_five(ends, history.coarse_ms)
    measured &= ~blind
    spent = np.zeros(n, np.int64)
    for at in np.flatnonzero(measured & (bad > 0)).tolist():
        spent[at] = badness(rule, part_of(indicator, int(bad[at]), int(total[at])))
    if history.judged is not None and n:
        place = (history.judged[:, 0] - int(ends[0])) // rule.slice_ms
        inside = (place >= 0) & (place < n)
        mine = inside & blind[np.where(inside, place, 0)]
        spent[place[mine]], measured[place[mine]] = history.judged[mine, 1], history.judged[mine, 2] > 0
    return Judged(int(begins[0]) if n else history.since_ms, spent, measured.astype(np.int64))


def part_of(indicator: Indicator, bad: int, total: int) -> Slice:
    """What a slice counted; of an allowance the events in `per_ms`, of which a target of 0.9 allows a tenth of one."""
    if isinstance(indicator, Allowance):
        return Slice(bad * indicator.per_ms, total)
    return Slice(min(bad, total), total)


def _within_five(edges: Ints, coarse_ms: int) -> Bools:
    return np.asarray((edges < coarse_ms) & (edges % FIVE_MS != 0), np.bool_)

"""Histories without what adjustments take out of the objectives that they cover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.adjusted_plans import grain_ms
from service.store_schema import FIVE_MS
from slo.adjust import Adjustment, Interval, merged
from slo.model import Objective
from slo.stepped_history import History, Ints
from slo.stepped_taken import Taken
from slo.taken import widened

AHEAD_MS = 367 * 86_400_000
"""How far ahead times are looked up: slices of a calendar's period are fewer by those that are planned."""


def without(
    found: Mapping[Objective, History | str], adjustments: Sequence[Adjustment], until_ms: int
) -> dict[Objective, History | str]:
    """The histories, each with what is taken out of its objective; one for all of whom the same is."""
    kept: dict[object, History] = {}
    told: dict[Objective, History | str] = {}
    for objective, history in found.items():
        mine = tuple(it for it in adjustments if it.revoked is None and it.covers(objective))
        if isinstance(history, str) or not mine:
            told[objective] = history
            continue
        key = id(history), tuple(it.id for it in mine), grain_ms(objective)
        if key not in kept:
            kept[key] = replace(history, taken=_taken(objective, history, mine, until_ms))
        told[objective] = kept[key]
    return told


def _taken(objective: Objective, history: History, mine: Sequence[Adjustment], until_ms: int) -> Taken:
    every = [one for it in mine for one in it.within(history.since_ms, until_ms + AHEAD_MS)]
    grain = grain_ms(objective)
    whole = merged([widened(it, grain) for it in every])
    return Taken(_rows(_narrowed(it, history.coarse_ms) for it in whole), _rows(every))


def _narrowed(it: Interval, coarse_ms: int) -> Interval:
    """Of what is kept in buckets alone the whole buckets within."""
    since = -(-it.since_ms // FIVE_MS) * FIVE_MS if it.since_ms < coarse_ms else it.since_ms
    until = it.until_ms // FIVE_MS * FIVE_MS if it.until_ms < coarse_ms else it.until_ms
    return Interval(since, max(since, until))


def _rows(times: Iterable[Interval]) -> Ints:
    return np.array([(it.since_ms, it.until_ms) for it in times], np.int64).reshape(-1, 2)

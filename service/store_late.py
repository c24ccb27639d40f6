"""Samples that come after later ones of their series: what they change in increments, runs and first sight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from service.coverage import Run, joined, without
from service.flat import NONE, Flat
from service.increments import Rules, Sample, steps
from service.store_batch import Rows
from service.store_state import Row, SeriesState
from service.store_view import Moment

_REACHES_MS = (600_000, 86_400_000, 400 * 86_400_000)
"""How far around late samples their neighbours are looked for, nearest first."""


class Mended(NamedTuple):
    """What the late samples of one series change."""

    series_id: int
    samples: tuple[Sample, ...]
    """The late samples themselves, those that were there already left out."""
    differences: tuple[tuple[int, int], ...]
    """(time, billionths to add) to what was counted before."""
    closed: list[Run]
    row: Row
    """The series' state after them."""


def mend(moment: Moment, late: Rows, state: SeriesState, rules: Rules) -> list[Mended]:
    """What ordered late rows, numbers alone, change, per series."""
    mine: dict[int, list[Sample]] = defaultdict(list)
    for number, ts, value, start in zip(
        late.series.tolist(), late.ts_ms.tolist(), late.value.tolist(), late.start_ms.tolist(), strict=True
    ):
        mine[number].append(Sample(ts, value, None if start == NONE else start))
    stored = _around(moment, mine)
    counters = dict(zip(late.series.tolist(), late.counter.tolist(), strict=True))
    found = (
        _mended(number, samples, stored[number], counters[number], state, rules) for number, samples in mine.items()
    )
    return [it for it in found if it.samples]


def _mended(
    number: int, late: list[Sample], stored: list[Sample], counter: bool, state: SeriesState, rules: Rules
) -> Mended:
    known = {sample.ts_ms for sample in stored}
    new = tuple(sample for sample in late if sample.ts_ms not in known)
    earlier = [sample for sample in stored if sample.ts_ms < late[0].ts_ms]
    before = earlier[-1] if earlier else None
    old = stored[len(earlier) :]
    was = {step.ts_ms: step.increment for step in steps(old, before, rules)}
    after = list(steps(sorted([*old, *new]), before, rules))
    differences = [(step.ts_ms, step.increment - was.get(step.ts_ms, 0)) for step in after] if counter else []
    runs = _runs(number, [(step.covered_from_ms, step.ts_ms) for step in after], before, state)
    row = state.row(number)
    first, first_from, baseline = row[1:4]
    if before is None and after and after[0].ts_ms < first:
        first, first_from, baseline = after[0].ts_ms, after[0].covered_from_ms, counter and after[0].unknown
    changed = (number, first, first_from, baseline, *row[4:7], runs[-1][0])
    return Mended(number, new, tuple(it for it in differences if it[1]), runs[:-1], changed)


def _runs(number: int, fresh: list[Run], before: Sample | None, state: SeriesState) -> list[Run]:
    since = before.ts_ms if before else NONE
    return joined([*without(state.runs(number), since, fresh[-1][1]), *fresh])


def _around(moment: Moment, late: Mapping[int, list[Sample]]) -> dict[int, list[Sample]]:
    """The stored samples around the late ones of each series: at least one before and one at or after, where any is."""
    found: dict[int, list[Sample]] = {number: [] for number in late}
    open_ids = set(late)
    low = min(samples[0].ts_ms for samples in late.values())
    high = max(samples[-1].ts_ms for samples in late.values())
    for reach in _REACHES_MS:
        ids = np.array(sorted(open_ids), np.int64)
        found |= _by_series(moment.samples(ids, low - reach, high + reach).finite())
        open_ids = {
            number
            for number in open_ids
            if not (
                found[number]
                and found[number][0].ts_ms < late[number][0].ts_ms
                and found[number][-1].ts_ms >= late[number][-1].ts_ms
            )
        }
        if not open_ids:
            break
    for number, samples in _by_series(moment.state.carry.before(np.array(sorted(open_ids), np.int64), low)).items():
        if not found[number] or found[number][0].ts_ms > samples[0].ts_ms:
            found[number] = [*samples, *found[number]]
    return found


def _by_series(flat: Flat) -> dict[int, list[Sample]]:
    found: dict[int, list[Sample]] = defaultdict(list)
    for number, ts, value, start in zip(*(column.tolist() for column in flat), strict=True):
        found[number].append(Sample(ts, value, None if start == NONE else start))
    return found

"""What one slice of a query counted, and slices in columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.promql.model import Matrix
from service.slo_kept import Row
from service.slo_query_slices import Columns
from slo.model import QUERY_UNIT, Objective, QueryIndicator
from slo.slices import RATIO_UNIT, RatioTimeslices, Slice, Timeslices, badness, holds

UNIT: Final = QUERY_UNIT


class Point(NamedTuple):
    """What one slice counted, in parts of `UNIT`; not measured where the query had no answer."""

    bad: int
    total: int
    measured: bool


class JudgedSlots(NamedTuple):
    """Slices in columns: what they spent, of how much, whether there was traffic, whether anything was measured.

    The first two hold Python's integers, which no sum overflows.
    """

    bad: NDArray[np.object_]
    total: NDArray[np.object_]
    busy: NDArray[np.int64]
    measured: NDArray[np.int64]

    def cut(self, since: int, until: int) -> JudgedSlots:
        """Those from `since` on, before `until`."""
        mine = slice(max(0, since), max(0, until))
        return JudgedSlots(self.bad[mine], self.total[mine], self.busy[mine], self.measured[mine])

    def joined(self, other: JudgedSlots) -> JudgedSlots:
        """These and then the others."""
        return JudgedSlots(
            np.concatenate([self.bad, other.bad]),
            np.concatenate([self.total, other.total]),
            np.concatenate([self.busy, other.busy]),
            np.concatenate([self.measured, other.measured]),
        )


def point_of(query: QueryIndicator, part: Sequence[float], total: Sequence[float]) -> Point:
    """What one slice counted."""
    if query.kind == "threshold":
        return _held(query, part)
    if query.kind in ("raw-good", "raw-bad"):
        return _raw(query.kind == "raw-good", part)
    return _shared(query.kind, part, total)


def of_rows(rows: Sequence[Row]) -> JudgedSlots:
    """Slices as they are kept."""
    columns = np.array(rows, object).reshape(-1, 4)
    flags = columns[:, 2:].astype(np.int64)
    return JudgedSlots(columns[:, 0], columns[:, 1], flags[:, 0], flags[:, 1])


def by_slot(found: Matrix, begin_ms: int, slot_ms: int, slots: int) -> list[list[float]]:
    """The values of each slice, of all series."""
    rows: list[list[float]] = [[] for _ in range(slots)]
    for at, value in zip(((found.ts_ms - begin_ms) // slot_ms).tolist(), found.values.tolist(), strict=True):
        rows[at].append(value)
    return rows


def _held(query: QueryIndicator, values: Sequence[float]) -> Point:
    """Of a threshold each series' value counts alike; what is no number counts not."""
    known = [good for value in values if (good := holds(value, query.op, query.value)) is not None]
    return Point(sum(not good for good in known) * UNIT, len(known) * UNIT, bool(values))


def _raw(good: bool, values: Sequence[float]) -> Point:
    """Of raw shares each slice counts alike; several series are a mean of as many slices."""
    shares = [_exact(min(max(value, 0.0), 1.0)) for value in values if math.isfinite(value)]
    bad = sum(UNIT - it if good else it for it in shares)
    return Point(bad, len(shares) * UNIT, bool(values))


def _shared(kind: str, part: Sequence[float], total: Sequence[float]) -> Point:
    """The sums over series of both answers; no answer of errors beside a total is none, no total is not measured.

    Nor is a total measured beside what is no number: nobody knows how many of it were bad.
    """
    whole = sum(_exact(it) for it in total if math.isfinite(it))
    if whole > 0 and not all(map(math.isfinite, part)):
        return Point(0, 0, measured=False)
    mine = min(max(0, sum(_exact(it) for it in part if math.isfinite(it))), max(whole, 0))
    return Point(whole - mine if kind == "good" else mine, max(whole, 0), bool(total))


def _exact(value: float) -> int:
    """The value in parts of UNIT, half to even."""
    return round(Fraction(value) * UNIT)


def slots_of_points(points: Sequence[Point], objective: Objective | None = None) -> JudgedSlots:
    """Slices as their objective judges them."""
    rule = None if objective is None else objective.slices
    rows: list[Row] = []
    for it in points:
        busy = it.total > 0
        bad, total = it.bad, it.total
        if busy and isinstance(rule, Timeslices | RatioTimeslices):
            bad, total = badness(rule, Slice(it.bad, it.total)), RATIO_UNIT
        rows.append([bad if busy else 0, total if busy else 0, int(busy), int(it.measured)])
    return of_rows(rows)


def of_columns(found: Columns, objective: Objective) -> JudgedSlots:
    """The same of all slices at once."""
    busy, rule = found.total > 0, objective.slices
    bad, total = (np.where(busy, it, 0).astype(object) for it in (found.bad, found.total))
    if rule is not None:
        for at in np.flatnonzero(busy & (found.bad > 0)).tolist():
            bad[at] = badness(rule, Slice(bad[at], total[at]))
        total[busy] = RATIO_UNIT
    return JudgedSlots(bad, total, busy.astype(np.int64), found.measured)

"""What a query's answers count in each slice, all slices at once; what is rare goes the way of each slice alone."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.flat import Floats, Ints
from service.increments import NANO, split
from service.promql.model import Matrix
from slo.model import QueryIndicator

_MOST: Final = 4.0e9
"""Values up to this are counted as 64 bits of billionths."""
_SAFE: Final = 9.0e18


class Columns(NamedTuple):
    """What each slice counted, in billionths, and whether it was measured."""

    bad: Ints
    total: Ints
    measured: Ints


class _Values(NamedTuple):
    """Numbers by slice, which slices had any answer at all, and which one that is no number."""

    slot: Ints
    value: Floats
    told: Ints
    odd: NDArray[np.bool_]


def columns(
    query: QueryIndicator, part: Matrix, total: Matrix | None, begin_ms: int, slot_ms: int, slots: int
) -> Columns | None:
    """All slices; None where a value is below zero or so large that only Python's integers hold it."""
    mine = _values(part, begin_ms, slot_ms, slots)
    if query.kind == "threshold":
        return _held(query, part, mine, begin_ms, slot_ms, slots)
    if query.kind in ("raw-good", "raw-bad"):
        return _raw(query.kind == "raw-good", mine, slots)
    if total is None:
        return None
    theirs = _values(total, begin_ms, slot_ms, slots)
    found, whole = _summed(mine, slots), _summed(theirs, slots)
    if found is None or whole is None:
        return None
    known = (whole == 0) | ~mine.odd
    whole = np.where(known, whole, 0)
    least = np.minimum(found, whole)
    return Columns(whole - least if query.kind == "good" else least, whole, theirs.told * known)


def _values(found: Matrix, begin_ms: int, slot_ms: int, slots: int) -> _Values:
    slot = (found.ts_ms - begin_ms) // slot_ms
    finite = np.isfinite(found.values)
    told = (np.bincount(slot, minlength=slots) > 0).astype(np.int64)
    odd = np.bincount(slot[~finite], minlength=slots) > 0
    return _Values(slot[finite], found.values[finite], told, odd)


def _summed(found: _Values, slots: int) -> Ints | None:
    """Billionths of each slice's sum over series."""
    if not len(found.value):
        return np.zeros(slots, np.int64)
    if float(found.value.min()) < 0 or float(found.value.max()) > _MOST:
        return None
    if float(np.bincount(found.slot, found.value, slots).max()) * NANO > _SAFE:
        return None
    whole, nanos = split(found.value)
    total = np.zeros(slots, np.int64)
    np.add.at(total, found.slot, whole * NANO + nanos)
    return total


def _raw(good: bool, found: _Values, slots: int) -> Columns:
    shares = found._replace(value=np.clip(found.value, 0.0, 1.0))
    total = np.bincount(found.slot, minlength=slots).astype(np.int64) * NANO
    summed = _summed(shares, slots)
    part = total if summed is None else summed
    return Columns(total - part if good else part, total, found.told)


def _held(query: QueryIndicator, part: Matrix, found: _Values, begin_ms: int, slot_ms: int, slots: int) -> Columns:
    """Of a threshold each series' value counts alike, infinite ones too; what is no number counts not."""
    known = ~np.isnan(part.values)
    slot, value, bound = ((part.ts_ms - begin_ms) // slot_ms)[known], part.values[known], float(query.value)
    compare = {"lt": np.less, "lte": np.less_equal, "gt": np.greater, "gte": np.greater_equal}[query.op]
    total = np.bincount(slot, minlength=slots)
    bad = np.bincount(slot[~compare(value, bound)], minlength=slots)
    return Columns(bad.astype(np.int64) * NANO, total.astype(np.int64) * NANO, found.told)

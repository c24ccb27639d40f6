"""Slices of a query all at once, against each of them alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.promql.model import Matrix
from service.slo_query_points import by_slot, point_of
from service.slo_query_slices import columns
from slo.model import QueryIndicator

SLOTS, SLOT = 6, 60_000
values = st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e9, float("nan"), float("inf")]) | st.floats(0, 4e9)
series = st.lists(st.tuples(st.integers(0, SLOTS - 1), values), max_size=6, unique_by=lambda it: it[0])
matrices = st.lists(series, max_size=3)
KINDS = st.sampled_from(["good", "bad", "raw-good", "raw-bad", "threshold"])


def matrix(rows: list[list[tuple[int, float]]]) -> Matrix:
    every = [sorted(row) for row in rows]
    offsets = np.cumsum([0, *map(len, every)])
    ts = np.array([slot * SLOT for row in every for slot, _ in row], np.int64)
    return Matrix([{}] * len(rows), offsets, ts, np.array([it for row in every for _, it in row], np.float64))


@given(KINDS, matrices, matrices, st.sampled_from(["lt", "lte", "gt", "gte"]), st.sampled_from(["0.1", "30", "1/3"]))
def test_all_at_once_is_each_alone(
    kind: str, part: list[list[tuple[int, float]]], total: list[list[tuple[int, float]]], op: str, value: str
) -> None:
    query = QueryIndicator(kind, "x", "y", op, Fraction(value))  # type: ignore[arg-type]
    mine, theirs = matrix(part), matrix(total)
    found = columns(query, mine, theirs, 0, SLOT, SLOTS)
    assert found is not None
    pairs = zip(by_slot(mine, 0, SLOT, SLOTS), by_slot(theirs, 0, SLOT, SLOTS), strict=True)
    for at, pair in enumerate(pairs):
        one = point_of(query, *pair)
        assert (found.bad[at], found.total[at], bool(found.measured[at])) == (one.bad, one.total, one.measured)


def test_what_is_below_zero_or_too_large_goes_its_own_way() -> None:
    query, fine = QueryIndicator("bad", "x", "y"), matrix([[(0, 1.0)]])
    for odd in (-1.0, 5e9, 1e300):
        assert columns(query, matrix([[(0, odd)]]), fine, 0, SLOT, SLOTS) is None
        assert columns(query, fine, matrix([[(0, odd)]]), 0, SLOT, SLOTS) is None
    raw = columns(QueryIndicator("raw-good", "x"), matrix([[(0, -3.0)], [(0, 1e300)]]), None, 0, SLOT, SLOTS)
    assert raw is not None
    assert (raw.bad[0], raw.total[0]) == (10**9, 2 * 10**9)

"""Compiled kernels and their numpy twins give the same bits, whatever they are given."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.promql import jit
from service.promql.codes import AGGREGATE, FOLD
from tests.support.samples import STALE

SPECIAL = [0.0, 1.0, -1.0, 2.5, float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 1e-300, 1e100, -1e100]
NUMBERS = st.one_of(st.sampled_from(SPECIAL), st.floats(-1e6, 1e6), st.integers(0, 50).map(float))
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Case(NamedTuple):
    offsets: Any
    ts: Any
    values: Any
    ends: Any
    range_ms: int


@st.composite
def columns(draw: st.DrawFn) -> Case:
    offsets, ts, values = [0], [], []
    for _ in range(draw(st.integers(0, 3))):
        gaps = draw(st.lists(st.integers(1, 40), max_size=25))
        ts += np.cumsum(gaps, dtype=np.int64).tolist() if gaps else []
        values += draw(st.lists(NUMBERS, min_size=len(gaps), max_size=len(gaps)))
        offsets.append(len(ts))
    steps = draw(st.lists(st.integers(0, 60), min_size=1, max_size=12))
    ends = draw(st.integers(-50, 100)) + np.cumsum(steps, dtype=np.int64)
    range_ms = draw(st.integers(1, 200))
    return Case(np.array(offsets), np.array(ts, np.int64), np.array(values, np.float64), ends, range_ms)


def both(
    compiled: Mapping[str, Any], name: str, given: tuple[Any, ...], shape: tuple[int, int], flags: int = 1
) -> None:
    results = []
    for work in (jit.TWINS[name], compiled[name]):
        outs = [np.zeros(shape), *(np.zeros(shape, np.bool_) for _ in range(flags))]
        with np.errstate(all="ignore"):
            work(*given, *outs)
        results.append(outs)
    (mine, *my_flags), (theirs, *their_flags) = results
    for a, b in zip(my_flags, their_flags, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.where(my_flags[0], mine, 0), np.where(my_flags[0], theirs, 0))


@SETTINGS
@given(case=columns(), counter=st.booleans(), rate=st.booleans())
def test_extrapolation(compiled: Mapping[str, Any], case: Case, counter: bool, rate: bool) -> None:
    both(compiled, "extrapolated", (*case, counter, rate), (len(case.offsets) - 1, len(case.ends)))


@SETTINGS
@given(case=columns(), op=st.sampled_from(list(FOLD)))
def test_folds(compiled: Mapping[str, Any], case: Case, op: FOLD) -> None:
    both(compiled, "fold", (*case, int(op)), (len(case.offsets) - 1, len(case.ends)))


@pytest.mark.parametrize("op", [FOLD.SUM, FOLD.AVG])
@pytest.mark.parametrize("special", [0.0, 1e17, float("inf"), float("nan"), 1.7e308])
def test_long_windows_are_added_up_from_blocks(compiled: Mapping[str, Any], op: FOLD, special: float) -> None:
    random = np.random.default_rng(11)
    values = random.normal(0, 1e3, 3_000)
    values[1_500], values[1_700] = special, special
    ts, ends = np.arange(3_000) * 10, np.arange(0, 40_000, 130)
    case = Case(np.array([0, 1_400, 1_400, 3_000]), ts, values, ends, 9_000)
    found = []
    for work in (jit.TWINS["fold"], compiled["fold"]):
        out, ok = np.zeros((3, len(ends))), np.zeros((3, len(ends)), np.bool_)
        with np.errstate(all="ignore"):
            work(*case, int(op), out, ok)
        found.append(np.where(ok, out, 0))
    np.testing.assert_allclose(*found, rtol=1e-14, atol=1e-12)


@SETTINGS
@given(case=columns(), rate=st.booleans())
def test_pairs_and_distances(compiled: Mapping[str, Any], case: Case, rate: bool) -> None:
    shape = (len(case.offsets) - 1, len(case.ends))
    both(compiled, "pair", (*case, rate), shape)
    both(compiled, "mad", case, shape)
    both(compiled, "turns", (*case, rate), shape)
    both(compiled, "extremes", (*case, rate), shape)


@SETTINGS
@given(case=columns(), data=st.data(), slope_only=st.booleans())
def test_what_has_a_number_for_each_step(
    compiled: Mapping[str, Any], case: Case, data: st.DataObject, slope_only: bool
) -> None:
    shape, steps = (len(case.offsets) - 1, len(case.ends)), len(case.ends)
    rows = st.lists(st.floats(-0.5, 1.5) | st.just(float("nan")), min_size=steps, max_size=steps).map(np.array)
    both(compiled, "trend", (*case, case.ends, data.draw(rows), slope_only), shape)
    both(compiled, "ordered", (*case, data.draw(rows)), shape)
    both(compiled, "smoothed", (*case, data.draw(rows), data.draw(rows)), shape)


@SETTINGS
@given(case=columns(), data=st.data())
def test_the_latest_sample_unless_it_is_stale(compiled: Mapping[str, Any], case: Case, data: st.DataObject) -> None:
    stale = data.draw(st.lists(st.booleans(), min_size=len(case.values), max_size=len(case.values)))
    values = np.where(np.array(stale, np.bool_), STALE, case.values)
    given_ = (case.offsets, case.ts, values.view(np.int64), case.values, case.ends, case.range_ms)
    both(compiled, "latest", given_, (len(case.offsets) - 1, len(case.ends)))


@st.composite
def tables(draw: st.DrawFn, numbers: st.SearchStrategy[float] = NUMBERS) -> tuple[Any, Any]:
    shape = (draw(st.integers(0, 8)), draw(st.integers(1, 5)))
    size = shape[0] * shape[1]
    values = draw(st.lists(numbers, min_size=size, max_size=size))
    present = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=size, max_size=size))
    return np.array(values, np.float64).reshape(shape), np.array(present, np.bool_).reshape(shape)


@SETTINGS
@given(table=tables(), data=st.data(), op=st.sampled_from(list(AGGREGATE)))
def test_groups(compiled: Mapping[str, Any], table: tuple[Any, Any], data: st.DataObject, op: AGGREGATE) -> None:
    rows, steps = table[0].shape
    groups = data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    both(compiled, "grouped", (*table, np.array(groups, np.int64), int(op)), (3, steps))


@SETTINGS
@given(table=tables(), data=st.data(), largest=st.booleans())
def test_the_best_of_groups(
    compiled: Mapping[str, Any], table: tuple[Any, Any], data: st.DataObject, largest: bool
) -> None:
    rows, steps = table[0].shape
    groups = np.array(data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)), np.int64)
    wanted = np.array(data.draw(st.lists(st.integers(0, 9), min_size=steps, max_size=steps)), np.int64)
    kept = [np.zeros((rows, steps), np.bool_) for _ in range(2)]
    for work, out in zip((jit.TWINS["tops"], compiled["tops"]), kept, strict=True):
        work(*table, groups, wanted, largest, out)
    np.testing.assert_array_equal(*kept)


@SETTINGS
@given(table=tables(st.floats(0, 100) | st.integers(0, 9).map(float)), data=st.data())
def test_histograms(compiled: Mapping[str, Any], table: tuple[Any, Any], data: st.DataObject) -> None:
    rows, steps = table[0].shape
    cut = data.draw(st.integers(0, rows))
    bounds = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.5, 10.0, float("inf"), float("inf")])
    uppers = data.draw(st.lists(bounds, min_size=rows, max_size=rows))
    uppers = np.array(sorted(uppers[:cut]) + sorted(uppers[cut:]), np.float64)
    row = st.lists(
        st.sampled_from([-1.0, 0.0, 0.3, 0.5, 1.0, 2.0, 3.0, float("nan"), float("inf"), float("-inf")]),
        min_size=steps,
        max_size=steps,
    ).map(np.array)
    begins = np.array([0, cut, rows])
    both(compiled, "bucket_quantile", (*table, uppers, begins, data.draw(row)), (2, steps), flags=2)
    both(compiled, "bucket_fraction", (*table, uppers, begins, data.draw(row), data.draw(row)), (2, steps))


def test_compiling_ends_where_the_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_ready", {})
    stop = threading.Event()
    stop.set()
    assert jit.warm(stop) == 0
    assert jit.kernel("fold") is jit.TWINS["fold"]

"""The engine's bounds, faults and forms of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from service.promql import (
    BadQuery,
    Engine,
    ExecutionFault,
    LimitFault,
    Limits,
    Matrix,
    QueryCanceled,
    QueryFault,
    QueryTimeout,
    Scalar,
    Text,
    Vector,
    select,
)
from service.promql.parse import parse, pretty
from service.samples import Matcher, Selected
from tests.support.samples import MemorySamples


def held(series: int = 3, size: int = 100) -> MemorySamples:
    samples = MemorySamples()
    for i in range(series):
        samples.add({"__name__": "x", "i": str(i)}, np.arange(size) * 1000, np.arange(size) + i)
    return samples


def test_the_forms_of_answers() -> None:
    engine = Engine(held())
    assert engine.instant('"a"', 5_000).result == Text(5_000, "a")
    assert engine.instant("1 + 1", 5_000).result == Scalar(5_000, 2.0)
    vector = engine.instant("x", 5_000).result
    assert isinstance(vector, Vector)
    assert (vector.at_ms, vector.values.tolist()) == (5_000, [5.0, 6.0, 7.0])
    matrix = engine.instant("x[3s]", 5_000).result
    assert isinstance(matrix, Matrix)
    assert matrix.offsets.tolist() == [0, 3, 6, 9]
    assert matrix.ts_ms[:3].tolist() == [3_000, 4_000, 5_000]
    numbers = engine.range("1", 0, 2_000, 1_000).result
    assert isinstance(numbers, Matrix)
    assert (list(numbers.labels), numbers.values.tolist()) == ([{}], [1.0, 1.0, 1.0])


def test_a_range_is_ordered_by_labels_and_has_no_empty_series() -> None:
    samples = held()
    samples.add({"__name__": "a"}, [1_000], [1.0])
    matrix = Engine(samples).range("sort_desc(x) or a or x > 1e9", 0, 9_000, 3_000).result
    assert isinstance(matrix, Matrix)
    assert [it.get("i") for it in matrix.labels] == [None, "0", "1", "2"]
    assert (np.diff(matrix.offsets) > 0).all()


def test_how_many_samples_were_touched_is_told() -> None:
    assert Engine(held()).range("rate(x[5s])", 10_000, 20_000, 1_000).samples == 3 * 15


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("x + x + rate(x[10s]) + deriv(x[20s])", 1),
        ("x + x offset 1s", 1),
        ("x offset 1h + x", 2),
        ("x + x{i='1'}", 2),
        ("max_over_time(x[5s]) - max_over_time(rate(x[3s])[5s:1s])", 1),
        ("x @ 5 + x @ 9 + x", 1),
    ],
)
def test_what_is_selected_twice_is_read_once(text: str, reads: int) -> None:
    class Counting(MemorySamples):
        asked = 0

        def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
            self.asked += 1
            return held().select(matchers, since_ms, until_ms, limit)

    samples = Counting()
    assert Engine(samples).range(text, 50_000, 60_000, 1_000)
    assert samples.asked == reads


LIMITED: list[tuple[str, Limits, Callable[[Engine], Any]]] = [
    ("max_samples", Limits(max_samples=296), lambda it: it.instant("x[100s]", 100_000)),
    ("max_samples", Limits(max_samples=593), lambda it: it.instant('deriv(x[100s]) + deriv(x{i!=""}[100s])', 100_000)),
    ("max_samples", Limits(max_samples=500), lambda it: it.instant("sum_over_time(x[90s:1s])", 99_000)),
    ("max_series", Limits(max_series=2), lambda it: it.instant("x", 5_000)),
    ("max_cells", Limits(max_cells=299), lambda it: it.range("x", 0, 99_000, 1_000)),
    ("max_cells", Limits(max_cells=299), lambda it: it.range("rate(x[5s])", 0, 99_000, 1_000)),
    ("max_cells", Limits(max_cells=1_000), lambda it: it.instant("max_over_time(vector(1)[1y:1s])", 0)),
    ("max_cells", Limits(max_cells=3), lambda it: it.instant('x or label_join(x, "y", "", "i")', 5_000)),
    ("max_cells", Limits(max_cells=300), lambda it: it.range("x + (x + (x + (x + x)))", 0, 99_000, 1_000)),
    ("max_text_chars", Limits(max_text_chars=5), lambda it: it.instant("x + x + x", 0)),
    ("max_depth", Limits(max_depth=3), lambda it: it.instant("((((x))))", 0)),
    ("max_depth", Limits(max_depth=3), lambda it: it.instant("x+x+x+x+x", 0)),
]


@pytest.mark.parametrize(("limit", "limits", "ask"), LIMITED)
def test_a_query_over_its_limit_is_told_which(limit: str, limits: Limits, ask: Callable[[Engine], Any]) -> None:
    with pytest.raises(LimitFault, match=limit if limit not in ("max_text_chars", "max_depth") else "at most") as fault:
        ask(Engine(held(), limits))
    assert fault.value.limit == limit
    assert fault.value.kind == "execution"


def test_points_and_steps_of_a_range_are_bounded() -> None:
    engine = Engine(held(), Limits(max_points=10))
    assert engine.range("x", 0, 9_000, 1_000)
    for start, end, step, said in [
        (0, 10_000, 1_000, "maximum resolution of 10 points"),
        (0, 10_000, 0, "zero or negative"),
        (1, 0, 1, "must not be before"),
    ]:
        with pytest.raises(BadQuery, match=said):
            engine.range("x", start, end, step)


def test_a_long_window_is_worked_out_in_pieces(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    whole = [Engine(held()).range(it, 0, 99_000, 1_000).result for it in LONG]
    monkeypatch.setattr(select, "_VISITS_AT_ONCE", 700)
    for text, wanted in zip(LONG, whole, strict=True):
        parts = Engine(held()).range(text, 0, 99_000, 1_000).result
        assert isinstance(parts, Matrix)
        assert isinstance(wanted, Matrix)
        np.testing.assert_array_equal(parts.values, wanted.values)
        np.testing.assert_array_equal(parts.offsets, wanted.offsets)


LONG = ("quantile_over_time(time() / 99, x[80s])", "predict_linear(x[50s], 9)", "rate(x[60s])", "max_over_time(x[70s])")


def test_time_is_bounded_and_can_be_shortened() -> None:
    ticks = iter(range(1_000))
    engine = Engine(held(), Limits(max_seconds=5), clock=lambda: float(next(ticks)))
    with pytest.raises(QueryTimeout, match="timed out"):
        engine.instant("x + x + x + x + x + x", 0)
    with pytest.raises(QueryTimeout):
        engine.instant("x", 0, max_seconds=0.5)
    assert QueryTimeout.kind == "timeout"


def test_nobody_waits_any_more() -> None:
    with pytest.raises(QueryCanceled, match="canceled"):
        Engine(held()).instant("x", 0, canceled=lambda: True)


def test_lookback_can_be_given() -> None:
    engine = Engine(held(1))
    assert len(engine.instant("x", 110_000).result.labels) == 1  # type: ignore[union-attr]
    assert len(engine.instant("x", 110_000, lookback_ms=11_000).result.labels) == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no expression"),
        ("# nothing", "no expression"),
        ("x{", "invalid query"),
        ("rate(x)", "expected type matrix"),
        ("unknown(x)", "unknown function"),
        ("x[5m] + 1", "binary expression"),
        ('x{a="b" or c="d"}', "no PromQL"),
        ('x{a="\\xff"}', "no UTF-8"),
        ("x @ 1e40", "out of range"),
        ("x offset 1e30", "292 years"),
        ("x[1e15]", "292 years"),
        ("x[9999y]", "292 years"),
        ("x offset 293y", "292 years"),  # Prometheus holds nanoseconds in 64 bits
        ("x @ 1_000", "neither a number"),
        ("x @ 5q", "neither a number"),
        ("x\x00", "control characters"),
        ("{}", "non-empty matcher"),
        ('x{a=~"("}', "regex"),
    ],
)
def test_what_is_no_query_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadQuery, match=said):
        Engine(held()).instant(text, 0)


@pytest.mark.parametrize("text", ["x[5m]", "(x[5m:1m])", '"a"', '("a")'])
def test_no_range_of_ranges_and_texts(text: str) -> None:
    with pytest.raises(BadQuery, match="range query needs a scalar or an instant vector"):
        Engine(held()).range(text, 0, 1_000, 1_000)


@pytest.mark.parametrize(
    "text",
    ['label_replace(x, "i", "", "i", ".*")', 'label_replace(x, "y", "$1", "i", "(")', 'label_join(x, "", "-", "i")'],
)
def test_what_fails_on_these_samples(text: str) -> None:
    with pytest.raises(ExecutionFault):
        Engine(held()).instant(text, 0)


def test_every_fault_is_one_of_ours_and_has_a_kind() -> None:
    assert {it.kind for it in QueryFault.__subclasses__()} == {"bad_data", "execution", "timeout", "canceled"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sum(x)by(a)", "sum by (a) (x)"),
        ("x@ 5  # a comment", "x @ 5.000"),
        ("x   @ -5", "x @ -5"),
        ('x+"b"', None),
        ("holt_winters(x[5m],.1,.2)", "double_exponential_smoothing(x[5m], 0.1, 0.2)"),
    ],
)
def test_one_style(text: str, shown: str | None) -> None:
    if shown is None:
        with pytest.raises(BadQuery):
            pretty(text)
    else:
        assert pretty(text) == shown
        assert parse(shown) == parse(text)


def test_a_deep_query_needs_no_deep_stack() -> None:
    engine = Engine(held())
    assert engine.instant("(" * 190 + "x" + ")" * 190, 0)
    assert engine.instant("+".join(["x"] * 190), 0)
    assert engine.instant("abs(" * 190 + "x" + ")" * 190, 0)

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.prometheus_json import answer, number, numbers, seconds
from service.promql.model import Answer, Matrix, Scalar, Text, Vector

floats = st.floats(width=64) | st.integers(-(2**60), 2**60).map(float) | st.floats(1e-8, 1e-3) | st.floats(1e9, 1e22)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (-0.0, "-0"), (0.0, "0"), (1e21, "1e+21"), (1e20, "100000000000000000000"),
     (1e-6, "0.000001"), (1e-7, "1e-07"), (1.5e-7, "1.5e-07"), (1e-5, "0.00001"), (math.inf, "+Inf"),
     (-math.inf, "-Inf"), (math.nan, "NaN"), (16_000_000_000.0, "16000000000"), (2.0**53, "9007199254740992"),
     (1.2345678901234566e17, "123456789012345660"), (5e-324, "5e-324"),
     (1.7976931348623157e308, "1.7976931348623157e+308"),
     (123456789012.5, "123456789012.5")],
)  # fmt: skip
def test_numbers_are_written_as_prometheus_writes_them(value: float, text: str) -> None:
    assert number(value) == text
    assert numbers(np.array([value])).to_pylist() == [text]


@given(st.lists(floats, max_size=30))
def test_many_numbers_are_written_as_one_is(values: list[float]) -> None:
    assert numbers(np.array(values, np.float64)).to_pylist() == [number(it) for it in values]


@given(floats)
def test_a_number_reads_back_to_the_last_bit_and_is_short(value: float) -> None:
    text = number(value)
    assert math.isnan(value) or float(text) == value
    if math.isfinite(value):
        assert Decimal(text) == Decimal(repr(value))


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "0"),
        (1_700_000_000_000, "1700000000"),
        (1_500, "1.500"),
        (1_001, "1.001"),
        (-1_500, "-1.500"),
        (-999, "-0.999"),
    ],
)
def test_moments_are_written_as_prometheus_writes_them(at_ms: int, text: str) -> None:
    assert seconds(at_ms) == text


def told(found: Answer) -> dict[str, object]:
    return dict(json.loads(b"".join(answer(found))))


def test_a_matrix_holds_each_sample_of_each_series() -> None:
    matrix = Matrix(
        [{"__name__": "up", "job": 'a"b\\\n\u2028é'}, {"x": "2"}],
        np.array([0, 2, 3]), np.array([1000, 2500, 2500]), np.array([1.0, math.nan, -math.inf]),
    )  # fmt: skip
    assert told(Answer(matrix, ["careful"], ["by the way"], 3)) == {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [
                {"metric": {"__name__": "up", "job": 'a"b\\\n\u2028é'}, "values": [[1, "1"], [2.5, "NaN"]]},
                {"metric": {"x": "2"}, "values": [[2.5, "-Inf"]]},
            ],
        },
        "warnings": ["careful"],
        "infos": ["by the way"],
    }


def test_other_results_have_their_own_forms() -> None:
    assert told(Answer(Scalar(1500, 2.0), (), (), 0))["data"] == {"resultType": "scalar", "result": [1.5, "2"]}
    assert told(Answer(Text(1000, 'a"b'), (), (), 0))["data"] == {"resultType": "string", "result": [1, 'a"b']}
    empty = Vector(1000, [], np.zeros(0))
    assert told(Answer(empty, (), (), 0)) == {"status": "success", "data": {"resultType": "vector", "result": []}}
    nothing = Matrix([], np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0))
    assert told(Answer(nothing, (), (), 0))["data"] == {"resultType": "matrix", "result": []}


def test_a_long_answer_comes_in_pieces() -> None:
    series, steps = 40, 2_000
    ts = np.tile(np.arange(steps) * 60_000, series)
    values = np.random.default_rng(1).random(series * steps)
    matrix = Matrix([{"n": str(it)} for it in range(series)], np.arange(series + 1) * steps, ts, values)
    pieces = list(answer(Answer(matrix, (), (), 0)))
    assert len(pieces) > 5
    found = json.loads(b"".join(pieces))["data"]["result"]
    assert [float(text) for one in found for _, text in one["values"]] == values.tolist()

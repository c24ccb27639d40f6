"""Whatever is asked: an answer or a fault of ours, within bounds; and one answer, however it is worked out."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.promql import Engine, Limits, Matrix, QueryFault, Vector
from service.promql.parse import parse, pretty
from tests.service.promql.expressions import scalars, small, vectors

SAMPLES = small()
ENGINE = Engine(SAMPLES, Limits(max_seconds=20, max_cells=200_000, max_samples=2_000_000))
SETTINGS = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
PLACES = re.compile(r"args_at=\([^)]*\)|param_at='[^']*'")
SYNTAX = (
    "x",
    "sum",
    "by",
    "(",
    ")",
    "[5m]",
    "[5m:1m]",
    "@",
    "-1",
    "start()",
    "offset",
    "5m",
    "-",
    "+",
    "*",
    "^",
    "and",
)
CALLS = ("rate(", "on(", "topk(", "histogram_quantile(", "label_replace(", "absent(", "info(", "holt_winters(")
WORDS = ("unless", "group_left", "or", "without", "bool", ",", "=", "=~", "#", "\n", "{", "}", ":", "$", "[", "]", "..")
TEXTS = ('{a="b"}', '{a=~"("}', '"text"', "'\\xff'", "`raw`", "\\", "é", "\x00", "\ud800", "\u2028")
STRANGE = ("1e999", "0x", "5m7", "NaN", "3", "1e300", "9" * 19, "1y9999", "e5", "[0s]", "-9y", "@ -0x10", "@ 1e20")
PIECES = st.sampled_from((*SYNTAX, *CALLS, *WORDS, *TEXTS, *STRANGE))


def ask(text: str) -> None:
    try:
        ENGINE.instant(text, 600_000)
        ENGINE.range(text, 0, 1_500_000, 47_000)
    except QueryFault:
        return


@settings(parent=SETTINGS, max_examples=500)
@given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES).map("".join)))
def test_any_text_is_answered_or_refused(text: str) -> None:
    ask(text)


@SETTINGS
@given(vectors())
def test_any_expression_is_answered_or_refused(form: str, text: str) -> None:
    ask(text)


@SETTINGS
@given(vectors(), st.data())
def test_a_damaged_expression_is_answered_or_refused(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(len(text), at + 8)))
    ask(text[:at] + data.draw(PIECES) + text[until:])


@SETTINGS
@given(vectors(borders=False))
def test_a_range_holds_what_each_of_its_moments_holds(form: str, text: str) -> None:
    start, end, step = 60_000, 1_200_000, 95_000
    try:
        whole = ENGINE.range(text, start, end, step).result
        single = {at: ENGINE.instant(text, at).result for at in range(start, end + 1, step)}
    except QueryFault:
        return
    assert isinstance(whole, Matrix)
    found: dict[int, dict[frozenset[tuple[str, str]], float]] = {at: {} for at in single}
    for i, labels in enumerate(whole.labels):
        for k in range(whole.offsets[i], whole.offsets[i + 1]):
            found[int(whole.ts_ms[k])][frozenset(labels.items())] = float(whole.values[k])
    for at, vector in single.items():
        assert isinstance(vector, Vector)
        wanted = {frozenset(it.items()): float(v) for it, v in zip(vector.labels, vector.values, strict=True)}
        assert set(wanted) == set(found[at]), at
        order = sorted(wanted, key=str)
        a, b = np.array([wanted[it] for it in order]), np.array([found[at][it] for it in order])
        np.testing.assert_array_equal(a, b)


@SETTINGS
@given(vectors() | scalars(vectors()))
def test_a_query_in_the_fixed_style_is_the_same_query(text: str) -> None:
    try:
        shown = pretty(text)
    except QueryFault:
        return
    assert pretty(shown) == shown
    assert PLACES.sub("", str(parse(shown))) == PLACES.sub("", str(parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "x" + ")" * 5000,
        "-" * 5000 + "x",
        "+".join(["x"] * 5000),
        "abs(" * 300 + "x" + ")" * 300,
        "x" + "[1m:1s]" * 400,
        "max_over_time(" * 190 + "x" + "[1m:1m])" * 190,
        "-(" * 190 + "x" + ")" * 190,
        "label_replace(" * 190 + "x" + ', "a", "b", "c", "d")' * 190,
        "{" * 3000,
        "x{" + ",".join(f'a{i}="b"' for i in range(5000)) + "}",
        "sum(" * 101 + "x" + ")" * 101,
        "x^" * 201 + "x",
        "max_over_time(" * 5 + "x" + "[1y:1ms])" * 5,
        'x{a=~"' + "(a*)*" * 200 + 'b"}',
        'label_replace(x, "a", "$1", "b", "' + "(x+x+)+" * 100 + 'y")',
    ],
    ids=lambda it: it[:12],
)
def test_what_would_crash_or_hang_is_refused_in_time(text: str) -> None:
    started = time.monotonic()
    try:
        ENGINE.range(text, 0, 1_500_000, 1_000)
    except QueryFault as fault:
        assert str(fault)
    assert time.monotonic() - started < 60

"""Queries: windows put in, counters seen through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.model import Matcher, Selector
from slo.openslo.queries import Query

CODE = Matcher("code", "!~", "(5..|429)")


@pytest.mark.parametrize("text", ["x[{{.window}}]", "x[{{ .window }}]", "x[{{.window }}]"])
def test_the_window_is_put_where_sloth_has_it(text: str) -> None:
    assert (Query(text).windowed, Query(text).over("5m"), Query(text).strange) == (True, "x[5m]", None)


def test_a_placeholder_that_nothing_fills_is_seen() -> None:
    assert Query("x{job='{{ .job }}'}[{{.window}}]").strange == "{{ .job }}"


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("x", ()),
        ("x{}", ()),
        (' x { code!~"(5..|429)" } ', (CODE,)),
        ("x{code!~'(5..|429)',}", (CODE,)),
        ('x{code!~`(5..|429)`,a="b"}', (CODE, Matcher("a", "=", "b"))),
        (r'x{a="q\"\\\n}"}', (Matcher("a", "=", 'q"\\\n}'),)),
        ("sum(x)", ()),
        ("sum( x{} )", ()),
    ],
)
def test_a_bare_selector_is_a_counter_where_it_is_declared_one(text: str, matchers: tuple[Matcher, ...]) -> None:
    assert Query(text).counter(True) == Selector("x", matchers)
    assert Query(text).counter(False) is None


@pytest.mark.parametrize(
    "text",
    [
        "sum(rate(x[{{.window}}]))",
        "sum(increase(x{}[{{ .window }}]))",
        "sum(\n  rate(\n    x[{{.window}}]\n  )\n)",
    ],
)
def test_a_sum_of_rates_over_the_window_is_a_counter(text: str) -> None:
    assert Query(text).counter(False) == Selector("x", ())


@pytest.mark.parametrize(
    "text",
    [
        "sum(rate(x[5m]))",
        "sum by (a) (rate(x[{{.window}}]))",
        "sum(rate(x[{{.window}}])) / 2",
        "rate(x[{{.window}}])",
        "irate(x[5m])",
        "x + y",
        "x offset 5m",
        "x{a=b}",
        "x{a='b' c='d'}",
        "x{,}",
        'x{a="\\x41"}',
        "sum(x",
        "{__name__='x'}",
        "",
    ],
)
def test_what_is_more_than_a_counter_is_left_to_promql(text: str) -> None:
    assert Query(text).counter(True) is None


@given(st.text("x{}[]()\"'`\\=!~, sumrate.", max_size=80))
def test_no_query_makes_it_fall(text: str) -> None:
    found = Query(text).counter(True)
    assert found is None or found.metric


HOSTILE = (
    "x{" + "a='b'," * 1000,
    "x{" + '"' * 8000,
    "sum(rate(x{" + "\\'" * 4000,
    "{{" * 4000,
    " " * 8000,
    "x" + " " * 8000 + "!",
)


def test_a_long_hostile_query_is_quick() -> None:
    for text in HOSTILE:
        assert Query(text).counter(True) is None
        assert Query(text).strange is None

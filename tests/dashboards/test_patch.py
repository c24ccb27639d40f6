"""Changes of a text, line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboards.patch import apply, patch

LINES = st.lists(st.sampled_from(["", "<tr>", "</tr>", "<b>1</b>", "a", "b", "c"]), max_size=30)


@given(LINES, LINES)
def test_a_change_makes_of_the_earlier_text_exactly_the_new_one(old: list[str], new: list[str]) -> None:
    assert apply(old, patch(old, new)) == new


@given(LINES)
def test_the_same_text_is_one_stretch_of_the_earlier_one_where_its_lines_differ(old: list[str]) -> None:
    distinct = list(dict.fromkeys(old))
    assert patch(distinct, distinct) == ([[0, len(distinct)]] if distinct else [])


def test_a_log_that_moved_on_by_a_line_is_sent_as_one_line() -> None:
    old = [f"line {index}" for index in range(200)]
    assert patch(old, [*old[1:], "line 200"]) == [[1, 199], "line 200"]

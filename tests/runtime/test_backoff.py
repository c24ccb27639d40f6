"""Pauses between tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.backoff import MOST_MS, Failed, after, delay_ms, due


def test_the_pause_doubles_from_a_second_to_five_minutes() -> None:
    assert [delay_ms(times) for times in (1, 2, 3, 9, 10, 1000)] == [1000, 2000, 4000, 256_000, MOST_MS, MOST_MS]


def test_what_never_failed_is_due_and_what_failed_waits_for_its_time() -> None:
    held = after("image a", False, {}, 500)
    assert held == {"image a": Failed(1, 1500)}
    assert due("image b", held, 500) and not due("image a", held, 1499) and due("image a", held, 1500)


def test_success_forgets_its_own_failures_alone() -> None:
    held = after("b", False, after("a", False, {}, 0), 0)
    assert after("a", True, held, 0) == {"b": Failed(1, 1000)}


@given(st.lists(st.booleans(), max_size=50))
def test_the_count_is_that_of_the_failures_since_the_last_success(results: list[bool]) -> None:
    held: dict[str, Failed] = {}
    for ok in results:
        held = after("a", ok, held, 0)
    row = next((count for count, ok in enumerate(reversed(results)) if ok), len(results))
    assert (held["a"].times if held else 0) == row

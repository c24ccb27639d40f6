"""Durations on the command line."""

from __future__ import annotations

import pytest
import typer

from cli.durations import seconds, share


@pytest.mark.parametrize(
    ("text", "expected"), [("800ms", 0.8), ("5s", 5.0), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_a_duration_is_a_number_with_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 minutes", "1e3s", "5s5"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no duration"):
        seconds(text)


@pytest.mark.parametrize("text", ["366d", "99999d", "9" * 30 + "d", "8761h"])
def test_what_is_longer_than_a_year_is_refused_with_the_bound(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is too long; write at most 365d"):
        seconds(text)


def test_the_bound_may_be_another_and_holds_itself() -> None:
    assert seconds("1h", 3600) == 3600
    with pytest.raises(typer.BadParameter, match="write at most 1h"):
        seconds("61m", 3600)


@pytest.mark.parametrize(("text", "expected"), [("0", 0.0), ("1", 1.0), ("0.3", 0.3), (".5", 0.5)])
def test_a_share_is_a_number_from_0_to_1(text: str, expected: float) -> None:
    assert share(text) == expected


@pytest.mark.parametrize("text", ["", "4", "-0.1", "nan", "1e-3", "x", "1.01"])
def test_what_is_no_share_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no share; write a number from 0 to 1"):
        share(text)

"""Durations on the command line."""

from __future__ import annotations

import pytest
import typer

from cli.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("800ms", 0.8), ("5s", 5.0), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_a_duration_is_a_number_with_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 minutes", "1e3s", "5s5"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no duration"):
        seconds(text)

"""Matchers and lines of `midwatch silence`."""

from __future__ import annotations

import pytest
import typer

from cli.silence_commands import line, matcher


@pytest.mark.parametrize(
    ("text", "value", "is_regex", "is_equal"),
    [
        ("service=shop/api", "shop/api", False, True),
        ('service="shop/api"', "shop/api", False, True),
        ("service!=shop/api", "shop/api", False, False),
        ("service=~shop/.*", "shop/.*", True, True),
        ("service!~shop/.*", "shop/.*", True, False),
        ("service=a=b", "a=b", False, True),
        ("service=", "", False, True),
    ],
)
def test_a_matcher_has_alertmanagers_four_operators(text: str, value: str, is_regex: bool, is_equal: bool) -> None:
    assert matcher(text) == {"name": "service", "value": value, "isRegex": is_regex, "isEqual": is_equal}


@pytest.mark.parametrize("text", ["", "service", "=x", "1x=y", "a-b=c"])
def test_what_is_no_matcher_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="no matcher"):
        matcher(text)


def test_a_silence_is_shown_on_one_line_as_it_was_written() -> None:
    silence = {
        "id": "4f1c",
        "matchers": [matcher("service=~shop/.*"), matcher("alertname!=oom-kill")],
        "endsAt": "2026-01-01T00:00:00Z",
        "createdBy": "ann",
        "comment": "new disks",
    }
    assert line(silence) == "4f1c  service=~shop/.*,alertname!=oom-kill  until 2026-01-01T00:00:00Z  ann: new disks"

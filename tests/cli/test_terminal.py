from __future__ import annotations

import pytest

from cli.terminal import counted, plain, plain_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop/api größe 漢字", "shop/api größe 漢字"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("\u2066x\u2069\u200f\u061c", "\\u2066x\\u2069\\u200f\\u061c"),
        ("\x1b[31mred\x07\n", "\\u001b[31mred\\u0007\\u000a"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("half\ud800", "half\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_shown_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(it, "container") for it in (0, 1, 2)] == ["0 containers", "1 container", "2 containers"]
    assert counted(2, "entry", "entries") == "2 entries"


def test_several_lines_stay_several() -> None:
    assert plain_lines("a\u202eb\r\nc") == "a\\u202eb\\u000d\nc"

"""A container's raw line to text that is safe to store and to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.log_text import clean_line


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"GET / 200", "GET / 200"),
        (b"", ""),
        (b"\tindented", "\tindented"),
        ("grüße \U0001f600".encode(), "grüße \U0001f600"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07prompt", "prompt"),
        (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"50%\r100%", "50%100%"),
        (b"a\x00b\x08c\x7f", "abc"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("user\u202egnp.exe".encode(), "usergnp.exe"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b"\x1b", ""),
    ],
)
def test_what_moves_a_terminal_or_a_reader_is_taken_out(raw: bytes, text: str) -> None:
    assert clean_line(raw) == text


def test_a_line_that_was_cut_says_so() -> None:
    assert clean_line(b"long", cut=True) == "long…"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_control_character_is_left_in_any_line(raw: bytes) -> None:
    assert not [char for char in clean_line(raw) if unicodedata.category(char) == "Cc" and char not in "\t\n"]

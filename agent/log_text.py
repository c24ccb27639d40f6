"""A container's raw line to text that is safe to store and show."""

from __future__ import annotations

import re

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters but tab and newline, and those that reorder what a reader sees."""


def clean_line(raw: bytes, cut: bool = False) -> str:
    """UTF-8 with replacement, without terminal sequences and control characters; `…` marks a line that was cut."""
    text = raw.decode("utf-8", "replace")
    if not text.isprintable():
        text = _CONTROL.sub("", _ESCAPE_SEQUENCE.sub("", text))
    return f"{text}…" if cut else text

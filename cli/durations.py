"""Durations as people write them on a command line."""

from __future__ import annotations

import re

import typer

_FORM = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """`800ms`, `5s`, `2h` in seconds; refuses anything else as a usage error."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 800ms, 5s, 10m, 2h or 1d")
    return float(found[1]) * _SECONDS[found[2]]

"""Durations and shares as people write them on a command line."""

from __future__ import annotations

import re

import typer

YEAR_SECONDS = 365 * 86400.0
_FORM = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHARE = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")


def seconds(text: str, most: float = YEAR_SECONDS) -> float:
    """`800ms`, `5s`, `2h` in seconds; refuses anything else, and what is longer than `most`, as a usage error."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text[:40]!r} is no duration; write 800ms, 5s, 10m, 2h or 1d")
    if (wanted := float(found[1]) * _SECONDS[found[2]]) > most:
        raise typer.BadParameter(f"{text[:40]!r} is too long; write at most {_written(most)}")
    return wanted


def share(text: str) -> float:
    """A share from 0 to 1; refuses anything else as a usage error."""
    if not _SHARE.fullmatch(text.strip()) or float(text) > 1:
        raise typer.BadParameter(f"{text[:40]!r} is no share; write a number from 0 to 1, such as 0.3")
    return float(text)


def _written(most: float) -> str:
    unit, size = next((unit, size) for unit, size in reversed(_SECONDS.items()) if most >= size)
    return f"{most / size:g}{unit}"

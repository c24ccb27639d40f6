"""Bounds of a histogram's buckets, compared as numbers: `0.30`, `3e-1` and `0.3` are one."""

from __future__ import annotations

import re
from fractions import Fraction

_BOUND = re.compile(r"\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,2})?", re.ASCII)


def largest_within(bounds: frozenset[str], limit: Fraction) -> str | None:
    """The text of the largest bound that does not exceed the limit; None where there is none."""
    known = [(value, text) for text in bounds if (value := _seconds(text)) is not None and value <= limit]
    return max(known)[1] if known else None


def _seconds(text: str) -> Fraction | None:
    """A bound as an exact number; None for +Inf and for what is no number: a container may send anything."""
    return Fraction(text) if _BOUND.fullmatch(text) else None

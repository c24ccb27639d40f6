"""Counts in the units that people count in."""

from __future__ import annotations

from fractions import Fraction

from dashboards.text import duration, number
from slo.model import EventRatio, MinuteSlices, Objective, unit


def counted(bad: int, objective: Objective) -> str:
    """Bad events in their unit."""
    indicator, scale = objective.indicator, unit(objective)
    if scale is not None:
        what = "" if objective.slices is None else " slices"
        return f"{number(Fraction(bad, scale), 3)}{what}"
    if isinstance(indicator, EventRatio) and indicator.scale == 1000:
        return duration(bad)
    return f"{bad} min" if isinstance(indicator, MinuteSlices) else f"{bad:,}".replace(",", " ")


def exposure(total: int, objective: Objective) -> str:
    """Total events in their unit."""
    if objective.allowance:
        return duration(total)
    return counted(total, objective)

"""What an objective counts, in words of PromQL: for people and programs, never read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from slo.model import (
    Allowance,
    EventRatio,
    Indicator,
    MinuteSlices,
    Objective,
    QueryIndicator,
    RowResult,
    Selector,
    unit,
)
from slo.slices import Timeslices
from slo.text import percent


class Units(NamedTuple):
    """What `bad` and `total` of an objective's counts are, and in how many parts of these they are told."""

    bad: str
    total: str
    parts: int


def units(objective: Objective) -> Units:
    """The units of an objective's counts."""
    parts, indicator = unit(objective) or 1, objective.indicator
    if objective.members:
        return Units("burn of its members", "burn of its members", 1)
    if objective.slices is not None:
        return Units("slices", "slices", 1 if isinstance(objective.slices, Timeslices) else parts)
    if objective.query is not None:
        return Units("events", "events", parts)
    if isinstance(indicator, Allowance):
        return Units("events", "milliseconds", 1)
    if isinstance(indicator, MinuteSlices):
        return Units("minutes", "minutes", 1)
    word = "milliseconds" if indicator.scale == 1000 else "events"
    return Units(word, word, 1)


def selector_text(selector: Selector) -> str:
    """The selector as PromQL writes it."""
    inner = ",".join(f"{it.name}{it.op}{json.dumps(it.value, ensure_ascii=False)}" for it in selector.matchers)
    return selector.metric + (f"{{{inner}}}" if inner else "")


def indicator_text(objective: Objective) -> str:
    """What is counted, of what."""
    if objective.members:
        return " + ".join(f"{float(weight):g} x {name}" for name, weight in objective.members)
    if objective.query is not None:
        return _query(objective.query)
    return _counted(objective.indicator)


def _query(query: QueryIndicator) -> str:
    if query.kind == "threshold":
        return f"{query.part} {query.op} {float(query.value):g}"
    kind = query.kind.removeprefix("raw-")
    return f"{kind} {query.part} of {query.total}" if query.total else f"{kind} share {query.part}"


def _counted(indicator: Indicator) -> str:
    match indicator:
        case EventRatio(good=good) if good:
            return f"good {_sum(good)} of {_sum(indicator.total)}"
        case EventRatio():
            return f"bad {_sum(indicator.bad)} of {_sum(indicator.total)}"
        case Allowance():
            return f"bad {_sum(indicator.bad)} in {_sum(indicator.exposure)}"
        case MinuteSlices():
            share = f"{selector_text(indicator.numerator)} / {selector_text(indicator.denominator)}"
            worth = f"1 - {share}" if indicator.complement else share
            return f"bad minutes: {worth} >= {percent(indicator.bound)}"


def _sum(selectors: Sequence[Selector]) -> str:
    return " + ".join(map(selector_text, selectors))


def by_a_part(result: RowResult) -> str:
    """What to add where a row fires by a part of its long window."""
    if not result.in_part:
        return ""
    seen = percent(result.long_counts.coverage or Fraction(0))
    return f", though only {seen} of the longer window was observed and the rest is taken for good"

"""What an objective promises, in words that can be stored and compared: target, window, method, indicator, source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from slo.model import Allowance, EventRatio, MinuteSlices, Objective, QueryIndicator, Selector
from slo.slices import RatioTimeslices, Timeslices
from slo.text import duration, number, percent

MOST_TEXT = 2_000
"""Longest text of an indicator; what is cut off is told apart by nothing."""
_SOURCE = re.compile(r"asked for by (.+):\d+$")
BUILT_IN = "built in"


class Definition(NamedTuple):
    """One objective's promise as text; equal texts are equal promises."""

    target: str
    budget: str
    """The share that may be bad, exact: `1/1000`; for an allowance events per millisecond."""
    window: str
    method: str
    indicator: str
    """"" while nothing can measure it."""
    source: str
    """The file that asks for it, or `built in`."""


class Difference(NamedTuple):
    """One field that is not what it was."""

    field: str
    before: str
    after: str


def definition(objective: Objective) -> Definition:
    """The promise of an objective, as it is before `placed` puts it into a period."""
    return Definition(
        objective.target_text,
        str(objective.budget),
        _window(objective),
        _method(objective),
        "" if objective.unmeasurable is not None else _indicator(objective)[:MOST_TEXT],
        _source(objective.note),
    )


def differences(before: Definition, after: Definition) -> tuple[Difference, ...]:
    """The fields in which two promises differ; an indicator that is not known yet differs from none."""
    pairs = zip(Definition._fields, before, after, strict=True)
    return tuple(
        Difference(*it) for it in pairs if it[1] != it[2] and not (it[0] == "indicator" and "" in (it[1], it[2]))
    )


def completed(before: Definition, after: Definition) -> Definition:
    """The promise as it is now, with the indicator that is known of it."""
    return after if after.indicator else after._replace(indicator=before.indicator)


def _window(objective: Objective) -> str:
    calendar = objective.calendar
    if calendar is None:
        return f"{duration(objective.window_ms)}, rolling"
    return f"{calendar.number}{calendar.unit} from {calendar.start:%Y-%m-%d %H:%M:%S} {calendar.zone}"


def _method(objective: Objective) -> str:
    if objective.members:
        return "Composite"
    match objective.slices:
        case Timeslices(target, slice_ms):
            return f"Timeslices of {duration(slice_ms)}, good from {percent(target)} on"
        case RatioTimeslices(slice_ms):
            return f"RatioTimeslices of {duration(slice_ms)}"
        case None:
            return "Allowance" if objective.allowance else "Occurrences"


def _indicator(objective: Objective) -> str:
    if objective.members:
        return ", ".join(f"{name} x {number(weight, 6)}" for name, weight in objective.members)
    if objective.query is not None:
        return _query(objective.query)
    match objective.indicator:
        case EventRatio(total, good, bad, _):
            return f"{'good' if good else 'bad'} {_selectors(good or bad)} of {_selectors(total)}"
        case Allowance(bad, exposure):
            return f"{_selectors(bad)} in {_selectors(exposure)}"
        case MinuteSlices(kind, above, below, bound, complement):
            share = f"{'1 - ' if complement else ''}{_selector(above)} / {_selector(below)}"
            return f"minutes of a {kind} below {percent(bound)}: {share}"


def _query(query: QueryIndicator) -> str:
    if query.kind == "threshold":
        return f"threshold {query.op} {number(query.value, 6)}: {query.part}"
    return f"{query.kind}: {query.part}" + (f" of {query.total}" if query.total else "")


def _selectors(selectors: Sequence[Selector]) -> str:
    return " + ".join(_selector(it) for it in selectors)


def _selector(selector: Selector) -> str:
    inner = ",".join(f'{it.name}{it.op}"{it.value}"' for it in selector.matchers)
    return f"{selector.metric}{{{inner}}}" if inner else selector.metric


def _source(note: str | None) -> str:
    found = _SOURCE.search(note or "")
    return found[1] if found else BUILT_IN

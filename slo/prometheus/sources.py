"""What an objective counts, as expressions over a window: events of counters, or slices that are recorded first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from slo.model import Allowance, EventRatio, Labels, MinuteSlices, Objective, QueryIndicator, Selector
from slo.openslo.queries import Query
from slo.prometheus import model
from slo.prometheus.model import Rule, identity
from slo.prometheus.words import compared, decimal, divided, present, selector, series, total_of, window
from slo.slices import RatioTimeslices, Timeslices

MINUTE_MS = 60_000
QUERY_WINDOW_MS = 2 * MINUTE_MS
"""What `[{{.window}}]` is at least, as where Midwatch asks itself."""
COVERAGE_STEPS = 60
"""Moments of a window at which a counter is looked for."""
_NEGATED = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}


class Source(Protocol):
    """How one objective is counted in a window of so many milliseconds."""

    @property
    def slices(self) -> tuple[Rule, ...]:
        """What is recorded once a slice."""
        ...

    @property
    def slice_ms(self) -> int:
        """The length of a slice; 0 where none is recorded."""
        ...

    def total(self, window_ms: int) -> str:
        """All that counts; nothing where nothing is known."""
        ...

    def bad(self, window_ms: int) -> str:
        """What of it is bad; may ask for the recorded total."""
        ...

    def coverage(self, window_ms: int) -> str:
        """The share of the window in which anything was measured."""
        ...

    def few(self, window_ms: int) -> tuple[str, str, int]:
        """Bad and all events by which a page is too few, and how many of Midwatch's units one of them is."""
        ...


def source(objective: Objective) -> Source:
    """The source of an objective that is no composite."""
    rule, indicator = objective.slices, objective.indicator
    slice_ms = MINUTE_MS if rule is None else rule.slice_ms
    own = series(f"{model.SLICE_TOTAL}{window(slice_ms)}", identity(objective))
    if objective.query is not None:
        parts = _asked(objective.query, max(QUERY_WINDOW_MS, slice_ms), own)
        return Sliced(objective, slice_ms, *parts, scale=None)
    if isinstance(indicator, MinuteSlices):
        return Sliced(objective, slice_ms, *_minutes(indicator, slice_ms), scale=1)
    if rule is None:
        return Counters(objective, indicator)
    parts = _events(indicator, window(slice_ms), own)
    if isinstance(indicator, Allowance):
        return Sliced(objective, slice_ms, *parts, scale=1, weight=Fraction(indicator.per_ms, 1000))
    return Sliced(objective, slice_ms, *parts, scale=indicator.scale)


@dataclass(frozen=True)
class Counters:
    """Counters, counted by their increase over each window."""

    objective: Objective
    indicator: EventRatio | Allowance
    slices: tuple[Rule, ...] = ()
    slice_ms: int = 0

    def total(self, window_ms: int) -> str:
        """Increments of all series; of an allowance seconds of instances."""
        return total_of(_whole(self.indicator), window(window_ms))

    def bad(self, window_ms: int) -> str:
        """Increments of the bad ones, or what the good ones leave of all."""
        text = window(window_ms)
        own = series(f"{model.TOTAL}{text}", identity(self.objective))
        return _events(self.indicator, text, own)[1]

    def coverage(self, window_ms: int) -> str:
        """Looked for at so many moments of the window; a sample counts for five minutes."""
        step_ms = max(1_000, window_ms // COVERAGE_STEPS)
        found = f"count_over_time({present(_whole(self.indicator))}[{window(window_ms)}:{window(step_ms)}])"
        return f"clamp_max({found} / {window_ms // step_ms}, 1)"

    def few(self, window_ms: int) -> tuple[str, str, int]:
        """Events themselves."""
        labels, text = identity(self.objective), window(window_ms)
        scale = self.indicator.scale if isinstance(self.indicator, EventRatio) else 1
        return series(f"{model.BAD}{text}", labels), series(f"{model.TOTAL}{text}", labels), scale


class Sliced:
    """Slices that are recorded one by one, and summed over each window."""

    def __init__(
        self,
        objective: Objective,
        slice_ms: int,
        total: str,
        bad: str,
        scale: int | None,
        weight: Fraction = Fraction(1),
    ) -> None:
        """`scale` is the units of one event; None where a slice with anything bad is one event.

        `weight` is what one bad event of a slice weighs against its total: of an allowance the seconds of an instance
        in which one is too many.
        """
        self._rule, self._scale, self._weight = objective.slices, scale, weight
        self._labels: Labels = identity(objective)
        self.slice_ms = slice_ms
        text = window(slice_ms)
        self._total, self._bad, self._spent = (
            series(f"{name}{text}", self._labels) for name in (model.SLICE_TOTAL, model.SLICE_BAD, model.SLICE_SPENT)
        )
        rules = [
            Rule(f"{model.SLICE_TOTAL}{text}", total, self._labels),
            Rule(f"{model.SLICE_BAD}{text}", bad, self._labels),
        ]
        if self._rule is not None:
            rules.append(Rule(f"{model.SLICE_SPENT}{text}", self._spends(self._rule), self._labels))
        self.slices = tuple(rules)

    def _spends(self, rule: Timeslices | RatioTimeslices) -> str:
        if isinstance(rule, RatioTimeslices):
            bad = self._bad if self._weight == 1 else divided(self._bad, 1 / self._weight)
            return f"{bad} / ({self._total} > 0)"
        limit = (1 - rule.target) / self._weight
        return f"({compared(self._bad, '> bool', limit, self._total)}) and {self._total} > 0"

    def total(self, window_ms: int) -> str:
        """Events; slices with traffic; of Timeslices those of the whole window, as soon as one had traffic."""
        text = self._over(window_ms)
        if self._rule is None:
            return f"sum_over_time({self._total}[{text}])"
        busy = f"count_over_time({self._spent}[{text}])"
        return f"0 * {busy} + {self._number(window_ms)}" if isinstance(self._rule, Timeslices) else busy

    def bad(self, window_ms: int) -> str:
        """The sum of what slices spend."""
        return f"sum_over_time({self._bad if self._rule is None else self._spent}[{self._over(window_ms)}])"

    def coverage(self, window_ms: int) -> str:
        """Recorded slices of those that the window has."""
        found = f"count_over_time({self._total}[{self._over(window_ms)}])"
        return f"clamp_max({found} / {self._number(window_ms)}, 1)"

    def few(self, window_ms: int) -> tuple[str, str, int]:
        """Events behind the slices; of queries slices with anything bad, and slices with traffic."""
        text = self._over(window_ms)
        if self._scale is not None:
            return f"sum_over_time({self._bad}[{text}])", f"sum_over_time({self._total}[{text}])", self._scale
        step = f"[{text}:{window(self.slice_ms)}]"
        return f"count_over_time(({self._bad} > 0){step})", f"count_over_time(({self._total} > 0){step})", 1

    def _number(self, window_ms: int) -> int:
        return max(1, window_ms // self.slice_ms)

    def _over(self, window_ms: int) -> str:
        """A slice at the very begin of a window is before it, also for Prometheus 2, which holds both ends."""
        return window(self._number(window_ms) * self.slice_ms - 1)


def _whole(indicator: EventRatio | Allowance) -> Sequence[Selector]:
    return indicator.exposure if isinstance(indicator, Allowance) else indicator.total


def _events(indicator: EventRatio | Allowance, range_text: str, own_total: str) -> tuple[str, str]:
    """All and bad events of a window; what has no series beside a total is none."""
    total = total_of(_whole(indicator), range_text)
    if isinstance(indicator, Allowance) or indicator.bad:
        return total, _or_none(total_of(indicator.bad, range_text), own_total)
    good = _or_none(total_of(indicator.good, range_text), own_total)
    return total, f"clamp_min({own_total} - on () ({good}), 0)"


def _or_none(part: str, total: str) -> str:
    return f"{part} or on () 0 * {total}"


def _minutes(indicator: MinuteSlices, slice_ms: int) -> tuple[str, str]:
    """Minutes of a slice that were measured, and those whose value reaches the bound."""
    up, down = selector(indicator.numerator), selector(indicator.denominator)
    if indicator.kind == "counter":
        value = f"sum(increase({up}[1m])) / (sum(increase({down}[1m])) > 0)"
    else:
        value = f"max(1 - {up} / {down})" if indicator.complement else f"max({up} / {down})"
    bound = decimal(indicator.bound)
    limit = f"{indicator.bound.numerator} / {indicator.bound.denominator}" if bound is None else bound
    one, bad = f"0 * ({value}) + 1", f"{value} >= bool {limit}"
    if slice_ms == MINUTE_MS:
        return one, bad
    steps = f"[{window(slice_ms - 1)}:1m]"
    return f"sum_over_time(({one}){steps})", f"sum_over_time(({bad}){steps})"


def _asked(query: QueryIndicator, window_ms: int, own_total: str) -> tuple[str, str]:
    """Total and bad of one slice, from queries as they were written; what is no number counts not."""
    text = f"{window_ms // 1000}s"
    part = _lines(query.part, text)
    match query.kind:
        case "threshold":
            bad = f"{part} >= -Inf {_NEGATED[query.op]} {_exact(query.value)}"
            return f"sum({part} >= bool -Inf)", f"count({bad}) or on () 0 * {own_total}"
        case "raw-good" | "raw-bad":
            share = f"clamp({_finite(part)}, 0, 1)"
            return f"sum(abs({part}) < bool Inf)", f"sum(1 - {share})" if query.kind == "raw-good" else f"sum({share})"
    whole = f"clamp_min(sum({_finite(_lines(query.total, text))}), 0)"
    mine = f"sum({_finite(part)}) or on () 0 * {own_total}"
    rest = f"clamp_min({own_total} - on () clamp_min({mine}, 0), 0)"
    return whole, rest if query.kind == "good" else f"{own_total} - on () {rest}"


def _lines(query: str, window_text: str) -> str:
    """A query in brackets; on lines of its own, for it may end with a comment."""
    return f"(\n{Query(query).over(window_text)}\n)"


def _finite(part: str) -> str:
    return f"({part} > -Inf < Inf)"


def _exact(value: Fraction) -> str:
    return decimal(value) or divided(str(value.numerator), Fraction(value.denominator))

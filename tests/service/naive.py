"""A second implementation of counting: straight from the contract, over raw samples, one at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from service.model import MetricBatch, Series
from slo.model import Allowance, Counts, EventRatio, Indicator, Matcher, MinuteSlices, Selector

FRESH_MS = 600_000
GAP_MS = 75_000
MINUTE = 60_000


@dataclass
class Naive:
    """Raw samples by series; of several at one moment the first that was stored stands."""

    samples: dict[Series, dict[int, tuple[float, int | None]]] = field(default_factory=dict)
    counters: set[Series] = field(default_factory=set)
    risen_by: dict[Series, list[tuple[int, Fraction, bool]]] = field(default_factory=dict)

    def append(self, batch: MetricBatch) -> None:
        self.risen_by.clear()
        columns = zip(batch.series_index, batch.ts_ms, batch.value, batch.start_ms, strict=True)
        mine: dict[tuple[Series, int], tuple[float, int | None]] = {}
        for at, ts, value, start in columns:
            mine.setdefault((batch.series[at], ts), (value, start))
        self.counters |= {s for s, kind in zip(batch.series, batch.kinds, strict=True) if kind == "counter"}
        for (series, ts), sample in mine.items():
            self.samples.setdefault(series, {}).setdefault(ts, sample)

    def select(self, selectors: Sequence[Selector]) -> set[Series]:
        return {it for it in self.samples for selector in selectors if matches(it, selector)}

    def rises(self, series: Series) -> list[tuple[int, Fraction, bool]]:
        """(time, increment, unknown start) of each sample."""
        if series in self.risen_by:
            return self.risen_by[series]
        found: list[tuple[int, Fraction, bool]] = []
        before: tuple[float, int | None] | None = None
        for ts, (value, start) in sorted(self.samples[series].items()):
            if before is None:
                known = start is not None and 0 <= ts - start <= FRESH_MS
                found.append((ts, exact(value) if known else Fraction(0), not known and value != 0))
            elif value < before[0] or (start is not None and before[1] is not None and start > before[1]):
                found.append((ts, exact(value), False))
            else:
                found.append((ts, exact(value) - exact(before[0]), False))
            before = (value, start)
        self.risen_by[series] = found
        return found

    def covered(self, series: Series) -> list[tuple[int, int]]:
        """Stretches `(from, to]` that are covered."""
        times = sorted(self.samples[series])
        start = self.samples[series][times[0]][1] if series in self.counters else None
        fresh = start is not None and 0 <= times[0] - start <= GAP_MS
        found = [(start if fresh and start is not None else times[0], times[0])]
        for a, b in pairwise(times):
            old, new = (self.samples[series][at][1] if series in self.counters else None for at in (a, b))
            reborn = old is not None and new is not None and new > max(a, old)
            begin = new if reborn and new is not None else a
            found += [(begin, b)] if 0 <= b - begin <= GAP_MS else []
        return found

    def risen(self, chosen: set[Series], since: int, until: int) -> Fraction:
        return sum((n for it in chosen for ts, n, _ in self.rises(it) if since < ts <= until), Fraction(0))

    def counts(self, indicator: Indicator, since: int, until: int) -> Counts:
        match indicator:
            case EventRatio():
                total_of, other = self.select(indicator.total), self.select(indicator.good or indicator.bad)
                total, part = self.risen(total_of, since, until), self.risen(other, since, until)
                bad = max(Fraction(0), total - part) if indicator.good else part
                numbers = round(bad * indicator.scale), round(total * indicator.scale)
            case Allowance():
                total_of, other = self.select(indicator.exposure), self.select(indicator.bad)
                numbers = round(self.risen(other, since, until)), round(self.risen(total_of, since, until) * 1000)
            case MinuteSlices():
                total_of, other = self.select([indicator.denominator]), self.select([indicator.numerator])
                numbers = self.minutes(indicator, since, until)
        every = total_of | other
        first = min((self.covered(it)[0][0] for it in every), default=None)
        begin = until if first is None else min(until, max(since, first))
        return Counts(
            since, until, *numbers, measure([run for it in total_of for run in self.covered(it)], begin, until),
            until - begin, self.unknown(every, since, until), first,
        )  # fmt: skip

    def unknown(self, chosen: set[Series], since: int, until: int) -> int:
        mine = [it for it in chosen if it in self.counters]
        return sum(unknown and since < ts <= until for it in mine for ts, _, unknown in self.rises(it)[:1])

    def minutes(self, indicator: MinuteSlices, since: int, until: int) -> tuple[int, int]:
        chosen = self.select([indicator.numerator, indicator.denominator])
        ends = sorted({-(-ts // MINUTE) * MINUTE for it in chosen for ts in self.samples[it]})
        ends = [end for end in ends if since < end <= until]
        verdicts = [self.minute(indicator, end) for end in ends]
        return sum(it is True for it in verdicts), sum(it is not None for it in verdicts)

    def minute(self, indicator: MinuteSlices, end: int) -> bool | None:
        above, below = self.select([indicator.numerator]), self.select([indicator.denominator])
        if indicator.kind == "counter":
            whole = self.risen(below, end - MINUTE, end)
            return None if whole <= 0 else self.risen(above, end - MINUTE, end) / whole >= indicator.bound
        shares = []
        for one in above:
            for other in below:
                if one.labels == other.labels:
                    part, whole_value = self.last(one, end), self.last(other, end)
                    if part is not None and whole_value:
                        share = Fraction(part) / Fraction(whole_value)
                        shares.append(1 - share if indicator.complement else share)
        return max(shares) >= indicator.bound if shares else None

    def last(self, series: Series, end: int) -> float | None:
        mine = [(ts, value) for ts, (value, _) in self.samples[series].items() if end - MINUTE < ts <= end]
        return max(mine)[1] if mine else None


def exact(value: float) -> Fraction:
    """The value to the billionth."""
    return Fraction(round(Fraction(value) * 10**9), 10**9)


def measure(runs: list[tuple[int, int]], since: int, until: int) -> int:
    """Milliseconds of `(since, until]` in any run: between neighbouring bounds all is in or out."""
    bounds = sorted({since, until, *(at for run in runs for at in run if since < at < until)})
    parts = pairwise(bounds)
    return sum(b - a for a, b in parts if any(begin <= a and b <= end for begin, end in runs))


def matches(series: Series, selector: Selector) -> bool:
    labels = dict(series.labels)
    return series.metric == selector.metric and all(_matches(labels.get(it.name, ""), it) for it in selector.matchers)


def _matches(value: str, matcher: Matcher) -> bool:
    same = re.fullmatch(matcher.value, value) is not None if "~" in matcher.op else value == matcher.value
    return same != matcher.op.startswith("!")

"""Counts of objectives over the store's history, read once and kept, so that trying again costs what changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from service.increments import DEFAULT as RULES
from service.increments import NANO
from service.remote_store import RemoteStore
from service.slo_kept import StoredSlices, day_of, key_of, slices_of
from service.slo_minutes import Worth, stored, worth
from service.slo_queries import Engine, QueriedCounts
from service.slo_revisions import Revision, valid_ms
from service.store import Store
from service.store_counts import Known, known
from service.store_layout import Layout
from service.store_sums import sums
from service.store_view import Moment
from slo.burn import DEFAULT
from slo.model import Allowance, EventRatio, Indicator, MinuteSlices, Objective
from slo.slices import RatioTimeslices, Timeslices
from slo.stepped_history import FIVE_MS, History, Ints, Whole

MINUTE_MS: Final = 60_000
MOST_STEPS: Final = 4_000_000
"""Steps of time of all indicators that are kept."""
MOST_QUERIES: Final = 40
"""Queries whose slices are kept in memory: of a month of minutes some megabytes each."""
QUERY_SECONDS: Final = 15.0
"""Time for all queries of one try; the next goes on where it ended."""
REMOTE: Final = (
    "Counters in a remote store are not tried over history: queries are; write it as one, or keep samples here with "
    "service.store: duckdb."
)


class Span(NamedTuple):
    """Steps of time `(begin, end]`, of `step_ms`; up to `coarse_ms` what was counted stands at each fifth minute."""

    begin_ms: int
    end_ms: int
    step_ms: int
    coarse_ms: int

    @property
    def edges(self) -> Ints:
        """Where steps begin, and the end."""
        return np.arange(self.begin_ms, self.end_ms + 1, self.step_ms)


@dataclass(frozen=True)
class _Kept:
    """Billionths by step of an indicator's bad and total, or what its minutes were worth."""

    span: Span
    bad: Whole
    total: Whole
    revision: Revision | None
    worth: Worth | None = None


class Histories:
    """Reads and keeps histories; to be used by one thread at a time."""

    def __init__(self, store: Store, engine: Engine | None = None) -> None:
        """`engine` answers the queries of objectives."""
        self._store = store
        stored = StoredSlices(store.database)
        self._queried = (
            None if engine is None else QueriedCounts(engine, QUERY_SECONDS, kept=stored, most_books=MOST_QUERIES)
        )
        self._kept: OrderedDict[Indicator, _Kept] = OrderedDict()

    def of(
        self, objectives: Sequence[Objective], since_ms: int, until_ms: int, step_ms: int = MINUTE_MS
    ) -> dict[Objective, History | str]:
        """The history of each objective from its window before `since` on, as far as it is kept, or why not.

        `step_ms` divides a minute.
        """
        single = list(dict.fromkeys(it for it in objectives if not it.members))
        queries = [it for it in single if it.query is not None]
        counted = [it for it in single if it.query is None]
        found: dict[Objective, History | str] = dict(self._asked(queries, since_ms, until_ms))
        if isinstance(self._store, RemoteStore):
            return found | dict.fromkeys(counted, REMOTE)
        return found | self._counted(counted, since_ms, until_ms, step_ms)

    def _asked(self, objectives: Sequence[Objective], since_ms: int, until_ms: int) -> dict[Objective, History | str]:
        if self._queried is None:
            return dict.fromkeys(objectives, "Nobody answers queries here.")
        self._queried.begin()
        oldest_ms = self._store.span()[0] if not isinstance(self._store, RemoteStore) else 0
        oldest_ms = until_ms if oldest_ms is None else oldest_ms
        found: dict[object, History | str] = {}
        for it in objectives:
            begin_ms, alike = max(since_ms - longest_ms(it), oldest_ms - FIVE_MS), (it.query, it.slices, longest_ms(it))
            found[alike] = found.get(alike) or self._queried.history(it, begin_ms, until_ms)
        return {it: found[it.query, it.slices, longest_ms(it)] for it in objectives}

    def _counted(
        self, objectives: Sequence[Objective], since_ms: int, until_ms: int, step_ms: int
    ) -> dict[Objective, History | str]:
        if not objectives:
            return {}
        store = self._store

        def look() -> list[tuple[Known, Revision]]:
            every = [known(it.indicator, store.directory, store.state) for it in objectives]
            return [(it, self._revision(it)) for it in every]

        with store.memory.reading(look) as (moment, series):
            firsts = [it.first_ms for it, _ in series if it.first_ms is not None]
            begin = max(since_ms - max(map(longest_ms, objectives)), min(firsts, default=until_ms) - FIVE_MS)
            limit = _coarse_ms(moment.layout)
            span = Span(begin // FIVE_MS * FIVE_MS, until_ms // MINUTE_MS * MINUTE_MS, step_ms, limit)
            indicators = {it.indicator: (it, revision) for it, revision in series}
            self._read(moment, span, indicators)
            told = {it: self._history(moment, its, span) for it, (its, _) in indicators.items()}
            found = {(it.indicator, it.slices): told[it.indicator] for it in objectives}
            found = {key: self._with_stored(key[0], key[1], it) for key, it in found.items()}
            return {it: found[it.indicator, it.slices] for it in objectives}  # one for all that count the same

    def _with_stored(self, indicator: Indicator, rule: Timeslices | RatioTimeslices | None, it: History) -> History:
        """The history with slices that samples tell of no longer, as they were judged when they did."""
        if rule is None or it.coarse_ms <= it.since_ms or rule.slice_ms % FIVE_MS == 0:
            return it
        first, until = it.since_ms // rule.slice_ms + 2, it.coarse_ms // rule.slice_ms + 1
        stored, key = StoredSlices(self._store.database), key_of(indicator, rule, DEFAULT.coverage_floor)
        rows: list[tuple[int, int, int]] = []
        for day in range(day_of(first, rule.slice_ms), day_of(until, rule.slice_ms) + 1):
            begin = slices_of(day, rule.slice_ms)[0]
            rows += [
                ((begin + at) * rule.slice_ms, row[0], row[1]) for at, row in enumerate(stored.day(key, day) or ())
            ]
        return replace(it, judged=np.array(rows, np.int64).reshape(-1, 3)) if rows else it

    def _revision(self, its: Known) -> Revision:
        columns, numbers = self._store.state.columns, np.union1d(its.bad, its.total)
        late, changes = self._store.sample_counts["late"], self._store.memory.changes
        firsts, lasts = columns.first_from_ms[numbers], columns.last_ms[numbers]
        return Revision(late, numbers, firsts, lasts, changes.version, changes)

    def _read(self, moment: Moment, span: Span, wanted: Mapping[Indicator, tuple[Known, Revision]]) -> None:
        """Keep every indicator over the span; what is kept already is read from where it may have changed."""
        groups: dict[int, list[Indicator]] = {}
        for it, (_, revision) in wanted.items():
            if isinstance(it, MinuteSlices):
                self._keep(_valueless(it), self._worth(moment, it, span, revision))
            else:
                groups.setdefault(self._good_ms(it, span, revision), []).append(it)
        for since_ms, indicators in groups.items():
            columns = _sums(moment, [wanted[it][0] for it in indicators], span._replace(begin_ms=since_ms))
            for it, (bad, total) in zip(indicators, columns, strict=True):
                old = self._kept.get(it)
                if old is not None and since_ms > span.begin_ms:
                    mine = slice(*((at - old.span.begin_ms) // span.step_ms for at in (span.begin_ms, since_ms)))
                    bad, total = _after(old.bad[mine], bad), _after(old.total[mine], total)
                self._keep(it, _Kept(span, bad, total, wanted[it][1]))

    def _keep(self, indicator: Indicator, kept: _Kept) -> None:
        self._kept[indicator] = kept
        self._kept.move_to_end(indicator)
        while len(self._kept) > 1 and sum(len(it.bad) for it in self._kept.values()) > MOST_STEPS:
            self._kept.popitem(last=False)

    def _good_ms(self, indicator: Indicator, span: Span, revision: Revision) -> int:
        """Up to when what is kept can stay; the span's begin where nothing can."""
        old = self._kept.get(indicator)
        if old is None or old.span.step_ms != span.step_ms or old.span.begin_ms > span.begin_ms:
            return span.begin_ms
        valid = valid_ms(old.revision, revision)
        good = min(old.span.end_ms, span.end_ms, old.span.end_ms if valid is None else valid)
        return max(span.begin_ms, good // FIVE_MS * FIVE_MS)

    def _worth(self, moment: Moment, indicator: MinuteSlices, span: Span, revision: Revision) -> _Kept:
        """What minutes were worth, read anew where any of their samples changed."""
        begin_ms = max(span.begin_ms, (moment.layout.oldest_raw_ms() or 0) // MINUTE_MS * MINUTE_MS)
        mine = span._replace(begin_ms=min(begin_ms, span.end_ms), step_ms=MINUTE_MS)
        old = self._kept.get(_valueless(indicator))
        if old is not None and old.worth is not None and old.span == mine and valid_ms(old.revision, revision) is None:
            return old
        found = worth(indicator, self._store.directory, moment, RULES, mine.begin_ms, mine.end_ms)
        return _Kept(mine, found.minute, found.minute, revision, found)

    def _history(self, moment: Moment, its: Known, span: Span) -> History:
        observed, kept, indicator = _observed(its, span.edges), self._kept[_valueless(its.indicator)], its.indicator
        if isinstance(indicator, MinuteSlices):
            bad, total = _minutes(moment, indicator, kept, span)
            return History(span.begin_ms, span.step_ms, bad, total, observed, its.first_ms)
        scale = indicator.scale if isinstance(indicator, EventRatio) else 1
        exposure = 1000 if isinstance(indicator, Allowance) else scale
        whole = not (kept.bad % NANO).any() and not (kept.total % NANO).any()
        part = NANO if whole else 1
        return History(
            span.begin_ms, span.step_ms, kept.bad // part * scale, kept.total // part * exposure, observed,
            its.first_ms, NANO // part, its.good, span.coarse_ms,
        )  # fmt: skip


def _valueless(indicator: Indicator) -> Indicator:
    """What is kept of minutes is what they were worth: the same for every bound."""
    return replace(indicator, bound=Fraction(0)) if isinstance(indicator, MinuteSlices) else indicator


def longest_ms(objective: Objective) -> int:
    """The longest window of an objective: of a calendar's periods, which may be a day longer than they say."""
    rows = [it.long_ms for it in objective.conditions]
    return max(objective.window_ms + (0 if objective.calendar is None else 4 * 86_400_000), 4 * 86_400_000, *rows)


def _coarse_ms(layout: Layout) -> int:
    """Up to when only counts of five minutes are kept, as `service.store_sums.settled` has it."""
    oldest = layout.oldest_raw_ms()
    limit = min(layout.rolled_ms, oldest) if oldest is not None else layout.rolled_ms * bool(layout.periods["fives"])
    return -(-limit // FIVE_MS) * FIVE_MS


def _sums(moment: Moment, every: Sequence[Known], span: Span) -> list[tuple[Whole, Whole]]:
    """Billionths of bad (or good) and total by step of each."""
    parts = [part for it in every for part in (it.bad, it.total)]
    middle = min(max(span.coarse_ms, span.begin_ms), span.end_ms) // FIVE_MS * FIVE_MS
    middle = max(middle, span.begin_ms)
    old = sums(moment, parts, range(span.begin_ms, middle + 1, FIVE_MS), RULES)
    new = sums(moment, parts, range(middle, span.end_ms + 1, span.step_ms), RULES)
    per = FIVE_MS // span.step_ms
    columns = [_after(_spread(_column(a), per), _column(b)) for a, b in zip(old, new, strict=True)]
    return list(zip(columns[::2], columns[1::2], strict=True))


def _column(values: list[int]) -> Whole:
    """As 64 bits where all fit."""
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array(values, object)


def _spread(values: Whole, per: int) -> Whole:
    """Each value at the last of `per` steps."""
    places = np.arange(len(values)).repeat(per)
    found: Whole = np.where(np.arange(len(places)) % per == per - 1, values[places], 0)
    return found


def _after(one: Whole, other: Whole) -> Whole:
    found: Whole = np.concatenate([one, other])
    return found


def _minutes(moment: Moment, indicator: MinuteSlices, kept: _Kept, span: Span) -> tuple[Ints, Ints]:
    """Bad minutes and minutes measured by step: those stored before, then those that samples tell of."""
    bad, total = (np.zeros((span.end_ms - span.begin_ms) // span.step_ms, np.int64) for _ in range(2))
    ends, verdicts = stored(indicator, moment, span.begin_ms, kept.span.begin_ms)
    _mark(bad, total, (ends - span.begin_ms) // span.step_ms - 1, verdicts)
    if kept.worth is not None and len(kept.worth.minute):
        minutes, at = np.unique(kept.worth.minute, return_inverse=True)
        verdicts = np.zeros(len(minutes), np.bool_)
        np.logical_or.at(verdicts, at, kept.worth.bad(indicator.bound))
        ends = kept.span.begin_ms + (minutes + 1) * MINUTE_MS
        _mark(bad, total, (ends - span.begin_ms) // span.step_ms - 1, verdicts)
    return bad, total


def _mark(bad: Ints, total: Ints, places: Ints, verdicts: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    inside = (places >= 0) & (places < len(bad))
    total[places[inside]] = 1
    bad[places[inside]] = verdicts[inside]


def _observed(its: Known, edges: Ints) -> Ints:
    """Covered milliseconds of each step."""
    if not its.cover.runs:
        return np.zeros(max(0, len(edges) - 1), np.int64)
    runs = np.array(its.cover.runs, np.int64)
    lengths = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0])])
    at = np.searchsorted(runs[:, 0], edges, side="left")
    last = np.maximum(0, at - 1)
    within = np.clip(edges - runs[last, 0], 0, runs[last, 1] - runs[last, 0])
    until = np.where(at > 0, lengths[last] + within, 0)
    found: Ints = np.diff(until)
    return found

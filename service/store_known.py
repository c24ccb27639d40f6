"""What of indicators is in memory: their series, and how far these are known; looked up anew only where it changed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from service.coverage import Cover, Run, joined
from service.flat import NONE, Ints
from service.store_series import Directory, Ids
from service.store_state import SeriesState
from slo.model import Allowance, EventRatio, Indicator, Matcher, MinuteSlices, Selector

SCRAPED: Final = "midwatch_container_scraped_seconds_total"
UNSCRAPED: Final = "midwatch_container_unscraped_seconds_total"
MOST_INDICATORS: Final = 20_000
"""Indicators whose series are kept."""
LIVE_MS: Final = 600_000
"""A series that has been silent so much longer than another of its indicator is taken as one that ended."""
_OWN: Final = ("midwatch_", "container_", "node_", "machine_")
_NEVER: Final = 2**62
_NOBODY: Final = np.zeros(0, np.int64)


class Members(NamedTuple):
    """The series of an indicator."""

    bad: Ids
    """Of bad events; of good ones where the indicator has those."""
    total: Ids
    every: Ids
    unscraped: Ids
    """Which tell of the time of its containers that no scrape told of; none where it is not scraped from containers."""
    scraped: Ids


class Known(NamedTuple):
    """What of an indicator is in memory, taken at the moment of which the cursor reads."""

    indicator: Indicator
    members: Members
    cover: Cover
    first_ms: int | None
    baselines_ms: tuple[int, ...]
    """When series of the indicator were first seen with an unknown start."""

    @property
    def bad(self) -> Ids:
        """Series of bad events; of good ones where `good`."""
        return self.members.bad

    @property
    def total(self) -> Ids:
        """Series of all events."""
        return self.members.total

    @property
    def good(self) -> bool:
        """True where `bad` are the series of good events."""
        return isinstance(self.indicator, EventRatio) and bool(self.indicator.good)


@dataclass(frozen=True)
class Group:
    """The series of many indicators, one after another."""

    indicators: tuple[Indicator, ...]
    members: tuple[Members, ...]
    generation: int

    def known(self, state: SeriesState, kept: Covers) -> list[Known]:
        """What is known of them now; to be called while nothing changes."""
        every, total = _Rows.of([it.every for it in self.members]), _Rows.of([it.total for it in self.members])
        columns = state.columns
        seen = columns.first_ms[every.ids] != NONE
        firsts = every.least(np.where(seen, columns.first_from_ms[every.ids], _NEVER))
        odd = np.flatnonzero(seen & columns.baseline[every.ids])
        baselines: dict[int, list[int]] = {}
        for row, at in zip(every.of_each[odd].tolist(), columns.first_ms[every.ids[odd]].tolist(), strict=True):
            baselines.setdefault(row, []).append(at)
        covers = kept.of(state, total)
        return [
            Known(indicator, its, cover, None if first == _NEVER else first, tuple(baselines.get(row, ())))
            for row, (indicator, its, cover, first) in enumerate(
                zip(self.indicators, self.members, covers, firsts, strict=True)
            )
        ]


class KnownBook:
    """Looks indicators up; a group that is asked for again is the same object as long as no series came or went."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._members: dict[Indicator, Members] = {}
        self._generation = -1
        self._group = Group((), (), -1)

    def group(self, indicators: Sequence[Indicator]) -> Group:
        """The series of these indicators; to be called while nothing changes."""
        generation, last = self._directory.generation, self._group
        asked = tuple(indicators)
        if last.generation == generation and last.indicators == asked:
            return last
        if generation != self._generation or len(self._members) > MOST_INDICATORS:
            self._members, self._generation = {}, generation
        found = Group(asked, tuple(self._of(it) for it in asked), generation)
        if len(asked) > 1:
            self._group = found
        return found

    def _of(self, indicator: Indicator) -> Members:
        found = self._members.get(indicator)
        if found is None:
            found = self._members[indicator] = members(indicator, self._directory)
        return found


def known(indicator: Indicator, directory: Directory, state: SeriesState) -> Known:
    """Look one indicator up."""
    return Group((indicator,), (members(indicator, directory),), directory.generation).known(state, Covers())[0]


def members(indicator: Indicator, directory: Directory) -> Members:
    """Look an indicator's series up."""
    match indicator:
        case EventRatio():
            bad, total = _union(directory, indicator.good or indicator.bad), _union(directory, indicator.total)
        case Allowance():
            bad, total = _union(directory, indicator.bad), _union(directory, indicator.exposure)
        case MinuteSlices():
            bad, total = directory.select(indicator.numerator), directory.select(indicator.denominator)
    unscraped, scraped = (_NOBODY, _NOBODY)
    if isinstance(indicator, EventRatio):
        unscraped, scraped = _scrapes(total, directory)
    return Members(bad, total, np.union1d(bad, total), unscraped, scraped)


def _union(directory: Directory, selectors: Sequence[Selector]) -> Ids:
    found = [directory.select(it) for it in selectors]
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def _scrapes(total: Ids, directory: Directory) -> tuple[Ids, Ids]:
    """What tells of the scrapes of those containers whose own metrics these series are."""
    if not directory.knows(UNSCRAPED):
        return _NOBODY, _NOBODY
    whose = set()
    for number in total.tolist():
        series = directory.series(number)
        labels = dict(series.labels)
        if "container" in labels and "service" in labels and not series.metric.startswith(_OWN):
            whose.add((labels["service"], labels.get("node_id", "")))
    found = []
    for metric in (UNSCRAPED, SCRAPED):
        of = [Selector(metric, (Matcher("service", "=", s), Matcher("node_id", "=", n))) for s, n in sorted(whose)]
        found.append(_union(directory, of) if of else _NOBODY)
    return found[0], found[1]


class _Rows(NamedTuple):
    """Ids of several rows, one after another."""

    ids: Ids
    begins: Ints
    sizes: Ints
    of_each: Ints

    @classmethod
    def of(cls, rows: Sequence[Ids]) -> _Rows:
        """These rows."""
        sizes = np.array([len(it) for it in rows], np.int64)
        ids = np.concatenate(rows) if rows else _NOBODY
        return cls(ids, np.cumsum(sizes) - sizes, sizes, np.repeat(np.arange(len(rows)), sizes))

    def least(self, values: Ints) -> list[int]:
        """The least value of each row, _NEVER of one without any."""
        found = np.full(len(self.sizes), _NEVER, np.int64)
        there = self.sizes > 0
        if there.any():
            found[there] = np.minimum.reduceat(values, self.begins[there])
        return found.tolist()


class Covers:
    """The covered time of rows of series; what ended of it is kept, so that only what goes on is added."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[object, tuple[Run, ...]]] = {}

    def of(self, state: SeriesState, rows: _Rows) -> list[Cover]:
        """The union of the covered time of each row."""
        columns, closed = state.columns, state.closed
        last, begun = columns.last_ms[rows.ids], columns.run_from_ms[rows.ids]
        seen = last != NONE
        first_last, first_begun = rows.least(np.where(seen, last, _NEVER)), rows.least(np.where(seen, begun, _NEVER))
        newest = [-it for it in rows.least(np.where(seen, -last, _NEVER))]
        latest = [-it for it in rows.least(np.where(seen, -begun, _NEVER))]
        whole = np.zeros(len(rows.sizes), np.bool_)
        if closed:
            ended = np.isin(rows.ids, np.fromiter(closed, np.int64, len(closed)))
            whole[rows.of_each[ended]] = True
        found = []
        for row, (any_ended, oldest, since, until, at) in enumerate(
            zip(whole.tolist(), first_last, first_begun, newest, latest, strict=True)
        ):
            if since == _NEVER:
                found.append(Cover(()))
            elif not any_ended and at <= oldest:
                found.append(Cover(((since, until),)))
            else:
                mine = slice(rows.begins[row], rows.begins[row] + rows.sizes[row])
                found.append(self._mixed(closed, rows.ids[mine], begun[mine], last[mine], until))
        return found

    def _mixed(self, closed: Mapping[int, tuple[Run, ...]], ids: Ids, begun: Ints, last: Ints, newest: int) -> Cover:
        """Of series some of which ended, or had gaps: what was over before is joined once."""
        over, runs, parts = list[Run](), list[Run](), list[object]()
        for number, since, until in zip(ids.tolist(), begun.tolist(), last.tolist(), strict=True):
            if until == NONE:
                continue
            mine = closed.get(number, ())
            ended = until < newest - LIVE_MS
            parts.append((mine, (since, until) if ended else None))
            over += [*mine, (since, until)] if ended else mine
            if not ended:
                runs.append((since, until))
        key = ids.tobytes()
        kept = self._kept.get(key)
        if kept is None or kept[0] != parts:
            if len(self._kept) >= MOST_INDICATORS:
                self._kept.clear()
            kept = self._kept[key] = parts, tuple(joined(over))
        open_runs = joined(runs)
        at = bisect_left(kept[1], open_runs[0][0], key=lambda run: run[1])
        return Cover((*kept[1][:at], *joined([*kept[1][at:], *open_runs])))

"""How windows of objectives are counted around what adjustments take out of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from service.store_schema import FIVE_MS
from slo.adjust import DAY_MS, Adjustment, Interval
from slo.model import Labels, MinuteSlices, Objective
from slo.taken import Piece, begin_of, clipped, owned, widened
from slo.text import utc

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
REACH_MS: Final = 367 * DAY_MS
"""How far before and after now adjustments are looked up: the longest window."""
MOST_PIECES: Final = 500
"""Times that are taken out of one objective's windows."""
MOST_IN_ALL: Final = 200_000
"""Times that are taken out of all objectives' windows together."""
MOST_KNOWN: Final = 20_000


@dataclass(frozen=True)
class Cut:
    """Which pieces lie in a window: those from `first` on, and the part of the one before that its begin cuts."""

    first: int
    part: Piece | None


@dataclass(frozen=True)
class Plan:
    """What is taken out of one objective's windows."""

    adjustments: tuple[Adjustment, ...]
    times: tuple[Piece, ...]
    """What is taken out, in whole slices of the objective, also what is still to come."""
    pieces: tuple[Piece, ...]
    """The same up to now; of what is kept in buckets alone, the whole buckets within."""
    asked: tuple[int, ...]
    """For each window how far it reaches back, so that it holds its length of time that counts."""
    cuts: tuple[Cut, ...]
    own: int
    """The place of the objective's own window, which reaches no further."""
    paused: str | None
    """Why the present is taken out; None where it counts."""
    left_off: int
    """Older times that are not taken out, for the bound."""

    @property
    def first(self) -> int:
        """The first piece that lies whole in any window."""
        return min(it.first for it in self.cuts)


class Planner:
    """Finds what is taken out of objectives; to be used by one thread at a time."""

    def __init__(self, moved: Callable[[Sequence[int]], list[int]]) -> None:
        """`moved` tells how counting moves edges that are so old that single samples are gone."""
        self._moved = moved
        self._adjustments: tuple[Adjustment, ...] = ()
        self._matched: dict[tuple[str, str, Labels, str | None], tuple[Adjustment, ...]] = {}
        self._times: dict[tuple[tuple[str, ...], int], tuple[Piece, ...]] = {}
        self._plans: dict[object, Plan] = {}
        self._hour, self._now_ms, self._most = -1, 0, MOST_PIECES

    def begin(self, adjustments: tuple[Adjustment, ...], objectives: Sequence[Objective], now_ms: int) -> None:
        """An evaluation begins, with the adjustments that stand."""
        if adjustments != self._adjustments or len(self._matched) > MOST_KNOWN:
            self._adjustments = adjustments
            self._matched.clear()
            self._times.clear()
        if now_ms // HOUR_MS != self._hour:
            self._hour = now_ms // HOUR_MS
            self._times.clear()
        self._plans.clear()
        self._now_ms = now_ms
        many = sum(bool(self.matched(it)) for it in objectives) if adjustments else 0
        self._most = min(MOST_PIECES, MOST_IN_ALL // max(many, 1))

    def matched(self, objective: Objective) -> tuple[Adjustment, ...]:
        """The adjustments that cover an objective."""
        if not self._adjustments:
            return ()
        key = objective.slo, objective.service, objective.scope, objective.part_of
        found = self._matched.get(key)
        if found is None:
            found = self._matched[key] = tuple(it for it in self._adjustments if it.covers(objective))
        return found

    def pieces(self, objective: Objective, since_ms: int, until_ms: int) -> tuple[Piece, ...]:
        """What is taken out of an objective within `(since, until]`, in whole slices of it, up to now."""
        mine = self.matched(objective)
        if not mine:
            return ()
        grain = grain_ms(objective)
        times = owned([[widened(one, grain) for one in it.within(since_ms, until_ms)] for it in mine])
        return tuple(clipped(times, since_ms, min(until_ms, max(self._now_ms, since_ms))))

    def times(self, objective: Objective) -> tuple[Piece, ...]:
        """What is taken out of an objective at any time, in whole slices of it."""
        mine = self.matched(objective)
        return self._expanded(mine, grain_ms(objective)) if mine else ()

    def plan(self, objective: Objective, spans: tuple[int, ...]) -> Plan | None:
        """How the windows `spans` of an objective are counted; None where nothing is taken out of them."""
        mine = self.matched(objective)
        if not mine:
            return None
        grain = grain_ms(objective)
        key = tuple(it.id for it in mine), grain, spans, objective.window_ms
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._made(mine, grain, spans, spans.index(objective.window_ms))
        ahead = objective.slices is not None and found.times
        return found if found.pieces or found.paused or ahead else None

    def _made(self, mine: tuple[Adjustment, ...], grain: int, spans: tuple[int, ...], own: int) -> Plan:
        now_ms = self._now_ms
        times = self._expanded(mine, grain)
        past = self.narrowed([it for it in clipped(times, 0, now_ms) if it.until_ms > now_ms - max(spans)])
        left_off = max(0, len(past) - self._most)
        pieces = tuple(past[left_off:])
        stretches = [(it.since_ms, it.until_ms) for it in pieces]
        least = now_ms - max(spans)
        begins = [
            now_ms - span if at == own else begin_of(now_ms, span, stretches, least) for at, span in enumerate(spans)
        ]
        return Plan(
            adjustments=mine,
            times=times,
            pieces=pieces,
            asked=tuple(now_ms - it for it in begins),
            cuts=tuple(_cut(pieces, it) for it in self._moved(begins)),
            own=own,
            paused=_paused(mine, now_ms),
            left_off=left_off,
        )

    def _expanded(self, mine: tuple[Adjustment, ...], grain: int) -> tuple[Piece, ...]:
        key = tuple(it.id for it in mine), grain
        found = self._times.get(key)
        if found is None:
            since, until = (self._hour * HOUR_MS + sign * REACH_MS for sign in (-1, 1))
            times = [[widened(one, grain) for one in it.within(since, until)] for it in mine]
            found = self._times[key] = owned(times)
        return found

    def narrowed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, of those whose single samples are gone the whole buckets within."""
        begins, ends = (self._moved([it[at] for it in pieces]) for at in (0, 1))
        rows = zip(pieces, begins, ends, strict=True)
        found = [Piece(a if a == it.since_ms else a + FIVE_MS, b, it.owner) for it, a, b in rows]
        return [it for it in found if it.since_ms < it.until_ms]


def grain_ms(objective: Objective) -> int:
    """The slices of time in which an objective is counted: what an adjustment touches of them is taken out whole."""
    if objective.slices is not None:
        return objective.slices.slice_ms
    return MINUTE_MS if objective.query is not None or isinstance(objective.indicator, MinuteSlices) else 1


def _cut(pieces: Sequence[Piece], begin_ms: int) -> Cut:
    first = bisect_right(pieces, begin_ms, key=lambda it: it.until_ms)
    if first < len(pieces) and pieces[first].since_ms < begin_ms:
        return Cut(first + 1, pieces[first]._replace(since_ms=begin_ms))
    return Cut(first, None)


def _paused(mine: Sequence[Adjustment], now_ms: int) -> str | None:
    for it in mine:
        found: list[Interval] = it.within(now_ms - 1, now_ms)
        if found:
            return f"Taken out of the budget until {utc(found[-1].until_ms)}: {it.reason} ({it.created_by})."
    return None

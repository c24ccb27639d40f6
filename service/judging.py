"""From objectives to judgements: what is counted in one reading, in slices, by queries, and composites of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.adjusted_counts import Asked, Left, TakenCounts, part_of, taken_out
from service.adjusted_plans import Plan, Planner, grain_ms
from service.errors import StoreFault
from service.ports import Readings
from service.slo_composites import Composites
from service.slo_faults import Faults
from service.slo_kept import KeptSlices
from service.slo_queries import Engine, QueriedCounts
from service.slo_revisions import revisions_of
from service.slo_slices import SlicedCounts
from service.slo_tails import Tails
from slo.adjust import Adjustment
from slo.burn import DEFAULT, Policy
from slo.held import HeldConditions
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective, TakenOut
from slo.tail import Leaving
from slo.taken import Slots, first_of, overlap, slots_of


class _Counted(NamedTuple):
    """An objective, or itself with why it can't be measured; its counts by window, and what was taken out of them."""

    objective: Objective
    counts: dict[int, Counts]
    taken_out: tuple[TakenOut, ...] = ()
    paused: str | None = None


class _Wanted(NamedTuple):
    """An objective that is counted in the store, its windows, and what is taken out of them."""

    objective: Objective
    spans: tuple[int, ...]
    plan: Plan | None

    @property
    def asked(self) -> tuple[int, ...]:
        """How far back its windows reach."""
        return self.spans if self.plan is None else self.plan.asked


class Judging:
    """Counts objectives and judges them; to be used by one thread at a time."""

    def __init__(
        self,
        store: Readings,
        engine: Engine | None = None,
        policy: Policy = DEFAULT,
        held: HeldConditions | None = None,
        raw_ms: int | None = None,
    ) -> None:
        """`engine` answers the queries of objectives, of samples kept for `raw_ms`; without one they are unmeasured."""
        self._store, self._policy = store, policy
        self.held = held or HeldConditions(policy)
        self.kept = KeptSlices(store.database)
        self._queried = None if engine is None else QueriedCounts(engine, kept=self.kept, raw_ms=raw_ms)
        self._sliced = SlicedCounts(store, revisions_of(store), policy, kept=self.kept)
        self.faults = Faults()
        """What of objectives failed."""
        self._composites = Composites(self._marks, self._slots, policy, self.faults)
        self._tails = Tails(self._tail_steps)
        self._planner = Planner(store.moved)
        self._taken = TakenCounts(store, revisions_of(store))
        self.left_off = 0
        """Times that were not taken out at the last evaluation, for the bound."""

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Counts of contiguous steps of each objective, as it is judged; a composite's are its members' together."""
        self._sliced.allow()
        if self._queried is not None:
            self._queried.allow()
        return self._all_steps(objectives, edges_ms)

    def _all_steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        single = [it for of in objectives for it in (self._composites.members(of) if of.members else [of])]
        found = self._steps_of(list(dict.fromkeys(single)), edges_ms)
        return [found[it] if not it.members else self._composites.steps(it, edges_ms, found) for it in objectives]

    def _steps_of(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> dict[Objective, list[Counts]]:
        counted = [it for it in objectives if it.query is None]
        found = iter(self._store.slices([it.indicator for it in counted], edges_ms))
        return {it: self._steps(it, edges_ms, [] if it.query is not None else next(found)) for it in objectives}

    def _steps(self, objective: Objective, edges_ms: Sequence[int], counts: list[Counts]) -> list[Counts]:
        pieces = self._planner.pieces(objective, edges_ms[0], edges_ms[-1]) if len(edges_ms) > 1 else ()
        taken = slots_of(pieces, grain_ms(objective)) if pieces else []
        if objective.query is not None:
            return [] if self._queried is None else self._queried.steps(objective, edges_ms, taken)
        if pieces:
            counts = self._taken.steps(objective.indicator, self._planner.narrowed(pieces), counts)
        return counts if objective.slices is None else self._sliced.steps(objective, edges_ms, counts, taken)

    def judged(
        self, objectives: Sequence[Objective], now_ms: int, adjustments: tuple[Adjustment, ...] = ()
    ) -> tuple[Judgement, ...]:
        """All judgements; those of what is counted from counts of one reading, without what adjustments take out.

        What fails of an objective makes that one unmeasured, and no other.
        """
        self.faults.begin(now_ms)
        self._sliced.refuse()  # the tails of windows are within them
        single = [self.faults.without(it) for it in objectives if not it.members]
        self._planner.begin(adjustments, single, now_ms)
        counted = [it for it in single if it.unmeasurable is None and it.query is None]
        rows = iter(self._counted(counted, now_ms))
        if self._queried is not None:
            self._queried.begin()
        found = [self._one(it, now_ms) if it.query or it.unmeasurable else next(rows) for it in single]
        judged = [self.guarded(it.objective, partial(self._of, it, now_ms), now_ms) for it in found]
        for index, tail in self._tails.of(judged).items():
            it = found[index]
            judged[index] = self.guarded(it.objective, partial(self._of, it, now_ms, tail), now_ms)
        paused = {(it.objective.slo, it.objective.service): it.paused for it in found if it.paused is not None}
        judged += self._composites.judged([it for it in objectives if it.members], judged, now_ms, paused)
        told = tuple(self._held(it, now_ms) if it.objective.conditions else it for it in judged)
        self.held.settle()
        return told

    def guarded(self, objective: Objective, run: Callable[[], Judgement], now_ms: int) -> Judgement:
        """The judgement that `run` makes; where it fails, one that says so."""
        return self.faults.guarded(objective, run, lambda it: judge(it, {}, now_ms, self._policy))

    def _of(self, it: _Counted, now_ms: int, tail: Sequence[Leaving] | None = None) -> Judgement:
        made = judge(it.objective, it.counts, now_ms, self._policy, it.paused, tail)
        return replace(made, taken_out=it.taken_out) if it.taken_out else made

    def _held(self, it: Judgement, now_ms: int) -> Judgement:
        return self.guarded(it.objective, partial(self.held.of, it), now_ms)

    def _tail_steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Of one objective; no steps where these can't be counted."""
        run = partial(self._all_steps, objectives, edges_ms)
        return self.faults.guarded(objectives[0], run, lambda it: [[]])

    def _one(self, objective: Objective, now_ms: int) -> _Counted:
        """What is not counted in the store."""
        if objective.unmeasurable is not None:
            return _Counted(objective, {})
        return self.faults.guarded(objective, partial(self._asked, objective, now_ms), lambda it: _Counted(it, {}))

    def _counted(self, objectives: Sequence[Objective], now_ms: int) -> list[_Counted]:
        """Counts of what is counted in the store."""
        wanted = [self.faults.guarded(it, partial(self._wanted, it), lambda of: of) for it in objectives]
        able = [it for it in wanted if isinstance(it, _Wanted)]
        self.left_off = sum(it.plan.left_off for it in able if it.plan)
        rows = self._rows(able, now_ms)
        whole = [(it, row) for it, row in zip(able, rows, strict=True) if not isinstance(row, Objective)]
        left = iter(self._left([(it, row) for it, row in whole if it.plan]))
        self._sliced.begin()
        found, at = list[_Counted](), iter(rows)
        for it in wanted:
            if isinstance(it, Objective):
                found.append(_Counted(it, {}))
                continue
            row = next(at)
            if isinstance(row, Objective):
                found.append(_Counted(row, {}))
                continue
            run = partial(self._filled, it, row, next(left) if it.plan else None, now_ms)
            found.append(self.faults.guarded(it.objective, run, lambda of: _Counted(of, {})))
        return found

    def _wanted(self, objective: Objective) -> _Wanted | Objective:
        spans = windows(objective, self._policy)
        return _Wanted(objective, spans, self._planner.plan(objective, spans))

    def _rows(self, wanted: Sequence[_Wanted], now_ms: int) -> list[list[Counts] | Objective]:
        """Counts of the windows of each, at once; where that fails, in halves, until it is known whose fault it is."""
        indicators, spans = [it.objective.indicator for it in wanted], [it.asked for it in wanted]
        try:
            return [*self._store.counts_of(indicators, spans, now_ms)]
        except StoreFault:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is no reason to judge nothing else
            if len(wanted) == 1:
                return [self.faults.leave_out(wanted[0].objective, fault)]
        half = len(wanted) // 2
        return [*self._rows(wanted[:half], now_ms), *self._rows(wanted[half:], now_ms)]

    def _left(self, rows: Sequence[tuple[_Wanted, list[Counts]]]) -> list[Left | Objective | None]:
        """What counts of those of whose budget something is taken out; at once, or each alone where that fails."""
        asked = [Asked(it.objective.indicator, it.plan, row) for it, row in rows if it.plan]
        try:
            return [*self._taken.left(asked)] if asked else []
        except StoreFault:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is no reason to judge nothing else
            if len(rows) == 1:
                return [self.faults.failed(rows[0][0].objective, fault)]
        return [found for it in rows for found in self._left([it])]

    def _filled(self, it: _Wanted, row: list[Counts], left: Left | Objective | None, now_ms: int) -> _Counted:
        """An objective with its counts by window."""
        if isinstance(left, Objective):
            return _Counted(left, {})
        if it.plan is None:
            return self._in_slices(it.objective, it.spans, row, now_ms)
        return self._around(it.objective, it.spans, it.plan, left, now_ms)

    def _around(
        self, objective: Objective, spans: tuple[int, ...], plan: Plan, left: Left | None, now_ms: int
    ) -> _Counted:
        """What counts, of an objective of whose budget something is taken out."""
        if left is None:
            return _Counted(replace(objective, unmeasurable="What is taken out of its budget is being counted."), {})
        taken = [] if objective.slices is None else slots_of(plan.times, objective.slices.slice_ms)
        found = self._in_slices(objective, spans, left.counts, now_ms, taken)
        taken_out = tuple(self._taken_slices(objective, plan, it, taken, now_ms) for it in left.taken_out)
        return found._replace(taken_out=taken_out, paused=plan.paused)

    def _taken_slices(
        self, objective: Objective, plan: Plan, it: TakenOut, taken: Sequence[Slots], now_ms: int
    ) -> TakenOut:
        """What an adjustment took out, in slices where the objective is judged by those."""
        if objective.slices is None:
            return it
        mine = [one for one in _own(objective, taken, now_ms) if plan.adjustments[one.owner].id == it.id]
        bad, total = self._sliced.spent(objective, mine)
        return replace(it, bad=bad, total=total)

    def _in_slices(
        self,
        objective: Objective,
        spans: tuple[int, ...],
        row: list[Counts],
        now_ms: int,
        taken: Sequence[Slots] = (),
    ) -> _Counted:
        """Counts by window, of slices where the objective is judged by those; nothing where these have to wait."""
        if objective.slices is not None:
            if not self._sliced.ready(objective, spans, now_ms):
                return _Counted(replace(objective, unmeasurable="Its slices are still being counted."), {})
            row = self._sliced.of(objective, spans, row, now_ms, taken)
        return _Counted(objective, dict(zip(spans, row, strict=True)))

    def _slots(self, objective: Objective) -> list[Slots]:
        """The slices that are taken out of an objective."""
        return slots_of(self._planner.times(objective), grain_ms(objective))

    def _marks(self, objective: Objective, first: int, until: int) -> NDArray[np.bool_] | None:
        """Bad slices that count; None where they are not known."""
        if objective.query is None:
            found = self._sliced.marks(objective, first, until)
        else:
            found = None if self._queried is None else self._queried.marks(objective, first, until)
        if found is not None:
            for it in overlap(self._slots(objective), first, until):
                found[it.first - first : it.until - first] = False
        return found

    def _asked(self, objective: Objective, now_ms: int) -> _Counted:
        """What queries count by window; nothing, and an objective that says why, where they don't."""
        if self._queried is None:
            return _Counted(replace(objective, unmeasurable="Nobody answers queries here."), {})
        spans = windows(objective, self._policy)
        plan = self._planner.plan(objective, spans)
        taken = [] if plan is None else slots_of(plan.times, grain_ms(objective))
        found = self._queried.of(objective, spans, now_ms, taken)
        if isinstance(found, Objective):
            return _Counted(found, {})
        counts = dict(zip(spans, found, strict=True))
        if plan is None:
            return _Counted(objective, counts)
        mine = _own(objective, taken, now_ms)
        rows = zip((it.owner for it in mine), map(part_of, self._queried.spent(objective, mine)), strict=True)
        return _Counted(objective, counts, taken_out(plan, rows, now_ms), plan.paused)


def _own(objective: Objective, taken: Sequence[Slots], now_ms: int) -> list[Slots]:
    """What of the slices lies in the objective's own window."""
    slice_ms = grain_ms(objective)
    first = first_of(objective, objective.window_ms, now_ms, slice_ms)
    return overlap(taken, first, now_ms // slice_ms + 1)

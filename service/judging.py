"""From objectives to judgements: what is counted in one reading, in slices, by queries, and composites of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.ports import Readings
from service.slo_composites import Composites
from service.slo_kept import KeptSlices
from service.slo_queries import Engine, QueriedCounts
from service.slo_slices import SlicedCounts, revisions_of
from slo.burn import DEFAULT, Policy
from slo.held import HeldConditions
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective


class Judging:
    """Counts objectives and judges them; to be used by one thread at a time."""

    def __init__(
        self,
        store: Readings,
        engine: Engine | None = None,
        policy: Policy = DEFAULT,
        held: HeldConditions | None = None,
    ) -> None:
        """`engine` answers the queries of objectives; without one these are unmeasured."""
        self._store, self._policy = store, policy
        self.held = held or HeldConditions(policy)
        self.kept = KeptSlices(store.database)
        self._queried = None if engine is None else QueriedCounts(engine, kept=self.kept)
        self._sliced = SlicedCounts(store, revisions_of(store), policy, kept=self.kept)
        self._composites = Composites(self._marks, policy)

    def steps(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Counts of contiguous steps of each objective, as it is judged; a composite's are its members' together."""
        single = [it for of in objectives for it in (self._composites.members(of) if of.members else [of])]
        found = self._steps_of(list(dict.fromkeys(single)), edges_ms)
        return [found[it] if not it.members else self._composites.steps(it, edges_ms, found) for it in objectives]

    def _steps_of(self, objectives: Sequence[Objective], edges_ms: Sequence[int]) -> dict[Objective, list[Counts]]:
        counted = [it for it in objectives if it.query is None]
        found = iter(self._store.slices([it.indicator for it in counted], edges_ms))
        return {it: self._steps(it, edges_ms, [] if it.query is not None else next(found)) for it in objectives}

    def _steps(self, objective: Objective, edges_ms: Sequence[int], counts: list[Counts]) -> list[Counts]:
        if objective.query is not None:
            return [] if self._queried is None else self._queried.steps(objective, edges_ms)
        return counts if objective.slices is None else self._sliced.steps(objective, edges_ms, counts)

    def judged(self, objectives: Sequence[Objective], now_ms: int) -> tuple[Judgement, ...]:
        """All judgements; those of what is counted from counts of one reading."""
        single = [it for it in objectives if not it.members]
        counted = [it for it in single if it.unmeasurable is None and it.query is None]
        wanted = [windows(it, self._policy) for it in counted]
        found = self._store.counts_of([it.indicator for it in counted], wanted, now_ms)
        self._sliced.begin()
        rows = iter(
            [self._in_slices(it, spans, row, now_ms) for it, spans, row in zip(counted, wanted, found, strict=True)]
        )
        if self._queried is not None:
            self._queried.begin()
        judged = []
        for it in single:
            of, counts = it, dict[int, Counts]()
            if it.query is None and it.unmeasurable is None:
                of, counts = next(rows)
            elif it.unmeasurable is None:
                of, counts = self._asked(it, now_ms)
            judged.append(judge(of, counts, now_ms, self._policy))
        judged += self._composites.judged([it for it in objectives if it.members], judged, now_ms)
        told = tuple(self.held.of(it) if it.objective.conditions else it for it in judged)
        self.held.settle()
        return told

    def _in_slices(
        self, objective: Objective, spans: tuple[int, ...], row: list[Counts], now_ms: int
    ) -> tuple[Objective, dict[int, Counts]]:
        """Counts by window, of slices where the objective is judged by those; nothing where these have to wait."""
        if objective.slices is not None:
            if not self._sliced.ready(objective, spans, now_ms):
                return replace(objective, unmeasurable="Its slices are still being counted."), {}
            row = self._sliced.of(objective, spans, row, now_ms)
        return objective, dict(zip(spans, row, strict=True))

    def _marks(self, objective: Objective, first: int, until: int) -> NDArray[np.bool_]:
        if objective.query is None:
            return self._sliced.marks(objective, first, until)
        return np.zeros(until - first, np.bool_) if self._queried is None else self._queried.marks(
            objective, first, until
        )  # fmt: skip

    def _asked(self, objective: Objective, now_ms: int) -> tuple[Objective, dict[int, Counts]]:
        """What queries count by window; nothing, and an objective that says why, where they don't."""
        if self._queried is None:
            return replace(objective, unmeasurable="Nobody answers queries here."), {}
        spans = windows(objective, self._policy)
        found = self._queried.of(objective, spans, now_ms)
        return (found, {}) if isinstance(found, Objective) else (objective, dict(zip(spans, found, strict=True)))

"""Composites: judged from their members' judgements, and of Timeslices from their members' slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.slo_faults import Faults
from slo.burn import DEFAULT, Policy
from slo.composite import Paid, costs, judge_composite, paid, payers, spread, union_counts
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective
from slo.slices import Timeslices
from slo.taken import Slots, first_of, reaching

Marks = Callable[[Objective, int, int], NDArray[np.bool_] | None]
"""Which slices `first` to `until` (not among them) are bad for an objective, as judged last; None where not known."""
Taken = Callable[[Objective], Sequence[Slots]]
"""Which slices are taken out of an objective's budget."""


class Composites:
    """Judges composites after their members; to be used by one thread at a time."""

    def __init__(self, marks: Marks, taken: Taken, policy: Policy = DEFAULT, faults: Faults | None = None) -> None:
        self._marks, self._taken, self._policy = marks, taken, policy
        self._faults = faults or Faults()
        self._members: dict[tuple[str, str], list[Objective]] = {}

    def judged(
        self,
        composites: Sequence[Objective],
        judged: Sequence[Judgement],
        now_ms: int,
        paused: Mapping[tuple[str, str], str],
    ) -> list[Judgement]:
        """The judgements of composites, from those of their members at the same moment.

        `paused` has why the present is taken out of a member's budget, by name and service: of its composites' too.
        """
        if not composites:
            self._members = {}
            return []
        known = {(it.objective.slo, it.objective.service): it for it in judged}
        found = [(it, [known.get((name, it.service)) for name, _ in it.members]) for it in composites]
        whole = [(it, [one for one in members if one is not None]) for it, members in found]
        self._members = {
            (it.slo, it.service): [one.objective for one in members]
            for it, members in whole
            if len(members) == len(it.members)
        }
        return [
            self._faults.guarded(it, partial(self._judged, it, members, now_ms, paused), partial(self._blind, now_ms))
            for it, members in whole
        ]

    def _blind(self, now_ms: int, composite: Objective) -> Judgement:
        return judge(composite, {}, now_ms, self._policy)

    def members(self, composite: Objective) -> list[Objective]:
        """Its members, as they were judged last; none where it could not be."""
        return self._members.get((composite.slo, composite.service), [])

    def steps(
        self, composite: Objective, edges_ms: Sequence[int], of_members: Mapping[Objective, list[Counts]]
    ) -> list[Counts]:
        """Counts of contiguous steps, from those of its members."""
        members = self.members(composite)
        if not members:
            return []
        rows = [of_members[it] for it in members]
        if not isinstance(composite.slices, Timeslices):
            return spread(rows, members, composite)
        ends = [edge // composite.slices.slice_ms + 1 for edge in edges_ms]
        prices = costs(members, [weight for _, weight in composite.members])
        who = self._payers(members, composite, ends[0], ends[-1])
        if who is None:
            return []
        return [
            union_counts(list(row), paid(who[begin - ends[0] : end - ends[0]], prices), prices)
            for row, (begin, end) in zip(zip(*rows, strict=True), pairwise(ends), strict=True)
        ]

    def _judged(
        self,
        composite: Objective,
        members: Sequence[Judgement],
        now_ms: int,
        paused: Mapping[tuple[str, str], str],
    ) -> Judgement:
        if composite.unmeasurable is None and len(members) < len(composite.members):
            composite = replace(composite, unmeasurable="One of its members is no objective of its own.")
        if composite.unmeasurable is not None:
            return judge(composite, {}, now_ms, self._policy)
        together = self._together(composite, members, now_ms)
        if together is None and isinstance(composite.slices, Timeslices) and all(it.rows for it in members):
            # what is not known is not good
            composite = replace(composite, unmeasurable="Slices of its members are more than are kept in memory.")
            return judge(composite, {}, now_ms, self._policy)
        keys = [(name, composite.service) for name, _ in composite.members]
        why = next((paused[key] for key in keys if key in paused), None)
        return judge_composite(composite, members, now_ms, self._policy, together, why)

    def _together(self, composite: Objective, members: Sequence[Judgement], now_ms: int) -> Mapping[int, Paid] | None:
        """What the slices of each window cost, where slices are judged and each member's are known."""
        if not isinstance(composite.slices, Timeslices) or not all(it.rows for it in members):
            return None
        slice_ms = composite.slices.slice_ms
        until = now_ms // slice_ms + 1
        plain = {ms: first_of(composite, ms, now_ms, slice_ms) for ms in windows(composite, self._policy)}
        objectives = [it.objective for it in members]
        prices = costs(objectives, [weight for _, weight in composite.members])
        least = min(plain.values())
        who, taken = self._payers(objectives, composite, least, until), self._taken(composite)
        if who is None:
            return None
        firsts = {
            ms: first if ms == composite.window_ms or not taken else reaching(until, until - first, taken, least)
            for ms, first in plain.items()
        }
        return {ms: paid(who[first - least :], prices) for ms, first in firsts.items()}

    def _payers(
        self, members: Sequence[Objective], composite: Objective, first: int, until: int
    ) -> NDArray[np.int64] | None:
        prices = costs(members, [weight for _, weight in composite.members])
        bad = [it for it in (self._marks(one, first, until) for one in members) if it is not None]
        return payers(bad, prices) if len(bad) == len(members) else None

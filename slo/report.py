"""The report of one objective for any period: exact counts in, what was kept and what the budget went into out.

The budget of a period is what the period allows: the share that may be bad times all that was counted in it. A
composite counts nothing itself: it spends the sum of what its members spend, each times its weight (slo.composite).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from slo.budget import sli_of
from slo.burn import covered
from slo.composite import composite_ratio
from slo.history import Change
from slo.model import Counts, Objective
from slo.slices import RatioTimeslices

MOST_WORST: Final = 10
MINUTE_MS: Final = 60_000


class Part(NamedTuple):
    """What spends a budget: the objective itself, or a member of a composite with its weight."""

    objective: Objective
    weight: Fraction = Fraction(1)


class Tally(NamedTuple):
    """One stretch of time, exact; None where nothing was counted that could tell."""

    counts: Counts
    """Of a composite: bad and total are 0, time is that of its least observed member."""
    sli: Fraction | None
    spent: Fraction | None
    """The share of the whole period's budget that went in it."""

    @property
    def unmeasured_ms(self) -> int:
        """Time that was expected to be observed and was not."""
        return max(0, self.counts.expected_ms - self.counts.observed_ms)


class Happened(NamedTuple):
    """A stretch of time of a name: an incident while it was open."""

    name: str
    since_ms: int
    until_ms: int


@dataclass(frozen=True)
class Report:
    """What became of one objective in a period `(since, until]`."""

    objective: Objective
    since_ms: int
    until_ms: int
    whole: Tally
    days: tuple[Tally, ...] = ()
    during: tuple[tuple[Happened, Tally], ...] = ()
    """What went while something happened; where things happened together it is in each of them."""
    elsewhere: Fraction | None = None
    """The share that went while nothing of this happened."""
    worst: tuple[Tally, ...] = ()
    """The stretches with the most bad events for their length, the worst first."""
    no_traffic_ms: int | None = None
    """Time that was observed and in which nothing was counted; None where that was not looked for."""
    changes: tuple[Change, ...] = ()

    @property
    def attained(self) -> bool | None:
        """True where no more was bad than the objective allows; None where nothing was counted.

        Of a composite with a member that was never seen, what the others spent can only tell that it was missed.
        """
        if self.whole.spent is None or self.whole.spent > 1:
            return None if self.whole.spent is None else False
        return None if self.objective.members and self.whole.counts.first_ms is None else True

    @property
    def in_part(self) -> bool:
        """True where too little of the period was observed: what is told is of the rest."""
        return not covered(self.whole.counts)

    @property
    def left(self) -> tuple[Fraction | None, ...]:
        """What is left of the period's budget after each day; None for a day in which nothing was counted."""
        found, gone = [], Fraction(0)
        for day in self.days:
            gone += day.spent or 0
            found.append(None if day.spent is None else 1 - gone)
        return tuple(found)


class Budget:
    """What a period allows, by which each stretch of it is measured."""

    def __init__(self, objective: Objective, parts: Sequence[Part], wholes: Sequence[Counts]) -> None:
        """`wholes` are the counts of the whole period of each part."""
        self._objective, self._parts = objective, tuple(parts)
        self._allowed = [it.objective.budget * whole.total for it, whole in zip(parts, wholes, strict=True)]

    def tally(self, counts: Sequence[Counts]) -> Tally:
        """One stretch of time, from the counts of each part."""
        whole = not self._objective.members or self._objective in [it.objective for it in self._parts]
        own = counts[0] if whole else _least(counts)
        sli = sli_of(self._objective, own) if whole else self._ratios(counts)
        return Tally(own, sli, self._spent(counts))

    def _ratios(self, counts: Sequence[Counts]) -> Fraction | None:
        """Of a composite of RatioTimeslices what the misses of members with traffic leave."""
        rows = [(1 - Fraction(it.bad, it.total), part.weight) for part, it in zip(self._parts, counts, strict=True)
                if it.total > 0]  # fmt: skip
        return composite_ratio(rows) if rows and isinstance(self._objective.slices, RatioTimeslices) else None

    def _spent(self, counts: Sequence[Counts]) -> Fraction | None:
        if not self._parts:
            return None
        rows = zip(self._parts, self._allowed, counts, strict=True)
        shares = [it.weight * Fraction(one.bad) / allowed for it, allowed, one in rows if allowed and one.total > 0]
        return sum(shares, Fraction(0)) if shares else None


def _least(counts: Sequence[Counts]) -> Counts:
    """The time of the least observed member, with nothing counted."""
    least = min(counts, key=lambda it: it.coverage if it.coverage is not None else Fraction(-1))
    return Counts(
        least.since_ms, least.until_ms, 0, 0, least.observed_ms, least.expected_ms,
        first_ms=None if any(it.first_ms is None for it in counts) else max(it.first_ms or 0 for it in counts),
        taken_ms=max(it.taken_ms for it in counts),
    )  # fmt: skip


def merged(steps: Sequence[Counts]) -> Counts:
    """Contiguous steps as one."""
    return Counts(
        steps[0].since_ms,
        steps[-1].until_ms,
        sum(it.bad for it in steps),
        sum(it.total for it in steps),
        sum(it.observed_ms for it in steps),
        sum(it.expected_ms for it in steps),
        sum(it.unknown_starts for it in steps),
        next((it.first_ms for it in steps if it.first_ms is not None), None),
        missed=_missed(steps),
        taken_ms=sum(it.taken_ms for it in steps),
    )


def _missed(steps: Sequence[Counts]) -> Fraction | None:
    """Of slices of a composite: the bad ones of all."""
    rows = [(it.missed, it.total) for it in steps if it.missed is not None]
    total = sum(slices for _, slices in rows)
    return sum((missed * slices for missed, slices in rows), Fraction(0)) / total if total else None


def edges_of(happened: Sequence[Happened], since_ms: int, until_ms: int) -> list[int]:
    """The edges that cut a period so that each thing that happened is made of whole steps."""
    inner = {at for it in happened for at in (it.since_ms, it.until_ms) if since_ms < at < until_ms}
    return [since_ms, *sorted(inner), until_ms]


def during(
    budget: Budget, happened: Sequence[Happened], edges_ms: Sequence[int], steps: Sequence[Sequence[Counts]]
) -> tuple[tuple[tuple[Happened, Tally], ...], Fraction | None]:
    """What went while each thing happened, and what went while none did; `steps` of each part between the edges."""
    pairs = list(pairwise(edges_ms))
    found = []
    for it in happened:
        mine = [at for at, (begin, end) in enumerate(pairs) if it.since_ms <= begin and end <= it.until_ms]
        if mine:
            found.append((it, budget.tally([merged([part[at] for at in mine]) for part in steps])))
    free = [
        at
        for at, (begin, end) in enumerate(pairs)
        if not any(it.since_ms <= begin and end <= it.until_ms for it in happened)
    ]
    rest = [budget.tally([part[at] for part in steps]).spent for at in free]
    known = [it for it in rest if it is not None]
    return tuple(found), sum(known, Fraction(0)) if known else None


def worst(budget: Budget, fine: Sequence[Counts], most: int = MOST_WORST) -> tuple[Tally, ...]:
    """The stretches with the most bad events for their length; of equal ones the latest.

    One of which less than half was observed is left out: what is counted first after a gap came in all of its time.
    """
    bad = [it for it in fine if it.bad > 0 and 2 * (it.observed_ms + it.taken_ms) >= it.until_ms - it.since_ms]
    bad.sort(key=lambda it: (-Fraction(it.bad, it.until_ms - it.since_ms), -it.until_ms))
    return tuple(budget.tally([it]) for it in bad[:most])


def no_traffic_ms(fine: Sequence[Counts]) -> int:
    """Time of stretches in which something was observed and nothing counted."""
    return sum(it.observed_ms for it in fine if it.total <= 0)

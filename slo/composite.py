"""Composites of OpenSLO: several objectives that burn one budget, each with its weight.

OpenSLO names no target of a composite, only how members burn it. So a composite's burn is declared here as the weighted
sum of its members' burns; a member without traffic adds nothing, and where none has any there is no burn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from slo.budget import burn
from slo.burn import DEFAULT, Policy
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective, TakenOut
from slo.slices import Slice, Timeslices, spent


class Member(NamedTuple):
    """One member's burn, None without traffic, and its weight."""

    burn: Fraction | None
    weight: Fraction = Fraction(1)


def composite_burn(members: Sequence[Member]) -> Fraction | None:
    """Occurrences: the sum of weight x burn."""
    burns = [it.weight * it.burn for it in members if it.burn is not None]
    return sum(burns, Fraction(0)) if burns else None


def composite_ratio(members: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """RatioTimeslices: misses add, so (SLI, weight) of 95 % and 95 % make 90 %; not clamped."""
    return 1 - sum(((1 - sli) * weight for sli, weight in members), Fraction(0))


def composite_slices(members: Sequence[tuple[Timeslices, Sequence[Slice | None]]]) -> list[bool | None]:
    """Timeslices: a slice is bad (False) where it is bad for any member; None where no member knows.

    A slice that one member calls good while another does not know it is not known either: silence is not health.
    """
    columns = zip(*(slices for _, slices in members), strict=True)
    return [
        _together([_good(method, it) for (method, _), it in zip(members, column, strict=True)]) for column in columns
    ]


def _good(method: Timeslices, part: Slice | None) -> bool | None:
    """Without traffic a slice is not bad."""
    return None if part is None else spent(method, [part], 1).bad == 0


def _together(outcomes: Sequence[bool | None]) -> bool | None:
    if False in outcomes:
        return False
    return None if None in outcomes else True


def judge_composite(
    objective: Objective,
    members: Sequence[Judgement],
    now_ms: int,
    policy: Policy = DEFAULT,
    paused: str | None = None,
) -> Judgement:
    """The judgement of a composite from those of its members at the same moment, in the order of their names.

    Its burn is the weighted sum of theirs, so that its budget is 1: as counts it is that sum's numerator of its
    denominator. It is covered as its least covered member is, and as old as its youngest.
    """
    blind = next((it for it in members if not it.rows), None)
    if blind is not None:
        why = f"Its member {blind.objective.slo} is not measured: {blind.reason}"
        return judge(replace(objective, unmeasurable=why), {}, now_ms, policy)
    tables = [_by_window(it) for it in members]
    weights = [weight for _, weight in objective.members]
    counts = {ms: _sum(objective, ms, members, [it[ms] for it in tables], weights) for ms in windows(objective, policy)}
    found = judge(objective, counts, now_ms, policy, paused)
    return replace(found, taken_out=_taken_out(members))


def _taken_out(members: Sequence[Judgement]) -> tuple[TakenOut, ...]:
    """What each adjustment took out: events of all members, the most time of any."""
    found: dict[str, TakenOut] = {}
    for it in (one for member in members for one in member.taken_out):
        so_far = found.get(it.id, replace(it, bad=0, total=0))
        found[it.id] = replace(so_far, ms=max(so_far.ms, it.ms), bad=so_far.bad + it.bad, total=so_far.total + it.total)
    return tuple(found.values())


def _by_window(judgement: Judgement) -> Mapping[int, Counts]:
    rows = judgement.rows
    long, short = {it.row.long_ms: it.long_counts for it in rows}, {it.row.short_ms: it.short_counts for it in rows}
    return {**long, **short, judgement.objective.window_ms: judgement.counts}


def _sum(
    objective: Objective,
    window_ms: int,
    members: Sequence[Judgement],
    counts: Sequence[Counts],
    weights: Sequence[Fraction],
) -> Counts:
    """One window of all members; one that history does not fill yet is held against the whole, as a row's is."""
    burns = [
        Member(_scaled(burn(it, one.objective.budget), it, objective, window_ms, one.objective), weight)
        for one, it, weight in zip(members, counts, weights, strict=True)
    ]
    whole = composite_burn(burns)
    least = min(counts, key=lambda it: it.coverage if it.coverage is not None else Fraction(-1))
    firsts = [it.first_ms for it in counts]
    return Counts(
        since_ms=least.since_ms,
        until_ms=least.until_ms,
        bad=0 if whole is None else whole.numerator,
        total=0 if whole is None else whole.denominator,
        observed_ms=least.observed_ms,
        expected_ms=least.expected_ms,
        unknown_starts=sum(it.unknown_starts for it in counts),
        first_ms=None if None in firsts else max(it for it in firsts if it is not None),
        events=(sum(it.bad_events for it in counts), sum(it.all_events for it in counts)),
    )


def _scaled(rate: Fraction | None, counts: Counts, of: Objective, window_ms: int, member: Objective) -> Fraction | None:
    """A member's burn; in windows of rows as if its history were whole, and no traffic where there is none yet."""
    if rate is None or window_ms == of.window_ms or isinstance(member.slices, Timeslices):
        return rate
    return rate * Fraction(counts.expected_ms, window_ms) if counts.expected_ms < window_ms else rate

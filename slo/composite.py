"""Composites of OpenSLO: several objectives that burn one budget, each with its weight.

OpenSLO names no target of a composite, only how members burn it. So a composite's burn is declared here as the weighted
sum of its members' burns; a member without traffic adds nothing, and where none has any there is no burn. Of slices
it has an SLI too: Timeslices the share of slices that are bad for no member, RatioTimeslices what the members' misses
leave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from slo.budget import burn
from slo.burn import DEFAULT, Policy
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective, TakenOut
from slo.slices import RatioTimeslices, Timeslices

STEP_PARTS: Final = 1000
"""Parts of a millisecond in which steps of a composite are told."""


class Member(NamedTuple):
    """One member's burn, None without traffic, and its weight."""

    burn: Fraction | None
    weight: Fraction = Fraction(1)


class Paid(NamedTuple):
    """What slices that are bad for any member cost, and how many there are."""

    cost: Fraction
    slices: int


def composite_burn(members: Sequence[Member]) -> Fraction | None:
    """Occurrences: the sum of weight x burn."""
    burns = [it.weight * it.burn for it in members if it.burn is not None]
    return sum(burns, Fraction(0)) if burns else None


def composite_ratio(members: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """RatioTimeslices: misses add, so (SLI, weight) of 95 % and 95 % make 90 %; not clamped."""
    return 1 - sum(((1 - sli) * weight for sli, weight in members), Fraction(0))


def costs(members: Sequence[Objective], weights: Sequence[Fraction]) -> list[Fraction]:
    """What a member's bad slice takes of the composite's budget of 1, times the slices of its window."""
    return [weight / it.budget for it, weight in zip(members, weights, strict=True)]


def payers(bad: Sequence[NDArray[np.bool_]], prices: Sequence[Fraction]) -> NDArray[np.int64]:
    """Timeslices: the member that pays for each slice, from 1 on; 0 where the slice is bad for none.

    A slice is bad where it is bad for any member, and bad once: of several the dearest pays, the first of equals.
    """
    found = np.zeros(len(bad[0]) if bad else 0, np.int64)
    for at in sorted(range(len(bad)), key=lambda at: -prices[at]):
        found[(found == 0) & bad[at]] = at + 1
    return found


def paid(who: NDArray[np.int64], prices: Sequence[Fraction]) -> Paid:
    """What slices cost together, exact, and how many of them are bad."""
    times = np.bincount(who, minlength=len(prices) + 1).tolist()[1:]
    return Paid(sum((n * price for n, price in zip(times, prices, strict=True)), Fraction(0)), sum(times))


def judge_composite(
    objective: Objective,
    members: Sequence[Judgement],
    now_ms: int,
    policy: Policy = DEFAULT,
    together: Mapping[int, Paid] | None = None,
    paused: str | None = None,
) -> Judgement:
    """The judgement of a composite from those of its members at the same moment, in the order of their names.

    Its burn is the weighted sum of theirs, so that its budget is 1: as counts it is that sum's numerator of its
    denominator. Of Timeslices it is what the slices of each window cost together, `together`. It is covered as its
    least covered member is, and as old as its youngest.
    """
    blind = next((it for it in members if not it.rows), None)
    if blind is not None:
        return judge(replace(objective, unmeasurable=_because(blind)), {}, now_ms, policy)
    tables = [_by_window(it) for it in members]
    weights = [weight for _, weight in objective.members]
    counts = {
        ms: _sum(objective, ms, members, [it[ms] for it in tables], weights)
        if together is None
        else union_counts([it[ms] for it in tables], together[ms], costs([it.objective for it in members], weights))
        for ms in windows(objective, policy)
    }
    found = judge(objective, counts, now_ms, policy, paused)
    unseen = next((it for it in members if it.state == "unmeasured"), None)
    told = unseen is not None and found.state == "unmeasured" and not paused
    reason = _because(unseen) if told and unseen else found.reason
    return replace(found, reason=reason, taken_out=_taken_out(members))


def _because(member: Judgement) -> str:
    return f"Its member {member.objective.slo} is not measured: {member.reason}"


def _taken_out(members: Sequence[Judgement]) -> tuple[TakenOut, ...]:
    """What each adjustment took out: events of all members, the most time of any."""
    found: dict[str, TakenOut] = {}
    for it in (one for member in members for one in member.taken_out):
        so_far = found.get(it.id, replace(it, bad=0, total=0))
        found[it.id] = replace(so_far, ms=max(so_far.ms, it.ms), bad=so_far.bad + it.bad, total=so_far.total + it.total)
    return tuple(found.values())


def union_counts(counts: Sequence[Counts], found: Paid, prices: Sequence[Fraction]) -> Counts:
    """One window of all members by slices: `bad` and `total` are in parts in which every price is whole."""
    unit = math.lcm(*(it.denominator for it in prices))
    slices = max(it.total for it in counts)
    return replace(
        _common(counts),
        bad=int(found.cost * unit) if slices else 0,
        total=slices * unit,
        missed=Fraction(found.slices, slices) if slices else None,
    )


def spread(steps: Sequence[Sequence[Counts]], members: Sequence[Objective], of: Objective) -> list[Counts]:
    """Contiguous steps of a composite from those of its members, so that they add up to its burn over all of them.

    A budget of 1 is spread evenly over the time since the first sight: `total` of a step is its thousandths of
    milliseconds, and `bad` what its members took of that, rounded so that sums are rounded once.
    """
    prices = costs(members, [weight for _, weight in of.members])
    wholes = [sum(it.total for it in own) for own in steps]
    shared = [_common(row) for row in zip(*steps, strict=True)]
    first = next((it.first_ms for it in shared if it.first_ms is not None), None)
    seen = [first is not None and it.until_ms > first for it in shared]
    span_ms = sum(it.until_ms - it.since_ms for it, known in zip(shared, seen, strict=True) if known)
    found, burnt, told = [], Fraction(0), 0
    for at, (it, known) in enumerate(zip(shared, seen, strict=True)):
        row = [own[at] for own in steps]
        rates = [price * one.bad / whole for price, one, whole in zip(prices, row, wholes, strict=True) if whole > 0]
        burnt += sum(rates, Fraction(0))
        now = round(burnt * span_ms * STEP_PARTS)
        total = (it.until_ms - it.since_ms) * STEP_PARTS if known and any(wholes) else 0
        found.append(replace(it, bad=now - told, total=total, missed=_missed(of, row)))
        told = now
    return found


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
    return replace(
        _common(counts),
        bad=0 if whole is None else whole.numerator,
        total=0 if whole is None else whole.denominator,
        missed=_missed(objective, counts),
    )


def _missed(of: Objective, counts: Sequence[Counts]) -> Fraction | None:
    """RatioTimeslices: the misses of members with traffic, added; of Occurrences there is no such share."""
    if not isinstance(of.slices, RatioTimeslices):
        return None
    rows = [(1 - Fraction(it.bad, it.total), weight) for it, (_, weight) in zip(counts, of.members, strict=True)
            if it.total > 0]  # fmt: skip
    return 1 - composite_ratio(rows) if rows else None


def _common(counts: Sequence[Counts]) -> Counts:
    """Coverage and events of all members' counts of one time; nothing of it is bad yet."""
    least = min(counts, key=lambda it: it.coverage if it.coverage is not None else Fraction(-1))
    firsts = [it.first_ms for it in counts]
    return Counts(
        since_ms=least.since_ms,
        until_ms=least.until_ms,
        bad=0,
        total=0,
        observed_ms=least.observed_ms,
        expected_ms=least.expected_ms,
        unknown_starts=sum(it.unknown_starts for it in counts),
        first_ms=None if None in firsts else max(it for it in firsts if it is not None),
        events=(sum(it.bad_events for it in counts), sum(it.all_events for it in counts)),
        taken_ms=least.taken_ms,
        unscraped_ms=sum(it.unscraped_ms for it in counts),
        unscraped_events=sum(it.unscraped_events for it in counts),
    )


def _scaled(rate: Fraction | None, counts: Counts, of: Objective, window_ms: int, member: Objective) -> Fraction | None:
    """A member's burn; in windows of rows as if its history were whole, and no traffic where there is none yet."""
    if rate is None or window_ms == of.window_ms or isinstance(member.slices, Timeslices):
        return rate
    return rate * Fraction(counts.expected_ms, window_ms) if counts.expected_ms < window_ms else rate

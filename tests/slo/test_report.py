"""The arithmetic of reports against a second, naive one, minute by minute."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from slo.builtin import Catalogue, ServiceFacts, builtin
from slo.model import Counts, Objective
from slo.report import Budget, Happened, Part, during, edges_of, merged, no_traffic_ms, worst

MINUTE = 60_000
OBJECTIVE = next(
    it for it in builtin([ServiceFacts("shop/api", 2, {}, True, ("n1",))], Catalogue()) if it.slo == "container-up"
)
MINUTES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 1000)).map(lambda it: (min(it), it[1])), min_size=2, max_size=60
)


def counts(minutes: Sequence[tuple[int, int]], begin: int, end: int) -> Counts:
    mine = minutes[begin:end]
    length = (end - begin) * MINUTE
    return Counts(
        begin * MINUTE, end * MINUTE, sum(bad for bad, _ in mine), sum(n for _, n in mine), length, length, 0, 0
    )


def budget(minutes: Sequence[tuple[int, int]], objective: Objective = OBJECTIVE) -> Budget:
    return Budget(objective, [Part(objective)], [counts(minutes, 0, len(minutes))])


@given(MINUTES, st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60)), max_size=6))
def test_what_went_during_incidents_equals_a_count_minute_for_minute(
    minutes: list[tuple[int, int]], spans: list[tuple[int, int]]
) -> None:
    end = len(minutes)
    happened = [
        Happened(str(at), begin * MINUTE, min(begin + length, end) * MINUTE)
        for at, (begin, length) in enumerate(spans)
        if begin < end
    ]
    edges = edges_of(happened, 0, end * MINUTE)
    steps = [[counts(minutes, a // MINUTE, b // MINUTE) for a, b in itertools.pairwise(edges)]]
    shares, elsewhere = during(budget(minutes), happened, edges, steps)
    allowed = OBJECTIVE.budget * sum(total for _, total in minutes)
    for it, tally in shares:
        inside = minutes[it.since_ms // MINUTE : it.until_ms // MINUTE]
        assert (tally.counts.bad, tally.counts.total) == (sum(b for b, _ in inside), sum(t for _, t in inside))
        if tally.counts.total:
            assert tally.spent == sum(b for b, _ in inside) / allowed
    outside = [
        it for at, it in enumerate(minutes) if not any(one.since_ms <= at * MINUTE < one.until_ms for one in happened)
    ]
    if sum(total for _, total in outside):
        assert elsewhere == sum(bad for bad, _ in outside) / allowed
    else:
        assert elsewhere is None


@given(MINUTES)
def test_the_parts_of_a_period_spend_what_the_whole_spends(minutes: list[tuple[int, int]]) -> None:
    found = budget(minutes)
    parts = [found.tally([counts(minutes, at, at + 1)]) for at in range(len(minutes))]
    whole = found.tally([merged([it.counts for it in parts])])
    if whole.counts.total:
        assert sum((it.spent or Fraction(0)) for it in parts) == whole.spent
        assert whole.sli == 1 - Fraction(whole.counts.bad, whole.counts.total)
    else:
        assert (whole.spent, whole.sli) == (None, None)


@given(MINUTES)
def test_the_worst_minutes_are_those_with_the_most_bad_events(minutes: list[tuple[int, int]]) -> None:
    fine = [counts(minutes, at, at + 1) for at in range(len(minutes))]
    found = worst(budget(minutes), fine, 5)
    assert [it.counts.bad for it in found] == sorted((bad for bad, _ in minutes if bad), reverse=True)[:5]
    assert no_traffic_ms(fine) == MINUTE * sum(total == 0 for _, total in minutes)


def test_five_minutes_are_held_against_single_ones_by_their_length() -> None:
    five = Counts(0, 5 * MINUTE, 9, 50, 5 * MINUTE, 5 * MINUTE)
    single = Counts(5 * MINUTE, 6 * MINUTE, 2, 9, MINUTE, MINUTE)
    found = Budget(OBJECTIVE, [Part(OBJECTIVE)], [merged([five, single])])
    assert [it.counts.bad for it in worst(found, [five, single])] == [2, 9]


def test_a_composite_spends_what_its_members_spend_by_their_weights() -> None:
    members = [replace(OBJECTIVE, slo="a"), replace(OBJECTIVE, slo="b", budget=Fraction(1, 10))]
    composite = replace(OBJECTIVE, budget=Fraction(1), members=(("a", Fraction(1)), ("b", Fraction(1, 2))))
    wholes = [counts([(1, 1000)], 0, 1), counts([(5, 100)], 0, 1)]
    parts = [Part(members[0]), Part(members[1], Fraction(1, 2))]
    found = Budget(composite, parts, wholes).tally(wholes)
    assert found.spent == Fraction(1, 10) + Fraction(1, 2) * Fraction(5, 10)
    assert (found.sli, found.counts.total) == (None, 0)


def test_what_comes_in_after_a_gap_is_no_minutes_fault() -> None:
    gap = Counts(0, MINUTE, 900, 9000, 0, MINUTE)
    single = Counts(MINUTE, 2 * MINUTE, 2, 9, MINUTE, MINUTE)
    found = Budget(OBJECTIVE, [Part(OBJECTIVE)], [merged([gap, single])])
    assert [it.counts.bad for it in worst(found, [gap, single])] == [2]

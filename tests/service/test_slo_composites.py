"""Composites over a real store, against a second implementation over the same samples."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from service.judging import Judging
from service.store import Store
from slo.judge import placed
from slo.model import Indicator, Judgement, Objective, QueryIndicator
from slo.periods import CalendarPeriods
from slo.slices import RatioTimeslices, Timeslices
from tests.service.naive import Naive
from tests.service.naive_slices import Answered, counted, together
from tests.service.stores import T0, Clock
from tests.service.stories import WITHOUT_SHRINKING, Story, heard, stories
from tests.service.test_slo_queries import Answers
from tests.service.test_slo_slices import BAD, FULL, GOOD, STOLEN, STORMY

HOUR, MINUTE = 3_600_000, 60_000
SIX_HOURS = CalendarPeriods(datetime(2025, 10, 9), "Europe/Berlin", 6, "h")
QUERY = QueryIndicator("raw-good", "share")
WHOLE = Fraction(1)

targets = st.sampled_from([Fraction(1, 2), Fraction(9, 10), WHOLE])
budgets = st.sampled_from([Fraction(1, 100), Fraction(1, 1000), Fraction(5, 100)])
weights = st.sampled_from([WHOLE, Fraction(1, 2), Fraction(3), Fraction(1, 3)])
shares = st.dictionaries(
    st.integers(0, 240), st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=2), max_size=30
)


@st.composite
def composites(draw: st.DrawFn) -> list[tuple[Objective, Fraction]]:
    """Two or three members of any kind, of one method and one window."""
    method = draw(st.sampled_from(["Occurrences", "Timeslices", "RatioTimeslices"]))
    calendar = draw(st.sampled_from([None, SIX_HOURS]))
    slice_ms = draw(st.sampled_from([MINUTE, 5 * MINUTE]))
    kinds: list[Indicator | QueryIndicator] = [BAD, GOOD, FULL, STOLEN]
    kinds += [] if method == "RatioTimeslices" else [STORMY]
    kinds += [] if method == "Occurrences" or slice_ms != MINUTE else [QUERY]
    found = []
    for at in range(draw(st.integers(2, 3))):
        kind = draw(st.sampled_from(kinds))
        query, indicator = (kind, BAD) if isinstance(kind, QueryIndicator) else (None, kind)
        rule = {"Timeslices": Timeslices(draw(targets), slice_ms), "RatioTimeslices": RatioTimeslices(slice_ms)}
        of = Objective(
            f"c-{at}", "s", (), indicator, draw(budgets), "99 %", 4 * HOUR, "X", calendar=calendar,
            slices=rule.get(method), query=query, part_of="c",
        )  # fmt: skip
        found.append((of, draw(weights)))
    return found


def of_members(members: list[tuple[Objective, Fraction]]) -> Objective:
    named = tuple((of.slo, weight) for of, weight in members)
    return replace(members[0][0], slo="c", budget=WHOLE, query=None, members=named, part_of=None)


def alone(found: Judgement, naive: Naive, answered: Answered) -> None:
    """What one objective counted, whatever it counts and by which method, and what follows from it."""
    of, own = found.objective, found.counts
    bad, total = counted(naive, answered, of, of.window_ms, found.at_ms)
    assert (own.bad, own.total) == (bad, total)
    share = Fraction(bad, total) if total else None
    assert found.sli == (None if share is None or of.allowance else 1 - share)
    assert found.budget_remaining == (None if share is None else 1 - share / of.budget)


def agrees(found: Judgement, naive: Naive, answered: Answered, members: list[tuple[Objective, Fraction]]) -> None:
    of, until = found.objective, found.at_ms
    burn, sli = together(naive, answered, members, of.window_ms, until)
    own = found.counts
    assert (Fraction(own.bad, own.total) if own.total else None, found.sli) == (burn, sli)
    assert found.budget_remaining == (None if burn is None else 1 - burn)
    if isinstance(of.slices, Timeslices):
        for row in found.rows:
            for ms, counts in ((row.row.long_ms, row.long_counts), (row.row.short_ms, row.short_counts)):
                expected = together(naive, answered, members, ms, until)[0]
                assert (Fraction(counts.bad, counts.total) if counts.total else None) == expected


@WITHOUT_SHRINKING
@given(stories(), composites(), shares)
def test_objectives_and_composites_are_those_of_a_second_implementation(
    story: Story, members: list[tuple[Objective, Fraction]], answered: dict[int, list[float]]
) -> None:
    answers: Answered = {"share": {(T0 // MINUTE + at) * MINUTE: values for at, values in answered.items()}}
    with TemporaryDirectory() as folder:
        naive = Naive()
        store = Store(Path(folder) / "x.duckdb", clock := Clock(T0 + 4 * HOUR))
        engine = Answers({"share": dict(answers["share"])})
        judging = Judging(store, engine)
        for told, until in story.told:
            store, changed = heard(store, naive, told, clock)
            judging = Judging(store, engine) if changed else judging
            now = [placed(of, until) for of, _ in members]
            mine = [(of, weight) for of, (_, weight) in zip(now, members, strict=True)]
            *singles, found = judging.judged([*now, of_members(mine)], until)
            for it in singles:
                alone(it, naive, answers)
            agrees(found, naive, answers, mine)
            edges = [until - found.objective.window_ms, until - HOUR // 2, until]
            if edges[0] < edges[1] and all(of.indicator != GOOD for of in now):  # good beyond total is cut by step
                adds_up(judging, found, edges)
        store.close()


def adds_up(judging: Judging, found: Judgement, edges: list[int]) -> None:
    """Steps add up to what is judged: exactly in slices, else to the thousandth of a millisecond of the window."""
    parts = judging.steps([found.objective], edges)[0]
    bad, total = sum(it.bad for it in parts), sum(it.total for it in parts)
    if isinstance(found.objective.slices, Timeslices):
        assert bad == found.counts.bad
    elif total:
        assert abs(Fraction(bad, total) - Fraction(found.counts.bad, found.counts.total)) <= Fraction(1, total)

"""Slices of time over a real store, against a second implementation over the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.slo_revisions import revisions_of
from service.slo_slices import Rule, SlicedCounts
from service.store import Store
from slo.judge import judge, placed, windows
from slo.model import Allowance, Counts, EventRatio, Indicator, Matcher, MinuteSlices, Objective, Selector
from slo.periods import CalendarPeriods
from slo.slices import RatioTimeslices, Timeslices
from tests.service.naive import Naive
from tests.service.naive_slices import sliced as sliced_naively
from tests.service.stores import T0, Clock, Point, batch, select, series
from tests.service.stories import WITHOUT_SHRINKING, Story, heard, stories

BAD = EventRatio((select("requests_total"),), bad=(Selector("requests_total", (Matcher("code", "=~", "5.."),)),))
GOOD = EventRatio((select("seconds_total"),), good=(select("good_seconds_total"),), scale=1000)
RULES: list[Rule] = [
    Timeslices(Fraction(9, 10), 60_000),
    Timeslices(Fraction(1), 300_000),
    RatioTimeslices(60_000),
    RatioTimeslices(420_000),
]
STORMY = Allowance((select("requests_total", code="500"),), (select("seconds_total"),), 600_000)
FULL = MinuteSlices("gauge", select("free_bytes"), select("size_bytes"), Fraction(7, 10), complement=True)
STOLEN = MinuteSlices("counter", select("good_seconds_total"), select("seconds_total"), Fraction(1, 20))
KINDS = [
    *((rule, indicator) for rule in RULES for indicator in (BAD, GOOD, FULL, STOLEN)),
    *((rule, STORMY) for rule in RULES if isinstance(rule, Timeslices)),
]
WINDOWS = (60_000, 300_000, 3_600_000, 4 * 3_600_000)
MINUTE = 60_000


def objective(rule: Rule, indicator: Indicator = BAD, window_ms: int = 4 * 3_600_000) -> Objective:
    return Objective("x", "s", (), indicator, Fraction(1, 100), "99 %", window_ms, "X", slices=rule)


def ask(store: Store, sliced: SlicedCounts, of: Objective, until_ms: int, spans: Sequence[int]) -> list[Counts]:
    return sliced.of(of, spans, store.counts(of.indicator, spans, until_ms), until_ms)


@WITHOUT_SHRINKING
@given(stories(), st.sampled_from(KINDS))
def test_slices_are_those_of_a_second_implementation(story: Story, kind: tuple[Rule, Indicator]) -> None:
    """Asked again after each step, so that what was kept from before is held against what came since."""
    with TemporaryDirectory() as folder:
        naive = Naive()
        store = Store(Path(folder) / "x.duckdb", clock := Clock(T0 + 4 * 3_600_000))
        sliced, of = SlicedCounts(store, revisions_of(store)), objective(*kind)
        for told, until in story.told:
            store, changed = heard(store, naive, told, clock)
            sliced = SlicedCounts(store, revisions_of(store)) if changed else sliced
            for span, found in zip(WINDOWS, ask(store, sliced, of, until, WINDOWS), strict=True):
                assert (found.bad, found.total) == sliced_naively(naive, {}, of, span, until)
        store.close()


def minutes(store: Store, of: dict[int, tuple[int, int]], begin: int = T0) -> None:
    """Samples each 15 s; in minute k so many bad and all requests."""
    bad = total = 0
    points = []
    for minute in range(max(of) + 1):
        for quarter in range(4):
            if minute in of:
                at = begin + minute * MINUTE + quarter * 15_000 + 1
                bad += of[minute][0] if quarter == 0 else 0
                total += of[minute][1] if quarter == 0 else 0
                points += [
                    Point(series("requests_total", code=code), at, float(value), begin)
                    for code, value in (("500", bad), ("200", total - bad))
                ]
    store.append(batch(points))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "x.duckdb", Clock(T0 + 86_400_000))


def test_a_bad_minute_is_bad_whatever_its_traffic_and_a_quiet_one_is_not(store: Store) -> None:
    minutes(store, {0: (0, 10), 1: (0, 0), 2: (5, 10), 3: (0, 10), 4: (0, 1000), 5: (0, 1)})
    sliced = SlicedCounts(store, revisions_of(store))
    (found,) = ask(store, sliced, objective(RULES[0]), T0 + 5 * MINUTE, [5 * MINUTE])
    assert (found.bad, found.total, found.events) == (1, 5, (5, 1030))
    (found,) = ask(store, sliced, objective(RULES[2]), T0 + 5 * MINUTE, [5 * MINUTE])
    assert (found.bad, found.total) == (5 * 10**11, 4 * 10**12)  # the idle minute is in neither
    store.close()


def test_a_minute_that_nobody_measured_is_not_bad_until_its_samples_come(store: Store) -> None:
    minutes(store, {0: (0, 10), 1: (0, 10)})
    sliced, of = SlicedCounts(store, revisions_of(store)), objective(RULES[0])
    (found,) = ask(store, sliced, of, T0 + 6 * MINUTE, [6 * MINUTE])
    assert (found.bad, found.total) == (0, 6)
    assert found.observed_ms < 3 * MINUTE
    minutes(store, {0: (0, 10), 1: (0, 10), 2: (9, 10), 3: (9, 10), 4: (9, 10), 5: (0, 10), 6: (0, 10)})
    (found,) = ask(store, sliced, of, T0 + 6 * MINUTE, [6 * MINUTE])
    assert (found.bad, found.total) == (3, 6)
    store.close()


def test_the_budget_of_timeslices_is_the_whole_windows_from_the_first_minute_on(store: Store) -> None:
    minutes(store, {at: (1 if at == 30 else 0, 1) for at in range(62)})
    of = objective(RULES[0], window_ms=30 * 86_400_000)
    spans = windows(of)
    counts = ask(store, SlicedCounts(store, revisions_of(store)), of, T0 + 61 * MINUTE, spans)
    found = judge(of, dict(zip(spans, counts, strict=True)), T0 + 61 * MINUTE)
    assert found.counts.total == 43_200
    assert found.budget_remaining == 1 - Fraction(1, 432)
    burns = dict(found.burns)
    assert burns[3_600_000] == Fraction(5, 3)  # one bad minute of an hour at 99 %
    assert found.state == "ok"
    store.close()


def test_without_traffic_there_is_nothing_to_judge(store: Store) -> None:
    minutes(store, dict.fromkeys(range(12), (0, 0)))
    of = objective(RULES[0])
    spans = windows(of)
    counts = ask(store, SlicedCounts(store, revisions_of(store)), of, T0 + 11 * MINUTE, spans)
    found = judge(of, dict(zip(spans, counts, strict=True)), T0 + 11 * MINUTE)
    assert (found.state, found.sli) == ("no-traffic", None)
    store.close()


@pytest.mark.parametrize("begun_ms", [1, 59_999])
def test_of_a_calendars_period_that_has_just_begun_no_slice_is_over_yet(store: Store, begun_ms: int) -> None:
    """The last minute of the period before is bad, and none of this one's."""
    minutes(store, {at: (10 * (at == 9), 10) for at in range(12)})
    begin = datetime.fromtimestamp((T0 + 10 * MINUTE) / 1000, UTC)
    daily = CalendarPeriods(begin.replace(tzinfo=None), "UTC", 1, "d")
    for rule in (RULES[0], RULES[2]):
        of = placed(replace(objective(rule), calendar=daily), T0 + 10 * MINUTE + begun_ms)
        (found, row) = ask(store, SlicedCounts(store, revisions_of(store)), of, T0 + 10 * MINUTE + begun_ms,
                           [of.window_ms, 300_000])  # fmt: skip
        assert (found.bad, found.total) == (0, 0)
        assert row.bad > 0


def test_each_slice_is_of_the_period_in_which_it_ends(store: Store) -> None:
    minutes(store, {at: (10 * (at in (5, 12)), 10) for at in range(40)})
    begin = datetime.fromtimestamp((T0 + 8 * MINUTE) / 1000, UTC)  # slices of five minutes end after 3, 8, 13 minutes
    daily = CalendarPeriods((begin + timedelta(minutes=2)).replace(tzinfo=None), "UTC", 1, "d")
    sliced, spent = SlicedCounts(store, revisions_of(store)), []
    for minute in (12, 13, 17, 18, 19, 20, 23):
        now_ms = T0 + minute * MINUTE
        of = placed(replace(objective(RULES[1]), calendar=daily), now_ms)
        (found,) = ask(store, sliced, of, now_ms, [of.window_ms])
        spent.append((found.bad, found.total))
    assert spent == [(0, 0), *[(1, 288)] * 6]
    store.close()


def test_a_late_sample_moves_what_was_bad_into_the_minute_in_which_it_happened(store: Store) -> None:
    def tell(*rows: tuple[int, float]) -> None:
        name = series("requests_total", code="500")
        store.append(batch([Point(name, T0 + second * 1000, value, T0) for second, value in rows]))

    tell((10, 0.0), (50, 0.0), (110, 10.0), (170, 10.0), (230, 10.0))
    sliced, of = SlicedCounts(store, revisions_of(store)), objective(RULES[0])
    spans = [MINUTE, 2 * MINUTE]
    assert [it.bad for it in ask(store, sliced, of, T0 + 2 * MINUTE, spans)] == [1, 1]
    assert [it.bad for it in ask(store, sliced, of, T0 + MINUTE, spans)] == [0, 0]
    tell((58, 10.0))
    assert [it.bad for it in ask(store, sliced, of, T0 + MINUTE, spans)] == [1, 1]
    assert [it.bad for it in ask(store, sliced, of, T0 + 2 * MINUTE, spans)] == [0, 1]
    store.close()


def test_a_late_sample_of_anything_makes_no_more_be_counted_anew_than_what_came_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes(store, {at: (at % 2, 10) for at in range(200)})
    sliced, of = SlicedCounts(store, revisions_of(store)), objective(RULES[0])
    before = ask(store, sliced, of, T0 + 200 * MINUTE, [200 * MINUTE])
    counted, real = list[int](), store.slices

    def slices(indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        counted.append(len(edges_ms) - 1)
        return real(indicators, edges_ms)

    monkeypatch.setattr(store, "slices", slices)
    other = series("of_another_host_total")
    for minute in (199, 198):
        store.append(batch([Point(other, T0 + minute * MINUTE, 1.0, T0)]))
    assert store.sample_counts["late"] == 1
    assert ask(store, sliced, of, T0 + 200 * MINUTE, [200 * MINUTE]) == before
    assert sum(counted) < 15
    store.append(batch([Point(series("requests_total", code="500"), T0 + 100 * MINUTE + 30_001, 50.0, T0)]))
    after = ask(store, sliced, of, T0 + 200 * MINUTE, [200 * MINUTE])
    assert after == ask(store, SlicedCounts(store, revisions_of(store)), of, T0 + 200 * MINUTE, [200 * MINUTE])
    store.close()


def test_steps_add_up_to_what_is_judged(store: Store) -> None:
    minutes(store, {at: (1 if at % 7 == 0 else 0, 2) for at in range(62)})
    of, until = objective(RULES[0], window_ms=60 * MINUTE), T0 + 61 * MINUTE
    sliced = SlicedCounts(store, revisions_of(store))
    (whole,) = ask(store, sliced, of, until, [60 * MINUTE])
    edges = [until - 60 * MINUTE, until - 31 * MINUTE, until - 10 * MINUTE, until]
    found = sliced.steps(of, edges, store.slices([of.indicator], edges)[0])
    assert [it.total for it in found] == [29, 21, 10]
    assert sum(it.bad for it in found) == whole.bad == 8
    store.close()


def test_where_the_time_is_up_what_has_much_to_count_waits(store: Store) -> None:
    minutes(store, dict.fromkeys(range(62), (1, 2)))
    now = [0.0]
    sliced = SlicedCounts(store, revisions_of(store), seconds=5, clock=lambda: now[0])
    month, short, until = objective(RULES[0]), objective(RULES[1]), T0 + 61 * MINUTE
    spans = [30 * 86_400_000]
    sliced.begin()
    assert sliced.ready(month, spans, until)
    now[0] = 5.0
    assert not sliced.ready(month, spans, until)
    assert sliced.ready(short, [3_600_000], until)
    ask(store, sliced, month, until, spans)
    assert sliced.ready(month, spans, until + 15_000)
    store.close()

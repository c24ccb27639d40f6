"""Slices over restarts: what samples no longer tell is what was judged, and everything else is judged from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from service import slo_kept
from service.judging import Judging
from service.ports import rows_of
from service.slo_kept import DAY_MS, KeptSlices, day_of, key_of, slices_of
from service.slo_queries import QueriedCounts
from service.slo_revisions import Revisions
from service.slo_slices import SlicedCounts
from service.store import Store
from service.store_append import Bounds
from slo.model import Counts, Indicator, Objective, QueryIndicator
from slo.slices import RatioTimeslices, Timeslices
from tests.service.stores import T0, Clock, Point, batch, series
from tests.service.test_slo_queries import Answers
from tests.service.test_slo_slices import BAD, Rule, objective

MINUTE = 60_000
MIDNIGHT = T0 // DAY_MS * DAY_MS
HOURLY = Timeslices(Fraction(9, 10), 3_600_000)


class Samples:
    """A store of hours: how many of ten requests failed in each; hours before `oldest_ms` are kept too coarsely."""

    def __init__(self, store: Store, bad: dict[int, int]) -> None:
        self.database = store.database
        self.bad, self.oldest_ms, self.asked = bad, 0, 0

    def slices(self, indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        found = []
        for since, until in pairwise(edges_ms):
            self.asked += 1
            begin = since if since >= self.oldest_ms else since // 300_000 * 300_000 - 1
            bad = self.bad.get(until, 0)
            found.append(Counts(begin, until, bad, 10, until - since, until - since, 0, MIDNIGHT))
        return [found]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "x.duckdb", Clock(T0))


def begun(samples: Samples, revisions: Revisions = lambda indicator: None) -> tuple[SlicedCounts, KeptSlices]:
    """What a process that begins now has."""
    kept = KeptSlices(samples.database)
    return SlicedCounts(samples, revisions, kept=kept), kept  # type: ignore[arg-type]


def ask(sliced: SlicedCounts, of: Objective, until: int) -> tuple[int, int]:
    nothing = Counts(0, until, 0, 0, 1, 1)
    (found,) = sliced.of(of, [of.window_ms], [nothing], until)
    return found.bad, found.total


def stored(kept: KeptSlices, now_ms: int) -> None:
    database = kept._database
    assert database is not None
    kept.written(database.write(lambda cursor: kept.write(cursor, now_ms)))


def hours(*bad: int) -> dict[int, int]:
    return {MIDNIGHT + hour * 3_600_000: 10 for hour in bad}


def test_what_samples_no_longer_tell_is_what_was_judged(store: Store) -> None:
    samples = Samples(store, hours(2, 5, 30, 50))
    of, until = objective(HOURLY, window_ms=3 * DAY_MS), MIDNIGHT + 52 * 3_600_000
    sliced, kept = begun(samples)
    assert ask(sliced, of, until) == (4, 72)
    stored(kept, until)
    samples.oldest_ms = MIDNIGHT + 26 * 3_600_000  # the first day's samples and two hours of the second's are gone
    samples.bad = hours(30, 31, 50)  # a late sample changed an hour whose samples are there
    again, _ = begun(samples)
    assert ask(again, of, until) == (5, 72)
    for other in (replace(of, slices=Timeslices(Fraction(1), 3_600_000)), replace(of, indicator=replace(BAD, scale=2))):
        assert ask(begun(samples)[0], other, until)[0] == 3  # of another rule or indicator nothing is known
    store.close()


def test_a_late_sample_that_changes_a_day_changes_what_is_kept(store: Store) -> None:
    samples, of, until = Samples(store, hours(2)), objective(HOURLY, window_ms=2 * DAY_MS), MIDNIGHT + 40 * 3_600_000
    sliced, kept = begun(samples)
    ask(sliced, of, until)
    stored(kept, until)
    samples.bad = hours(2, 3)
    ask(sliced, of, until)
    stored(kept, until)
    samples.oldest_ms = until
    assert ask(begun(samples)[0], of, until)[0] == 2
    assert len(rows_of(store.database, "SELECT * FROM kept_slices")) == 1  # of the day before the window has a part
    store.close()


def test_a_day_that_is_known_in_part_is_not_kept(store: Store) -> None:
    samples, of, until = Samples(store, hours(2)), objective(HOURLY, window_ms=2 * DAY_MS), MIDNIGHT + 40 * 3_600_000
    samples.oldest_ms = MIDNIGHT + 3 * 3_600_000
    sliced, kept = begun(samples)
    ask(sliced, of, until)
    stored(kept, until)
    assert rows_of(store.database, "SELECT * FROM kept_slices") == []
    store.close()


def test_what_no_window_needs_goes_and_so_does_what_is_too_much(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def days() -> list[int]:
        return [
            int(day) - MIDNIGHT // DAY_MS
            for (day,) in rows_of(store.database, "SELECT day FROM kept_slices ORDER BY day")
        ]

    samples, of = Samples(store, {}), objective(HOURLY, window_ms=4 * DAY_MS)
    sliced, kept = begun(samples)
    for day in (3, 4):
        until = MIDNIGHT + day * DAY_MS + 3_600_000
        ask(sliced, of, until)
        stored(kept, until)
    assert days() == [0, 1, 2, 3]
    monkeypatch.setattr(slo_kept, "MOST_ROWS", 2)
    stored(kept, MIDNIGHT + 4 * DAY_MS)
    assert (days(), kept.dropped) == ([2, 3], 2)
    stored(begun(samples)[1], MIDNIGHT + 4 * DAY_MS)
    assert days() == [2, 3]
    stored(begun(samples)[1], MIDNIGHT + 400 * DAY_MS)
    assert days() == []
    store.close()


@pytest.mark.parametrize("rule", [Timeslices(Fraction(1, 2), MINUTE), RatioTimeslices(MINUTE), None])
def test_queries_are_not_asked_for_days_that_are_kept(store: Store, rule: Rule | None) -> None:
    values = {MIDNIGHT + at * MINUTE: [0.25 if at % 7 == 0 else 1.0] for at in range(3 * 1440) if at % 11}
    answers = Answers({"r": values})
    of = replace(objective(rule or HOURLY, window_ms=2 * DAY_MS), slices=rule, query=QueryIndicator("raw-good", "r"))
    until = MIDNIGHT + 2 * DAY_MS + 7 * 3_600_000

    def told(answers: Answers) -> tuple[Counts, KeptSlices]:
        kept = KeptSlices(store.database)
        queried = QueriedCounts(answers, 600.0, kept=kept)
        queried.begin()
        found = queried.of(of, [of.window_ms], until)
        assert isinstance(found, list)
        return found[0], kept

    first, kept = told(answers)
    stored(kept, until)
    answers.asked.clear()
    answers.of["r"] = {at: row for at, row in values.items() if at > MIDNIGHT + 2 * DAY_MS}  # older samples are gone
    answers.of["r"] |= {at: row for at, row in values.items() if at <= MIDNIGHT + DAY_MS}  # of a day known in part
    assert told(answers)[0] == first
    asked = {at for _, begin, end in answers.asked for at in range(begin, end + 1, MINUTE)}
    assert not any(MIDNIGHT + DAY_MS < at <= MIDNIGHT + 2 * DAY_MS for at in asked)
    store.close()


@pytest.mark.parametrize("slice_ms", [MINUTE, 7 * MINUTE, 3_600_000, DAY_MS, 7 * DAY_MS])
def test_each_slice_is_of_one_day(slice_ms: int) -> None:
    at = slices_of(20_000, slice_ms)[0]
    for day in range(20_000, 20_020):
        begin, end = slices_of(day, slice_ms)
        assert begin == at
        assert {day_of(index, slice_ms) for index in range(begin, end)} <= {day}
        at = end


def test_keys_tell_rules_and_indicators_apart() -> None:
    assert len({key_of(BAD, HOURLY), key_of(BAD, RatioTimeslices(MINUTE)), key_of(replace(BAD, scale=2), HOURLY)}) == 3


def test_over_a_real_store_a_restart_after_its_samples_are_gone_forgets_no_slice(tmp_path: Path) -> None:
    """Slices of 7 minutes, which no rollup tells: two days of them, of which one day's samples are kept."""
    clock, begin = Clock(MIDNIGHT), MIDNIGHT
    store = Store(tmp_path / "y.duckdb", clock, Bounds(raw_ms=DAY_MS))
    of = objective(Timeslices(Fraction(9, 10), 7 * MINUTE), window_ms=2 * DAY_MS)
    minutes_told = 2 * 1440 + 600
    points = [
        Point(series("requests_total", code=code), begin + at * MINUTE, float(value(at)), begin)
        for at in range(minutes_told)
        for code, value in (("200", lambda at: 10 * at), ("500", lambda at: 50 * (at // 31)))
    ]
    judging = Judging(store)
    for at in range(0, len(points), 720):
        clock.now_ms = points[min(at + 719, len(points) - 1)].ts_ms
        store.append(batch(points[at : at + 720]))
        judging.judged([of], clock.now_ms)

    def asked(judging: Judging) -> Counts:
        (found,) = judging.judged([of], clock.now_ms)
        stored(judging.kept, clock.now_ms)
        return found.counts

    before = asked(judging)
    assert before.bad > 50
    store.keep()
    store.close()
    store = Store(tmp_path / "y.duckdb", clock, Bounds(raw_ms=DAY_MS))
    assert store.memory.layout.oldest_raw_ms() == begin + DAY_MS
    after = asked(Judging(store))
    assert (after.bad, after.total, after.coverage) == (before.bad, before.total, before.coverage)
    store.database.write(lambda cursor: cursor.execute("DELETE FROM kept_slices"))
    unknown = asked(Judging(store))
    assert unknown.bad < before.bad  # without what is kept the day is not known
    assert before.observed_ms - unknown.observed_ms > 10 * 3_600_000, "what is not known was not observed"
    assert unknown.expected_ms >= before.expected_ms
    store.close()

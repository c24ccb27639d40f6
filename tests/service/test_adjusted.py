"""Counts without what adjustments take out, against a second implementation over the same samples and a timeline."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest import MonkeyPatch

from service import adjusted_plans
from service.judging import Judging
from service.store import Store
from service.store_append import Bounds
from slo.adjust import Adjustment
from slo.judge import windows
from slo.model import Counts, Indicator, Judgement, MinuteSlices, Objective
from tests.service.naive import Naive
from tests.service.stores import T0, Clock, Point, batch, series
from tests.service.test_store_counts import INDICATORS, counter_points, gauge_points, steady

HOUR, DAY, STEP = 3_600_000, 86_400_000, 500
BEFORE = 6 * HOUR
"""How far the timeline reaches back before T0; before that nothing is taken out and nothing was."""
NOW = T0 + 4 * HOUR
NUMBERS = ("bad", "total", "observed_ms", "expected_ms", "unknown_starts")


def adjustment(number: int, since_ms: int, until_ms: int, **more: object) -> Adjustment:
    fields: dict[str, object] = {
        "id": f"a{number}", "kind": "incident", "slos": (), "services": ("*",), "nodes": (), "since_ms": since_ms,
        "until_ms": until_ms, "reason": f"reason {number}", "created_by": "ann", "created_ms": number, **more,
    }  # fmt: skip
    return Adjustment(**fields)  # type: ignore[arg-type]


def objectives(days: int, passed_ms: int | None = None) -> list[Objective]:
    """Objectives over so many days; with `passed` of a calendar's period of that length."""
    found = [
        Objective(f"o{at}", "api", (), it, Fraction(1, 1000), "99.9 %", days * DAY, "An objective")
        for at, it in enumerate(INDICATORS)
    ]
    return found if passed_ms is None else [replace(it, window_ms=passed_ms, whole_ms=days * DAY) for it in found]


class Timeline:
    """For each half second up to now the first adjustment that takes it out; None where it counts."""

    def __init__(self, adjustments: list[Adjustment], minutes: bool) -> None:
        self.begin = (T0 - BEFORE) // 60_000 * 60_000
        size = (NOW - self.begin) // STEP
        self.owner: list[int | None] = [None] * size
        for at, it in reversed(list(enumerate(adjustments))):
            assert it.until_ms is not None
            since, until = it.since_ms, it.until_ms
            if minutes:
                since, until = since // 60_000 * 60_000, -(-until // 60_000) * 60_000
            first, last = (min(max(0, (edge - self.begin) // STEP), size) for edge in (since, until))
            self.owner[first:last] = [at] * (last - first)

    def stretched(self, window_ms: int, most_ms: int) -> int:
        """Where a window begins that holds so much time that counts."""
        left, at = window_ms // STEP, len(self.owner)
        while left and at:
            at -= 1
            left -= self.owner[at] is None
        return max(self.begin + (at - left) * STEP, NOW - most_ms)

    def runs(self, since_ms: int) -> list[tuple[int, int, int]]:
        """Begin, end and owner of what is taken out after a moment."""
        found, at = [], 0
        for owner, same in groupby(self.owner):
            size = len(list(same))
            begin, end = (self.begin + it * STEP for it in (at, at + size))
            if owner is not None and end > since_ms:
                found.append((max(begin, since_ms), end, owner))
            at += size
        return found


def recount(
    naive: Naive, indicator: Indicator, line: Timeline, since_ms: int
) -> tuple[list[int], dict[int, list[int]]]:
    """What counts from then on, and what each adjustment took out."""
    whole, taken = numbers(naive.counts(indicator, since_ms, NOW)), dict[int, list[int]]()
    for begin, end, owner in line.runs(since_ms):
        mine = numbers(naive.counts(indicator, begin, end))
        taken[owner] = [a + b for a, b in zip(taken.get(owner, [0] * len(NUMBERS)), mine, strict=True)]
    left = [max(0, it - sum(mine[at] for mine in taken.values())) for at, it in enumerate(whole)]
    return left, taken


def numbers(counts: Counts) -> list[int]:
    return [getattr(counts, name) for name in NUMBERS]


def agree(naive: Naive, judged: tuple[Judgement, ...], adjustments: list[Adjustment]) -> None:
    for it in judged:
        indicator, most = it.objective.indicator, max(windows(it.objective))
        line = Timeline(adjustments, isinstance(indicator, MinuteSlices))
        own = NOW - it.objective.window_ms
        left, taken = recount(naive, indicator, line, own)
        assert numbers(it.counts) == left, it.objective.slo
        ids = [one.id for one in adjustments]
        told = {ids.index(one.id): [one.bad, one.total, one.ms] for one in it.taken_out}
        assert told == {owner: [mine[0], mine[1], mine[3]] for owner, mine in taken.items()}
        for row in it.rows:
            for span, counts in ((row.row.long_ms, row.long_counts), (row.row.short_ms, row.short_counts)):
                begin = own if span == it.objective.window_ms else line.stretched(span, most)
                assert numbers(counts) == recount(naive, indicator, line, begin)[0], (it.objective.slo, span)


halves = st.integers(-BEFORE // STEP // 4, 4 * HOUR // STEP).map(lambda at: T0 + at * STEP)
lengths = st.integers(1, 7200).map(lambda at: at * STEP) | st.sampled_from([60_000, 300_000, HOUR, 5 * HOUR])
times = st.lists(st.tuples(halves, lengths), max_size=6)
told = st.lists(steady() | st.lists(counter_points | gauge_points, max_size=12), max_size=5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(told, told, times, st.sampled_from([(1, None), (30, None), (30, 2 * HOUR + 500)]))
def test_counts_are_those_of_a_second_implementation(
    first: list[list[Point]], late: list[list[Point]], taken: list[tuple[int, int]], of: tuple[int, int | None]
) -> None:
    adjustments = [adjustment(at, since, since + length) for at, (since, length) in enumerate(taken)]
    with TemporaryDirectory() as folder:
        store, naive = Store(Path(folder) / "x.duckdb", Clock(NOW)), Naive()
        judging = Judging(store)
        for points in first:
            store.append(batch(points))
            naive.append(batch(points))
        agree(naive, judging.judged(objectives(*of), NOW, tuple(adjustments)), adjustments)
        for points in late:  # what comes late is in what was counted already
            store.append(batch(points))
            naive.append(batch(points))
        agree(naive, judging.judged(objectives(*of), NOW, tuple(adjustments)), adjustments)
        agree(naive, judging.judged(objectives(*of), NOW, tuple(adjustments[1:])), adjustments[1:])
        whole = judging.judged(objectives(*of), NOW)
        assert whole == Judging(store).judged(objectives(*of), NOW), "what is revoked was never there"
        agree(naive, whole, [])
        store.close()


def rolled(folder: str) -> tuple[Store, Naive, Clock]:
    """A store of whose first hours only buckets of five minutes are left, and the samples that were there."""
    clock, naive = Clock(T0), Naive()
    store = Store(Path(folder) / "x.duckdb", clock, bounds=Bounds(1000, 2 * DAY, 30 * DAY, 10**9))
    for day in (0, 3):
        name = series("requests_total", code="500")
        points = [Point(name, T0 + day * DAY + at * 7_000, float(at), T0 + day * DAY - 1) for at in range(1, 1500)]
        clock.now_ms = T0 + day * DAY + 4 * HOUR
        store.append(batch(points))
        naive.append(batch(points))
        for _ in range(4):
            store.keep()
            clock.now_ms += HOUR
    return store, naive, clock


def test_where_only_buckets_are_left_less_is_taken_out_rather_than_more(tmp_path: Path) -> None:
    store, naive, clock = rolled(str(tmp_path))
    now, five = clock.now_ms, 300_000
    since, until = T0 + HOUR + 1_234, T0 + 2 * HOUR + 5_678
    assert store.moved([since, now]) == [since // five * five, now], "single samples are gone"
    of = objectives(30)[1]
    made = adjustment(1, since, until), adjustment(2, T0 + HOUR // 2 + 1, T0 + HOUR // 2 + 1_000)
    judging = Judging(store)
    (before,), (after,) = judging.judged([of], now), judging.judged([of], now, made)
    within = naive.counts(INDICATORS[1], -(-since // five) * five, until // five * five)
    (told,) = after.taken_out
    assert (told.id, told.bad, told.ms) == ("a1", within.bad, within.expected_ms)
    assert 0 < told.ms < until - since
    assert after.counts.bad == before.counts.bad - within.bad
    ((step,),) = judging.steps([of], [since, until])
    assert step.bad == naive.counts(INDICATORS[1], since // five * five, until // five * five).bad - within.bad > 0
    store.close()


def test_beyond_the_bound_the_oldest_times_count_and_that_is_told(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(adjusted_plans, "MOST_PIECES", 2)
    store = Store(tmp_path / "x.duckdb", Clock(NOW))
    name = series("requests_total", code="500")
    store.append(batch([Point(name, T0 + at * 5_000, float(at), T0 - 1) for at in range(2880)]))
    made = tuple(adjustment(at, T0 + at * HOUR, T0 + at * HOUR + 60_000) for at in range(3))
    judging = Judging(store)
    (found,) = judging.judged([objectives(30)[1]], NOW, made)
    assert ([it.id for it in found.taken_out], judging.left_off) == (["a1", "a2"], 1)
    store.close()


def test_counting_that_takes_long_waits_and_says_so(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    store = Store(tmp_path / "x.duckdb", Clock(NOW))
    store.append(batch([Point(series("requests_total", code="500"), T0 + at * 5_000, float(at)) for at in range(2880)]))
    judging, made = Judging(store), (adjustment(1, T0, T0 + HOUR),)
    monkeypatch.setattr(judging._taken, "_seconds", -1.0)
    (found,) = judging.judged([objectives(30)[1]], NOW, made)
    assert (found.state, found.reason) == ("unmeasured", "What is taken out of its budget is being counted.")
    monkeypatch.setattr(judging._taken, "_seconds", 5.0)
    (found,) = judging.judged([objectives(30)[1]], NOW, made)
    assert found.taken_out[0].ms == HOUR
    store.close()


def test_time_that_no_scrape_told_of_is_told_beside_what_is_taken_out(tmp_path: Path) -> None:
    store, labels = Store(tmp_path / "x.duckdb", Clock(NOW)), {"service": "s", "node_id": "u1"}
    hits = series("requests_total", code="500", container="s-1", **labels)
    seen, lost = (series(f"midwatch_container_{what}_seconds_total", **labels) for what in ("scraped", "unscraped"))
    for at in range(2881):
        told, gone = 4.0 * at, 1.0 * at
        points = [Point(hits, T0 + at * 5_000, 8.0 * at, T0 - 1), Point(seen, T0 + at * 5_000, told, T0 - 1)]
        store.append(batch([*points, Point(lost, T0 + at * 5_000, gone, T0 - 1)]))
    (found,) = Judging(store).judged([objectives(30)[1]], NOW, (adjustment(1, T0 + HOUR, T0 + 2 * HOUR),))
    counts = found.counts
    assert (counts.taken_ms, counts.unscraped_ms, counts.unscraped_events) == (HOUR, 3 * HOUR // 5, 8 * 2160 // 4)
    store.close()

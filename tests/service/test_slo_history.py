"""What was judged is stored exactly, told as it was then, thinned without losing a change, and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from service.slo_history import read_burns, read_points, read_runs, trim, write_history
from service.store_db import Database
from slo.builtin import Catalogue, ServiceFacts, builtin
from slo.history import Run
from slo.judge import judge, windows
from slo.model import Counts, Judgement, State

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 1_796_000_000_000 // DAY * DAY
FACTS = [ServiceFacts("shop/api", 2, {}, True, ("n1",))]
OBJECTIVE = next(it for it in builtin(FACTS, Catalogue()) if it.slo == "container-up")
KEY = (OBJECTIVE.slo, OBJECTIVE.service, OBJECTIVE.scope)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "x.duckdb")
    yield found
    found.close()


def judged(at_ms: int, bad: int = 3, total: int = 1000, state: State | None = None) -> Judgement:
    counts = {ms: Counts(at_ms - ms, at_ms, bad, total, ms // 2, ms, 0, at_ms - 40 * DAY) for ms in windows(OBJECTIVE)}
    found = judge(OBJECTIVE, counts, at_ms)
    return found if state is None else replace(found, state=state)


def stored(database: Database, at_ms: int, *judgements: Judgement) -> None:
    database.write(lambda cursor: write_history(cursor, judgements, at_ms))


def runs(database: Database, since_ms: int, until_ms: int) -> list[Run]:
    with database.cursor() as cursor:
        return read_runs(cursor, since_ms, until_ms).get(KEY, [])


def test_counts_are_stored_to_the_last_digit_with_the_promise_of_then(database: Database) -> None:
    huge = 9_223_372_036_854_775_808 * 10**9 + 1
    stored(database, NOW, judged(NOW, 7, huge))
    with database.cursor() as cursor:
        (point,) = read_points(cursor, *KEY, 0, NOW, 10)
    assert (point.bad, point.total) == (7, huge)
    assert (point.target, point.budget, point.window_ms) == ("99 %", "1/100", 30 * DAY)
    assert Fraction(point.observed_ms or 0, point.expected_ms or 1) == Fraction(1, 2)


def test_a_composite_counts_nothing_itself(database: Database) -> None:
    it = judged(NOW, 10**60, 10**61)
    stored(database, NOW, replace(it, objective=replace(OBJECTIVE, members=(("a", Fraction(1)),))))
    with database.cursor() as cursor:
        (point,) = read_points(cursor, *KEY, 0, NOW, 10)
    assert (point.bad, point.total) == (None, None)
    assert point.remaining is not None


def test_runs_end_where_the_state_changes_and_where_nothing_was_judged(database: Database) -> None:
    for minute, state in [(0, "ok"), (1, "ok"), (2, "burning"), (3, "ok"), (20, "ok"), (21, "unmeasured")]:
        at = NOW + minute * MINUTE
        stored(database, at, judged(at, state=state))  # type: ignore[arg-type]
    assert runs(database, 0, NOW + 22 * MINUTE) == [
        Run("ok", NOW, NOW + 2 * MINUTE),
        Run("burning", NOW + 2 * MINUTE, NOW + 3 * MINUTE),
        Run("ok", NOW + 3 * MINUTE, NOW + 6 * MINUTE),
        Run("ok", NOW + 20 * MINUTE, NOW + 21 * MINUTE),
        Run("unmeasured", NOW + 21 * MINUTE, NOW + 22 * MINUTE),
    ]


def test_thinned_history_keeps_each_hour_and_every_change_of_state(database: Database) -> None:
    begin = NOW - 10 * DAY
    for minute in range(300):
        at = begin + minute * MINUTE
        stored(database, at, judged(at, state="burning" if 100 <= minute < 104 else "ok"))
    before = runs(database, 0, NOW)
    trimmed = trim(database.write, NOW, 8 * DAY, 400 * DAY, 10**6)
    assert trimmed.thinned == 300 - 8
    assert trimmed.dropped == 0
    after = runs(database, 0, NOW)
    assert [(it.state, it.since_ms) for it in after] == [(it.state, it.since_ms) for it in before]
    assert after[1] == before[1] == Run("burning", begin + 100 * MINUTE, begin + 104 * MINUTE)
    assert trim(database.write, NOW, 8 * DAY, 400 * DAY, 10**6) == (0, 0)
    with database.cursor() as cursor:
        burns = read_burns(cursor, begin, begin + 5 * HOUR, HOUR)
    assert sorted(step for *_, step, _ in burns) == [0, 1, 2, 3, 4]


def test_beyond_the_bound_minutes_are_thinned_first_and_hours_go_last(database: Database) -> None:
    for day in (9, 5, 1):
        for minute in range(120):
            at = NOW - day * DAY + minute * MINUTE
            stored(database, at, judged(at))
    assert trim(database.write, NOW, 30 * DAY, 400 * DAY, 130) == (2 * (120 - 3), 0)
    assert trim(database.write, NOW, 30 * DAY, 400 * DAY, 124) == (0, 3)
    assert trim(database.write, NOW, 30 * DAY, 400 * DAY, 1) == (0, 3)
    with database.cursor() as cursor:
        assert len(read_points(cursor, *KEY, 0, NOW, 1000)) == 120, "the last two days' minutes stay"


def test_what_is_older_than_all_that_is_kept_goes(database: Database) -> None:
    for day in (500, 399):
        stored(database, NOW - day * DAY, judged(NOW - day * DAY))
    assert trim(database.write, NOW, 8 * DAY, 400 * DAY, 10**6) == (0, 1)


def test_history_of_an_earlier_version_is_read_with_counts_that_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute("CREATE TABLE meta(version INTEGER NOT NULL)")
        old.execute("INSERT INTO meta VALUES (2)")
        old.execute(
            "CREATE TABLE judgements(at_ms BIGINT, slo VARCHAR, service VARCHAR, scope VARCHAR, state VARCHAR,"
            " burn DOUBLE, remaining DOUBLE)"
        )
        old.execute("INSERT INTO judgements VALUES (?, ?, ?, '[]', 'ok', 0.5, 0.75)", [NOW, *KEY[:2]])
    database = Database(path)
    stored(database, NOW + MINUTE, judged(NOW + MINUTE))
    with database.cursor() as cursor:
        first, second = read_points(cursor, *KEY, 0, NOW + DAY, 10)
    assert (first.remaining, first.bad, first.target) == (0.75, None, None)
    assert second.bad == 3
    assert runs(database, 0, NOW + DAY)[0].state == "ok"
    database.close()

"""Every change of a promise is stored once, also over a restart; what only got to be measured is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest

from service.slo_changes import Promises, drop_changes, last_promises, read_changes
from service.store_db import Database
from slo.builtin import Catalogue, ServiceFacts, builtin
from slo.definition import Difference, definition
from slo.history import Change
from slo.model import Objective
from slo.openslo.objectives import refused
from slo.periods import CalendarPeriods
from slo.slices import Timeslices
from tests.slo.openslo.support import GOOD

NOW = 1_796_000_000_000
OBJECTIVE = next(
    it for it in builtin([ServiceFacts("shop/api", 2, {}, True, ("n1",))], Catalogue()) if it.slo == "container-up"
)
STRICTER = replace(OBJECTIVE, budget=Fraction(1, 1000), target_text="99.9 %")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "x.duckdb")
    yield found
    found.close()


def told(database: Database, promises: Promises, at_ms: int, *objectives: Objective) -> None:
    promises.keep(database.write(lambda cursor: promises.write(cursor, objectives, at_ms)))


def changes(database: Database) -> Sequence[Change]:
    with database.cursor() as cursor:
        return read_changes(cursor, 0, NOW * 2)[::-1]


def test_it_appears_changes_and_vanishes_once_each(database: Database) -> None:
    promises = Promises()
    for at, objectives in enumerate([[OBJECTIVE], [OBJECTIVE], [STRICTER], [STRICTER], [], [], [OBJECTIVE]]):
        told(database, promises, NOW + at, *objectives)
    found = changes(database)
    assert [(it.at_ms - NOW, it.kind) for it in found] == [
        (0, "appeared"), (2, "changed"), (4, "vanished"), (6, "appeared"),
    ]  # fmt: skip
    assert found[1].differences == (
        Difference("target", "99 %", "99.9 %"), Difference("budget", "1/100", "1/1000"),
    )  # fmt: skip


def test_another_process_knows_what_was_stored_last(database: Database) -> None:
    told(database, Promises(), NOW, OBJECTIVE)
    told(database, Promises(), NOW + 1, OBJECTIVE)
    told(database, Promises(), NOW + 2, STRICTER)
    assert [it.kind for it in changes(database)] == ["appeared", "changed"]


def test_what_gets_to_be_measured_is_filled_in_and_is_no_change(database: Database) -> None:
    promises = Promises()
    blind = replace(OBJECTIVE, unmeasurable="No sample yet.")
    for at, it in enumerate([blind, OBJECTIVE, blind, OBJECTIVE]):
        told(database, promises, NOW + at, it)
    (only,) = changes(database)
    assert only.after == definition(OBJECTIVE)
    other = replace(OBJECTIVE, indicator=replace(OBJECTIVE.indicator, scale=1, bad=OBJECTIVE.indicator.total, good=()))  # type: ignore[call-arg,union-attr]
    told(database, promises, NOW + 9, other)
    assert [it.field for it in changes(database)[-1].differences] == ["indicator"]


def test_a_transaction_that_failed_changed_nothing(database: Database) -> None:
    promises = Promises()
    told(database, promises, NOW, OBJECTIVE)
    database.write(lambda cursor: promises.write(cursor, [STRICTER], NOW + 1))  # and was never told that it is done
    with database.cursor() as cursor:
        assert last_promises(cursor)[OBJECTIVE.slo, OBJECTIVE.service, ()] == definition(STRICTER)


def test_a_line_that_moved_in_its_file_and_faults_of_files_are_no_changes(database: Database) -> None:
    promises = Promises()
    told(database, promises, NOW, replace(OBJECTIVE, note="asked for by a.yaml:3"))
    told(database, promises, NOW + 1, replace(OBJECTIVE, note="asked for by a.yaml:4"), *refused(_faults()))
    told(database, promises, NOW + 2, replace(OBJECTIVE, note="asked for by b.yaml:4"))
    assert [it.differences for it in changes(database)] == [(), (Difference("source", "a.yaml", "b.yaml"),)]


def _faults() -> tuple[object, ...]:
    from service.slo_backtest import objectives_in

    return objectives_in([("x.yaml", GOOD.replace("0.999", "7"))])[1]  # type: ignore[return-value]


def test_old_changes_go_but_never_the_last_one_of_what_there_is(database: Database) -> None:
    promises = Promises()
    other = replace(OBJECTIVE, service="shop/front")
    for at, objectives in enumerate([[OBJECTIVE, other], [STRICTER, other], [STRICTER]]):
        told(database, promises, NOW + at, *objectives)
    assert database.write(lambda cursor: drop_changes(cursor, NOW + 10)) == 3
    assert [(it.service, it.kind) for it in changes(database)] == [("shop/api", "changed")]
    told(database, promises, NOW + 11, OBJECTIVE)
    assert database.write(lambda cursor: drop_changes(cursor, 0, most=1)) == 1


def test_a_promise_is_told_in_words() -> None:
    week = CalendarPeriods(datetime(2026, 1, 5), "Europe/Berlin", 1, "w")
    found = definition(replace(OBJECTIVE, calendar=week, slices=Timeslices(Fraction(95, 100), 60_000)))
    assert found.window == "1w from 2026-01-05 00:00:00 Europe/Berlin"
    assert found.method == "Timeslices of 1 min, good from 95 % on"
    assert found.indicator.startswith("good midwatch_container_healthy_seconds_total{service=")
    assert definition(OBJECTIVE).window == "30 d, rolling"

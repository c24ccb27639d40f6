"""Adjustments as they are kept, and what evaluation makes of them: frozen alerts, numbers that come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from pathlib import Path

import pytest

from alerts.model import Incident
from service import adjustments
from service.ports import ask
from service.store import Store
from service.store_restore import restore
from slo.adjust import MOST_STANDING, Adjustment, Recurrence, Revoked
from slo.model import Judgement
from tests.service.stores import T0, Clock
from tests.service.test_adjusted import adjustment
from tests.service.test_evaluate import DECLARED, SERVICE, World
from tests.service.test_evaluate import world as _world

world = _world
"""The fixture of evaluation."""
MINUTE = 60_000
AGAIN = Recurrence("week", ("sat",), time(2, 0), "Europe/Berlin", 7_200_000)


def kept(store: Store) -> list[Adjustment]:
    return ask(store.database, adjustments.read)


def test_what_was_made_and_revoked_is_kept_through_restart_and_backup(tmp_path: Path) -> None:
    path, once = tmp_path / "x.duckdb", adjustment(1, T0, T0 + 1)
    again = replace(adjustment(2, T0, T0 + 1), recurrence=AGAIN, until_ms=None, incident="page-1", silence=True)
    store = Store(path, Clock(T0))
    store.database.write(lambda it: [adjustments.add(it, one) for one in (once, again)])
    assert store.database.write(lambda it: adjustments.revoke(it, "a1", Revoked(T0 + 5, "bob", "was ours")))
    assert not store.database.write(lambda it: adjustments.revoke(it, "a1", Revoked(T0 + 6, "eve", "again")))
    assert not store.database.write(lambda it: adjustments.revoke(it, "none", Revoked(T0 + 6, "eve", "again")))
    expected = [replace(once, revoked=Revoked(T0 + 5, "bob", "was ours")), again]
    assert kept(store) == expected
    store.database.copy_to(tmp_path / "backup.duckdb")
    store.close()
    restore(tmp_path / "backup.duckdb", tmp_path / "other.duckdb", "now")
    for file in (path, tmp_path / "other.duckdb"):
        store = Store(file, Clock(T0))
        assert kept(store) == expected
        store.close()


def test_a_file_from_before_there_were_adjustments_gets_their_table(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb", Clock(T0))
    store.database.write(lambda it: it.execute("DROP TABLE adjustments"))
    store.close()
    store = Store(tmp_path / "x.duckdb", Clock(T0))
    assert kept(store) == []
    store.close()


def test_there_is_a_bound_and_what_is_revoked_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.duckdb", Clock(T0))

    def fill(cursor: object) -> None:
        for number in range(MOST_STANDING):
            adjustments._append(cursor, f"a{number}", T0, "created", adjustments._told(adjustment(number, T0, T0 + 1)))  # type: ignore[arg-type]

    store.database.write(fill)
    with pytest.raises(adjustments.TooMany, match="revoke some"):
        store.database.write(lambda it: adjustments.add(it, adjustment(-1, T0, T0 + 1)))
    store.database.write(lambda it: adjustments.revoke(it, "a0", Revoked(T0, "bob", "done")))
    store.database.write(lambda it: adjustments.add(it, adjustment(-1, T0, T0 + 1)))
    store.close()


def judged(world: World) -> Judgement:
    assert world.evaluator.last is not None
    (found,) = [
        it for it in world.evaluator.last.judgements
        if (it.objective.slo, it.objective.service) == ("request-availability", SERVICE)
    ]  # fmt: skip
    return found


def take_out(world: World, since_ms: int, until_ms: int, **more: object) -> None:
    made = adjustment(1, since_ms, until_ms, reason="new disks", **more)
    world.store.database.write(lambda it: adjustments.add(it, made))


def burns(world: World) -> list[Incident]:
    """Pages for a budget that burns."""
    found = [it for it in world.incidents() if it.road == "page"]
    return [it for it in found if any(alert.alert == "slo-burn" for alert in it.alerts)]


def broken(world: World, errors: int, rounds: int) -> int:
    """Rounds in which half of all requests fail; the errors since the start."""
    for _ in range(rounds):
        errors += 10
        world.round(errors=errors)
    return errors


def test_what_fired_before_maintenance_and_still_fires_after_it_is_one_incident(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(70):
        world.round()
    errors = broken(world, 0, 30)
    (page,) = burns(world)
    begin = world.clock.now_ms
    take_out(world, begin, begin + 90 * MINUTE)
    for _ in range(17):  # longer than the long window of the fast row
        errors += 10
        world.round(errors=errors, seconds=300)
        found = judged(world)
        assert (found.state, found.exhausted_at_ms, found.projected_gone) == ("unmeasured", None, False)
        assert found.reason.startswith("Taken out of the budget until ")
        assert found.reason.endswith(": new disks (ann).")
        assert not any(it.fired or it.measured for it in found.rows)
    (frozen,) = burns(world)
    assert (frozen.id, frozen.status) == (page.id, "open")
    assert all(it.frozen for it in frozen.alerts if it.alert == "slo-burn")
    world.clock.now_ms = begin + 90 * MINUTE
    errors = broken(world, errors, 20)
    assert judged(world).state in ("burning", "exhausted")
    assert [it.id for it in burns(world)] == [page.id]
    assert [status for number, status in world.posted() if number == page.id] == ["firing"]


def test_what_recovered_in_maintenance_resolves_after_it(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(70):
        world.round()
    errors = broken(world, 0, 30)
    (page,) = burns(world)
    begin = world.clock.now_ms
    take_out(world, begin, begin + 30 * MINUTE)
    for _ in range(6):
        world.round(errors=errors, seconds=299)
    assert burns(world)[0].status == "open"
    for _ in range(80):
        world.round(errors=errors)
    assert [(it.id, it.status) for it in burns(world)] == [(page.id, "resolved")]
    assert [status for number, status in world.posted() if number == page.id] == ["firing", "resolved"]


def test_an_incident_marked_afterwards_costs_nothing_and_revoked_it_costs_the_same_again(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(70):
        world.round()
    begin = world.clock.now_ms
    errors = broken(world, 0, 30)
    end = world.clock.now_ms
    for _ in range(10):
        world.round(errors=errors)
    before = judged(world)
    assert before.counts.bad == 300
    take_out(world, begin, end)
    world.evaluator.tick()
    after = judged(world)
    assert (after.counts.bad, after.counts.total, after.sli, after.budget_remaining) == (0, 800, 1, 1)
    assert after.state == "ok"
    (told,) = after.taken_out
    assert (told.id, told.reason, told.by, told.ms, told.bad, told.total, told.now) == (
        "a1", "new disks", "ann", end - begin, 300, 600, False,
    )  # fmt: skip
    world.store.database.write(lambda it: adjustments.revoke(it, "a1", Revoked(T0, "bob", "it was ours")))
    world.evaluator.tick()
    assert judged(world) == before


def test_objectives_of_others_are_judged_as_ever(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(70):
        world.round()
    world.evaluator.tick()
    before = judged(world)
    take_out(world, T0, world.clock.now_ms + MINUTE, services=("shop/web", "other*"))
    take_out(world, T0, world.clock.now_ms + MINUTE, services=("*",), slos=("container-up",), id="a2")
    world.evaluator.tick()
    assert judged(world) == before
    assert world.states()["container-up"] == "unmeasured"
    assert world.states()["restart-rate"] != "unmeasured"

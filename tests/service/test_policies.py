"""Alert policies of files over a real store: whom they tell, of what, and what a restart changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.desk import Receiver
from service.evaluate import Evaluator
from service.ports import rows_of
from service.slo_book import SloBook
from tests.service.test_evaluate import DECLARED, LIMITS, World

FILE = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: up}
spec:
  service: shop
  budgetingMethod: Occurrences
  indicator:
    metadata: {name: up}
    spec:
      ratioMetric:
        rawType: success
        raw: {metricSource: {type: midwatch, spec: {indicator: container-up, service: shop/api}}}
  objectives:
    - target: 0.5
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: loud}
      spec:
        alertWhenBreaching: true
        alertWhenNoData: true
        conditions:
          - kind: AlertCondition
            metadata: {name: burns}
            spec:
              severity: page
              condition: {kind: burnrate, op: gt, threshold: 1, lookbackWindow: 5m, alertAfter: 2m}
        notificationTargets:
          - kind: AlertNotificationTarget
            metadata: {name: team}
            spec: {target: chat}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    (tmp_path / "up.yaml").write_text(FILE)
    found.tell(DECLARED)
    yield found
    found.store.close()


def begin(world: World, tmp_path: Path) -> None:
    """A service that begins, with two receivers."""
    receivers = [Receiver("pager", "http://127.0.0.1:1/", ("page",)), Receiver("team", "http://127.0.0.1:1/", ())]
    book = SloBook([str(tmp_path / "up.yaml")], receivers=["pager", "team"])
    world.evaluator = Evaluator(world.store, receivers, "http://midwatch", LIMITS, world.clock, world.wake, slos=book)


def sent(world: World) -> list[tuple[str, str]]:
    rows = rows_of(world.store.database, "SELECT receiver, payload->>'status' FROM outbox ORDER BY position")
    return [(str(receiver), str(status)) for receiver, status in rows]


def conditions(world: World) -> set[tuple[str, str]]:
    found = (it for incident in world.incidents() for it in incident.alerts if "condition" in dict(it.labels))
    return {(it.alert, it.status) for it in found}


def test_a_condition_of_a_built_in_indicator_tells_the_receiver_that_its_target_names(
    world: World, tmp_path: Path
) -> None:
    begin(world, tmp_path)
    for _ in range(70):
        world.round()
    for _ in range(60):  # none is healthy any more
        world.round(healthy=0)
    assert conditions(world) == {("slo-burn", "firing")}
    assert ("team", "firing") in sent(world)


def test_how_long_a_condition_holds_is_known_after_a_restart_and_silence_is_told_as_such(
    world: World, tmp_path: Path
) -> None:
    begin(world, tmp_path)
    for _ in range(70):
        world.round()
    for _ in range(7):  # of the two minutes that it must hold 105 s
        world.clock.now_ms += 15_000
        world.evaluator.tick()
    assert conditions(world) == set()
    begin(world, tmp_path)
    for _ in range(12):
        world.clock.now_ms += 15_000
        world.evaluator.tick()
    assert conditions(world) == {("slo-no-data", "firing")}
    (told,) = [it for one in world.incidents() for it in one.alerts if it.alert == "slo-no-data"]
    assert told.evidence[0].text.startswith("unmeasured: ")
    assert told.evidence[0].text.endswith(" of the last 5 min was observed.")

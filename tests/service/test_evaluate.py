"""Evaluation over a real store: what is judged, what fires, what ends with what it was about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from alerts.model import Incident
from alerts.thresholds import Thresholds
from service import desk
from service.desk import Receiver
from service.errors import StoreUnavailable
from service.evaluate import Evaluator
from service.model import EventRow, LogBatch
from service.ports import ask, rows_of
from service.slo_book import SloBook
from service.store import Store
from service.store_records import Records
from slo.model import Judgement
from tests.service.stores import T0, Clock, Point, batch, series

LIMITS = Thresholds(hold_ms=10_000, oom_storm_window_ms=60_000)
SERVICE, NODE = "shop/api", {"node": "n1", "node_id": "u1"}
DECLARED = EventRow(
    "service.declared", T0, "n1", "u1", SERVICE, None, None, None, "", {"replicas": 2, "source": "engine", "probe": ""}
)
ROUND_MS = 5_000


class World:
    """A store, an evaluator, and an agent that tells what a test says."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(T0)
        self.store = Store(folder / "x.duckdb", self.clock)
        self.records = Records(self.store.database, self.store.streams, self.clock)
        self.woken = 0
        self.evaluator = Evaluator(
            self.store,
            [Receiver("hook", "http://127.0.0.1:1/", ("page",))],
            "http://midwatch",
            LIMITS,
            self.clock,
            self.wake,
        )
        self.rounds = 0
        self.instances = 2

    def wake(self) -> None:
        self.woken += 1

    def tell(self, *events: EventRow) -> None:
        self.records.append_logs(LogBatch(None, events, ()))

    def round(self, kills: int = 0, desired: int = 2, healthy: int = 2, errors: int = 0, seconds: int = 5) -> None:
        """One round of the agent, and an evaluation after it."""
        self.clock.now_ms += seconds * 1_000
        self.rounds += 1
        at, start = self.clock.now_ms, T0
        elapsed = (at - T0) / 1000

        def own(metric: str, value: float, **labels: str) -> Point:
            name = series(metric, service=SERVICE, **NODE, **labels)
            return Point(name, at, value, start, "counter" if metric.endswith("_total") else "gauge")

        points = [
            own("midwatch_oom_kills_total", kills, cause="container", victim="main"),
            own("midwatch_container_desired_seconds_total", desired * elapsed),
            own("midwatch_container_healthy_seconds_total", healthy * elapsed),
            own("midwatch_container_instance_seconds_total", self.instances * elapsed),
            own("midwatch_container_restarts_total", 0, by="policy"),
            own("midwatch_containers_desired", desired),
            own("midwatch_containers_healthy", healthy),
            own("http_requests_total", 10.0 * self.rounds, code="200"),
            own("http_requests_total", float(errors), code="500"),
            Point(series("midwatch_agent_interval_seconds", service="platform", **NODE), at, 5.0, None, "gauge"),
        ]
        self.store.append(batch(points, self.rounds, node_id="u1"))
        self.evaluator.tick()

    def states(self) -> Mapping[str, str]:
        assert self.evaluator.last is not None
        return {it.objective.slo: it.state for it in self.evaluator.last.judgements if it.objective.service == SERVICE}

    def incidents(self) -> list[Incident]:
        return ask(self.store.database, lambda cursor: desk.read_incidents(cursor, 0))

    def posted(self) -> list[tuple[str, str]]:
        sql = "SELECT incident_id, payload->>'status' FROM outbox ORDER BY position"
        return [(str(number), str(status)) for number, status in rows_of(self.store.database, sql)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.store.close()


def test_a_storm_is_one_page_and_one_resolve(world: World) -> None:
    world.tell(DECLARED)
    world.round()
    assert world.posted() == []
    for _ in range(5):
        world.round(kills=3)
    (page,) = [it for it in world.incidents() if it.road == "page"]
    assert {alert.alert for alert in page.alerts} == {"oom-storm"}
    for _ in range(20):
        world.round(kills=3)
    assert world.posted() == [(page.id, "firing"), (page.id, "resolved")]
    assert world.woken == 2


def test_what_was_decided_outlives_the_process(world: World) -> None:
    world.tell(DECLARED)
    world.round(kills=3)
    before = world.incidents()
    world.evaluator = Evaluator(world.store, [], "http://midwatch", LIMITS, world.clock, world.wake)
    world.round(kills=3)
    assert [it.id for it in world.incidents()] == [it.id for it in before]


def test_a_budget_that_burns_pages_with_the_row_that_fired(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(70):
        world.round()
    for at in range(1, 30):
        world.round(errors=10 * at)
    assert world.states()["request-availability"] in ("burning", "exhausted")
    (page,) = [it for it in world.incidents() if it.road == "page"]
    burn = next(alert for alert in page.alerts if alert.alert == "slo-burn")
    assert any("fast row fired" in line.label for line in burn.evidence)


def test_while_the_agent_is_silent_nothing_fires_by_ratio_and_nothing_resolves(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(5):
        world.round(kills=3)
    before = {it.id for it in world.incidents() if it.resolved_ms is None}
    for _ in range(40):
        world.clock.now_ms += 15_000
        world.evaluator.tick()
    after = {it.id: it for it in world.incidents() if it.resolved_ms is None}
    assert before <= set(after)
    assert any(alert.alert == "agent-silent" for it in after.values() for alert in it.alerts)
    assert world.states()["container-up"] == "unmeasured"


def test_a_removed_service_takes_its_objectives_and_incidents_along(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(3):
        world.round(kills=3)
    assert "request-availability" in world.states()
    world.tell(replace(DECLARED, name="service.removed", at_ms=world.clock.now_ms, attributes={}))
    world.clock.now_ms += 1_000
    world.evaluator.tick()
    assert world.states() == {}
    assert [it for it in world.incidents() if it.resolved_ms is None] == []
    assert [status for _, status in world.posted()] == ["firing", "resolved"]


def test_a_node_that_was_silent_for_a_day_is_none_any_more(world: World) -> None:
    world.tell(DECLARED)
    world.round()
    world.clock.now_ms += 600_000
    world.evaluator.tick()
    assert open_on_nodes(world) == ['service="platform",node="n1"']
    world.clock.now_ms += 86_400_000
    world.evaluator.tick()
    assert open_on_nodes(world) == []


def open_on_nodes(world: World) -> list[str]:
    return [it.subject.key for it in world.incidents() if it.resolved_ms is None and it.subject.scope]


def test_an_evaluation_that_fails_is_counted_and_changes_nothing(world: World) -> None:
    world.tell(DECLARED)
    world.round()
    world.store.database.write(lambda cursor: cursor.execute("INSERT INTO alert_book VALUES (?, '{}')", [2**60]))
    with pytest.raises(ValueError, match="version"):
        world.round(kills=9)
    assert world.incidents() == []
    assert world.posted() == []
    world.store.database.write(lambda cursor: cursor.execute("DELETE FROM alert_book"))
    world.round(kills=9)
    assert len(world.posted()) == 1


def test_while_samples_cannot_be_read_that_is_a_page_and_nothing_else_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tell(DECLARED)
    world.round()
    world.round(kills=9)
    before = world.posted()
    assert [status for _, status in before] == ["firing"]

    def refuse(*_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("the remote store can't be reached")

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "counts_of", refuse)
        for _ in range(30):
            world.clock.now_ms += 5_000
            with pytest.raises(StoreUnavailable):
                world.evaluator.tick()
    late = [it for it in world.incidents() if it.status == "open" and it.alerts[0].alert == "evaluation-late"]
    assert len(late) == 1
    assert [status for _, status in world.posted()] == ["firing", "firing"]
    for _ in range(20):
        world.round(kills=9)
    assert sorted(world.posted()[2:]) == sorted([(late[0].id, "resolved"), (before[0][0], "resolved")])


def test_each_minute_the_burn_is_written_down_for_graphs(world: World) -> None:
    world.tell(DECLARED)
    for _ in range(26):
        world.round()
    sql = "SELECT count(DISTINCT at_ms) FROM judgements WHERE slo = 'container-up'"
    assert rows_of(world.store.database, sql) == [(3,)]


@pytest.mark.parametrize(("instances", "state"), [(0, "no-traffic"), (2, "ok")])
def test_the_restart_rate_of_what_never_ran_is_no_success(world: World, instances: int, state: str) -> None:
    world.tell(DECLARED)
    world.instances = instances
    for _ in range(80):
        world.round()
    assert world.states()["restart-rate"] == state


OWN = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: api}
spec:
  service: storefront
  budgetingMethod: Occurrences
  indicator:
    metadata: {name: good-answers}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: Prometheus, spec: {query: 'http_requests_total{code=~"5.."}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: 'sum(rate(http_requests_total[{{.window}}]))'}}}
  objectives:
    - target: 0.999
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: api-up}
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
"""


def _with_files(world: World, folder: Path) -> None:
    book = SloBook([str(folder)])
    receivers = [Receiver("hook", "http://127.0.0.1:1/", ("page",))]
    world.evaluator = Evaluator(world.store, receivers, "http://midwatch", LIMITS, world.clock, world.wake, slos=book)


def _judged(world: World) -> dict[tuple[str, str], Judgement]:
    assert world.evaluator.last is not None
    return {(it.objective.slo, it.objective.service): it for it in world.evaluator.last.judgements}


def test_objectives_of_files_are_judged_by_the_same_counts_and_page(world: World, tmp_path: Path) -> None:
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "a.yaml").write_text(OWN)
    _with_files(world, tmp_path / "slos")
    world.tell(DECLARED)
    for _ in range(70):
        world.round()
    for at in range(1, 30):
        world.round(errors=10 * at)
    found = _judged(world)
    own, builtin = found["api", "storefront"], found["request-availability", SERVICE]
    assert (own.counts.bad, own.counts.total) == (builtin.counts.bad, builtin.counts.total)
    assert own.state in ("burning", "exhausted")
    assert own.sli == builtin.sli
    assert found["container-up", SERVICE].objective.target_text == "50 %"
    pages = {it.subject.service: it for it in world.incidents() if it.road == "page" and it.status == "open"}
    assert pages.keys() == {SERVICE, "storefront"}


def test_a_faulty_file_is_shown_as_what_nothing_can_measure_and_goes_when_it_is_good(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "a.yaml").write_text(OWN.replace("0.999", "1"))
    _with_files(world, tmp_path / "slos")
    world.tell(DECLARED)
    world.round()
    told = _judged(world)["slo-files", "platform"]
    assert told.state == "unmeasured"
    assert "a.yaml:15: spec.objectives[0].target: is not from 0 to below 1" in told.reason
    (tmp_path / "slos" / "b.yaml").write_text(OWN)
    (tmp_path / "slos" / "b.yaml").rename(tmp_path / "slos" / "a.yaml")
    world.round()
    assert ("slo-files", "platform") not in _judged(world)
    assert ("api", "storefront") in _judged(world)


def test_a_calendars_objective_counts_what_was_bad_since_its_period_began(world: World, tmp_path: Path) -> None:
    begin = datetime.fromtimestamp((T0 + 60_000) / 1000, UTC)
    window = f"{{startTime: {begin:%Y-%m-%d %H:%M:%S}, timeZone: UTC}}"
    text = OWN.split("---")[0] + f"  timeWindow: [{{duration: 1d, isRolling: false, calendar: {window}}}]\n"
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "a.yaml").write_text(text)
    _with_files(world, tmp_path / "slos")
    world.tell(DECLARED)
    for at in range(1, 11):  # 50 s, before the period
        world.round(errors=10 * at)
    assert "first period begins" in _judged(world)["api", "storefront"].reason
    for _ in range(12):
        world.round(errors=100)
    found = _judged(world)["api", "storefront"]
    assert (found.counts.since_ms, found.counts.bad) == (int(begin.timestamp() * 1000), 0)
    assert 0 < found.counts.total < _judged(world)["request-availability", SERVICE].counts.total
    for at in range(1, 3):
        world.round(errors=100 + at)
    assert _judged(world)["api", "storefront"].counts.bad == 2

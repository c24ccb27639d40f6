"""Rules over a real store and engine: evaluated when due, stored, taken up again, reloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.promql.engine import Engine
from service.promql.model import Vector
from service.rules import RuleBook, moment
from service.store import Store
from service.store_samples import StoreSamples
from slo.model import Selector
from tests.service.stores import T0, Clock, Point, batch, series
from tests.support.prometheus import peer_file

MINUTE = 60_000
TEXT = """
groups:
  - name: g
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - record: job:up:twice
        expr: 2 * job:up:sum
      - alert: Down
        expr: up == 0
        for: 5m
"""


class Bench:
    """A store with `up` of two instances, and rules over it."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.path, self.file = Clock(T0), folder / "x.duckdb", folder / "r.yml"
        self.file.write_text(TEXT)
        self.store = Store(self.path, self.clock)
        self.book = self.new_book()

    def new_book(self, globs: tuple[str, ...] = ()) -> RuleBook:
        engine = Engine(StoreSamples(self.store))
        names = globs or (str(self.file),)
        return RuleBook(names, MINUTE, engine, self.store.append_counted, self.store.database, self.clock)

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.path, self.clock)
        self.book = self.new_book()

    def up(self, **values: float) -> None:
        points = [
            Point(series("up", job="a", instance=name), self.clock.now_ms, value, kind="gauge")
            for name, value in values.items()
        ]
        self.store.append(batch(points))

    def turn(self, minutes: int = 1, **values: float) -> None:
        for _ in range(minutes):
            self.clock.now_ms += MINUTE
            self.clock.now_ms = (
                moment(self.book.groups[0].group, self.clock.now_ms) if self.book.groups else self.clock()
            )
            self.up(**values)
            self.book.tick()

    def value(self, metric: str) -> dict[str, float]:
        found = self.store.instant(Selector(metric), self.clock.now_ms, MINUTE)
        return {dict(it.series.labels).get("alertstate", ""): it.value for it in found}

    def count(self, query: str) -> int:
        """How many series a query gives now."""
        result = Engine(StoreSamples(self.store)).instant(query, self.clock.now_ms).result
        assert isinstance(result, Vector)
        return len(result.labels)

    def states(self) -> list[str]:
        return [one.state for it in self.book.groups for status in it.rules for one in status.alerts]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.store.close()


def test_later_rules_see_what_earlier_ones_stored(bench: Bench) -> None:
    bench.book.tick()
    bench.turn(x=1.0, y=1.0)
    assert bench.value("job:up:sum") == {"": 2.0}
    assert bench.value("job:up:twice") == {"": 4.0}


def test_a_group_is_evaluated_once_at_each_of_its_moments(bench: Bench) -> None:
    bench.book.tick()
    bench.book.tick()
    assert bench.book.counts["ok"] == 3
    bench.clock.now_ms += MINUTE
    bench.book.tick()
    assert bench.book.counts["ok"] == 6
    bench.clock.now_ms += 3 * MINUTE
    bench.book.tick()
    assert (bench.book.counts["ok"], bench.book.counts["missed"]) == (9, 2)
    bench.clock.now_ms -= 60 * MINUTE
    bench.book.tick()
    assert (bench.book.counts["ok"], bench.book.counts["missed"]) == (12, 2)


def test_a_clock_that_is_set_back_is_not_waited_for(bench: Bench) -> None:
    bench.book.tick()
    bench.turn(3, x=1.0)
    bench.clock.now_ms -= 60 * MINUTE
    bench.file.write_text("groups: []")
    bench.book.tick()
    assert bench.book.groups == ()


def test_alerts_go_on_after_a_restart(bench: Bench) -> None:
    bench.book.tick()
    bench.turn(4, x=0.0)
    assert bench.states() == ["pending"]
    bench.restart()
    bench.book.tick()
    bench.turn(2, x=0.0)
    assert bench.states() == ["firing"]
    assert bench.value("ALERTS")["firing"] == 1.0
    bench.turn(7, y=1.0)
    assert bench.states() == ["inactive"]


def test_series_that_a_rule_gives_no_more_end_at_once(bench: Bench) -> None:
    bench.book.tick()
    bench.turn(x=0.0)
    assert (bench.count("ALERTS"), bench.count("job:up:sum")) == (1, 1)
    bench.turn(x=1.0)
    assert (bench.count("ALERTS"), bench.count("ALERTS_FOR_STATE")) == (0, 0)
    bench.file.write_text("groups: []")
    bench.turn(x=1.0)
    assert bench.count("job:up:sum") == 0


def test_alerts_of_long_ago_begin_anew(bench: Bench) -> None:
    bench.book.tick()
    bench.turn(6, x=0.0)
    assert bench.states() == ["firing"]
    bench.clock.now_ms += 2 * 3_600_000
    bench.restart()
    bench.up(x=0.0)
    bench.book.tick()
    bench.turn(x=0.0)
    assert bench.states() == ["pending"]


def test_changed_files_are_taken_up_and_faulty_ones_never(bench: Bench) -> None:
    bench.book.tick()
    bench.turn(4, x=0.0)
    bench.file.write_text(TEXT.replace("job:up:twice", "job:up:double"))
    bench.turn(x=0.0)
    assert [it.name for it in bench.book.groups[0].group.rules][1] == "job:up:double"
    assert bench.states() == ["pending"]
    bench.file.write_text(TEXT + "  - nonsense")
    bench.turn(x=0.0)
    assert [it.line for it in bench.book.faults] == [12]
    assert len(bench.book.groups) == 1
    assert bench.states() == ["firing"]
    bench.file.write_text("groups: []")
    bench.turn(x=0.0)
    assert (bench.book.groups, bench.book.faults) == ((), ())


def test_a_rule_that_fails_is_told_and_the_others_go_on(bench: Bench) -> None:
    bench.file.write_text(TEXT.replace("expr: sum by (job) (up)", "expr: up * on (job) group_left () (up > bool 5)"))
    bench.book.tick()
    bench.turn(x=0.0, y=0.0)
    health = [it.health for it in bench.book.groups[0].rules]
    assert health == ["err", "ok", "ok"]
    assert bench.book.groups[0].rules[0].error
    assert bench.book.counts["failed"] == 1


@pytest.mark.parametrize("name", ["rules", "rules/sloth"])
def test_rule_files_of_others_evaluate_unmodified(bench: Bench, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(peer_file(name), folder)
    labels = {"job": "myservice", "instance": "a", "name": "c1", "service": "myservice", "code": "500"}
    metrics = ["http_request_duration_seconds_count", "container_last_seen", "node_load1", "node_cpu_seconds_total"]
    for ts in range(T0 - 1_800_000, T0 + 1, 30_000):
        value = (ts - T0) / 1000 + 1_800
        bench.store.append(batch(Point(series(it, **labels), ts, value) for it in metrics))
    book = bench.new_book((f"{folder}/*.yml",))
    book.tick()
    faults = [status.error for it in book.groups for status in it.rules if status.health != "ok"]
    assert faults == []
    assert book.counts["ok"] == sum(len(it.group.rules) for it in book.groups) >= 40

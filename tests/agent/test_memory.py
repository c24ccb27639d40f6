from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent import checkpoint
from agent.clock import Clock
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.logs import Position
from agent.memory import Memory
from agent.model import Point, Value
from agent.story import Story
from tests.agent.stories import PLAIN, WEB, Stage


class Agent(Stage):
    """A stage whose agent may end and begin again over the same folder."""

    def began(self, folder: Path) -> Memory:
        self.ledger = Ledger(lambda: self.now)
        self.lifecycle = Lifecycle(Story(self.ledger), lambda: self.now)
        memory = Memory(folder, self.ledger, self.lifecycle, Clock(lambda: self.now, lambda: self.now / 1000))
        memory.recall()
        return memory


def told(agent: Agent) -> list[Point]:
    """Every sample of the one service."""
    groups = [group for group in agent.ledger.points(agent.now) if group.resource.service == WEB]
    return [point for group in groups for point in group.points]


def crashed(agent: Agent, memory: Memory) -> None:
    memory.save({}, lambda _: 0, complete=False)


def test_counters_and_starts_survive_an_agent_that_ended_well(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    agent.lifecycle.resync([])
    agent.says("create").says("start").after(500).dies(1).after(100).says("start").after(1_000)
    agent.lifecycle.settle()
    memory.save({"c": Position(5, 2)}, lambda _: 3, complete=True)
    before = told(agent)
    again = agent.began(tmp_path)
    assert told(agent) == [point for point in before if point.name not in GAUGES]
    assert (again.positions, again.kernel_count(PLAIN.id), again.rebooted) == ({"c": Position(5, 2)}, 3, False)


GAUGES = (
    "midwatch_containers_desired",
    "midwatch_containers_healthy",
    "midwatch_container_restarts_per_hour",
)


def test_what_happened_while_the_agent_was_off_is_counted_when_it_is_back(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    agent.lifecycle.resync([])
    agent.says("create").says("start").after(1_000)
    started = agent.now - 1_000
    crashed(agent, memory)
    agent.after(60_000).began(tmp_path)
    agent.lifecycle.resync([replace(PLAIN, state="running", started_ms=started + 30_000, restart_count=2)])
    assert agent.settles().counted("restarts") == {"policy": 2}


def test_an_open_verdict_survives_a_crash(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    agent.lifecycle.resync([])
    agent.says("create").says("start").after(1_000).kills().dies(137).after(10)
    crashed(agent, memory)
    agent.after(5_000).began(tmp_path)
    assert agent.settles().counted("exits") == {"oom": 1}
    assert agent.ooms() == 1


def test_replayed_events_after_a_crash_count_once_in_all(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    agent.lifecycle.resync([])
    agent.says("create").after(10).says("start").after(1_000).dies(1)
    died = agent.now
    agent.after(10)
    crashed(agent, memory)
    agent.began(tmp_path)
    agent.now = died
    agent.dies(1).after(100).says("start")
    assert agent.settles().counted("exits") == {"error": 1}
    assert agent.counted("restarts") == {"policy": 1}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1}', '{"version":1,"ledger":[{}]}'])
def test_a_checkpoint_that_cannot_be_used_is_set_aside_and_counters_begin_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / checkpoint.NAME).write_text(text)
    agent = Agent()
    agent.began(tmp_path)
    assert (tmp_path / f"{checkpoint.NAME}.bad").read_text() == text
    agent.lifecycle.resync([])
    agent.after(5_000).says("create").settles()
    start = next(point.start_ms for point in told(agent) if isinstance(point, Value) and point.name not in GAUGES)
    assert start == agent.now - 3_000


def test_it_is_written_when_a_count_changed_and_otherwise_now_and_then(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    agent.lifecycle.resync([])
    path = tmp_path / checkpoint.NAME
    memory.save_if_due({}, lambda _: 0)
    path.unlink()
    memory.save_if_due({}, lambda _: 0)
    assert not path.exists()
    agent.says("create").says("start").dies(1).after(50).says("start")
    memory.save_if_due({}, lambda _: 0)
    assert json.loads(path.read_text())["complete"] is False
    path.unlink()
    agent.after(31_000)
    memory.save_if_due({}, lambda _: 0)
    assert path.exists()


def test_a_folder_that_cannot_be_written_is_counted_and_the_agent_goes_on(tmp_path: Path) -> None:
    agent = Agent()
    memory = agent.began(tmp_path)
    (tmp_path / f"{checkpoint.NAME}.new").mkdir()
    memory.save({}, lambda _: 0, complete=False)
    assert memory.failures == 1


def test_only_the_agents_user_may_read_it(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, {}, complete=True)
    assert (tmp_path / checkpoint.NAME).stat().st_mode & 0o077 == 0

"""Several agents on one engine: a project is kept by one of them, and the others say so."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent import client
from agent.home import Home
from agent.owner import Owner, taken
from runtime.model import AGENT_FOLDER_LABEL, AGENT_LABEL, Container
from tests.agent.running import running
from tests.agent.stories import PLAIN
from tests.support.engine import EngineUnderTest
from tests.support.waiting import until


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Owner]:
    with closing(Home(tmp_path / "mine")) as home:
        yield Owner(home, home.identity("here").node_id)


def container_of(owner: Owner) -> Container:
    return replace(PLAIN, labels=dict(owner.labels))


def test_containers_of_mine_and_of_earlier_versions_are_mine(mine: Owner) -> None:
    assert mine.others([container_of(mine), PLAIN]) == ()


def test_those_of_an_agent_that_lives_are_not_and_of_one_that_is_gone_are(mine: Owner, tmp_path: Path) -> None:
    theirs = Home(tmp_path / "theirs")
    of_them = container_of(Owner(theirs, theirs.identity("here").node_id))
    assert mine.others([PLAIN, of_them]) == (of_them,)
    said = taken("shop", [of_them])
    assert f"midwatch stop shop --data {tmp_path / 'theirs'}" in said
    assert PLAIN.name in said
    theirs.close()
    assert mine.others([of_them]) == ()


def test_a_folder_that_another_agent_has_taken_since_is_not_that_agent(mine: Owner, tmp_path: Path) -> None:
    with closing(Home(tmp_path / "theirs")) as theirs:
        of_them = container_of(Owner(theirs, theirs.identity("here").node_id))
        (theirs.folder / "node_id").write_text(f"{uuid.uuid4()}\n")
        assert mine.others([of_them]) == ()


@pytest.mark.parametrize("where", ["", "x", "1:/nowhere", "4026531840000:/var/lib/midwatch/agent"])
def test_an_agent_that_cannot_be_looked_into_is_taken_to_live(mine: Owner, where: str) -> None:
    far = replace(PLAIN, labels={AGENT_LABEL: str(uuid.uuid4()), AGENT_FOLDER_LABEL: where})
    assert mine.others([far]) == (far,)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["node_id", "lock"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_labels_that_lead_to_what_is_no_file_of_an_agent_hold_nothing_up(
    mine: Owner, tmp_path: Path, name: str, kind: str
) -> None:
    folder, agent = tmp_path / "volume", str(uuid.uuid4())
    folder.mkdir()
    (folder / "node_id").write_text(agent)
    (folder / "lock").touch()
    (folder / name).unlink()
    match kind:
        case "pipe":
            os.mkfifo(folder / name)
        case "device":
            (folder / name).symlink_to("/dev/zero")
        case _:
            (folder / name).mkdir()
    namespace = mine.labels[AGENT_FOLDER_LABEL].partition(":")[0]
    forged = replace(PLAIN, labels={AGENT_LABEL: agent, AGENT_FOLDER_LABEL: f"{namespace}:{folder}"})
    # A link at the lock's place can't be looked into, so that nothing is touched.
    assert mine.others([forged]) == ((forged,) if (name, kind) == ("lock", "device") else ())


COMPOSE = """
name: {project}
services:
  web:
    image: {image}
    command: ["sleep", "1000"]
    restart: always
    stop_grace_period: 0s
"""

KEEPER = """
import sys, threading
from pathlib import Path
from agent.main import run
from agent.settings import Settings
settings = Settings(interval_seconds=1.0, listen="127.0.0.1:0", server="http://127.0.0.1:9", engine=sys.argv[2])
run(settings, Path(sys.argv[1]), threading.Event(), {})
"""


@pytest.mark.engine
def test_a_project_of_an_agent_that_lives_is_refused_and_of_one_that_was_killed_is_taken_over(
    engine: EngineUnderTest, tiny_image: str, tmp_path: Path
) -> None:
    project = f"t{uuid.uuid4().hex[:8]}"
    file, first = tmp_path / "compose.yaml", tmp_path / "first"
    file.write_text(COMPOSE.format(project=project, image=tiny_image))
    of_project = {"label": f"io.midwatch.project={project}"}

    def ids() -> list[str]:
        return [str(one.id) for one in engine.client.containers.list(filters=of_project)]

    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(first), engine.url])
    try:
        until(lambda: (first / "agent.sock").exists(), 60)
        until(lambda: client.status(first / "agent.sock")["engine_up"], 60)
        assert client.run(first / "agent.sock", file, 60)["settled"] is True
        made = ids()
        with running(tmp_path / "second", engine.url) as second:
            with pytest.raises(client.AgentRefused, match=f"another agent, whose data folder is {first}"):
                client.run(second.socket, file, 10)
            assert ids() == made
            keeper.kill()
            keeper.wait()
            assert client.run(second.socket, file, 60)["settled"] is True
            assert ids() == made
            assert client.stop(second.socket, project)["removed"] is True
            assert ids() == []
    finally:
        keeper.kill()
        keeper.wait()
        for one in engine.client.containers.list(all=True, filters=of_project, ignore_removed=True):
            one.remove(force=True)

"""A Compose file brought to its desired state on a real engine, and kept there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.actions import Action, Create, Outcome, settled
from runtime.apply import Hands, apply
from runtime.compose import load
from runtime.converge import dismissal, plan
from runtime.engine import Engine
from runtime.model import PROJECT_LABEL, Container, Project
from tests.support.engine import EngineUnderTest
from tests.support.registry import RegistryUnderTest
from tests.support.waiting import until

pytestmark = pytest.mark.engine

COMPOSE = """
name: NAME
x-all: &all {stop_grace_period: 0s, labels: {io.test: NAME}}
services:
  web:
    <<: *all
    image: IMAGE
    command: sh -c "ping -c 1 -W 5 db && exec sleep 600"
    restart: always
    deploy: {replicas: 2}
    depends_on: {db: {condition: service_started}, job: {condition: service_completed_successfully}}
    volumes: [data:/data]
  db: {<<: *all, image: IMAGE, command: sleep 600, restart: always, environment: {A: "1"}, mem_limit: 16m}
  job: {<<: *all, image: IMAGE, command: "true"}
volumes: {data: }
"""


class Node:
    """A project on an engine, and what was done for it."""

    def __init__(self, folder: Path, live: Engine, name: str, image: str) -> None:
        self.folder, self.live, self.name, self.image = folder, live, name, image
        self.hands = Hands(live, lambda: time.time_ns() // 1_000_000)

    def project(self, text: str = COMPOSE) -> Project:
        place = self.folder / "compose.yaml"
        place.write_text(text.replace("NAME", self.name).replace("IMAGE", self.image))
        return load(place, {})

    def containers(self) -> dict[str, Container]:
        found = self.live.containers(label=f"{PROJECT_LABEL}={self.name}")
        return {container.name.removeprefix(f"{self.name}-"): container for container in found}

    def once(self, project: Project) -> tuple[list[Outcome], tuple[Action, ...]]:
        images = self.live.image_ids(spec.image for spec in project.services)
        actions = plan(project, self.live.containers(), images)
        return [apply(action, project.name, self.hands) for action in actions], actions

    def converge(self, project: Project) -> list[Outcome]:
        done: list[Outcome] = []

        def step() -> bool:
            outcomes, actions = self.once(project)
            done.extend(outcomes)
            return settled(actions) and not actions

        until(step, what=f"{self.name} settled")
        return done

    def dismiss(self) -> None:
        for action in dismissal(self.name, self.live.containers()):
            apply(action, self.name, self.hands)
        self.live.remove_networks(f"{PROJECT_LABEL}={self.name}")


@pytest.fixture
def node(tmp_path: Path, engine: EngineUnderTest, live: Engine, tiny_image: str) -> Iterator[Node]:
    found = Node(tmp_path, live, f"apply{engine.run_id}", tiny_image)
    yield found
    found.dismiss()
    for volume in engine.client.volumes.list(filters={"label": f"{PROJECT_LABEL}={found.name}"}):
        volume.remove()


def test_a_file_becomes_running_containers_in_the_order_of_their_dependencies(node: Node) -> None:
    outcomes = node.converge(node.project())
    made = [outcome.action for outcome in outcomes if isinstance(outcome.action, Create)]
    assert all(outcome.ok for outcome in outcomes)
    assert [(action.service, action.replica) for action in made] == [("db", 1), ("job", 1), ("web", 1), ("web", 2)]
    found = node.containers()
    assert {name: container.state for name, container in found.items()} == {
        "web-1": "running", "web-2": "running", "db-1": "running", "job-1": "exited",
    }  # fmt: skip
    assert found["db-1"].memory_limit_bytes == 16 << 20 and found["db-1"].restart_policy == "always"
    assert found["web-1"].restart_count == 0, "a service is reached by its name on the project's network"


def test_what_is_removed_stopped_or_changed_comes_back_as_the_file_has_it(node: Node) -> None:
    project = node.project()
    node.converge(project)
    before = node.containers()
    node.live.remove(before["web-2"].id)
    node.live.stop(before["db-1"].id)
    reasons = {(outcome.action.service, outcome.action.reason) for outcome in node.converge(project)}
    assert reasons == {("web", "a replica is missing"), ("db", "it was stopped")} or reasons == {
        ("db", "it was stopped"), ("web", "a replica is missing"), ("web", "waits for db (service started)"),
    }  # fmt: skip
    after = node.containers()
    assert after["web-1"].id == before["web-1"].id and after["web-2"].id != before["web-2"].id
    assert after["job-1"].id == before["job-1"].id, "a job that is done is not run again"


def test_a_changed_service_is_replaced_and_the_others_stay(node: Node) -> None:
    node.converge(node.project())
    before = node.containers()
    node.converge(node.project(COMPOSE.replace('A: "1"', 'A: "2"')))
    after = node.containers()
    assert {name for name in after if after[name].id != before[name].id} == {"db-1"}


def test_a_service_that_left_the_file_goes_and_other_owners_containers_stay(
    node: Node, engine: EngineUnderTest
) -> None:
    other = engine.client.containers.run(node.image, "sleep 600", detach=True, labels=engine.labels)
    try:
        node.converge(node.project())
        small = f"services: {{db: {{image: {node.image}, command: sleep 600, stop_grace_period: 0s}}}}\nname: NAME\n"
        node.converge(node.project(small))
        assert set(node.containers()) == {"db-1"}
        node.dismiss()
        assert node.containers() == {}
        assert node.live.inspect(other.id or "") is not None
    finally:
        other.remove(force=True)


def test_an_image_is_pulled_first_and_its_record_comes_with_the_outcome(
    node: Node, engine: EngineUnderTest, registry: RegistryUnderTest, tiny_image: str
) -> None:
    node.image = registry.push(tiny_image, "shop/api")
    text = "services: {a: {image: IMAGE, command: sleep 600, stop_grace_period: 0s}}\nname: NAME\n"
    first, *_ = node.converge(node.project(text))
    assert first.pull is not None and first.pull.outcome == "ok"
    node.dismiss()
    engine.client.images.remove(node.image)


def test_a_failed_pull_is_an_outcome_with_its_reason_and_the_next_plan_asks_for_it_again(node: Node) -> None:
    node.image = "127.0.0.1:1/shop/api:1"
    project = node.project("services: {a: {image: IMAGE}}\nname: NAME\n")
    for _ in range(2):
        (outcome,), _ = node.once(project)
        assert not outcome.ok and outcome.pull is not None and outcome.pull.outcome == "unreachable"
        assert outcome.message and "127.0.0.1:1/shop/api:1" in outcome.message


def test_an_image_is_built_and_its_record_comes_with_the_outcome(node: Node, engine: EngineUnderTest) -> None:
    (node.folder / "Dockerfile").write_text(f"FROM {node.image}\nCMD sleep 600\n")
    project = node.project("services: {a: {build: ., stop_grace_period: 0s}}\nname: NAME\n")
    first, *_ = node.converge(project)
    assert first.build is not None and first.build.ok and first.build.reference == f"{node.name}-a"
    node.dismiss()
    engine.client.images.remove(f"{node.name}-a")


def test_what_the_engine_refuses_is_an_outcome_and_the_container_is_started_by_a_later_plan(node: Node) -> None:
    text = "services: {a: {image: IMAGE, command: /no/such/program, stop_grace_period: 0s}}\nname: NAME\n"
    (made,), _ = node.once(node.project(text))
    assert not made.ok and made.message and "/no/such/program" in made.message
    (again,), (action,) = node.once(node.project(text))
    assert type(action).__name__ == "Start" and not again.ok

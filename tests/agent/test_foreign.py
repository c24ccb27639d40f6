"""Deploys that others make become a trace each, with the times that the engine told."""

from __future__ import annotations

from dataclasses import replace

from agent.deploys import DEADLINE_MS, Ended
from agent.foreign import ForeignDeploys, Stood
from agent.trace import deploy_spans
from runtime.model import ServiceName
from tests.agent.stories import BEGIN_MS, PLAIN, Stage

WEB = ServiceName("", "web")


def parts(ended: Ended) -> list[tuple[str, int, int, bool]]:
    return [(step.name, step.from_ms - BEGIN_MS, step.to_ms - BEGIN_MS, step.ok) for step in ended.deploy.steps]


def test_a_container_without_a_probe_is_deployed_when_it_runs() -> None:
    stage = Stage()
    stage.after(100).says("create").after(200).says("start")
    stage.after(4_000)
    (ended,) = stage.lifecycle.deploys_over()
    assert parts(ended) == [("create", 0, 100, True), ("start", 100, 300, True), ("ready", 300, 300, True)]
    assert (ended.deploy.service, ended.deploy.reason, ended.at_ms - BEGIN_MS) == (WEB, "created", 300)
    assert stage.lifecycle.deploys_over() == []


def test_a_container_with_a_probe_is_deployed_when_it_was_first_ready() -> None:
    probed = replace(PLAIN, labels={"midwatch.readiness": "http://:80/"})
    stage = Stage(container=probed)
    stage.says("create").after(100).says("start")
    assert stage.lifecycle.deploys_over() == []
    stage.after(700)
    stage.lifecycle.ready(probed.id, BEGIN_MS + 100, 0.7, "http", first_try=False, error_seconds=0.03)
    stage.after(5_000)
    stage.lifecycle.check(probed.id, BEGIN_MS + 100, passed=True)
    (ended,) = stage.lifecycle.deploys_over()
    assert parts(ended)[-1] == ("ready", 100, 800, True)


def test_one_whose_health_check_passes_is_deployed_at_that_moment() -> None:
    stage = Stage(container=replace(PLAIN, health="starting"))
    stage.says("create").says("start").after(900).says("health_status: healthy").after(5_000)
    (ended,) = stage.lifecycle.deploys_over()
    assert parts(ended)[-1] == ("ready", 0, 900, True)


def test_one_that_is_never_ready_ends_as_a_failed_trace() -> None:
    stage = Stage(container=replace(PLAIN, health="starting"))
    stage.says("create").says("start").after(DEADLINE_MS)
    (ended,) = stage.lifecycle.deploys_over()
    assert not ended.ok
    assert not deploy_spans(ended)[0].status.is_ok


def test_a_restart_is_no_deploy_and_another_image_is() -> None:
    stage = Stage()
    stage.says("create").says("start").lifecycle.deploys_over()
    stage.after(5_000).dies(1).after(100).says("start")
    assert stage.lifecycle.deploys_over() == []
    stage.container = replace(PLAIN, id="d" * 64, image="web:2", image_id="sha256:2", created_ms=stage.now)
    stage.after(50).says("create", id="d" * 64).says("start", id="d" * 64)
    (ended,) = stage.lifecycle.deploys_over()
    assert (ended.deploy.previous_image, ended.deploy.image, ended.deploy.reason) == ("web:1", "web:2", "image changed")
    root, *spans = deploy_spans(ended)
    assert root.attributes is not None and root.attributes["quality"] == "derived"
    assert {span.context.trace_id for span in spans if span.context} == {root.context.trace_id if root.context else 0}


def test_what_is_under_way_is_bounded() -> None:
    deploys, stage = ForeignDeploys(most=2), Stage()
    for number in range(5):
        service = ServiceName("", f"s{number}")
        change = stage.lifecycle.story.configs.deploys(service, PLAIN)
        deploys.made(str(number), BEGIN_MS)
        deploys.started(service, replace(PLAIN, id=str(number)), BEGIN_MS, change)
    over = deploys.over(lambda _: True, lambda _: BEGIN_MS, BEGIN_MS)
    assert [ended.deploy.service.name for ended in over] == ["s3", "s4"]


def test_when_a_run_stood_is_its_first_time_and_of_that_run_alone() -> None:
    stood = Stood(most=2)
    stood.note("a", 1, 10)
    stood.note("a", 1, 20)
    assert (stood.of("a", 1), stood.of("a", 2)) == (10, None)
    stood.note("a", 2, 30)
    assert stood.of("a", 2) == 30
    for name in "bc":
        stood.note(name, 1, 1)
    assert stood.of("a", 2) is None

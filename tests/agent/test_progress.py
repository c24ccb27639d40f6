from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.progress import Progress
from agent.projects import Handed, ProjectFolder, declared, stopping
from runtime.actions import Create, Outcome, PullImage, Wait
from runtime.compose import load
from runtime.model import Pull, ServiceName

AT = 1_700_000_000_000
IMAGES = {"r:5000/web:1": "sha256:1"}


def handed(tmp_path: Path) -> Handed:
    file = tmp_path / "compose.yaml"
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    file.write_text(
        "name: shop\nservices:\n  web:\n    image: r:5000/web:1\n    build: .\n    environment: {SECRET: x}\n"
        "    labels: {midwatch.readiness: 'tcp://:80'}\n    deploy: {replicas: 3}\n"
    )
    return Handed(load(file, {}))


def failed(message: str) -> Outcome:
    pull = Pull("r:5000/web:1", "r:5000", "web", "not_found", AT, 0.1, 0, (), None, message)
    return Outcome(PullImage("web", "r:5000/web:1", "the image is missing"), False, message, pull=pull)


def test_a_failed_deploy_is_told_of_once_for_each_reason(tmp_path: Path) -> None:
    progress, project = Progress(refresh=True), handed(tmp_path)
    told = [
        progress.note_deploy(project, failed(message), {}, AT, AT + 100) for message in ("gone", "gone", "disk full")
    ]
    assert [ended.reason if ended else None for ended in told] == ["gone", None, "disk full"]


def test_what_failed_is_not_due_again_at_once(tmp_path: Path) -> None:
    progress, action = Progress(refresh=True), failed("gone").action
    progress.done(ServiceName("shop", "web"), failed("gone"), AT)
    assert progress.due([action], AT + 500) == []
    assert progress.due([action], AT + 1_500) == [action]
    assert list(progress.failures.values()) == ["shop/web: gone"]
    progress.looked(handed(tmp_path), [action], {}, lambda _: True, AT + 500)
    assert (progress.stuck, progress.settled) == (True, False)
    progress.done(ServiceName("shop", "web"), replace(failed("x"), ok=True), AT + 2_000)
    assert progress.failures == {}


def test_a_project_is_settled_when_its_deploys_are_over(tmp_path: Path) -> None:
    progress, project = Progress(refresh=True), handed(tmp_path)
    made = Outcome(Create("web", 1, project.project.services[0], "missing"), True, container_id="c1")
    assert progress.note_deploy(project, made, IMAGES, AT, AT + 100) is None
    assert progress.looked(project, [], IMAGES, lambda _: False, AT + 200) == []
    assert (progress.settled, progress.waits) == (False, {"web": "its containers are not ready yet"})
    (ended,) = progress.looked(project, [], IMAGES, lambda _: True, AT + 300)
    assert (ended.ok, progress.settled, progress.waits) == (True, True, {})
    assert progress.note_deploy(project, made, IMAGES, AT + 900, AT + 950) is None
    assert progress.deploys == {}, "the same configuration again is no deploy"


def test_one_that_waits_for_another_is_not_settled_but_what_was_given_up_is(tmp_path: Path) -> None:
    progress, project = Progress(refresh=True), handed(tmp_path)
    progress.looked(project, [Wait("web", "waits for db (service healthy)")], IMAGES, lambda _: True, AT)
    assert not progress.settled
    progress.looked(project, [Wait("web", "the engine gave it up after 3 restarts")], IMAGES, lambda _: True, AT)
    assert progress.settled


def test_projects_survive_the_agent_and_only_its_user_may_read_them(tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path / "projects")
    kept = replace(handed(tmp_path), deployed={"web": "h sha256:1 r:5000/web:1"})
    folder.save(kept)
    assert ProjectFolder(tmp_path / "projects").load() == {"shop": kept}
    assert (tmp_path / "projects" / "shop.json").stat().st_mode & 0o077 == 0
    folder.save(stopping(kept))
    assert folder.load()["shop"].stopping
    folder.remove("shop")
    assert folder.load() == {}


def test_a_project_that_cannot_be_read_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path / "projects")
    folder.save(handed(tmp_path))
    (tmp_path / "projects" / "broken.json").write_text("{")
    assert list(folder.load()) == ["shop"]


def test_what_a_project_declares_are_its_replicas_labels_and_probes(tmp_path: Path) -> None:
    ((service, facts),) = declared(handed(tmp_path)).items()
    assert (str(service), facts.replicas, facts.probed, facts.launched) == ("shop/web", 3, True, False)
    assert facts.labels == {"midwatch.readiness": "tcp://:80"}
    assert facts.source == str(tmp_path / "compose.yaml")

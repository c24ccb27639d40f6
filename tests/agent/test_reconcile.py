"""Which file a project is kept from: a second one of its name never takes it over unasked."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.home import Home
from agent.owner import Owner, ProjectTaken
from agent.projects import ProjectFolder
from agent.reconcile import Reconciler
from runtime.compose import load
from runtime.model import Project
from tests.agent.stories import Stage


@pytest.fixture
def reconciler(tmp_path: Path) -> Reconciler:
    stage = Stage()
    with closing(Home(tmp_path / "data")) as home:
        owner = Owner(home, home.identity("here").node_id)
    return Reconciler(ProjectFolder(tmp_path / "projects"), stage.lifecycle, stage.ledger, lambda: None, Clock(), owner)


def project(folder: Path, service: str) -> Project:
    folder.mkdir(exist_ok=True)
    file = folder / "compose.yaml"
    file.write_text(f"name: shop\nservices:\n  {service}:\n    image: {service}\n")
    return load(file, {})


def services(reconciler: Reconciler) -> list[str]:
    return [spec.name for spec in reconciler.projects()["shop"][0].project.services]


def test_a_second_file_of_the_same_name_is_refused_with_both_paths_and_the_first_stays(
    reconciler: Reconciler, tmp_path: Path
) -> None:
    first, second = project(tmp_path / "a", "web"), project(tmp_path / "b", "db")
    reconciler.hand_over(first)
    with pytest.raises(ProjectTaken) as refused:
        reconciler.hand_over(second)
    said = str(refused.value)
    assert first.source in said and second.source in said
    assert "another name" in said and "--replace" in said and "\n" not in said
    assert services(reconciler) == ["web"]


def test_the_same_file_is_a_new_version_however_its_path_is_written(reconciler: Reconciler, tmp_path: Path) -> None:
    reconciler.hand_over(project(tmp_path / "a", "web"))
    reconciler.hand_over(project(tmp_path / "a", "db"))
    assert services(reconciler) == ["db"]
    (tmp_path / "link").symlink_to(tmp_path / "a")
    reconciler.hand_over(load(tmp_path / "link" / ".." / "a" / "compose.yaml", {}))
    reconciler.hand_over(load(tmp_path / "link" / "compose.yaml", {}))
    assert services(reconciler) == ["db"]


def test_another_file_is_taken_where_it_is_to_replace_the_first_or_that_is_being_ended(
    reconciler: Reconciler, tmp_path: Path
) -> None:
    reconciler.hand_over(project(tmp_path / "a", "web"))
    reconciler.hand_over(project(tmp_path / "b", "db"), instead=True)
    assert services(reconciler) == ["db"]
    reconciler.stop("shop")
    reconciler.hand_over(project(tmp_path / "c", "cache"))
    assert services(reconciler) == ["cache"]

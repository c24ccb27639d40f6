from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.oom_folders import Came, ContainerFolders, Went
from runtime.oom_inotify import Inotify

A, B = "a" * 64, "b" * 64


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    found = Inotify()
    yield found
    found.close()


def changes(folders: ContainerFolders, inotify: Inotify) -> list[Came | Went]:
    return [change for notice in inotify.read() for change in folders.changes(notice)]


def test_containers_that_are_there_are_found_under_any_parent(tmp_path: Path, inotify: Inotify) -> None:
    names = (f"docker/{A}", f"system.slice/docker-{B}.scope", "system.slice/ssh.service", "init.scope")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    found = ContainerFolders(inotify, tmp_path).scan()
    assert sorted(found) == [Came(A, tmp_path / names[0], False), Came(B, tmp_path / names[1], False)]


def test_a_container_that_comes_and_goes_is_told(tmp_path: Path, inotify: Inotify) -> None:
    (tmp_path / "docker").mkdir()
    folders = ContainerFolders(inotify, tmp_path)
    folders.scan()
    (tmp_path / "docker" / A).mkdir()
    assert changes(folders, inotify) == [Came(A, tmp_path / "docker" / A, True)]
    (tmp_path / "docker" / A).rmdir()
    assert changes(folders, inotify) == [Went(A, tmp_path / "docker" / A)]


def test_a_parent_made_with_its_first_container_is_entered(tmp_path: Path, inotify: Inotify) -> None:
    folders = ContainerFolders(inotify, tmp_path)
    folders.scan()
    (tmp_path / "my/own" / A).mkdir(parents=True)
    assert Came(A, tmp_path / "my/own" / A, True) in changes(folders, inotify)
    (tmp_path / "my/own" / B).mkdir()
    assert changes(folders, inotify)[-1] == Came(B, tmp_path / "my/own" / B, True)


def test_a_parent_that_went_and_came_again_is_entered_again(tmp_path: Path, inotify: Inotify) -> None:
    folders = ContainerFolders(inotify, tmp_path)
    (tmp_path / "docker").mkdir()
    folders.scan()
    shutil.rmtree(tmp_path / "docker")
    changes(folders, inotify)
    (tmp_path / "docker" / A).mkdir(parents=True)
    assert Came(A, tmp_path / "docker" / A, True) in changes(folders, inotify)


def test_what_is_inside_a_container_is_its_own_affair(tmp_path: Path, inotify: Inotify) -> None:
    (tmp_path / "docker" / A / "docker" / B).mkdir(parents=True)
    assert [came.container_id for came in ContainerFolders(inotify, tmp_path).scan()] == [A]


def test_folders_beyond_the_bound_are_counted(tmp_path: Path, inotify: Inotify) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    folders = ContainerFolders(inotify, tmp_path, max_folders=2)
    folders.scan()
    assert folders.refused == 2


def test_after_lost_notices_a_rescan_finds_what_came_meanwhile(tmp_path: Path, inotify: Inotify) -> None:
    folders = ContainerFolders(inotify, tmp_path)
    folders.scan()
    (tmp_path / "docker" / A).mkdir(parents=True)
    inotify.read()
    assert folders.rescan() == [Came(A, tmp_path / "docker" / A, True)]

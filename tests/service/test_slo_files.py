"""Files of objectives on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from service import slo_files
from service.slo_files import read_texts
from slo.openslo.read import read
from slo.openslo.tree import MAX_BYTES


def test_folders_patterns_and_files_are_read_each_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.txt", "in/d.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    found = read_texts([str(tmp_path), f"{tmp_path}/*.yaml", f"{tmp_path}/c.txt"])
    assert [text for _, text in found.texts] == ["a.yml", "b.yaml", "in/d.yaml", "c.txt"]
    assert found.faults == ()


def test_a_mounted_configuration_map_has_each_file_once_by_its_own_name(tmp_path: Path) -> None:
    version = tmp_path / "..2026_11_28"
    version.mkdir()
    (version / "a.yaml").write_text("a")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "z.yaml").symlink_to("a.yaml")
    found = read_texts([str(tmp_path), str(tmp_path / "loop.yaml")])
    assert found.texts == ((str(tmp_path / "a.yaml"), "a"),)
    assert [str(it).rpartition("/")[2] for it in found.faults] == [
        "loop.yaml:1: can't be read: it is no regular file; correct its path or permissions"
    ]


def test_what_can_not_be_read_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    (tmp_path / "b.yaml").write_text("x")
    found = read_texts([str(tmp_path), str(tmp_path / "none.yaml"), f"{tmp_path}/*.none"])
    assert [text for _, text in found.texts] == ["x"]
    assert [str(it).removeprefix(f"{tmp_path}/") for it in found.faults] == [
        "none.yaml:1: is no file; correct the path",
        "a.yaml:1: is not UTF-8 at byte 0; save it as UTF-8",
    ]


def test_folders_that_can_not_be_read_are_told_and_a_patterns_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.yaml", "in/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    whole = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("/in"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", denied)
    found = read_texts([str(tmp_path), f"{tmp_path}/none/*.yaml"])
    assert [text for _, text in found.texts] == ["a.yaml"]
    assert [str(it).removeprefix(f"{tmp_path}/") for it in found.faults] == [
        "in:1: can't be read: Permission denied; correct its path or permissions",
        "none:1: is no folder; correct the path",
    ]


def test_a_huge_file_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as stream:
        stream.truncate(1 << 34)
    ((name, text),) = read_texts([str(tmp_path / "a.yaml")]).texts
    assert len(text) == MAX_BYTES + 1
    assert f"larger than {MAX_BYTES} bytes" in str(read([(name, text)]).findings[0])


def test_too_many_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slo_files, "MOST_FILES", 2)
    for name in "abcd":
        (tmp_path / f"{name}.yaml").write_text(name)
    found = read_texts([str(tmp_path)])
    assert len(found.texts) == 2
    assert "c.yaml:1: one of more than 2 files; name fewer files" in str(found.faults[0])


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    found = read_texts([str(tmp_path / "a.yaml")])
    assert "a.yaml:1: can't be read: it is no regular file" in str(found.faults[0])

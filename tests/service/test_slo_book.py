"""Objectives of files, taken up again as the files change."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from service.slo_book import LOOK_MS, SloBook
from service.slo_good import GoodFiles
from service.store import Store
from tests.slo.openslo.support import GOOD, with_line
from tests.slo.openslo.test_resolve import NAMED, SLI


class Folder:
    """A folder of files, a book on it, and the time."""

    def __init__(self, path: Path) -> None:
        self.path, self.book, self.now_ms = path, SloBook([str(path)]), 0

    def write(self, name: str, text: str) -> None:
        """Write by renaming, so that the file is another one however fast."""
        (self.path / "new").write_text(text)
        (self.path / "new").rename(self.path / name)

    def targets(self) -> list[str]:
        """The targets in force, after the next look."""
        self.now_ms += LOOK_MS
        return [it.target_text for it in self.book.look(self.now_ms).objectives]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def _target(text: str, name: str = "api") -> str:
    return with_line("0.999", text).replace("name: api", f"name: {name}")


def test_what_changes_is_taken_up_and_what_goes_is_gone(folder: Folder) -> None:
    assert folder.targets() == []
    folder.write("a.yaml", _target("0.99"))
    assert folder.targets() == ["99 %"]
    folder.write("a.yaml", _target("0.9"))
    folder.write("b.yaml", _target("0.5", "other"))
    assert folder.targets() == ["90 %", "50 %"]
    (folder.path / "a.yaml").unlink()
    assert folder.targets() == ["90 %", "50 %"]
    assert folder.targets() == ["50 %"]


def test_what_is_away_while_it_is_written_was_never_gone(folder: Folder) -> None:
    """Its alert would end, and begin again as another incident."""
    folder.write("a.yaml", _target("0.99"))
    assert folder.targets() == ["99 %"]
    for halfway in ("", "# nothing yet"):
        folder.write("a.yaml", halfway)
        assert folder.targets() == ["99 %"]
        folder.write("a.yaml", _target("0.9"))
        assert folder.targets() == ["90 %"]
        folder.write("a.yaml", _target("0.99"))
        assert folder.targets() == ["99 %"]
    (folder.path / "a.yaml").unlink()
    assert folder.targets() == ["99 %"]
    folder.write("b.yaml", "")  # what changes meanwhile is looked at once more
    assert folder.targets() == ["99 %"]
    assert folder.targets() == []


@pytest.mark.parametrize("pattern", ["", "*.yaml", "**/*.yaml"])
def test_a_folder_that_is_gone_leaves_its_objectives_in_force_over_a_restart_too(tmp_path: Path, pattern: str) -> None:
    """A file system that is not mounted ends no pages."""
    files, kept = Folder(tmp_path / "slos"), Remembered({})
    files.path.mkdir()
    files.write("a.yaml", _target("0.99"))
    files.book = SloBook([str(files.path / pattern)], kept=kept)
    assert files.targets() == ["99 %"]
    files.path.rename(tmp_path / "away")
    for _ in range(3):
        assert files.targets() == ["99 %"]
    assert [(it.at.file, it.what) for it in files.book.faults] == [
        (str(files.path), "is no folder" if pattern else "is no file")
    ]
    files.book = SloBook([str(files.path / pattern)], kept=kept)
    assert files.targets() == ["99 %"]
    (tmp_path / "away").rename(files.path)
    assert files.targets() == ["99 %"]
    assert files.book.faults == ()


def test_files_are_looked_at_every_five_seconds(folder: Folder) -> None:
    folder.write("a.yaml", _target("0.99"))
    assert folder.targets() == ["99 %"]
    folder.write("a.yaml", _target("0.9"))
    assert [it.target_text for it in folder.book.look(folder.now_ms + LOOK_MS - 1).objectives] == ["99 %"]
    folder.now_ms -= 86_400_000  # the clock is set back
    assert folder.targets() == ["90 %"]
    assert folder.targets() == ["90 %"]


def test_a_faulty_file_leaves_its_good_one_in_force_and_others_go_on(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("a.yaml", _target("0.99"))
    folder.write("b.yaml", _target("0.5", "other"))
    assert folder.targets() == ["99 %", "50 %"]
    folder.write("a.yaml", _target("1"))
    folder.write("b.yaml", _target("0.6", "other"))
    with caplog.at_level(logging.ERROR):
        assert folder.targets() == ["99 %", "60 %"]
    assert len(folder.book.faults) == 1
    assert "a.yaml:28: spec.objectives[0].target: is not from 0 to below 1" in caplog.text
    folder.write("a.yaml", _target("0.9"))
    assert folder.targets() == ["90 %", "60 %"]
    assert folder.book.faults == ()


def test_a_file_that_never_was_good_is_left_out(folder: Folder) -> None:
    folder.write("a.yaml", _target("1"))
    folder.write("b.yaml", _target("0.5", "other"))
    assert folder.targets() == ["50 %"]
    assert len(folder.book.faults) == 1


def test_an_indicator_that_vanishes_leaves_all_as_it_was(folder: Folder) -> None:
    folder.write("slo.yaml", NAMED)
    folder.write("sli.yaml", SLI)
    assert folder.targets() == ["99.9 %"]
    (folder.path / "sli.yaml").unlink()
    assert folder.targets() == ["99.9 %"]
    assert [it.at.path for it in folder.book.faults] == ["spec.indicatorRef"]
    folder.write("sli.yaml", SLI)
    assert folder.targets() == ["99.9 %"]
    assert folder.book.faults == ()


def test_a_name_that_stands_twice_leaves_the_first(folder: Folder) -> None:
    folder.write("a.yaml", _target("0.99"))
    assert folder.targets() == ["99 %"]
    folder.write("b.yaml", _target("0.5"))
    assert folder.targets() == ["99 %"]
    assert len(folder.book.faults) == 1


def test_strict_files_are_refused_for_what_their_examples_do(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "      op: lt\n")
    lenient, strict = SloBook([str(tmp_path)]), SloBook([str(tmp_path)], strict=True)
    assert (len(lenient.look(0).objectives), len(strict.look(0).objectives)) == (1, 0)
    assert (len(lenient.faults), len(strict.faults)) == (0, 1)


def test_without_paths_there_is_nothing() -> None:
    assert SloBook().look(0).objectives == ()


def test_a_file_that_is_faulty_at_the_start_is_judged_as_it_was_good_before(tmp_path: Path) -> None:
    """Else a restart would end the pages of its objectives."""
    files = Folder(tmp_path / "slos")
    files.path.mkdir()
    files.write("a.yaml", _target("0.99"))
    files.write("b.yaml", _target("0.5", "other"))

    def targets_of_a_start() -> list[str]:
        with closing(Store(tmp_path / "m.duckdb", lambda: 0)) as store:
            files.book = SloBook([str(files.path)], kept=GoodFiles(store.database))
            return files.targets()

    assert targets_of_a_start() == ["99 %", "50 %"]
    files.write("a.yaml", _target("1"))
    assert targets_of_a_start() == ["99 %", "50 %"]
    assert len(files.book.faults) == 1
    assert targets_of_a_start() == ["99 %", "50 %"]
    files.write("a.yaml", _target("0.9"))
    assert targets_of_a_start() == ["90 %", "50 %"]
    (files.path / "a.yaml").unlink()
    assert targets_of_a_start() == ["50 %"]


class Remembered:
    """Files that another version found good."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def read(self) -> dict[str, str]:
        """All of them."""
        return dict(self.texts)

    def write(self, texts: Mapping[str, str]) -> None:
        """Keep others."""
        self.texts = dict(texts)


def test_what_was_kept_and_is_no_longer_good_takes_nothing_else_with_it(folder: Folder) -> None:
    folder.write("a.yaml", _target("1"))
    folder.write("b.yaml", _target("0.5", "other"))
    kept = Remembered({str(folder.path / "a.yaml"): "of another version"})
    folder.book = SloBook([str(folder.path)], kept=kept)
    assert folder.targets() == ["50 %"]
    assert list(kept.texts) == [str(folder.path / "b.yaml")]

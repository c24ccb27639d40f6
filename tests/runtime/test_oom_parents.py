from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runtime.oom_book import OomBook, Run
from runtime.oom_parents import EXCESS_HOLD_MS, OomParents, Vanished


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """A folder of containers that has counted five kills before anyone watched."""
    return counts(tmp_path / "docker", 5)


def counts(folder: Path, kills: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "memory.events").write_text(f"low 0\noom 0\noom_kill {kills}\n")
    return folder


@pytest.fixture
def book() -> OomBook:
    return OomBook()


@pytest.fixture
def parents(docker: Path) -> OomParents:
    watched = OomParents()
    watched.begin([docker])
    return watched


def lived(book: OomBook, name: str, counted: int, now_ms: int = 0) -> Run:
    """A run that ended, and what its own counter said at last."""
    run = book.open(name, now_ms)
    book.counter(name, counted)
    book.close(name, now_ms)
    return run


def looked(parents: OomParents, now_ms: int) -> list[Vanished]:
    parents.read()
    return parents.balance(now_ms)


def held(parents: OomParents, now_ms: int = 0) -> list[Vanished]:
    """What is found once an excess has lasted."""
    assert looked(parents, now_ms) == []
    return looked(parents, now_ms + EXCESS_HOLD_MS)


def test_what_a_run_counted_itself_is_no_excess(docker: Path, parents: OomParents, book: OomBook) -> None:
    parents.join(docker, lived(book, "a", 2), new=True)
    counts(docker, 7)
    assert held(parents) == []


def test_the_only_run_that_ended_has_what_its_counter_lacks(docker: Path, parents: OomParents, book: OomBook) -> None:
    run = lived(book, "a", 1)
    parents.join(docker, run, new=True)
    counts(docker, 8)
    assert held(parents) == [Vanished(run, 2)]
    assert held(parents, 1000) == []


def test_a_run_that_ended_in_balance_is_no_suspect_later(docker: Path, parents: OomParents, book: OomBook) -> None:
    parents.join(docker, lived(book, "a", 0), new=True)
    assert looked(parents, 0) == []
    late = lived(book, "b", 0)
    parents.join(docker, late, new=True)
    counts(docker, 6)
    assert held(parents, 10) == [Vanished(late, 1)]


def test_of_two_that_ended_neither_is_blamed_and_no_later_one_either(
    docker: Path, parents: OomParents, book: OomBook
) -> None:
    for name in ("a", "b"):
        parents.join(docker, lived(book, name, 0), new=True)
    counts(docker, 6)
    assert held(parents) == []
    parents.join(docker, lived(book, "c", 0), new=True)
    assert held(parents, 1000) == []


def test_one_that_ends_while_an_excess_is_held_is_no_suspect_of_it(
    docker: Path, parents: OomParents, book: OomBook
) -> None:
    first, second = lived(book, "a", 0), lived(book, "b", 0)
    parents.join(docker, first, new=True)
    counts(docker, 6)
    assert looked(parents, 0) == []
    parents.join(docker, second, new=True)
    counts(docker, 8)
    assert looked(parents, EXCESS_HOLD_MS) == [Vanished(first, 1)]
    assert held(parents, 2 * EXCESS_HOLD_MS) == [Vanished(second, 2)]


def test_an_excess_that_was_seen_before_its_run_was_known_is_that_runs(
    docker: Path, parents: OomParents, book: OomBook
) -> None:
    counts(docker, 6)
    assert looked(parents, 0) == []
    run = lived(book, "a", 0)
    parents.join(docker, run, new=True)
    assert looked(parents, EXCESS_HOLD_MS) == [Vanished(run, 1)]


def test_what_the_log_explains_within_the_hold_is_no_excess(docker: Path, parents: OomParents, book: OomBook) -> None:
    run = lived(book, "a", 0)
    parents.join(docker, run, new=True)
    counts(docker, 6)
    assert looked(parents, 0) == []
    run.logged = 1
    assert looked(parents, EXCESS_HOLD_MS) == []


def test_kills_that_a_checkpoint_had_not_counted_are_not_the_parents(
    docker: Path, parents: OomParents, book: OomBook
) -> None:
    run = book.open("a", 0, counter=5, baseline=5)
    parents.join(docker, run, new=False)
    book.rebase("a", 3)
    book.counter("a", 6)
    counts(docker, 6)
    gone = lived(book, "b", 0)
    parents.join(docker, gone, new=True)
    assert held(parents) == []
    counts(docker, 7)
    last = lived(book, "c", 0)
    parents.join(docker, last, new=True)
    assert held(parents, 1000) == [Vanished(last, 1)]


def test_a_folder_below_explains_what_is_above_it_also_once_it_is_gone(
    docker: Path, parents: OomParents, book: OomBook
) -> None:
    below = counts(docker / "below", 0)
    parents.join(below, lived(book, "a", 1), new=True)
    parents.join(docker, lived(book, "b", 0), new=True)
    counts(below, 1)
    counts(docker, 6)
    assert held(parents) == []
    shutil.rmtree(below)
    parents.join(docker, lived(book, "c", 0), new=True)
    assert held(parents, 1000) == []


def test_a_folder_that_is_made_under_our_eyes_began_with_nothing(
    docker: Path, parents: OomParents, book: OomBook
) -> None:
    made = counts(docker / "made", 1)
    run = lived(book, "a", 0)
    parents.join(made, run, new=True)
    assert held(parents) == [Vanished(run, 1)]


def test_a_folder_that_counts_nothing_explains_nothing(tmp_path: Path, book: OomBook) -> None:
    parents = OomParents()
    parents.begin([tmp_path])
    parents.join(tmp_path, lived(book, "a", 0), new=True)
    assert held(parents) == []

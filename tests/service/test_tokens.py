"""Tokens of senders: made once, kept as hashes, and worth nothing from the moment they are revoked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from service.tokens import TokenBook, TokenFault, create, read, revoke, token_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return token_file(tmp_path)


def test_a_token_is_known_by_the_one_who_has_it(path: Path) -> None:
    token = create(path, "node-7", 1)
    book = TokenBook(path)
    assert book.agent(token) == "node-7"
    for other in ("", "mwt_", "mwt__", token[:-1], token + "0", token.upper(), "mwt_" + "0" * 77, "xyz" + token):
        assert book.agent(other) is None


def test_neither_the_token_nor_its_secret_is_written_down(path: Path) -> None:
    token = create(path, "node-7", 1)
    text = path.read_text()
    assert token not in text
    assert token.rpartition("_")[2] not in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_revoked_token_is_worth_nothing_at_once_and_its_name_is_free(path: Path) -> None:
    old, book = create(path, "node-7", 1), TokenBook(path)
    assert (book.agent(old), book.any()) == ("node-7", True)
    revoke(path, "node-7", 2)
    assert (book.agent(old), book.any()) == (None, False)
    new = create(path, "node-7", 3)
    assert (book.agent(old), book.agent(new)) == (None, "node-7")
    assert [it.revoked_ms for it in read(path)] == [2, None]


def test_without_a_file_nobody_is_known(path: Path) -> None:
    assert TokenBook(path).agent("mwt_a_b") is None
    assert read(path) == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "-x", "é"])
def test_a_name_that_is_none_is_refused(path: Path, name: str) -> None:
    with pytest.raises(TokenFault, match="is no name"):
        create(path, name, 1)


def test_a_name_has_one_token_and_what_is_not_there_is_not_revoked(path: Path) -> None:
    create(path, "a", 1)
    with pytest.raises(TokenFault, match="already"):
        create(path, "a", 2)
    with pytest.raises(TokenFault, match="no token for b"):
        revoke(path, "b", 2)


def test_tokens_that_are_made_at_once_are_all_there(path: Path) -> None:
    threads = [threading.Thread(target=create, args=(path, f"n{n}", n)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {it.name for it in read(path)} == {f"n{n}" for n in range(12)}


def test_a_damaged_file_is_said_so(path: Path) -> None:
    create(path, "a", 1)
    path.write_text("{")
    with pytest.raises(TokenFault, match="create the tokens anew"):
        TokenBook(path).agent("mwt_a_b")

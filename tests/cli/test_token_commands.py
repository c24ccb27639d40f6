"""`midwatch token …` on a folder."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.errors import Refusal
from cli.main import app
from service.tokens import TokenBook, token_file


def run(*words: str) -> tuple[str, BaseException | None]:
    found = CliRunner().invoke(app, ["token", *words])
    return found.output, found.exception


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    token = run("create", "node-7", *data)[0].strip()
    book = TokenBook(token_file(tmp_path))
    assert book.agent(token) == "node-7"
    listed = json.loads(run("list", "--json", *data)[0])
    assert [(it["name"], it["revoked"]) for it in listed] == [("node-7", False)]
    assert run("revoke", "node-7", *data)[0] == "the token of node-7 is revoked\n"
    assert book.agent(token) is None
    assert "revoked" in run("list", *data)[0]


def test_what_can_not_be_done_is_refused_with_its_remedy(tmp_path: Path) -> None:
    _, fault = run("revoke", "nobody", "--data", str(tmp_path))
    assert isinstance(fault, Refusal)
    assert "midwatch token list" in str(fault)

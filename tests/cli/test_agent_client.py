"""What `midwatch run` makes of the agent's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent import client
from cli import agent_client
from cli.errors import Refusal

FAILED = {"project": "p", "services": ["web"], "settled": False, "failures": ["p/web: port 80\n is taken"]}
STANDS = {"project": "p", "services": ["web"], "settled": True, "failures": []}


@pytest.fixture(autouse=True)
def answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that could not bring a service up; the agent's side has tests of its own."""

    def run(*_: Any, replace: bool) -> dict[str, Any]:
        return STANDS if replace else FAILED

    monkeypatch.setattr(client, "run", run)


def test_what_failed_is_one_line_with_its_remedy_where_it_is_asked_for_strictly(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        agent_client.run(tmp_path, tmp_path / "compose.yaml", print, strict=True)
    line = str(caught.value)
    assert "p/web: port 80 is taken" in line and "midwatch stop p" in line
    assert "\n" not in line


def test_what_failed_is_told_otherwise(tmp_path: Path) -> None:
    told: list[str] = []
    agent_client.run(tmp_path, tmp_path / "compose.yaml", told.append)
    assert told == ["p: p/web: port 80 is taken"]


def test_one_service_stands_and_that_another_file_is_to_be_replaced_reaches_the_agent(tmp_path: Path) -> None:
    told: list[str] = []
    agent_client.run(tmp_path, tmp_path / "compose.yaml", told.append, replace=True)
    assert told == ["p: 1 service stands"]

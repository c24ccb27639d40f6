"""What is not the demo's stays, though it has the demo's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent import client
from cli import demo, demo_run
from cli.config import load
from cli.down import down
from cli.errors import Refusal


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Projects that an agent was asked to end which keeps a file of somebody's as `shop`."""
    found: list[str] = []

    def stop(_: Path, project: str) -> dict[str, Any]:
        found.append(project)
        return {"project": project, "removed": True, "failures": []}

    kept = {"source": str(tmp_path / "mine.yaml"), "stopping": False, "failures": []}
    monkeypatch.setattr(client, "status", lambda _: {"projects": {"shop": kept}})
    monkeypatch.setattr(client, "stop", stop)
    demo.Project(tmp_path / "demo").write("shop", 1, 2)
    return found


def test_neither_end_of_the_demo_touches_a_project_of_its_name(asked: list[str], tmp_path: Path) -> None:
    down(tmp_path, False, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(Refusal, match=r"project shop is kept from .*/mine.yaml, .*; end it by `midwatch stop shop`"):
        demo_run.end(tmp_path)
    assert asked == []


def test_the_demo_does_not_come_up_in_its_place(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_run, "ensure", lambda *_, **__: ())
    monkeypatch.setattr(demo_run.registry, "start", lambda *_: None)
    with pytest.raises(Refusal, match="which is not the demo's"):
        demo_run.bring_up(tmp_path, load(None, {}).demo, "unix:///none", print)
    assert asked == []

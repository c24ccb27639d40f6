from __future__ import annotations

from pathlib import Path

import pytest

from cli import agent_client, service_client
from cli.config import load
from cli.errors import Refusal
from cli.projects import ps, stop


@pytest.mark.parametrize("name", ["shop/api", "a b", "../x", "", "x\u202e"])
def test_what_is_no_projects_name_is_told_so_and_the_agent_is_not_asked(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refusal, match="is no project's name; write what stands before the / in `midwatch ps`"):
        stop(tmp_path, name)


def test_services_are_shown_with_hostile_names_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = {"service": "a\u202e[r]", "desired": 1, "healthy": 0, "restarts": 0, "oom_kills": 0}
    monkeypatch.setattr(agent_client, "ps", lambda _: [service | {"waits_for": "x\x1b[2J"}])
    monkeypatch.setattr(agent_client, "failures", lambda _: ["p/a\u2066: no"])
    monkeypatch.setattr(service_client, "budgets", lambda _: {})
    ps(tmp_path, load(None, {}), as_json=False, everything=False)
    out = capsys.readouterr().out
    assert "a\\u202e[r]" in out and "x\\u001b[2J" in out and "! p/a\\u2066: no" in out
    assert not set(out) & {"\u202e", "\u2066", "\x1b"}

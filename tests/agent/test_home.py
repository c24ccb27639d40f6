from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from agent.home import Home, HomeTaken


def test_a_node_keeps_its_id(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.identity("n1")
    home.close()
    again = Home(tmp_path)
    assert again.identity(None).node_id == first.node_id == str(uuid.UUID(first.node_id))
    assert first.node == "n1"
    again.close()


def test_two_agents_cannot_count_over_one_folder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(HomeTaken, match=rf"pid {os.getpid()}\).*stop it or name another --data"):
        Home(tmp_path)
    home.close()
    Home(tmp_path).close()


def test_a_damaged_id_is_made_anew(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.folder / "node_id").write_text("garbage")
    assert uuid.UUID(home.identity("n").node_id)
    home.close()


def test_a_folder_that_cannot_be_made_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "agent").write_text("a file")
    with pytest.raises(HomeTaken, match="choose another folder by --data"):
        Home(tmp_path)

"""What must hold before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.errors import Refusal
from cli.preflight import require_port, require_room
from tests.support.ports import free_port


def test_room_is_made_sure_of_in_a_folder_that_is_made(tmp_path: Path) -> None:
    require_room(tmp_path / "a" / "b", needed=1)
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_too_little_room_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"only \d+ MiB are free under .*, 1073741824 MiB are needed; free some space"):
        require_room(tmp_path, needed=1 << 50)


def test_a_free_port_is_fine_and_so_is_any_port() -> None:
    require_port("127.0.0.1", free_port(), "service.listen")
    require_port("127.0.0.1", 0, "service.listen")


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_in_use_names_the_key_and_the_variable_that_move_it(family: int, host: str) -> None:
    with socket.socket(family) as taken:
        taken.bind((host, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            Refusal, match=rf"port {port} on {host} is in use .*agent\.listen \(MIDWATCH_AGENT_LISTEN\)"
        ):
            require_port(host, port, "agent.listen")


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(Refusal, match=r"can't listen on 203\.0\.113\.1:8099"):
        require_port("203.0.113.1", 8099, "service.listen")

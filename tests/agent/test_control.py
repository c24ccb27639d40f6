from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent import client
from agent.control import ControlServer, Json, Refused


class Fake:
    """An agent that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def run(self, path: Path, wait_seconds: float, instead: bool) -> Json:
        self.asked.append(("run", path, wait_seconds, instead))
        if path.name == "bad.yaml":
            raise Refused(422, "bad.yaml:3: services.a.imag: unknown key\nbad.yaml:4: services.b: no image")
        return {"project": "shop", "services": ["shop/api"], "settled": True, "failures": []}

    def stop(self, project: str, wait_seconds: float) -> Json:
        self.asked.append(("stop", project, wait_seconds))
        return {"project": project, "removed": True, "failures": []}

    def ps(self) -> Json:
        return {"services": [{"service": "shop/api", "desired": 1}]}

    def status(self) -> Json:
        raise ZeroDivisionError


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[Path, Fake]]:
    fake, socket = Fake(), tmp_path / "agent.sock"
    server = ControlServer(socket, fake)
    server.start()
    yield socket, fake
    server.stop()


def test_a_file_is_handed_over_by_its_absolute_path(agent: tuple[Path, Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    socket, fake = agent
    monkeypatch.chdir(socket.parent)
    assert client.run(socket, Path("compose.yaml"), 5.0)["settled"] is True
    assert client.run(socket, Path("compose.yaml"), 5.0, replace=True)["settled"] is True
    assert fake.asked == [("run", socket.parent / "compose.yaml", 5.0, how) for how in (False, True)]


def test_faults_of_a_file_come_back_in_full(agent: tuple[Path, Fake]) -> None:
    with pytest.raises(client.AgentRefused) as refused:
        client.run(agent[0], Path("/tmp/bad.yaml"))
    assert str(refused.value).splitlines()[1] == "bad.yaml:4: services.b: no image"


def test_projects_are_ended_and_services_listed(agent: tuple[Path, Fake]) -> None:
    socket, fake = agent
    assert client.stop(socket, "shop", 7.0)["removed"] is True
    assert fake.asked == [("stop", "shop", 7.0)]
    assert client.ps(socket) == [{"service": "shop/api", "desired": 1}]


def test_a_request_that_breaks_the_agent_is_answered_and_the_next_one_too(agent: tuple[Path, Fake]) -> None:
    with pytest.raises(client.AgentRefused, match="the agent's log says why"):
        client.status(agent[0])
    assert client.ps(agent[0])


def test_without_an_agent_there_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(client.AgentUnreachable, match=r"^no agent answers at .*; start it with `midwatch up`") as error:
        client.status(tmp_path / "agent.sock")
    assert "\n" not in str(error.value)


def test_a_socket_that_a_killed_agent_left_behind_is_replaced(agent: tuple[Path, Fake], tmp_path: Path) -> None:
    left = tmp_path / "left.sock"
    dead = ControlServer(left, Fake())
    dead._server.server_close()
    with pytest.raises(client.AgentUnreachable):
        client.ps(left)
    server = ControlServer(left, Fake())
    server.start()
    assert client.ps(left)
    server.stop()
    assert not left.exists()


def test_only_the_agents_user_may_use_the_socket(agent: tuple[Path, Fake]) -> None:
    assert agent[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", b"", 404), ("PUT", "/ps", b"", 501), ("DELETE", "/projects/../x", b"", 404),
        ("POST", "/projects", b"{", 400), ("POST", "/projects", b"[]", 400),
        ("POST", "/projects", b'{"path":"x"}', 400),
        ("POST", "/projects", b'{"path":"/x","replace":1}', 400),
        ("POST", "/projects", b'{"path":"/x","wait_seconds":-1}', 400), ("POST", "/projects", b" " * 70_000, 413),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_refused(
    agent: tuple[Path, Fake], method: str, path: str, body: bytes, status: int
) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(agent[0]))) as http:
        assert http.request(method, f"http://agent{path}", content=body).status_code == status

"""Finding an engine, and telling apart why there is none."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.discover import Finding, explain, find_engine, look
from runtime.errors import EngineUnavailable


@contextmanager
def listening(path: Path, answer: bytes | None) -> Iterator[None]:
    """A socket that answers each connection with `answer`, or says nothing at all."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in held:
            connection.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"


def test_docker_host_decides_where_it_is_set(tmp_path: Path) -> None:
    with listening(tmp_path / "named", OK), listening(tmp_path / "system", OK):
        url = f"unix://{tmp_path / 'named'}"
        assert find_engine({"DOCKER_HOST": url}, system_socket=str(tmp_path / "system")) == url


def test_the_systems_engine_comes_before_our_private_one(tmp_path: Path) -> None:
    system, private = tmp_path / "system", tmp_path / "private"
    with listening(private, OK):
        assert find_engine({}, str(private), str(system)) == f"unix://{private}"
        with listening(system, OK):
            assert find_engine({}, str(private), str(system)) == f"unix://{system}"


def test_no_engine_at_all_is_one_line_that_names_both_places_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        find_engine({}, str(tmp_path / "private"), str(tmp_path / "system"))
    said = str(caught.value)
    assert "no container engine" in said and "\n" not in said and "midwatch up" in said
    assert str(tmp_path / "private") in said and str(tmp_path / "system") in said


def test_a_named_engine_that_is_missing_is_docker_hosts_fault(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="correct DOCKER_HOST"):
        find_engine({"DOCKER_HOST": f"unix://{tmp_path / 'nothing'}"})


def test_a_socket_that_nobody_listens_on_any_more_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    with pytest.raises(EngineUnavailable, match="does not answer: nothing listens"):
        find_engine({"DOCKER_HOST": f"unix://{path}"})


def test_a_daemon_that_takes_the_connection_and_says_nothing_does_not_answer(tmp_path: Path) -> None:
    with listening(tmp_path / "hung", None):
        found = look(f"unix://{tmp_path / 'hung'}", answer_seconds=0.1)
    assert found.fault == "silent" and "said nothing for 0.1 s" in found.detail


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_something_that_is_no_healthy_engine_does_not_answer(tmp_path: Path, answer: bytes) -> None:
    with listening(tmp_path / "other", answer):
        assert look(f"unix://{tmp_path / 'other'}").fault == "silent"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is tried, which only root can become")
def test_a_socket_that_another_user_may_not_open_names_its_owner_its_group_and_the_remedy() -> None:
    with tempfile.TemporaryDirectory() as folder, listening(Path(folder) / "closed", OK):
        Path(folder).chmod(0o755)
        (Path(folder) / "closed").chmod(0o600)
        said = as_nobody(f"unix://{folder}/closed")
    assert "no permission" in said and "user root, group root" in said and "you are nobody" in said
    assert "usermod" in said and "\n" not in said


def as_nobody(url: str) -> str:
    """What `find_engine` says to the user nobody, asked in a process of its own."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork beside a thread; the child takes no lock and ends at once.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            os.write(writer, find_engine({"DOCKER_HOST": url}).encode())
        except EngineUnavailable as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        return said.read()


def test_a_locked_socket_is_worth_more_words_than_a_missing_one() -> None:
    said = explain([Finding("unix:///a", "forbidden", "it is root's"), Finding("unix:///b", "absent", "")], named=False)
    assert said.startswith("no permission") and "unix:///a" in said


def test_an_engine_on_tcp_is_found_where_its_port_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert find_engine({"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}) == f"tcp://127.0.0.1:{port}"
    assert look(f"tcp://127.0.0.1:{port}").fault == "silent"


@pytest.mark.parametrize("url", ["ssh://me@host", "tcp://nohost", "npipe:////./pipe", "nonsense"])
def test_addresses_that_are_not_understood_say_so(url: str) -> None:
    with pytest.raises(EngineUnavailable, match="correct DOCKER_HOST"):
        find_engine({"DOCKER_HOST": url})

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import uvicorn

from service.connections import bounded, counted, raise_file_limit
from tests.support.ports import free_port
from tests.support.waiting import until


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The least application."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@contextmanager
def served(most: int, header_seconds: float) -> Iterator[tuple[int, Counter[str]]]:
    """A server under these bounds: its port, and what was ended."""
    ended: Counter[str] = Counter()
    port = free_port()
    http = bounded(most, ended, header_seconds)
    server = uvicorn.Server(uvicorn.Config(hello, port=port, http=http, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        until(lambda: server.started)
        yield port, ended
    finally:
        server.should_exit = True
        thread.join(30)


def connected(port: int, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))


def test_what_is_one_too_many_is_ended_and_the_others_are_answered() -> None:
    with served(2, 60.0) as (port, ended), ExitStack() as stack:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert client.get("/").text == "hello"
            connected(port, stack)
            over = connected(port, stack)
            assert gone(over)
            assert client.get("/").text == "hello"
        assert counted(ended) == {("bound",): 1.0, ("headers",): 0.0}


def test_a_connection_that_never_asks_or_never_ends_its_headers_is_ended() -> None:
    with served(10, 0.2) as (port, ended), ExitStack() as stack:
        silent, slow = connected(port, stack), connected(port, stack)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert gone(silent) and gone(slow)
        assert ended["headers"] == 2


def test_a_second_request_has_its_time_too() -> None:
    with served(10, 0.5) as (port, ended), ExitStack() as stack:
        again = connected(port, stack)
        again.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        found = b""
        while b"hello" not in found:
            found += again.recv(4096)
        again.sendall(b"GET / HTTP/1.1\r\n")
        assert gone(again)
        assert ended["headers"] == 1


def gone(connection: socket.socket) -> bool:
    """True where the other side ends it; what it still says is read."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_there_is_room_for_as_many_connections_as_files_may_be_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        assert raise_file_limit(500) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 756
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

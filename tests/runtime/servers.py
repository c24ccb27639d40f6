"""Small servers on loopback that answer as a test says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = Callable[[str], bytes]
"""From the request's head to the whole answer."""


@dataclass
class Server:
    """A server's port, and the heads of the requests that it got."""

    port: int
    requests: list[str] = field(default_factory=list)


@contextmanager
def serving(answer: Answer, drip: bool = False) -> Iterator[Server]:
    """Answers each connection once and closes it; with `drip` a byte at a time follows, without end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1])
        over = threading.Event()

        def one(connection: socket.socket) -> None:
            with connection:
                head = connection.recv(65536).decode("latin-1")
                server.requests.append(head)
                try:
                    connection.sendall(answer(head))
                    while drip and not over.wait(0.02):
                        connection.sendall(b"H")
                except OSError:
                    return

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
                threads[-1].start()

        threads = [threading.Thread(target=accept, daemon=True)]
        threads[0].start()
        yield server
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body

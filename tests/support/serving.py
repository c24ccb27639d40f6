"""An application behind a real socket, for as long as a test needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from tests.support.waiting import until


@contextmanager
def serving(app: ASGIApp, listen: str) -> Iterator[None]:
    """The application at `HOST:PORT`."""
    host, _, port = listen.rpartition(":")
    server = uvicorn.Server(uvicorn.Config(app, host, int(port), log_level="warning", access_log=False, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 20)
        yield
    finally:
        server.should_exit = True
        thread.join()

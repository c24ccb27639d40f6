"""The service's parts behind HTTP, until a signal ends it."""

from __future__ import annotations

import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from service.app import create_app
from service.connections import bounded, raise_file_limit
from service.errors import PortInUse
from service.live import Live
from service.main import running, system_clock
from service.settings import Settings, host_and_port
from service.tls import Certificates, certificates
from service.warm import warming

CLOSE_SECONDS = 10
SWITCH_SECONDS = 0.001
TICKS_A_MINUTE = 600


def run(settings: Settings, data: Path, started: Callable[[str], None] = lambda address: None) -> None:
    """Serve until SIGTERM or SIGINT; `started` is told the address. Raises ServiceFault where it can't begin."""
    # the thread that makes batches durable must not wait long for others that compute
    sys.setswitchinterval(SWITCH_SECONDS)
    shown = certificates(settings.tls)
    listener = listening(*host_and_port(settings.listen))
    most = raise_file_limit(settings.max_connections)
    with listener, running(settings, data, system_clock) as parts:
        config = uvicorn.Config(
            create_app(parts), log_level="error", access_log=False, timeout_graceful_shutdown=CLOSE_SECONDS,
            server_header=False, h11_max_incomplete_event_size=1 << 16, http=bounded(most, parts.ended),
            ssl_certfile=settings.tls.certificate, ssl_keyfile=settings.tls.key,
        )  # fmt: skip
        config.load()
        if shown is not None:
            config.ssl = shown.context
        server = _Server(config, parts.live, shown)
        started(f"{settings.scheme}://{settings.listen}")
        # kernels are made ready once the service answers, so that no start waits for them
        with _outlived((signal.SIGTERM, signal.SIGINT)), warming(data / "server" / "kernels"):
            server.run(sockets=[listener])


@contextmanager
def _outlived(signals: tuple[signal.Signals, ...]) -> Iterator[None]:
    """The server ends at these signals and then raises them again: what is to be closed after it must outlive that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """Ends live streams first, so that a stop takes no longer than what is under way; renews certificates."""

    def __init__(self, config: uvicorn.Config, live: Live, shown: Certificates | None) -> None:
        super().__init__(config)
        self._live, self._shown = live, shown

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; each minute a renewed certificate is looked for."""
        if self._shown is not None and counter % TICKS_A_MINUTE == 0:
            self._shown.renew()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Take a signal to end."""
        self._live.closed = True
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises PortInUse with the remedy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small parts at once only where the protocol is named; else an answer waits 40 ms for an ACK
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except OSError as fault:
        found.close()
        if fault.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"{host}:{port} is in use by another process: end it, or set service.listen to another port"
            ) from fault
        raise PortInUse(f"{host}:{port} can't be listened on: {fault.strerror}; set service.listen") from fault
    return found

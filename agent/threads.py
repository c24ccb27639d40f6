"""Threads that are started together and joined together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Threads:
    """Daemon threads: one that does not end in time does not hold the process up."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        """Runs `work(stop)` on a thread of its own."""
        thread = threading.Thread(target=work, args=(stop,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, seconds: float) -> list[str]:
        """Waits for all of them, together that long; the names of those that still run."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]

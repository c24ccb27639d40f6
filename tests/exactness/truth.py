"""Requests whose answers say which process counted them and as which of its requests: the truth, known per process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

PORT = 8080
WITHIN_SECONDS = 0.3


class Answer(NamedTuple):
    """One answer to work."""

    life: str
    number: int
    bad: bool
    slow: bool
    at_ms: int
    """When it was there, by our clock, which is the engine's too."""


class Life(NamedTuple):
    """What one process answered, by number."""

    answers: dict[int, Answer]

    def first(self, number: int) -> list[Answer]:
        """Those among its first so many."""
        return [it for n, it in self.answers.items() if n <= number]

    def after(self, number: int) -> list[Answer]:
        """Those later than its first so many."""
        return [it for n, it in self.answers.items() if n > number]


@dataclass
class Customers:
    """Threads that ask addresses for work, one request each at a time, until so many were answered."""

    addresses: Callable[[], Sequence[str]]
    wanted: int
    threads: int = 12
    each_second: float = 100_000.0
    """Most requests of all threads together."""
    asked: int = 0
    failed: int = 0
    """Requests without an answer: whether they were counted only their process knew."""
    _answers: list[Answer] = field(default_factory=list)
    _present: Sequence[str] = ()
    _stopped: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many answers there are."""
        return len(self._answers)

    def start(self) -> None:
        """Begin."""
        works = [threading.Thread(target=self._look, daemon=True)]
        works += [threading.Thread(target=self._ask, args=(at,), daemon=True) for at in range(self.threads)]
        self._present = self.addresses()
        self._running = works
        for it in works:
            it.start()

    def stop(self) -> None:
        """End after the requests that are under way."""
        self._stopped.set()
        for it in self._running:
            it.join(30.0)
        assert not any(it.is_alive() for it in self._running)

    def lives(self) -> dict[str, Life]:
        """All answers by process; each number of a process was told once."""
        found: dict[str, Life] = {}
        for it in self._answers:
            numbers = found.setdefault(it.life, Life({})).answers
            assert it.number not in numbers, it
            numbers[it.number] = it
        return found

    def _look(self) -> None:
        while not self._stopped.wait(0.1):
            self._present = self.addresses()

    def _ask(self, at: int) -> None:
        turn, pause = at, self.threads / self.each_second
        while not self._stopped.is_set() and self.answered < self.wanted:
            present = self._present
            if not present:
                time.sleep(0.05)
                continue
            turn += 1
            self._visit(present[turn % len(present)], pause)

    def _visit(self, address: str, pause: float) -> None:
        """Some requests over one connection."""
        connection = HTTPConnection(address, PORT, timeout=5.0)
        try:
            for _ in range(20):
                if self._stopped.is_set() or self.answered >= self.wanted:
                    return
                began = time.monotonic()
                self.asked += 1
                self._answers.append(_answer(connection))
                time.sleep(max(0.0, pause - (time.monotonic() - began)))
        except (OSError, HTTPException):
            self.failed += 1
            time.sleep(0.02)
        finally:
            connection.close()


def _answer(connection: HTTPConnection) -> Answer:
    connection.request("GET", "/")
    with connection.getresponse() as response:
        response.read()
        headers, at_ms = response.headers, time.time_ns() // 1_000_000
        slow = float(headers["X-Seconds"]) > WITHIN_SECONDS
        return Answer(headers["X-Life"], int(headers["X-Number"]), response.status >= 500, slow, at_ms)

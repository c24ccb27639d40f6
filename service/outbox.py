"""Delivery of what the outbox holds: at least once, in order for each incident, marked after the receiver's answer."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from alerts.deliver import DEFAULT as RETRIES
from alerts.deliver import Delivery, Outcome, next_attempt_ms, send
from service import desk
from service.desk import Message, Receiver
from service.errors import StoreFault
from service.ports import ask
from service.store_db import Database

_LOG = logging.getLogger(__name__)
IDLE_SECONDS = 1.0
AT_ONCE = 8


class Courier:
    """Sends waiting messages until it is stopped; `wake` makes it look at once."""

    def __init__(
        self,
        database: Database,
        receivers: Sequence[Receiver],
        client: httpx.Client,
        clock: Callable[[], int],
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._receivers = {it.name: it for it in receivers}
        self._client = client
        self._clock = clock
        self._rand = rand
        self._bell = threading.Event()
        self._stopped = False
        self._now_ms: int | None = None
        self.sent: dict[tuple[str, str], int] = {}
        """Attempts by (receiver, outcome)."""

    def wake(self) -> None:
        """Look into the outbox now."""
        self._bell.set()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped = True
        self._bell.set()

    def run(self) -> None:
        """Deliver until stopped."""
        with ThreadPoolExecutor(AT_ONCE, "deliver") as pool:
            while not self._stopped:
                try:
                    self.round(pool)
                except StoreFault as fault:
                    _LOG.error("messages wait: %s", fault)
                self._bell.wait(IDLE_SECONDS)
                self._bell.clear()

    def round(self, pool: ThreadPoolExecutor) -> int:
        """Try every message that is due, until none is; how many were delivered."""
        done = 0
        self._hasten()
        while not self._stopped:
            due = [it for it in ask(self._database, desk.waiting) if it.next_ms <= self._clock()]
            outcomes = list(pool.map(self._attempt, due[:AT_ONCE]))
            done += outcomes.count("delivered")
            if "delivered" not in outcomes:
                break
        return done

    def _hasten(self) -> None:
        """Where the clock was set back nothing waits until it is again what it was."""
        now_ms, before = self._clock(), self._now_ms
        self._now_ms = now_ms
        # at the start nobody knows how the clock was: no wait is longer than this
        latest_ms = now_ms + RETRIES.longest_retry_after_ms if before is None else now_ms
        if before is None or now_ms < before:
            self._database.write(lambda cursor: desk.hasten(cursor, latest_ms, now_ms))

    def _attempt(self, message: Message) -> str:
        receiver = self._receivers.get(message.receiver)
        if receiver is None:
            outcome = Outcome("failed", None, "its receiver is no longer configured")
        else:
            delivery = Delivery(message.id, receiver.url, message.payload.encode("ascii"), receiver.secret)
            outcome = send(delivery, self._client, self._clock())
        key = (message.receiver, outcome.kind)
        self.sent[key] = self.sent.get(key, 0) + 1
        self._settle(message, outcome)
        return outcome.kind

    def _settle(self, message: Message, outcome: Outcome) -> None:
        now_ms = self._clock()
        if outcome.kind == "delivered":
            self._database.write(lambda cursor: desk.delivered(cursor, message.id, now_ms, outcome.detail))
            return
        again = None
        if outcome.kind == "retry":
            again = next_attempt_ms(message.attempts + 1, now_ms, self._rand(), outcome.retry_after_ms)
        _LOG.warning("message %s to %s: %s", message.id, message.receiver, outcome.detail)
        self._database.write(lambda cursor: desk.postponed(cursor, message.id, again, now_ms, outcome.detail))

"""The running service's parts, put together by `service.main`; what routes may use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from service.desk import outbox_state
from service.evaluate import Evaluator
from service.live import Live
from service.pace import Pace
from service.ports import ask
from service.prometheus_api import Queries
from service.remote_store import RemoteStore
from service.rules import RuleBook
from service.selfmetrics import Own
from service.settings import Settings
from service.source import StoreSource
from service.store import Store
from service.store_records import Records
from service.wire import Wire


@dataclass(frozen=True)
class Parts:
    """What there is one of."""

    settings: Settings
    store: Store
    records: Records
    evaluator: Evaluator
    pace: Pace
    source: StoreSource
    live: Live
    own: Own
    registry: CollectorRegistry
    clock: Callable[[], int]
    wire: Wire
    queries: Queries
    rules: RuleBook
    ended: Counter[str]
    """Connections that were ended at a bound, by which."""

    def faults(self) -> list[str]:
        """What is wrong, one sentence each: why it is not ready, and what it waits for elsewhere."""
        return [*self.unready(), *self._unforwarded(), *self._undelivered()]

    def unready(self) -> list[str]:
        """Why the service is not ready, one sentence each; empty where it is.

        A receiver or a remote store that is away is none: what arrives is kept, and nobody is helped by ending it.
        """
        found = []
        if self.store.database.fault is not None:
            found.append(f"the store takes nothing: {self.store.database.fault}")
        if self.pace.fault is not None:
            found.append(f"the last evaluation failed: {self.pace.fault}")
        last = self.evaluator.last
        if last is None:
            found.append("nothing has been evaluated yet")
        elif self.clock() - last.at_ms > self.settings.thresholds().evaluation_late_after_ms:
            found.append(f"the last evaluation ended {(self.clock() - last.at_ms) // 1000} s ago")
        return found

    def _unforwarded(self) -> list[str]:
        if not isinstance(self.store, RemoteStore) or self.store.forwarder.fault is None:
            return []
        oldest_ms = self.store.queue.oldest_ms()
        if oldest_ms is None or self.clock() - oldest_ms < self.settings.thresholds().outbox_stuck_after_ms:
            return []
        since = (self.clock() - oldest_ms) // 1000
        return [f"samples wait for {since} s to be forwarded: {self.store.forwarder.fault}"]

    def _undelivered(self) -> list[str]:
        if self.store.database.fault is not None:
            return []
        waiting = ask(self.store.database, outbox_state)
        limit = self.settings.thresholds().outbox_stuck_after_ms
        if waiting.oldest_ms is None or self.clock() - waiting.oldest_ms < limit:
            return []
        since = (self.clock() - waiting.oldest_ms) // 1000
        return [f"{waiting.waiting} messages wait for delivery, the oldest for {since} s"]

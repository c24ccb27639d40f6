"""The query engine and the rules over the store that the settings name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.prometheus_api import Queries
from service.promql import jit
from service.promql.engine import Engine
from service.remote_samples import RemoteSamples
from service.remote_store import RemoteStore
from service.rules import RuleBook
from service.settings import Settings
from service.store import Store
from service.store_samples import StoreSamples

_LOG = logging.getLogger(__name__)
CLOSE_SECONDS = 10.0


def queries_of(settings: Settings, store: Store, clock: Callable[[], int]) -> Queries:
    """What PromQL is answered with."""
    samples = RemoteSamples(store.api) if isinstance(store, RemoteStore) else StoreSamples(store)
    limits = settings.query.limits()
    return Queries(Engine(samples, limits), samples, limits, clock, settings.query.max_listed)


def rules_of(settings: Settings, store: Store, queries: Queries, clock: Callable[[], int]) -> RuleBook:
    """The rules of the files that the settings name."""
    interval_ms = round(settings.rules_seconds * 1000)
    return RuleBook(settings.rules, interval_ms, queries.engine, store.append_counted, store.database, clock)


@contextmanager
def warming(cache: Path) -> Iterator[None]:
    """Compile the engine's kernels meanwhile, or load them from the folder; queries do without until then."""
    stop = threading.Event()

    def work() -> None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _LOG.info("%d kernels are compiled", jit.warm(stop, cache))
        except Exception:  # noqa: BLE001 - whatever the compiler can't do here, queries go on with what needs none
            _LOG.exception("the query engine's kernels can't be compiled; queries are slower without")

    thread = threading.Thread(target=work, name="kernels", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(CLOSE_SECONDS)

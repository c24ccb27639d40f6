"""The query engine and the rules over the store that the settings name."""

from __future__ import annotations

from collections.abc import Callable

from service.prometheus_api import Queries
from service.promql.engine import Engine
from service.remote_samples import RemoteSamples
from service.remote_store import RemoteStore
from service.rules import RuleBook
from service.settings import Settings
from service.store import Store
from service.store_samples import StoreSamples


def queries_of(settings: Settings, store: Store, clock: Callable[[], int]) -> Queries:
    """What PromQL is answered with."""
    samples = RemoteSamples(store.api) if isinstance(store, RemoteStore) else StoreSamples(store)
    limits = settings.query.limits()
    return Queries(Engine(samples, limits), samples, limits, clock, settings.query.max_listed)


def rules_of(settings: Settings, store: Store, queries: Queries, clock: Callable[[], int]) -> RuleBook:
    """The rules of the files that the settings name."""
    interval_ms = round(settings.rules_seconds * 1000)
    return RuleBook(settings.rules, interval_ms, queries.engine, store.append_counted, store.database, clock)

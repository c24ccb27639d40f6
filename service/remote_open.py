"""The store that the settings name: DuckDB here, or a Prometheus-compatible server elsewhere."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from service.errors import SettingsFault
from service.remote_api import RemoteApi
from service.remote_queue import Bounds as QueueBounds
from service.remote_send import poster
from service.remote_store import Remote, RemoteStore
from service.settings import Settings
from service.settings_remote import RemoteSettings
from service.store import Store
from service.store_append import Bounds


@contextmanager
def opened(settings: Settings, path: Path, clock: Callable[[], int], bounds: Bounds) -> Iterator[Store]:
    """The store, at work; closed at the end. Raises ServiceFault."""
    url = settings.remote_url
    if url is None:
        store = Store(path, clock, bounds)
        try:
            yield store
        finally:
            store.close()
        return
    with client_of(settings.remote) as reading, client_of(settings.remote) as writing:
        remote_store = RemoteStore(path, clock, remote_of(settings.remote, url, reading, writing), bounds)
        try:
            remote_store.start()
            yield remote_store
        finally:
            remote_store.close()


def client_of(settings: RemoteSettings) -> httpx.Client:
    """A client with the credentials and times of the settings; it follows no redirects."""
    headers = {}
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    if settings.tenant:
        headers["X-Scope-OrgID"] = settings.tenant
    auth = httpx.BasicAuth(settings.user, settings.password or "") if settings.user else None
    return httpx.Client(
        trust_env=False, headers=headers, auth=auth, timeout=settings.timeout_seconds, verify=_trust(settings.ca_file)
    )


def remote_of(settings: RemoteSettings, url: str, reading: httpx.Client, writing: httpx.Client) -> Remote:
    """What asks and feeds the store at `url`."""
    return Remote(
        RemoteApi(reading, url, settings.max_answer_bytes),
        poster(writing, settings.write_url or f"{url}/api/v1/write"),
        QueueBounds(settings.queue_bytes, round(settings.queue_age_seconds * 1000)),
        settings.samples_per_request,
    )


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as fault:
        raise SettingsFault(
            f"service.remote.ca_file: {ca_file} can't be read as certificates: {fault}; name a PEM file"
        ) from fault

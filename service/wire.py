"""What the way in holds between requests: bounds, sums of deltas, what was told of metrics, who may bring how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from service.bodies import Held
from service.decode import Limits
from service.deltas import Deltas
from service.metadata_book import MetadataBook
from service.model import Series
from service.quota import Quota, QuotaBounds
from service.series_book import SeriesBook
from service.settings import Settings
from service.store import Store
from service.tokens import TokenBook, token_file
from service.wire_fast import FastWire
from service.wire_otlp import OtlpReader
from service.wire_write import WriteReader


@dataclass(frozen=True)
class Wire:
    """One of each for the process."""

    limits: Limits
    deltas: Deltas
    metadata: MetadataBook
    quota: Quota
    tokens: TokenBook
    otlp: OtlpReader
    write: WriteReader
    held: Held


def wire(settings: Settings, data: Path, store: Store, clock: Callable[[], int]) -> Wire:
    """The way in, as the settings have it."""
    ingest = settings.ingest
    bounds = QuotaBounds(
        ingest.max_agent_series, settings.max_series, ingest.agent_samples_per_second, ingest.samples_per_second
    )

    def unknown(series: Sequence[Series]) -> tuple[int, int]:
        new = store.directory.numbers_of(series).count(0)
        return new, settings.max_series - len(store.directory)

    limits, book = ingest.limits(settings.max_body_bytes), SeriesBook(2 * settings.max_series)
    quota = Quota(bounds, book, clock, unknown)
    known = MetadataBook()
    known.learn(store.metadata())
    fast = FastWire(limits, quota, book, store.directory, 2 * settings.max_series)
    return Wire(
        limits,
        Deltas(ingest.max_delta_series),
        known,
        quota,
        TokenBook(token_file(data)),
        OtlpReader(fast),
        WriteReader(fast),
        Held(ingest.max_waiting_bytes),
    )


def sender_of(request: Request) -> str:
    """Who sends: the name of its token, else the node that it says it is, else its address."""
    named = request.scope.get("state", {}).get("sender")
    if named:
        return f"token {named}"
    node = request.headers.get("midwatch-batch", "").partition("/")[0][:64]
    return f"node {node}" if node else f"address {request.client.host if request.client else ''}"

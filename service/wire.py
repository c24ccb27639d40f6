"""What the way in holds between requests: bounds, sums of deltas, what was told of metrics."""

from __future__ import annotations

from dataclasses import dataclass

from service.decode import Limits
from service.deltas import Deltas
from service.metadata_book import MetadataBook
from service.settings import Settings


@dataclass(frozen=True)
class Wire:
    """One of each for the process."""

    limits: Limits
    deltas: Deltas
    metadata: MetadataBook


def wire(settings: Settings) -> Wire:
    """The way in, as the settings have it."""
    ingest = settings.ingest
    return Wire(ingest.limits(settings.max_body_bytes), Deltas(ingest.max_delta_series), MetadataBook())

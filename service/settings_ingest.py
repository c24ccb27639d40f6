"""The `service.ingest:` part of midwatch.yaml: what is taken of senders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from service.decode import Limits


_MIB = 1 << 20


class IngestSettings(BaseModel):
    """Bounds of what senders may bring; docs/ingest.md says what becomes of what is beyond them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    max_decompressed_bytes: int = Field(
        16 * _MIB, ge=1 << 16, le=1 << 30, description="Longest body once it is decompressed; beyond it is 413."
    )
    max_waiting_bytes: int = Field(
        256 * _MIB, ge=1 << 20, le=1 << 36, description="Bodies that are in memory at once; beyond it is 503."
    )
    max_json_bytes: int = Field(
        4 * _MIB, ge=1 << 14, le=1 << 28, description="Longest body in JSON, which takes much memory."
    )
    max_samples: int = Field(200_000, ge=1_000, le=10_000_000, description="Most samples, records or spans of a batch.")
    max_labels: int = Field(32, ge=4, le=500, description="Most labels of a series beside its identity.")
    max_label_name_chars: int = Field(128, ge=16, le=4096, description="Longest name of a label.")
    max_label_value_chars: int = Field(512, ge=32, le=65_536, description="Longest value of a label.")
    max_buckets: int = Field(200, ge=10, le=10_000, description="Most buckets of a histogram.")
    max_delta_series: int = Field(100_000, ge=100, le=5_000_000, description="Most series whose deltas are added up.")
    max_agent_series: int = Field(
        200_000, ge=100, le=5_000_000, description="Most series of one agent within a day; beyond it is 429."
    )
    agent_samples_per_second: int = Field(
        200_000, ge=100, le=100_000_000, description="Samples a second of one agent; beyond it is 429."
    )
    samples_per_second: int = Field(
        2_000_000, ge=100, le=100_000_000, description="Samples a second of all; beyond it is 429."
    )
    require_tokens: bool = Field(
        False, description="Senders must show a token of their own, see `midwatch token`; service.token isn't enough."
    )
    resource_labels: tuple[str, ...] = Field(
        (), strict=False, max_length=20, description="Further resource attributes that every series carries as labels."
    )

    def limits(self, body_bytes: int) -> Limits:
        """The bounds of one request."""
        from service.decode import Limits  # the agent reads these settings too, and must not load what they bound

        return Limits(
            body_bytes=body_bytes,
            decompressed_bytes=self.max_decompressed_bytes,
            json_bytes=self.max_json_bytes,
            points=self.max_samples,
            series=self.max_samples,
            labels=self.max_labels,
            label_name_chars=self.max_label_name_chars,
            label_value_chars=self.max_label_value_chars,
            buckets=self.max_buckets,
            resource_labels=self.resource_labels,
        )

"""The `service.query:` part of midwatch.yaml: what queries may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from service.promql.model import Limits


class QuerySettings(BaseModel):
    """Bounds of PromQL queries and of the API that answers them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    max_concurrent: int = Field(8, ge=1, le=100, description="Most queries at work at once; further ones wait.")
    max_waiting: int = Field(200, ge=0, le=10_000, description="Most queries that wait; further ones are told 503.")
    timeout_seconds: float = Field(30.0, gt=0, le=3600, description="Longest time of a query, waiting included.")
    max_samples: int = Field(50_000_000, ge=1_000, description="Most samples that a query may touch.")
    max_points: int = Field(11_000, ge=10, le=1_000_000, description="Most steps of a range.")
    max_cells: int = Field(20_000_000, ge=1_000, description="Most values that a query may hold at once.")
    max_series: int = Field(100_000, ge=10, description="Most series that a query may hold at once.")
    max_text_chars: int = Field(16_384, ge=100, le=1 << 20, description="Longest query.")
    lookback_seconds: float = Field(300.0, ge=1, le=86_400, description="How long a sample stands for its series.")
    max_listed: int = Field(
        100_000,
        ge=100,
        description="Most series, label names or values in an answer; beyond it is cut, with a warning.",
    )

    def limits(self) -> Limits:
        """The bounds as the engine takes them."""
        from service.promql.model import Limits  # the agent reads these settings too, and must not load what they bound

        return Limits(
            max_seconds=self.timeout_seconds,
            max_samples=self.max_samples,
            max_points=self.max_points,
            max_cells=self.max_cells,
            max_series=self.max_series,
            max_text_chars=self.max_text_chars,
            lookback_ms=round(self.lookback_seconds * 1000),
        )

"""The `service.history:` part of midwatch.yaml: how much is kept of what was judged."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class HistorySettings(BaseModel):
    """How the history of judgements is thinned; it is dropped with the rollups (`service.retention.rollup_days`)."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    minute_days: int = Field(
        8, ge=2, le=400, description="Days of which each minute's judgement is kept; before, each hour's and changes."
    )
    most_rows: int = Field(
        30_000_000, ge=100_000, le=10_000_000_000, description="Most judgements; beyond it minutes are thinned earlier."
    )

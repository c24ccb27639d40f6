"""The `service.burn:` part of midwatch.yaml: by which burn rows objectives page, and how few events are too few."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from slo.burn import Policy
from slo.rows import TABLES


class BurnSettings(BaseModel):
    """How objectives are judged."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    table: Literal["workbook", "sloth-7d", "pyrra"] = Field(
        "workbook", description="Burn rows: workbook, sloth-7d or pyrra; see slo-files.md."
    )
    min_bad: int = Field(3, ge=1, le=1_000_000, description="Bad events in the long window that a page needs.")
    min_total: int = Field(0, ge=0, le=1_000_000_000, description="Events in the long window that a page needs.")

    def policy(self) -> Policy:
        """The same as judging takes it."""
        table = next(it for it in TABLES if it.name == self.table)
        return Policy(table.rows, table.period_ms, min_bad=self.min_bad, min_total=self.min_total)

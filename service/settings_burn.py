"""The `service.burn:` part of midwatch.yaml: by which burn rows objectives page, and how few events are too few."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from slo.burn import Policy
from slo.prometheus.words import window
from slo.rows import DAY_MS, HOUR_MS, MINUTE_MS, TABLES, RowShare

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
_DURATION = r"^[0-9]{1,5}[mhd]$"
OWN_ROWS = "own"
"""What rows that are set one by one are called among the tables."""
MOST_MS = 366 * DAY_MS


class RowSettings(BaseModel):
    """One burn row of one's own."""

    model_config = _STRICT

    long: str = Field(pattern=_DURATION, description="The long window at made_for: 1h, 3d.")
    short: str = Field(pattern=_DURATION, description="The short window at made_for: 5m, 6h.")
    budget_share: float | None = Field(
        None, gt=0, le=1, description="The share of the budget that is gone when it fires; 0.02 is 2 %."
    )
    factor: float | None = Field(
        None, gt=0, le=1_000_000, description="In its place the burn beyond which it fires, for every period alike."
    )
    road: Literal["page", "ticket"] = Field(description="page or ticket.")
    name: str | None = Field(
        None, pattern="^[a-z0-9][a-z0-9-]{0,39}$", description="As messages call it; page-1h by road and long window."
    )
    source: str = Field(min_length=1, max_length=500, description="Who says so: a book, a page, a decision.")

    @field_validator("long", "short")
    @classmethod
    def _is_a_window(cls, text: str) -> str:
        if not MINUTE_MS <= _ms(text) <= MOST_MS:
            raise ValueError(f"{text} is no window from 1m to 366d; write one such as 1h")
        return text

    @model_validator(mode="after")
    def _is_whole(self) -> RowSettings:
        if (self.budget_share is None) == (self.factor is None):
            raise ValueError("a burn row has either budget_share or factor; write one of them")
        if _ms(self.short) > _ms(self.long):
            raise ValueError(f"the short window {self.short} is longer than {self.long}; exchange them")
        return self

    def share(self, made_for_ms: int) -> RowShare:
        """The same as judging takes it."""
        long_ms, factor = _ms(self.long), None if self.factor is None else _exact(self.factor)
        share = factor * long_ms / made_for_ms if factor is not None else _exact(self.budget_share or 0)
        name = self.name or f"{self.road}-{window(long_ms)}"
        return RowShare(name, long_ms, _ms(self.short), share, self.road, factor, self.source)


class BurnSettings(BaseModel):
    """How objectives are judged."""

    model_config = _STRICT

    table: Literal["workbook", "sloth-7d", "pyrra"] = Field(
        "workbook", description="Burn rows: workbook, sloth-7d or pyrra; see slo-files.md."
    )
    rows: tuple[RowSettings, ...] = Field(
        (), strict=False, max_length=12, description="Burn rows of one's own, in place of a table's."
    )
    made_for: str = Field(
        "30d", pattern=_DURATION, description="The period that their windows are made for; shorter ones scale them."
    )
    min_bad: int = Field(3, ge=1, le=1_000_000, description="Bad events in the long window that a page needs.")
    min_total: int = Field(0, ge=0, le=1_000_000_000, description="Events in the long window that a page needs.")

    @model_validator(mode="after")
    def _are_rows(self) -> BurnSettings:
        if not HOUR_MS <= _ms(self.made_for) <= MOST_MS:
            raise ValueError(f"{self.made_for} is no period from 1h to 366d; write one such as 30d")
        names = [it.name for it in self._shares()]
        if twice := next((it for it in names if names.count(it) > 1), None):
            raise ValueError(f"two burn rows are called {twice}; give one another name")
        if self.rows and "table" in self.model_fields_set:
            raise ValueError("rows stand in the place of a table; remove table or rows")
        return self

    @property
    def named(self) -> str:
        """What the rows in force are called."""
        return OWN_ROWS if self.rows else self.table

    def with_table(self, name: str | None) -> BurnSettings:
        """The same guard with the rows of a table; the rows in force where none is named, or by their own name."""
        if name in (None, OWN_ROWS):
            return self
        return BurnSettings.model_validate({"table": name, "min_bad": self.min_bad, "min_total": self.min_total})

    def policy(self) -> Policy:
        """The same as judging takes it; the fastest row is the first."""
        if self.rows:
            return Policy(self._shares(), _ms(self.made_for), min_bad=self.min_bad, min_total=self.min_total)
        table = next(it for it in TABLES if it.name == self.table)
        return Policy(table.rows, table.period_ms, min_bad=self.min_bad, min_total=self.min_total)

    def _shares(self) -> tuple[RowShare, ...]:
        found = [it.share(_ms(self.made_for)) for it in self.rows]
        return tuple(sorted(found, key=lambda it: (it.short_ms, it.long_ms)))


def _ms(text: str) -> int:
    return int(text[:-1]) * _MS[text[-1]]


def _exact(value: float) -> Fraction:
    """The decimal that was written."""
    return Fraction(Decimal(str(value)))

"""The `service.digests:` part of midwatch.yaml: who gets the report of a week or a month, and when."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from service.digest_times import Schedule, schedule
from slo.report_spans import zone_named


class DigestSettings(BaseModel):
    """One digest to one receiver."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    receiver: str = Field(max_length=64, description="Name of a receiver; its roads may be empty.")
    every: Literal["week", "month"] = Field("week", description="What it is about: the last whole week, or month.")
    at: str | None = Field(
        None, max_length=20, description="When: Mon 08:00 of a week, 1 08:00 (the day) of a month; these by default."
    )
    zone: str = Field("UTC", max_length=64, description="Time zone of `at` and of the days.")

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        return zone_named(zone)

    @model_validator(mode="after")
    def _is_moment(self) -> DigestSettings:
        self.schedule()
        return self

    def schedule(self) -> Schedule:
        """The same as the clock takes it."""
        return schedule(self.every, self.at, self.zone)

"""The periods of a budget: from a moment to the bounds of its window, rolling or by the calendar.

A calendar's k-th period begins at start + k x duration in local wall time (OpenSLO v1, `timeWindow`), so that across a
change of the clock a day has 23 or 25 hours and a week 167 or 169. Minutes and hours are elapsed time. Months count
from the start's own day, which is clamped where a month is too short for it.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Unit = Literal["m", "h", "d", "w", "M", "Q", "Y"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_ELAPSED_MS = {"m": 60_000, "h": 3_600_000}
_DAYS = {"d": 1, "w": 7}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}


class Bounds(NamedTuple):
    """A window `(since, until]` in ms UTC; a calendar's `until` is the period's end, which may lie ahead."""

    since_ms: int
    until_ms: int


@dataclass(frozen=True)
class Rolling:
    """The last so many milliseconds."""

    ms: int

    def bounds(self, at_ms: int) -> Bounds:
        """The window that ends now."""
        return Bounds(at_ms - self.ms, at_ms)


@dataclass(frozen=True)
class CalendarPeriods:
    """Periods of `number` x `unit` from `start`, a wall time in `zone`.

    A wall time that the clock skips is taken with the offset before the change, one that comes twice is its first.
    """

    start: datetime
    zone: str
    number: int
    unit: Unit

    def bounds(self, at_ms: int) -> Bounds | None:
        """The period that a moment lies in; None before the first. At a boundary it is the one that ends there."""
        if at_ms <= self._begin_ms(0):
            return None
        index = max(0, self._guess(at_ms))
        while index > 0 and self._begin_ms(index) >= at_ms:
            index -= 1
        while self._begin_ms(index + 1) < at_ms:
            index += 1
        return Bounds(self._begin_ms(index), self._begin_ms(index + 1))

    def _guess(self, at_ms: int) -> int:
        """The period's number, wrong by two at most."""
        if self.unit in _ELAPSED_MS:
            return (at_ms - self._begin_ms(0)) // (self.number * _ELAPSED_MS[self.unit])
        local = (_EPOCH + at_ms * _MS).astimezone(ZoneInfo(self.zone))
        if self.unit in _DAYS:
            return (local.date() - self.start.date()).days // (self.number * _DAYS[self.unit])
        months = (local.year - self.start.year) * 12 + local.month - self.start.month
        return months // (self.number * _MONTHS[self.unit])

    def _begin_ms(self, index: int) -> int:
        if self.unit in _ELAPSED_MS:
            return _utc_ms(self.start, self.zone) + index * self.number * _ELAPSED_MS[self.unit]
        if self.unit in _DAYS:
            return _utc_ms(self.start + timedelta(days=index * self.number * _DAYS[self.unit]), self.zone)
        return _utc_ms(_months_later(self.start, index * self.number * _MONTHS[self.unit]), self.zone)


Period = Rolling | CalendarPeriods


def slices_in(bounds: Bounds, slice_ms: int) -> int:
    """How many slices the whole window has, the last perhaps a shorter one; so many from its first minute on."""
    return -((bounds.since_ms - bounds.until_ms) // slice_ms)


def _utc_ms(wall: datetime, zone: str) -> int:
    return (wall.replace(tzinfo=ZoneInfo(zone), fold=0) - _EPOCH) // _MS


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)

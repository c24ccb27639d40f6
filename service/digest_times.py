"""When a digest is due: by the wall clock of its zone, and which week or month it is about."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from slo.report_spans import Span, local_day, span_named

Every = Literal["week", "month"]
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_DAY: Final = 28
"""The last day that every month has."""
_AT: Final = re.compile(r"([A-Za-z]{3}|\d{1,2}) (\d{2}):(\d{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Schedule(NamedTuple):
    """A moment of each week or month; `day` is 0 to 6 from Monday on, or the day of the month."""

    every: Every
    day: int
    hour: int
    minute: int
    zone: str


class Due(NamedTuple):
    """The last moment at which a digest was due, and what it is about."""

    at_ms: int
    span: Span


def schedule(every: Every, at: str | None, zone: str) -> Schedule:
    """What settings say; raises ValueError with the remedy."""
    text = at or ("Mon 08:00" if every == "week" else "1 08:00")
    found = _AT.fullmatch(text.strip())
    example = "Mon 08:00" if every == "week" else f"1 08:00, with a day up to {MOST_DAY}"
    fault = ValueError(f"{text[:20]!r} is no moment of a {every}; write {example}")
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        raise fault
    if every == "week":
        if found[1].capitalize() not in DAYS:
            raise fault
        return Schedule(every, DAYS.index(found[1].capitalize()), int(found[2]), int(found[3]), zone)
    if not found[1].isdigit() or not 1 <= int(found[1]) <= MOST_DAY:
        raise fault
    return Schedule(every, int(found[1]), int(found[2]), int(found[3]), zone)


def last_due(at: Schedule, now_ms: int) -> Due:
    """The last moment that is not in the future; a wall time that the clock skips is that much later."""
    today = local_day(now_ms, at.zone)
    if at.every == "week":
        day = today + timedelta(days=at.day - today.weekday())
        earlier = day - timedelta(days=7)
    else:
        day = today.replace(day=at.day)
        earlier = (today.replace(day=1) - timedelta(days=1)).replace(day=at.day)
    moment = _moment(day, at)
    if moment > now_ms:
        moment = _moment(earlier, at)
    return Due(moment, span_named(f"last-{at.every}", at.zone, moment))


def _moment(day: date, at: Schedule) -> int:
    wall = datetime.combine(day, time(at.hour, at.minute), ZoneInfo(at.zone))
    return (wall - _EPOCH) // timedelta(milliseconds=1)

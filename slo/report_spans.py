"""Periods of reports: by name in a time zone, and the edges of their days, which are those of the wall clock."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

MOST_DAYS: Final = 366
MOST_NAME: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK: Final = re.compile(r"(\d{4})-?W(\d{2})")
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_QUARTER: Final = re.compile(r"(\d{4})-?Q([1-4])")
_YEAR: Final = re.compile(r"\d{4}")
_DAYS: Final = re.compile(r"(\d{1,3})d")
FORMS: Final = (
    "today, yesterday, this-week, last-week, this-month, last-month, 7d, 2026-11-27, 2026-W47, 2026-11, 2026-Q4 or 2026"
)


class Span(NamedTuple):
    """A period `(since, until]` in ms UTC that begins and ends with a day of its zone, or now."""

    name: str
    """As it was asked for, spelt out: `2026-W47`; "" for a period that is given by its ends."""
    since_ms: int
    until_ms: int
    zone: str


def zone_named(name: str) -> str:
    """The name of a time zone that there is; raises ValueError with the remedy."""
    try:
        if len(name) > MOST_NAME:
            raise ValueError
        ZoneInfo(name)
    except (ValueError, OSError) as fault:
        raise ValueError(f"{name[:40]!r} is no time zone; write one such as Europe/Berlin or UTC") from fault
    except LookupError as fault:
        raise ValueError(f"{name[:40]!r} is no time zone; write one such as Europe/Berlin or UTC") from fault
    return name


def span_named(name: str, zone: str, now_ms: int) -> Span:
    """The period of this name, cut off at `now`; raises ValueError with the forms there are."""
    try:
        spelt, first, last = _dates(name.strip(), local_day(now_ms, zone))
        since, until = day_begin_ms(first, zone), day_begin_ms(last, zone)
    except (ValueError, OverflowError) as fault:
        raise ValueError(f"{name[:40]!r} is no period; write {FORMS}") from fault
    if since >= now_ms:
        raise ValueError(f"{name[:40]!r} has not begun yet")
    return Span(spelt, since, min(until, now_ms), zone)


def _dates(name: str, today: date) -> tuple[str, date, date]:
    """(name spelt out, first day, day after the last)."""
    day = timedelta(days=1)
    monday, first = today - today.weekday() * day, today.replace(day=1)
    named = {
        "today": today.isoformat(),
        "yesterday": (today - day).isoformat(),
        "this-week": _week_name(monday),
        "last-week": _week_name(monday - 7 * day),
        "this-month": f"{first:%Y-%m}",
        "last-month": f"{first - day:%Y-%m}",
    }
    name = named.get(name, name)
    if found := _WEEK.fullmatch(name):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return _week_name(monday), monday, monday + 7 * day
    if found := _MONTH.fullmatch(name):
        begin = date(int(found[1]), int(found[2]), 1)
        return name, begin, _months_on(begin, 1)
    if found := _QUARTER.fullmatch(name):
        begin = date(int(found[1]), int(found[2]) * 3 - 2, 1)
        return f"{found[1]}-Q{found[2]}", begin, _months_on(begin, 3)
    if _YEAR.fullmatch(name):
        return name, date(int(name), 1, 1), date(int(name) + 1, 1, 1)
    if (found := _DAYS.fullmatch(name)) and 1 <= int(found[1]) <= MOST_DAYS:
        return name, today - (int(found[1]) - 1) * day, today + day
    single = date.fromisoformat(name)
    return single.isoformat(), single, single + day


def _week_name(monday: date) -> str:
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02d}"


def _months_on(begin: date, months: int) -> date:
    year, month = divmod(begin.year * 12 + begin.month - 1 + months, 12)
    return date(year, month + 1, 1)


def day_begin_ms(day: date, zone: str) -> int:
    """When a day begins in a zone; where the clock skips midnight, with what comes after."""
    wall = datetime.combine(day, time(), ZoneInfo(zone))
    return (wall - _EPOCH) // timedelta(milliseconds=1)


def day_edges_ms(since_ms: int, until_ms: int, zone: str) -> list[int]:
    """The ends of the days of `(since, until]`, with both ends of it; at most MOST_DAYS days. Raises ValueError."""
    day = local_day(since_ms, zone) + timedelta(days=1)
    edges = [since_ms]
    while (edge := day_begin_ms(day, zone)) < until_ms:
        if len(edges) > MOST_DAYS:
            raise ValueError(f"the period has more than {MOST_DAYS} days; ask for less")
        edges.append(edge)
        day += timedelta(days=1)
    return [*edges, until_ms]


def day_name(since_ms: int, zone: str) -> str:
    """The day in which `(since, …]` begins: `2026-11-27`."""
    return local_day(since_ms, zone).isoformat()


def local_day(at_ms: int, zone: str) -> date:
    """The day of a moment in a zone."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(zone)).date()

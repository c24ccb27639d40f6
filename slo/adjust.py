"""Budget adjustments: times that are taken out of budgets, once or again and again, by whom and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from slo.model import Objective
from slo.patterns import covers
from slo.text import duration, utc

DAY_MS: Final = 86_400_000
MOST_STANDING: Final = 500
"""Adjustments that are not revoked."""
MOST_PATTERNS: Final = 50
MOST_TEXT: Final = 500
LONGEST_MS: Final = 31 * DAY_MS
"""One time that is taken out once."""
LONGEST_AGAIN_MS: Final = 7 * DAY_MS
"""One time of those that come again."""
MOST_INTERVAL: Final = 52
LATEST_MS: Final = 4_102_444_800_000
"""The end of 2099."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

Kind = Literal["maintenance", "incident"]
Every = Literal["day", "week", "month"]


class Interval(NamedTuple):
    """A stretch of time `(since, until]` in ms UTC."""

    since_ms: int
    until_ms: int


@dataclass(frozen=True)
class Recurrence:
    """Times that come again on the clock of a zone.

    `on`: of a week its days, `mon` to `sun`; of a month its days `1` to `31`, `last`, or weekdays of it, `1-sun` to
    `5-sun` and `last-sun`; a month without such a day has none. `interval` 2 is every second day, week (from Monday) or
    month, counted from the first day. A wall time that the clock skips is taken with the offset before the change, one
    that comes twice is its first; `length_ms` is elapsed time.
    """

    every: Every
    on: tuple[str, ...]
    at: time
    zone: str
    length_ms: int
    interval: int = 1


class Revoked(NamedTuple):
    """That an adjustment holds no more."""

    at_ms: int
    by: str
    why: str


@dataclass(frozen=True)
class Adjustment:
    """Times that count for no budget of the objectives that it covers."""

    id: str
    kind: Kind
    slos: tuple[str, ...]
    """Patterns of objectives' names, in which `*` stands for any text; none: all."""
    services: tuple[str, ...]
    nodes: tuple[str, ...]
    """Patterns of names or ids of nodes, or of registries; none: all, and services' objectives too."""
    since_ms: int
    until_ms: int | None
    """Its end, or when the last of what comes again may begin; None: until it is revoked."""
    reason: str
    created_by: str
    created_ms: int
    recurrence: Recurrence | None = None
    incident: str | None = None
    """The incident that it takes out."""
    silence: bool = False
    """Whether pages are silenced meanwhile."""
    revoked: Revoked | None = None

    def covers(self, objective: Objective) -> bool:
        """Whether it takes out of this objective's budget; of a composite's members too where it covers that."""
        names = (objective.slo,) if objective.part_of is None else (objective.slo, objective.part_of)
        return (
            _any(self.slos, names)
            and _any(self.services, (objective.service,))
            and _any(self.nodes, tuple(value for _, value in objective.scope))
        )

    def within(self, since_ms: int, until_ms: int) -> list[Interval]:
        """Its times that touch `(since, until]`, whole, ascending."""
        if self.recurrence is None:
            end_ms = self.until_ms if self.until_ms is not None else self.since_ms
            return [Interval(self.since_ms, end_ms)] if self.since_ms < until_ms and end_ms > since_ms else []
        last_ms = until_ms if self.until_ms is None else min(until_ms, self.until_ms)
        return [
            it for it in occurrences(self.recurrence, self.since_ms, since_ms, last_ms)
            if it.since_ms < last_ms and it.until_ms > since_ms
        ]  # fmt: skip


def _any(patterns: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return not patterns or any(covers(pattern, name) for pattern in patterns for name in names)


def occurrences(found: Recurrence, begin_ms: int, since_ms: int, until_ms: int) -> list[Interval]:
    """Times of a recurrence that begin at `begin` or later, by their days, around `(since, until]`; ascending."""
    zone = ZoneInfo(found.zone)
    origin = _local(begin_ms, zone)
    first = max(origin, _local(since_ms - found.length_ms, zone) - timedelta(days=1))
    days = ((first + timedelta(days=at)) for at in range((_local(until_ms, zone) - first).days + 2))
    begins = (_utc_ms(datetime.combine(day, found.at), zone) for day in days if _is_on(found, day, origin))
    return [Interval(at, at + found.length_ms) for at in begins if at >= begin_ms]


def _local(at_ms: int, zone: ZoneInfo) -> date:
    return (_EPOCH + at_ms * _MS).astimezone(zone).date()


def _utc_ms(wall: datetime, zone: ZoneInfo) -> int:
    return (wall.replace(tzinfo=zone, fold=0) - _EPOCH) // _MS


def _is_on(found: Recurrence, day: date, origin: date) -> bool:
    if found.every == "day":
        return (day - origin).days % found.interval == 0
    if found.every == "week":
        weeks = (_monday(day) - _monday(origin)).days // 7
        return weeks % found.interval == 0 and WEEKDAYS[day.weekday()] in found.on
    months = (day.year - origin.year) * 12 + day.month - origin.month
    return months % found.interval == 0 and any(_is_day(text, day) for text in found.on)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _is_day(text: str, day: date) -> bool:
    which, _, weekday = text.partition("-")
    if weekday and WEEKDAYS[day.weekday()] != weekday:
        return False
    if which == "last":
        return (day + timedelta(days=7 if weekday else 1)).month != day.month
    return int(which) == ((day.day - 1) // 7 + 1 if weekday else day.day)


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same time as disjoint intervals, ascending, none of which touches the next."""
    found: list[Interval] = []
    for it in sorted(intervals):
        if found and it.since_ms <= found[-1].until_ms:
            found[-1] = Interval(found[-1].since_ms, max(found[-1].until_ms, it.until_ms))
        else:
            found.append(it)
    return tuple(found)


def faults(asked: Adjustment) -> list[str]:
    """Everything that is wrong with a new adjustment, each with its remedy; empty where it is valid."""
    return [
        *_pattern_faults(asked),
        *_text_faults("reason", asked.reason, "why"),
        *_text_faults("created_by", asked.created_by, "who"),
        *_range_faults(asked),
        *(_once_faults(asked) if asked.recurrence is None else _again_faults(asked, asked.recurrence)),
    ]


def _pattern_faults(asked: Adjustment) -> list[str]:
    every = (*asked.slos, *asked.services, *asked.nodes)
    if not every:
        return ["it names no objective: give slos, services or nodes; * stands for any text"]
    if len(every) > MOST_PATTERNS:
        return [f"more than {MOST_PATTERNS} patterns: use * in them"]
    return [f"{it[:40]!r} is no pattern: write 1 to 200 characters" for it in every if not 1 <= len(it) <= 200]


def _text_faults(name: str, text: str, what: str) -> list[str]:
    if not text.strip():
        return [f"{name} is empty: say {what}"]
    return [f"{name} has more than {MOST_TEXT} characters"] if len(text) > MOST_TEXT else []


def _range_faults(asked: Adjustment) -> list[str]:
    times = (asked.since_ms, asked.since_ms if asked.until_ms is None else asked.until_ms)
    return [] if all(0 <= it <= LATEST_MS for it in times) else ["its times are not from 1970 to 2099"]


def _once_faults(asked: Adjustment) -> list[str]:
    if asked.until_ms is None:
        return ["it has no end: give until, or a recurrence"]
    length_ms = asked.until_ms - asked.since_ms
    if length_ms <= 0:
        return ["it ends before it begins: set until after since"]
    return [f"it is longer than {duration(LONGEST_MS)}: make several of it"] if length_ms > LONGEST_MS else []


def _again_faults(asked: Adjustment, again: Recurrence) -> list[str]:
    found = []
    if asked.until_ms is not None and asked.until_ms <= asked.since_ms:
        found.append("it ends before it begins: set until after since")
    if not 60_000 <= again.length_ms <= LONGEST_AGAIN_MS:
        found.append(f"a time that comes again is from 1 min to {duration(LONGEST_AGAIN_MS)} long")
    if not 1 <= again.interval <= MOST_INTERVAL:
        found.append(f"interval is not from 1 to {MOST_INTERVAL}")
    if len(again.on) > 31:
        found.append("on has more than 31 days")
    return found + _day_faults(again)


def _day_faults(again: Recurrence) -> list[str]:
    if again.every == "day":
        return ["on is not for every day: leave it out, or write every week"] if again.on else []
    if not again.on:
        return [f"on is empty: say on which days of the {again.every}, such as {_EXAMPLES[again.every]}"]
    known = _KNOWN[again.every]
    return [
        f"{it[:20]!r} is no day of a {again.every}: write one such as {_EXAMPLES[again.every]}"
        for it in again.on[:31] if it not in known
    ]  # fmt: skip


_EXAMPLES: Final = {"week": "sat", "month": "15, last, 1-sun or last-fri"}
_KNOWN: Final = {
    "week": frozenset(WEEKDAYS),
    "month": frozenset(
        {"last", *(str(day) for day in range(1, 32))}
        | {f"{which}-{day}" for which in ("1", "2", "3", "4", "5", "last") for day in WEEKDAYS}
    ),
}


@lru_cache(maxsize=1024)
def when(asked: Adjustment) -> str:
    """Its time in words: `2026-03-01 02:00:00 UTC for 2 h`, `every week on sat at 02:00 for 2 h, Europe/Berlin`."""
    again = asked.recurrence
    if again is None:
        end_ms = asked.since_ms if asked.until_ms is None else asked.until_ms
        return f"{utc(asked.since_ms)} for {duration(end_ms - asked.since_ms)}"
    every = again.every if again.interval == 1 else f"{again.interval} {again.every}s"
    on = f" on {', '.join(again.on)}" if again.on else ""
    last = "" if asked.until_ms is None else f", until {utc(asked.until_ms)}"
    return f"every {every}{on} at {again.at:%H:%M} for {duration(again.length_ms)}, {again.zone}{last}"


AHEAD_MS: Final = 400 * DAY_MS
"""How far ahead the next time is looked for."""


def coming(it: Adjustment, now_ms: int) -> Interval | None:
    """The time that is now, or else the next one; None where there is none any more."""
    if it.revoked is not None:
        return None
    return next(iter(it.within(now_ms - 1, max(now_ms, it.since_ms) + AHEAD_MS)), None)


def state(it: Adjustment, now_ms: int) -> Literal["pending", "active", "past", "revoked"]:
    """How an adjustment is at a moment."""
    if it.revoked is not None:
        return "revoked"
    found = coming(it, now_ms)
    if found is None:
        return "past"
    return "active" if found.since_ms <= now_ms else "pending"


def standing(every: Sequence[Adjustment]) -> tuple[Adjustment, ...]:
    """Those that hold, in the order in which they were made."""
    return tuple(sorted((it for it in every if it.revoked is None), key=lambda it: (it.created_ms, it.id)))

"""Parameters of Prometheus's HTTP API: times, durations, limits and selectors, with its errors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

Kind = Literal["bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found", "not_acceptable"]
STATUS: Final[Mapping[Kind, int]] = {
    "bad_data": 400,
    "execution": 422,
    "timeout": 503,
    "canceled": 499,
    "internal": 500,
    "unavailable": 503,
    "not_found": 404,
    "not_acceptable": 406,
}
MOST_MS: Final = 1 << 53
_UNITS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_DURATION: Final = re.compile(
    r"(?:(\d{1,18})y)?(?:(\d{1,18})w)?(?:(\d{1,18})d)?(?:(\d{1,18})h)?(?:(\d{1,18})m)?(?:(\d{1,18})s)?(?:(\d{1,18})ms)?",
    re.ASCII,
)
_ORDER: Final = ("y", "w", "d", "h", "m", "s", "ms")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?[iI]nf(inity)?|[nN]a[nN]", re.ASCII)
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,18})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class PrometheusFault(Exception):
    """A request that has no answer: the error's type, and what is wrong."""

    def __init__(self, kind: Kind, message: str, limit: str | None = None) -> None:
        """`limit` names the bound that was hit, where it was one."""
        super().__init__(message)
        self.kind: Kind = kind
        self.limit = limit

    @property
    def status(self) -> int:
        """The status code of its answer."""
        return STATUS[self.kind]


class Span(NamedTuple):
    """From when to when, both included; None where nothing was said."""

    start_ms: int | None
    end_ms: int | None


class Form:
    """What a request said, each name with all its values, in order."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        """The first value, empty where there is none."""
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """All values."""
        return self._values.get(name, [])

    def moment(self, name: str, default_ms: int) -> int:
        """A moment in milliseconds, the default where nothing is said."""
        return moment(name, self.text(name)) if self.text(name) else default_ms

    def needed(self, name: str) -> int:
        """A moment that must be said."""
        return moment(name, self.text(name))

    def duration(self, name: str) -> int:
        """A duration in milliseconds."""
        return duration(name, self.text(name))

    def span(self) -> Span:
        """`start` and `end`; raises where the end is before the start."""
        start, end = (moment(it, self.text(it)) if self.text(it) else None for it in ("start", "end"))
        if start is not None and end is not None and end < start:
            raise invalid("end", "end timestamp must not be before start time")
        return Span(start, end)

    def limit(self, name: str = "limit") -> int:
        """A number from 0 on; 0 means none."""
        text = self.text(name)
        if not text:
            return 0
        if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            raise invalid(name, f'strconv.Atoi: parsing "{text[:80]}": invalid syntax')
        if int(text) < 0:
            raise invalid(name, "limit must be non-negative")
        return int(text)


def invalid(name: str, why: str) -> PrometheusFault:
    """A parameter that can't be obeyed."""
    return PrometheusFault("bad_data", f'invalid parameter "{name}": {why}')


def moment(name: str, text: str) -> int:
    """A moment in milliseconds, of seconds or of RFC 3339."""
    found = _float(text)
    if found is not None and math.isfinite(found) and abs(found) * 1000 <= MOST_MS:
        whole = math.floor(found)
        return whole * 1000 + round((found - whole) * 1000)
    at = _rfc3339(text)
    if at is None:
        raise invalid(name, f'cannot parse "{text[:80]}" to a valid timestamp')
    return at


def duration(name: str, text: str) -> int:
    """A duration in milliseconds, of seconds or as in PromQL: `1h30m`."""
    found = _float(text)
    if found is not None:
        if not abs(found) * 1000 <= MOST_MS:
            raise invalid(name, f'cannot parse "{text[:80]}" to a valid duration. It overflows int64')
        return round(found * 1000)
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise invalid(name, f'cannot parse "{text[:80]}" to a valid duration')
    total = sum(int(it) * _UNITS[unit] for it, unit in zip(match.groups(), _ORDER, strict=True) if it)
    if total > MOST_MS:
        raise invalid(name, f'cannot parse "{text[:80]}" to a valid duration. It overflows int64')
    return total


def _float(text: str) -> float | None:
    return float(text) if len(text) < 100 and _NUMBER.fullmatch(text) else None


def _rfc3339(text: str) -> int | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{time}{'+00:00' if zone in 'Zz' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000 + round(float(fraction or 0) * 1000)

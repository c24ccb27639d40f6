"""Values of fields: exact decimals, durations, times and zones; each refusal says what would be right."""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

MINUTE_MS: Final = 60_000
UNIT_MS: Final = {
    "m": MINUTE_MS,
    "h": 60 * MINUTE_MS,
    "d": 1440 * MINUTE_MS,
    "w": 7 * 1440 * MINUTE_MS,
    "M": 30 * 1440 * MINUTE_MS,
    "Q": 90 * 1440 * MINUTE_MS,
    "Y": 365 * 1440 * MINUTE_MS,
}
"""Units of durations where no calendar tells; as the specification's SDK has them."""
LONGEST_MS: Final = 3660 * UNIT_MS["d"]

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)
_DURATION = re.compile(r"(\d{1,7})([mhdwMQY])", re.ASCII)
_WHEN = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_+\-]{1,32}(/[A-Za-z0-9_+\-]{1,32}){0,2}", re.ASCII)


class Refused(Exception):
    """A value that can't be obeyed: what is wrong, and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


class Duration(NamedTuple):
    """A duration as written: `4w`; what a month is depends on where it stands."""

    number: int
    unit: str

    @property
    def ms(self) -> int:
        """Milliseconds, with months of 30, quarters of 90 and years of 365 days."""
        return self.number * UNIT_MS[self.unit]

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.number}{self.unit}"


def decimal(text: str) -> Fraction:
    """The exact value of a decimal's text."""
    if not _NUMBER.fullmatch(text):
        raise Refused(f"{text[:40]!r} is no decimal number", "write one such as 0.999")
    return Fraction(text)


def duration(text: str) -> Duration:
    """A duration of OpenSLO: a whole number and one of m, h, d, w, M, Q, Y; at most ten years."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise Refused(
            f"{text[:40]!r} is no duration",
            "write a whole number and one of m (minutes), h, d, w, M (months), Q, Y, such as 4w",
        )
    value = Duration(int(found[1]), found[2])
    if value.ms > LONGEST_MS:
        raise Refused(f"{text[:40]!r} is longer than ten years", "write a shorter duration, such as 30d")
    return value


def local_time(text: str) -> datetime:
    """A wall time `YYYY-MM-DD HH:MM:SS`, without a zone."""
    try:
        if not _WHEN.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            f"{text[:40]!r} is no time of the form YYYY-MM-DD HH:MM:SS", "write one such as 2026-01-01 00:00:00"
        ) from error


def zone(text: str) -> ZoneInfo:
    """A time zone by its IANA name."""
    try:
        if not _ZONE.fullmatch(text):
            raise ValueError(text)
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise Refused(
            f"{text[:40]!r} is no time zone that is known here",
            "write an IANA name such as Europe/Berlin, or install the package tzdata",
        ) from error

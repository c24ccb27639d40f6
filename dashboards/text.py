"""Numbers and times as pages show them; the only place of this room where anything is rounded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction

from slo import text as slo_text
from slo.text import counted, duration

NO_DATA = "no data"
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
__all__ = [
    "NO_DATA", "amount", "bytes_text", "coarse", "counted", "duration", "iso", "number", "percent", "percent_split",
    "seconds_text", "shown", "stamp", "times",
]  # fmt: skip
MINUS = "−"
_STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Controls, bidirectional marks and overrides, separators and invisible ones; joiners stay, which scripts need."""
MOST_BURN = Fraction(9999)
"""A faster burn is not told exactly."""


def shown(text: str) -> str:
    r"""A name or a line as a page may show it: what would turn or hide the text beside it stands as `\u202e`."""
    return _STEERING.sub(lambda it: f"\\u{ord(it[0]):04x}", text)


def number(value: Fraction, places: int = 2) -> str:
    """The value with at most `places` decimals, half to even, with a real minus sign."""
    return slo_text.number(value, places).replace("-", MINUS)


def percent(ratio: Fraction, places: int = 2) -> str:
    """A ratio as `99.95 %`; what is below 1 never reads as 100."""
    return slo_text.percent(ratio, places).replace("-", MINUS)


def seconds_text(value: float | None) -> str:
    """Seconds as `212 ms`, `4.2 s`, `3 min 32 s`: no finer than a reader needs."""
    if value is None:
        return NO_DATA
    if value >= 10:
        return duration(round(value) * 1000)
    return duration(max(0, round(value * 100) * 10 if value >= 1 else round(value * 1000)))


def times(burn: Fraction | None) -> str:
    """A burn rate as `14.6×`, `120×`; `–` without traffic."""
    if burn is None:
        return "–"
    places = 2 if 0 < burn < Fraction(1, 10) else 1 if burn < 100 else 0
    return f"{number(burn, places)}×" if burn < MOST_BURN else f"> {number(MOST_BURN)}×"


def percent_split(ratio: Fraction | None, places: int = 3) -> tuple[str, str]:
    """A ratio as (number, unit): ("99.947", "%"); what is below 1 never reads as 100. No data has no unit."""
    if ratio is None:
        return NO_DATA, ""
    text, unit = percent(ratio, places).rsplit(" ", 1)
    return text, unit


def coarse(ms: int) -> str:
    """How long something lasted: whole seconds, and from two minutes on whole minutes."""
    unit_ms = 1_000 if ms < 120_000 else 60_000
    return duration(ms // unit_ms * unit_ms)


def bytes_text(value: float | None) -> str:
    """Bytes as `512 MiB`, at most three digits."""
    if value is None:
        return NO_DATA
    size, unit = float(value), 0
    while abs(size) >= 1000 and unit < len(_BYTES) - 1:
        size, unit = size / 1024, unit + 1
    places = 0 if unit == 0 or abs(size) >= 100 else 1
    return f"{size:.{places}f} {_BYTES[unit]}"


def amount(value: float | None, places: int = 2, unit: str = "") -> str:
    """A plain number with trailing zeros dropped."""
    if value is None:
        return NO_DATA
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{'0' if text == '-0' else text.replace('-', MINUS)}{' ' if unit else ''}{unit}"


def iso(at_ms: int) -> str:
    """A moment for `<time datetime>`: `2026-03-01T08:15:00Z`."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}Z"


def stamp(at_ms: int, *, day: bool = False) -> str:
    """A moment in UTC as the page shows it before the browser puts it into the reader's zone."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M}" if day else f"{moment:%H:%M}"

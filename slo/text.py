"""Numbers as people read them: the only place where SLOs are rounded, and never before a comparison."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms"))


def number(value: Fraction, places: int = 2) -> str:
    """The value with at most `places` decimals, trailing zeros dropped, half to even."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    text = f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def percent(ratio: Fraction, places: int = 2) -> str:
    """A ratio as `99.95 %`; what is below 1 never reads as 100 (up to six decimals)."""
    text = number(ratio * 100, places)
    while places < 6 and ((ratio < 1 and text == "100") or (ratio > 0 and text == "0")):
        places += 1
        text = number(ratio * 100, places)
    return f"{text} %"


def counted(count: int, one: str, many: str = "") -> str:
    """A count that agrees with its noun: `1 restart`, `2 restarts`; `many` where an s does not make it."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def times(burn: Fraction | None) -> str:
    """A burn rate as `14.44x`, or `no traffic`."""
    return "no traffic" if burn is None else f"{number(burn)}x"


def duration(ms: int) -> str:
    """A duration in its two largest units: `16 h 48 min`, `30 d`, `500 ms`; seconds keep their fraction below 10 s."""
    if 1_000 <= ms < 10_000:
        return f"{number(Fraction(ms, 1000), 3)} s"
    for index, (size, unit) in enumerate(_UNITS):
        if ms >= size:
            whole, rest = divmod(ms, size)
            parts = [f"{whole} {unit}"]
            if index + 1 < len(_UNITS) and rest >= _UNITS[index + 1][0]:
                parts.append(f"{rest // _UNITS[index + 1][0]} {_UNITS[index + 1][1]}")
            return " ".join(parts)
    return "0 s"


def utc(at_ms: int) -> str:
    """A moment as `2026-03-01 08:15:00 UTC`; past the year 9999 `never`."""
    try:
        return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "never"

"""Windows, selectors, texts and exact numbers as PromQL and rule files write them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from fractions import Fraction

from slo.model import Labels, Matcher, Selector

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))
_WHOLE = re.compile(r"[0-9]+(\.0+)?", re.ASCII)


def window(window_ms: int) -> str:
    """A window as Prometheus writes durations, in the largest unit that divides it: `5m`, `84m`, `3d`."""
    return next(f"{window_ms // size}{unit}" for size, unit in _UNITS if window_ms % size == 0)


def quoted(text: str) -> str:
    """A string literal of PromQL."""
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    """A text that stands as it is where Prometheus expands templates: in labels and annotations of alerts."""
    return text.replace("{{", '{{ "{{" }}')


def selector(it: Selector) -> str:
    """The series of a selector."""
    return f"{it.metric}{{{','.join(_matcher(one) for one in it.matchers)}}}" if it.matchers else it.metric


def _matcher(it: Matcher) -> str:
    """One matcher; Prometheus 3 stores a whole bound of a histogram as `1.0`, Prometheus 2 as it was sent."""
    if it.name == "le" and it.op == "=" and _WHOLE.fullmatch(it.value):
        whole = it.value.partition(".")[0]
        return f"le=~{quoted(f'{whole}([.]0+)?')}"
    return f"{it.name}{it.op}{quoted(it.value)}"


def series(name: str, labels: Labels) -> str:
    """A recorded series of one objective."""
    return f"{name}{{{','.join(f'{label}={quoted(value)}' for label, value in labels)}}}"


def total_of(selectors: Sequence[Selector], range_text: str) -> str:
    """The increments of all series, per series and then summed; nothing where no series has any.

    Selectors are kept apart by a label, for increments lose the names of their metrics.
    """
    parts = [f"sum(increase({selector(it)}[{range_text}]))" for it in selectors]
    if len(parts) == 1:
        return parts[0]
    apart = [f'label_replace({part}, "part", "{index}", "", "")' for index, part in enumerate(parts)]
    return f"sum({' or '.join(apart)})"


def present(selectors: Sequence[Selector]) -> str:
    """1 where a sample of any of the series is there."""
    return f"group({' or '.join(selector(it) for it in selectors)})"


def decimal(value: Fraction) -> str | None:
    """The value as a decimal, every digit of it; None where it has no end."""
    power = _power(value.denominator)
    if power is None:
        return None
    digits = f"{abs(value.numerator) * 10**power // value.denominator:0{power + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-power]}.{digits[-power:]}" if power else digits)


def divided(text: str, by: Fraction) -> str:
    """A product's text divided by an exact number."""
    written = decimal(by)
    return f"{text} / {written}" if written is not None else f"{text} * {by.denominator} / {by.numerator}"


def compared(left: str, op: str, limit: Fraction, right: str) -> str:
    """`left op limit x right`, with whole numbers on both sides, so that no limit is rounded.

    The factors are powers of ten where the limit is a decimal: `bad * 10000 > total * 144` is a share of 0.0144.
    """
    power = _power(limit.denominator)
    scale = limit.denominator if power is None else 10**power
    factor = (limit * scale).numerator
    return f"{_times(left, scale)} {op} {factor if right == '1' else _times(right, factor)}"


def _times(text: str, factor: int) -> str:
    return text if factor == 1 else f"{text} * {factor}"


def _power(denominator: int) -> int | None:
    """The least power of ten that a denominator divides."""
    twos, rest = _count(denominator, 2)
    fives, rest = _count(rest, 5)
    return max(twos, fives) if rest == 1 else None


def _count(number: int, prime: int) -> tuple[int, int]:
    found = 0
    while number % prime == 0:
        number, found = number // prime, found + 1
    return found, number

"""What a counter's samples count: exact increments and the time that they cover; pure.

A value is taken as the integer of its billionths, rounded half to even once, so that increments add up exactly: the sum
over a window is the same however the samples are grouped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NANO = 1_000_000_000
HIGHEST = 9.0e18
"""A counter at or above this counts nothing: its whole part must fit 64 bits."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Rules:
    """How samples become increments and coverage; milliseconds."""

    first_ms: int = 600_000
    """A first sample counts from zero where its counter started at most this long before it."""
    gap_ms: int = 75_000
    """Time between two samples is covered up to this; OpenTelemetry's SDKs send every 60 s and a little."""


DEFAULT = Rules()


class Sample(NamedTuple):
    """One sample of one counter; `start_ms` is None where unknown."""

    ts_ms: int
    value: float
    start_ms: int | None = None


class Step(NamedTuple):
    """What one sample adds."""

    ts_ms: int
    increment: int
    """In billionths."""
    covered_from_ms: int
    """The sample's own time where nothing before it is covered."""
    unknown: bool
    """True for a first sight above 0 whose start is unknown or too old: it counts nothing."""


def countable(values: Floats) -> Floats:
    """The values as counters count them: one that no counter has (below 0, too large, none) is as zero."""
    return np.where((values >= 0) & (values < HIGHEST), values, 0.0)


def billionths(value: float) -> int:
    """The value in billionths, rounded half to even."""
    numerator, denominator = value.as_integer_ratio()
    return half_even(numerator * NANO, denominator)


def half_even(numerator: int, denominator: int) -> int:
    """The quotient of integers (denominator above 0), rounded half to even."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))


def split(values: Floats) -> tuple[Ints, Ints]:
    """Whole parts and billionths of many non-negative values; their sum equals `billionths` of each."""
    whole = np.floor(values)
    scaled = (values - whole) * NANO
    nanos = np.rint(scaled)
    doubtful = np.abs(scaled - np.floor(scaled) - 0.5) < 1e-6
    for at in np.flatnonzero(doubtful):
        nanos[at] = billionths(float(values[at])) - int(whole[at]) * NANO
    return whole.astype(np.int64), nanos.astype(np.int64)


def steps(samples: Sequence[Sample], before: Sample | None, rules: Rules = DEFAULT) -> Iterator[Step]:
    """What each of a series' samples adds, in ascending order of time, after `before` or as its first sight.

    Values are taken as `countable` takes them.
    """
    before = None if before is None else _countable(before)
    for told in samples:
        sample = _countable(told)
        yield _first(sample, rules) if before is None else _next(before, sample, rules)
        before = sample


def _countable(sample: Sample) -> Sample:
    return sample if 0 <= sample.value < HIGHEST else sample._replace(value=0.0)


def _first(sample: Sample, rules: Rules) -> Step:
    age = None if sample.start_ms is None else sample.ts_ms - sample.start_ms
    counts = age is not None and 0 <= age <= rules.first_ms
    covered = age if age is not None and 0 <= age <= rules.gap_ms else 0
    unknown = not counts and sample.value != 0
    return Step(sample.ts_ms, billionths(sample.value) if counts else 0, sample.ts_ms - covered, unknown)


def _next(before: Sample, sample: Sample, rules: Rules) -> Step:
    reborn = sample.start_ms is not None and before.start_ms is not None and sample.start_ms > before.start_ms
    anew = reborn or sample.value < before.value
    increment = billionths(sample.value) - (0 if anew else billionths(before.value))
    covered_from = before.ts_ms
    if reborn and sample.start_ms is not None and sample.start_ms > before.ts_ms:
        # what the life before counted after its last sample nobody knows
        covered_from = sample.start_ms
    if not 0 <= sample.ts_ms - covered_from <= rules.gap_ms:
        covered_from = sample.ts_ms
    return Step(sample.ts_ms, increment, covered_from, False)

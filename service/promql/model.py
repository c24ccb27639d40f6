"""What the query engine answers with: columns, as everywhere, with labels beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Labels: TypeAlias = Mapping[str, str]


class Scalar(NamedTuple):
    """One number at one moment."""

    at_ms: int
    value: float


class Text(NamedTuple):
    """One text at one moment."""

    at_ms: int
    value: str


class Vector(NamedTuple):
    """One value for each of n series at one moment, in the order the query gives them."""

    at_ms: int
    labels: Sequence[Labels]
    values: NDArray[np.float64]


class Matrix(NamedTuple):
    """Samples of n series: those of series i are at `offsets[i]:offsets[i + 1]`, ascending in time; none is empty."""

    labels: Sequence[Labels]
    offsets: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float64]


Result: TypeAlias = Scalar | Text | Vector | Matrix


class Answer(NamedTuple):
    """A result with what the engine has to say about it; `samples` is how many it touched."""

    result: Result
    warnings: Sequence[str]
    infos: Sequence[str]
    samples: int


@dataclass(frozen=True)
class Limits:
    """What one query may cost; a query that would cost more ends with an error that names the bound."""

    max_seconds: float = 30.0
    max_samples: int = 50_000_000
    max_points: int = 11_000
    max_cells: int = 20_000_000
    max_series: int = 100_000
    max_text_chars: int = 16_384
    max_depth: int = 200
    lookback_ms: int = 300_000
    default_step_ms: int = 60_000

"""Samples as columns: what a query reads of the store, wherever its samples live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.errors import TooManySamples as TooManySamples

STALE_BITS: Final = 0x7FF0000000000002
"""The bits of the NaN that says: from here on this series is gone (Prometheus's staleness marker)."""

NAME: Final = "__name__"

Op: TypeAlias = Literal["=", "!=", "=~", "!~"]


class Matcher(NamedTuple):
    """One condition on a label; a label that is absent is an empty text, regular expressions are anchored."""

    name: str
    op: Op
    value: str


class Selected(NamedTuple):
    """The samples of n series: those of series i are at `offsets[i]:offsets[i + 1]`, ascending in time.

    Labels include the metric's name under `__name__`; no moment of a series comes twice; times are milliseconds UTC.
    """

    labels: Sequence[Mapping[str, str]]
    offsets: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float64]


class Samples(Protocol):
    """Where samples are read."""

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int, limit: int) -> Selected:
        """The samples in `(since, until]` of all series that match; more than `limit` raise TooManySamples."""
        ...

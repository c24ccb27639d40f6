"""Samples of many series as columns, and who gives them: what the query engine asks of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from service.model import Series
from slo.model import Matcher

STALE_BITS: Final = 0x7FF0000000000002
"""The NaN that marks the end of a series, as Prometheus stores it; every other NaN is a value."""


@dataclass(frozen=True)
class SampleColumns:
    """Samples of several series, one series after another.

    Series `i` owns rows `offsets[i]:offsets[i + 1]`; its times ascend and are all different.
    """

    series: Sequence[Series]
    offsets: NDArray[np.int64]
    """One more than there are series; the first is 0."""
    ts_ms: NDArray[np.int64]
    """Milliseconds UTC."""
    value: NDArray[np.float64]
    """A staleness marker is the NaN with `STALE_BITS`."""


class SampleSource(Protocol):
    """Where samples are read from. A matcher named `__name__` holds of the metric's name."""

    def select(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> SampleColumns:
        """Samples in `(since, until]` of series that satisfy all matchers; series without one are left out."""
        ...

    def series_of(self, matchers: Sequence[Matcher], since_ms: int, until_ms: int) -> list[Series]:
        """Series that satisfy all matchers and may have a sample in `(since, until]`."""
        ...


def is_stale(value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values are staleness markers."""
    return np.equal(value.view(np.int64), STALE_BITS)

"""What evaluation and pages need of the store, wherever its samples live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from service.model import InstantPoint, RangeSeries
from service.store_db import Database
from service.store_series import Directory
from slo.model import Counts, Indicator, Selector


class Readings(Protocol):
    """Samples by the narrow interface, the tables beside them, and which series there are."""

    @property
    def database(self) -> Database:
        """The open file."""
        ...

    @property
    def directory(self) -> Directory:
        """Every known series."""
        ...

    def instant(self, selector: Selector, at_ms: int, lookback_ms: int = 300_000) -> list[InstantPoint]:
        """The last sample of each series in `(at - lookback, at]`."""
        ...

    def range(
        self, selector: Selector, since_ms: int, until_ms: int, step_ms: int, of: Literal["last", "increase"] = "last"
    ) -> list[RangeSeries]:
        """Per series and step `(t - step, t]` the last value, or the summed increments."""
        ...

    def counts(self, indicator: Indicator, windows_ms: Sequence[int], until_ms: int) -> list[Counts]:
        """Exact counts of each window `(until - window, until]`, in the order asked."""
        ...

"""What evaluation and pages need of the store, wherever its samples live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from service.model import InstantPoint, RangeSeries
from service.store_db import Cursor, Database
from service.store_series import Directory
from slo.model import Counts, Indicator, Selector

T = TypeVar("T")


def ask(database: Database, look: Callable[[Cursor], T]) -> T:
    """What one reading of the database found, all of one moment."""
    with database.read(look) as (_, found):
        return found


def rows_of(database: Database, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """The rows of one query; parameters are bound, never put into its text."""
    return ask(database, lambda cursor: cursor.execute(sql, list(parameters)).fetchall())


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

    def recent_labels(self, metric: str, since_ms: int) -> list[Mapping[str, str]]:
        """The labels of those series of a metric that had a sample after `since`."""
        ...

    def bounds_since(self, metric: str) -> Mapping[tuple[str, str], int]:
        """From when on all of a service's histograms have a bound, by (service, `le`); absent where always."""
        ...

    def range(
        self, selector: Selector, since_ms: int, until_ms: int, step_ms: int, of: Literal["last", "increase"] = "last"
    ) -> list[RangeSeries]:
        """Per series and step `(t - step, t]` the last value, or the summed increments."""
        ...

    def counts_of(
        self, indicators: Sequence[Indicator], windows_ms: Sequence[Sequence[int]], until_ms: int
    ) -> list[list[Counts]]:
        """Exact counts of each window `(until - window, until]` of each indicator, in the order asked."""
        ...

    def slices(self, indicators: Sequence[Indicator], edges_ms: Sequence[int]) -> list[list[Counts]]:
        """Exact counts of each slice `(edges[i], edges[i + 1]]` of each indicator; edges ascend."""
        ...

    def moved(self, edges_ms: Sequence[int]) -> list[int]:
        """The edges as counting moves them: back to the begin of their bucket, where single samples are gone."""
        ...

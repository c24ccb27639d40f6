"""One query under way: what it may cost, what it has cost, and what it has to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from service.promql.errors import LimitFault, QueryCanceled, QueryTimeout
from service.promql.model import Limits
from service.promql.plan import Reading
from service.samples import Matcher, Samples

_AT_ONCE: Final = 3
"""Results of full size that may be held at once: two operands and what is made of them."""


@dataclass
class Query:
    """State of a query; `deadline` is in seconds of `clock`."""

    samples: Samples
    limits: Limits
    start_ms: int
    end_ms: int
    step_ms: int
    clock: Callable[[], float]
    deadline: float
    canceled: Callable[[], bool]
    touched: int = 0
    readings: dict[tuple[Matcher, ...], list[Reading]] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)
    infos: dict[str, None] = field(default_factory=dict)
    _live: int = 0

    def tick(self) -> None:
        """Called wherever time may have passed; raises when it is over."""
        if self.canceled():
            raise QueryCanceled("the query was canceled: nobody waits for it")
        if self.clock() > self.deadline:
            raise QueryTimeout("query timed out (max_seconds): ask for a shorter range, fewer series or a longer step")

    def touch(self, count: int) -> None:
        """Counts samples that were read or made."""
        self.touched += count
        if self.touched > self.limits.max_samples:
            raise LimitFault(
                "max_samples",
                f"query processing would load too many samples into memory (max_samples is {self.limits.max_samples}): "
                "ask for a shorter range or fewer series",
            )

    def cells(self, rows: int, steps: int) -> None:
        """Refuses a table of more cells than memory should hold."""
        if rows > self.limits.max_series:
            raise LimitFault(
                "max_series", f"{rows} series at once, at most {self.limits.max_series} (max_series): add matchers"
            )
        made = rows * steps
        if made > self.limits.max_cells or made + self._live > _AT_ONCE * self.limits.max_cells:
            raise LimitFault(
                "max_cells",
                f"{rows} series at {steps} steps are {made} values beside {self._live}, at most "
                f"{self.limits.max_cells} (max_cells): ask for a longer step, a shorter range or fewer series",
            )

    @contextmanager
    def holding(self, cells: int) -> Iterator[None]:
        """While one operand waits for the other, its values count as held."""
        self._live += cells
        try:
            yield
        finally:
            self._live -= cells

    def warn(self, text: str) -> None:
        """Says something of the answer that may make it wrong."""
        self.warnings.setdefault(f"PromQL warning: {text}")

    def inform(self, text: str) -> None:
        """Says something of the answer worth knowing."""
        self.infos.setdefault(f"PromQL info: {text}")

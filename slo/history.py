"""The history of an objective, as it was stored: what was judged, how its state went, how its promise changed."""

from __future__ import annotations

from typing import Literal, NamedTuple

from slo.definition import Definition, Difference, differences
from slo.model import Labels

Key = tuple[str, str, Labels]
"""Name, service and scope of an objective."""
Kind = Literal["appeared", "changed", "vanished"]


class Point(NamedTuple):
    """One stored judgement; None where it was not known, or was stored before there was such a column."""

    at_ms: int
    state: str
    burn: float | None
    remaining: float | None
    bad: int | None
    total: int | None
    observed_ms: int | None
    expected_ms: int | None
    target: str | None
    budget: str | None
    """The share that may be bad, exact: `1/1000`."""
    window_ms: int | None


class Run(NamedTuple):
    """A stretch of time `[since, until)` in which judgements said one state; between runs nothing was judged."""

    state: str
    since_ms: int
    until_ms: int


class Change(NamedTuple):
    """One change of one objective; `before` and `after` are None where there was or is none."""

    at_ms: int
    slo: str
    service: str
    scope: Labels
    kind: Kind
    before: Definition | None
    after: Definition | None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What is not as it was."""
        return () if self.before is None or self.after is None else differences(self.before, self.after)

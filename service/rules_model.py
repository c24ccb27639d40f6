"""Rules of Prometheus rule files: what a file says, and what an alert is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted (name, value) pairs."""


@dataclass(frozen=True)
class RecordingRule:
    """The worth of an expression is stored as series of a name."""

    name: str
    expr: str
    labels: Pairs
    line: int


@dataclass(frozen=True)
class AlertingRule:
    """Each series of an expression's worth is an alert, pending until it has been there for `for_ms`."""

    name: str
    expr: str
    labels: Pairs
    annotations: Pairs
    for_ms: int
    keep_ms: int
    """How long it goes on firing when its series is gone."""
    line: int


Rule: TypeAlias = RecordingRule | AlertingRule


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, at one moment; the later see what the earlier stored."""

    file: str
    name: str
    interval_ms: int
    offset_ms: int
    """How far back from the moment of evaluation the expressions look."""
    limit: int
    """Most series or alerts of a rule; 0 is none."""
    rules: tuple[Rule, ...]

    @property
    def key(self) -> str:
        """What tells it apart."""
        return f"{self.file};{self.name}"


class RuleFault(NamedTuple):
    """What is wrong in a file, and what to do."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.file}:{self.line}: {self.message}"


class Loaded(NamedTuple):
    """The groups of all files, or what is wrong with them."""

    groups: tuple[Group, ...]
    faults: tuple[RuleFault, ...]


State = Literal["pending", "firing", "inactive"]


@dataclass(frozen=True)
class Alert:
    """One alert of a rule: its labels are its identity; inactive ones stay for a while, to be told of."""

    labels: Pairs
    annotations: Pairs
    state: State
    value: float
    active_ms: int
    keep_since_ms: int | None = None
    """Since when it only goes on firing because of `keep_firing_for`."""
    resolved_ms: int | None = None


def pairs(labels: Mapping[str, str]) -> Pairs:
    """Labels as sorted pairs; empty ones are none."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))

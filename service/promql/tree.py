"""The tree of a query: our own, so that the parser can be exchanged and evaluation is typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from service.samples import Matcher

Type: TypeAlias = Literal["scalar", "vector", "matrix", "string"]
Anchor: TypeAlias = Literal["start", "end"]
Side: TypeAlias = Literal["one", "many-to-one", "one-to-many", "many-to-many"]


@dataclass(frozen=True)
class Number:
    """A number in the text."""

    value: float


@dataclass(frozen=True)
class String:
    """A text in quotes."""

    value: str


@dataclass(frozen=True)
class Shift:
    """When something is looked at: `at` is a moment in milliseconds or a border of the query, then `offset_ms` back."""

    at: int | Anchor | None = None
    offset_ms: int = 0


@dataclass(frozen=True)
class Selector:
    """An instant selector; the metric's name stands among the matchers."""

    matchers: tuple[Matcher, ...]
    shift: Shift


@dataclass(frozen=True)
class RangeSelector:
    """A range selector."""

    selector: Selector
    range_ms: int


@dataclass(frozen=True)
class Subquery:
    """An expression evaluated at each step of a range."""

    inner: Node
    range_ms: int
    step_ms: int | None
    shift: Shift


@dataclass(frozen=True)
class Negation:
    """A minus before an expression."""

    inner: Node


@dataclass(frozen=True)
class Paren:
    """An expression in parentheses."""

    inner: Node


@dataclass(frozen=True)
class Matching:
    """How series of two vectors find each other."""

    side: Side = "one"
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True)
class Binary:
    """A binary operator between two expressions."""

    op: str
    left: Node
    right: Node
    as_bool: bool
    matching: Matching


@dataclass(frozen=True)
class Aggregation:
    """An aggregation over groups; `without` turns the meaning of `labels` round."""

    op: str
    inner: Node
    param: Node | None
    labels: tuple[str, ...]
    without: bool
    param_at: str = field(compare=False)


@dataclass(frozen=True)
class Call:
    """A function and its arguments; `args_at` has where each begins, as `line:column`."""

    name: str
    args: tuple[Node, ...]
    args_at: tuple[str, ...] = field(compare=False)


Node: TypeAlias = Number | String | Selector | RangeSelector | Subquery | Negation | Paren | Binary | Aggregation | Call

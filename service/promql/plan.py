"""What a query will read, known before it reads: selectors of one kind whose windows overlap are read at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.promql.frame import Grid, Ints
from service.promql.tree import (
    Aggregation,
    Binary,
    Call,
    Negation,
    Node,
    Paren,
    RangeSelector,
    Selector,
    Shift,
    Subquery,
)
from service.samples import Matcher, Selected

if TYPE_CHECKING:
    from service.promql.query import Query


@dataclass
class Reading:
    """One read: the samples in `(since, until]`, held until the last of its uses."""

    since_ms: int
    until_ms: int
    uses: int = 1
    found: Selected | None = None
    fresh: Selected | None = None


def ends_of(query: Query, grid: Grid, shift: Shift) -> tuple[Ints, bool]:
    """Where windows end at each step; with `@` that is one moment for all."""
    if shift.at is None:
        return grid.times - shift.offset_ms, False
    return np.array([_first_and_last(query, grid, shift)[0]], np.int64), True


def _first_and_last(query: Query, grid: Grid, shift: Shift) -> tuple[int, int]:
    """Where the first and the last window end."""
    if shift.at is None:
        first = grid.start_ms - shift.offset_ms
        return first, first + (grid.steps - 1) * grid.step_ms
    at = {"start": query.start_ms, "end": query.end_ms}[shift.at] if isinstance(shift.at, str) else shift.at
    return at - shift.offset_ms, at - shift.offset_ms


def inner_grid(query: Query, grid: Grid, node: Subquery) -> Grid:
    """The steps of a subquery: multiples of its step within all its windows."""
    begin, end = _first_and_last(query, grid, node.shift)
    step = node.step_ms or query.limits.default_step_ms
    first = ((begin - node.range_ms) // step + 1) * step
    return Grid(first, step, max(0, (end - first) // step + 1))


def planned(query: Query, grid: Grid, node: Node, lookback_ms: int) -> dict[tuple[Matcher, ...], list[Reading]]:
    """The reads of a query, by what they select."""
    wanted: dict[tuple[Matcher, ...], list[tuple[int, int]]] = defaultdict(list)
    for selector, since, until in _windows(query, grid, node, lookback_ms):
        wanted[selector.matchers].append((since, until))
    return {matchers: _merged(sorted(windows)) for matchers, windows in wanted.items()}


def _merged(windows: list[tuple[int, int]]) -> list[Reading]:
    found: list[Reading] = []
    for since, until in windows:
        if found and since <= found[-1].until_ms:
            found[-1].until_ms = max(found[-1].until_ms, until)
            found[-1].uses += 1
        else:
            found.append(Reading(since, until))
    return found


def _windows(query: Query, grid: Grid, node: Node, lookback_ms: int) -> Iterator[tuple[Selector, int, int]]:
    """Every selector with the borders of what it looks at."""
    match node:
        case Selector():
            yield (node, *_borders(query, grid, node, lookback_ms))
        case RangeSelector(selector, range_ms):
            yield (selector, *_borders(query, grid, selector, range_ms))
        case Subquery(inner):
            within = inner_grid(query, grid, node)
            if within.steps:
                yield from _windows(query, within, inner, lookback_ms)
        case Negation(inner) | Paren(inner):
            yield from _windows(query, grid, inner, lookback_ms)
        case Binary(_, left, right):
            yield from _windows(query, grid, left, lookback_ms)
            yield from _windows(query, grid, right, lookback_ms)
        case Aggregation(_, inner, param):
            for it in (param, inner):
                if it is not None:
                    yield from _windows(query, grid, it, lookback_ms)
        case Call():
            for arg in node.args:
                yield from _windows(query, grid, arg, lookback_ms)


def _borders(query: Query, grid: Grid, selector: Selector, range_ms: int) -> tuple[int, int]:
    first, last = _first_and_last(query, grid, selector.shift)
    return first - range_ms, last

"""The walk over a query's tree: each node is worked out for all steps at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from service.promql import select
from service.promql.aggregate import aggregate
from service.promql.arithmetic import binary
from service.promql.errors import ExecutionFault
from service.promql.frame import Frame, Grid, Row, columns, compact, lone, nameless
from service.promql.functions import FUNCTIONS
from service.promql.plan import ends_of, inner_grid
from service.promql.query import Query
from service.promql.select import Ranged
from service.promql.tree import (
    Aggregation,
    Binary,
    Call,
    Negation,
    Node,
    Number,
    Paren,
    RangeSelector,
    Selector,
    String,
    Subquery,
)

Value: TypeAlias = Frame | Row | str


@dataclass(frozen=True)
class Evaluator:
    """Evaluates nodes of one query on one grid of steps; a subquery gets an evaluator of its own."""

    query: Query
    grid: Grid
    lookback_ms: int

    def value(self, node: Node) -> Value:
        """What a node is worth: a Frame, one number per step, or a text."""
        self.query.tick()
        match node:
            case Number(value):
                return np.full(self.grid.steps, value)
            case String(text):
                return text
            case Paren(inner):
                return self.value(inner)
            case Selector():
                return compact(select.instant(self.query, self.grid, node, self.lookback_ms))
            case Negation(inner):
                return _negated(self.value(inner))
            case Binary():
                return self._binary(node)
            case Aggregation():
                return aggregate(self, node)
            case Call():
                return self._called(node)
        raise ExecutionFault("a range vector can't be an operand: wrap it in a function such as rate()")

    def frame(self, node: Node) -> Frame:
        """A node that is an instant vector."""
        found = self.value(node)
        if not isinstance(found, Frame):
            raise ExecutionFault("an instant vector is needed here")
        return found

    def row(self, node: Node) -> Row:
        """A node that is a scalar."""
        found = self.value(node)
        if not isinstance(found, np.ndarray):
            raise ExecutionFault("a scalar is needed here")
        return found

    def text(self, node: Node) -> str:
        """A node that is a text."""
        found = self.value(node)
        if not isinstance(found, str):
            raise ExecutionFault("a text is needed here")
        return found

    def ranged(self, node: Node) -> Ranged:
        """A node that is a range vector."""
        match node:
            case Paren(inner):
                return self.ranged(inner)
            case RangeSelector(selector, range_ms):
                return select.ranged(self.query, self.grid, selector, range_ms)
            case Subquery():
                return self._subquery(node)
        raise ExecutionFault("a range vector is needed here: write x[5m]")

    def _binary(self, node: Binary) -> Value:
        left = self.value(node.left)
        with self.query.holding(left.values.size if isinstance(left, Frame) else 0):
            return cast(Value, binary(self.query, node, left, self.value(node.right)))

    def _called(self, call: Call) -> Value:
        function = FUNCTIONS.get(call.name)
        if function is None:
            raise ExecutionFault(f"the function {call.name}() is not supported: see docs/promql.md")
        return cast(Value, function(self, call))

    def _subquery(self, node: Subquery) -> Ranged:
        ends, fixed = ends_of(self.query, self.grid, node.shift)
        grid = inner_grid(self.query, self.grid, node)
        self.query.cells(1, grid.steps)
        found = Evaluator(self.query, grid, self.lookback_ms).value(node.inner)
        if isinstance(found, str):
            raise ExecutionFault("a text has no samples")
        frame = found if isinstance(found, Frame) else lone({}, found)
        taken = columns(frame, grid.times)
        self.query.touch(len(taken.ts_ms))
        return Ranged(
            list(taken.labels), frame.drop, taken.offsets, taken.ts_ms, taken.values, ends, node.range_ms, fixed
        )


def _negated(found: Value) -> Value:
    if isinstance(found, Frame):
        return nameless(found, -found.values)
    if isinstance(found, str):
        raise ExecutionFault("a text has no negative")
    return -found

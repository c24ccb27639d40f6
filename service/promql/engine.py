"""The query engine: text and times in, an answer in columns out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from service.promql.errors import BadQuery, LimitFault
from service.promql.evaluate import Evaluator
from service.promql.frame import Frame, Grid, by_labels, columns, lone, settled
from service.promql.model import Answer, Limits, Matrix, Result, Scalar, Text, Vector
from service.promql.parse import parse
from service.promql.plan import planned
from service.promql.query import Query
from service.promql.select import Ranged
from service.promql.tree import Node, Paren, RangeSelector, Subquery
from service.samples import Samples


def _never() -> bool:
    return False


class Engine:
    """Answers PromQL over samples; holds no state between queries, so threads may share it."""

    def __init__(
        self, samples: Samples, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._samples = samples
        self._limits = limits or Limits()
        self._clock = clock

    def instant(
        self,
        text: str,
        at_ms: int,
        *,
        lookback_ms: int | None = None,
        max_seconds: float | None = None,
        canceled: Callable[[], bool] = _never,
    ) -> Answer:
        """The worth of a query at one moment; `max_seconds` can only shorten what the limits allow.

        Raises QueryFault: BadQuery, ExecutionFault, LimitFault, QueryTimeout, QueryCanceled.
        """
        query = self._query(at_ms, at_ms, 0, max_seconds, canceled)
        with _bounded(), np.errstate(all="ignore"):
            node = parse(text, self._limits)
            ev = self._evaluator(query, Grid(at_ms, 1, 1), node, lookback_ms)
            return _answer(query, _instant(ev, node, at_ms))

    def range(
        self,
        text: str,
        from_ms: int,
        to_ms: int,
        step_ms: int,
        *,
        lookback_ms: int | None = None,
        max_seconds: float | None = None,
        canceled: Callable[[], bool] = _never,
    ) -> Answer:
        """The worth of a query at each step from `from_ms` to `to_ms`, as a Matrix by labels; raises as `instant`."""
        grid = self._grid(from_ms, to_ms, step_ms)
        query = self._query(from_ms, to_ms, step_ms, max_seconds, canceled)
        with _bounded(), np.errstate(all="ignore"):
            node = parse(text, self._limits)
            ev = self._evaluator(query, grid, node, lookback_ms)
            return _answer(query, columns(by_labels(settled(_stepped(ev, node))), grid.times))

    def _grid(self, from_ms: int, to_ms: int, step_ms: int) -> Grid:
        if step_ms <= 0:
            raise BadQuery("zero or negative query resolution step widths are not accepted: try a positive step")
        if to_ms < from_ms:
            raise BadQuery("end timestamp must not be before start time: exchange them")
        count = (to_ms - from_ms) // step_ms + 1
        if count > self._limits.max_points:
            raise BadQuery(
                f"exceeded maximum resolution of {self._limits.max_points:,} points per timeseries (max_points): "
                "try a longer step"
            )
        return Grid(from_ms, step_ms, count)

    def _evaluator(self, query: Query, grid: Grid, node: Node, lookback_ms: int | None) -> Evaluator:
        lookback = lookback_ms or self._limits.lookback_ms
        query.readings = planned(query, grid, node, lookback)
        return Evaluator(query, grid, lookback)

    def _query(
        self, from_ms: int, to_ms: int, step_ms: int, max_seconds: float | None, canceled: Callable[[], bool]
    ) -> Query:
        allowed = self._limits.max_seconds if max_seconds is None else min(max_seconds, self._limits.max_seconds)
        return Query(
            self._samples, self._limits, from_ms, to_ms, step_ms, self._clock, self._clock() + allowed, canceled
        )


@contextmanager
def _bounded() -> Iterator[None]:
    """What the interpreter refuses although no limit was hit is a limit too."""
    try:
        yield
    except RecursionError:
        raise LimitFault("max_depth", "the query nests too deep: split it by recording rules") from None
    except MemoryError:
        raise LimitFault("max_cells", "the query needs more memory than there is: ask for fewer series") from None


def _answer(query: Query, result: Result) -> Answer:
    return Answer(result, tuple(query.warnings), tuple(query.infos), query.touched)


def _instant(ev: Evaluator, node: Node, at_ms: int) -> Result:
    bare = node
    while isinstance(bare, Paren):
        bare = bare.inner
    if isinstance(bare, RangeSelector | Subquery):
        return _raw(ev.ranged(bare))
    found = ev.value(node)
    if isinstance(found, str):
        return Text(at_ms, found)
    if isinstance(found, Frame):
        frame = settled(found)
        return Vector(at_ms, frame.labels, np.ascontiguousarray(frame.values[:, 0]))
    return Scalar(at_ms, float(found[0]))


def _raw(data: Ranged) -> Matrix:
    """The samples of a range vector as they are."""
    sizes = np.diff(data.offsets)
    order = sorted(np.flatnonzero(sizes).tolist(), key=lambda i: sorted(data.labels[i].items()))
    parts = [slice(data.offsets[i], data.offsets[i + 1]) for i in order]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes[order], dtype=np.int64)))
    ts = np.concatenate([data.ts_ms[it] for it in parts]) if parts else np.zeros(0, np.int64)
    values = np.concatenate([data.values[it] for it in parts]) if parts else np.zeros(0)
    return Matrix([data.labels[i] for i in order], offsets, ts, values)


def _stepped(ev: Evaluator, node: Node) -> Frame:
    bare = node
    while isinstance(bare, Paren):
        bare = bare.inner
    if isinstance(bare, RangeSelector | Subquery):
        raise BadQuery("a range query needs a scalar or an instant vector, this is a range vector: wrap it in rate()")
    found = ev.value(node)
    if isinstance(found, str):
        raise BadQuery("a range query needs a scalar or an instant vector, this is a text")
    return found if isinstance(found, Frame) else lone({}, found)

"""Functions of values: rounding, logarithms, angles, clamping, sorting, and what turns scalars into vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.promql import select
from service.promql.frame import Floats, Frame, Row, compact, lone, nameless, take
from service.promql.labels import natural_key
from service.promql.over_time import absent_where_not
from service.promql.tree import Call, Node, Paren, Selector

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

Function = Callable[["Evaluator", Call], Any]

ELEMENTWISE: Final[dict[str, Callable[[Floats], Floats]]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sgn": np.sign,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "deg": lambda it: it * 180 / np.pi,
    "rad": lambda it: it * np.pi / 180,
}


def _elementwise(ev: Evaluator, call: Call) -> Frame:
    frame = ev.frame(call.args[0])
    return nameless(frame, ELEMENTWISE[call.name](frame.values))


def _greater(a: Any, b: Any) -> Any:
    """The greater of two; infinity wins over NaN, NaN over all else."""
    return np.where((a == np.inf) | (b == np.inf), np.inf, np.maximum(a, b))


def _lesser(a: Any, b: Any) -> Any:
    """The lesser of two; minus infinity wins over NaN, NaN over all else."""
    return np.where((a == -np.inf) | (b == -np.inf), -np.inf, np.minimum(a, b))


def _clamp(ev: Evaluator, call: Call) -> Frame:
    frame, low, high = ev.frame(call.args[0]), ev.row(call.args[1]), ev.row(call.args[2])
    found = nameless(frame, _greater(low, _lesser(high, frame.values)), frame.present & ~(high < low))
    return compact(found)


def _clamp_one(bound: Callable[..., Any]) -> Function:
    def function(ev: Evaluator, call: Call) -> Frame:
        frame = ev.frame(call.args[0])
        return nameless(frame, bound(ev.row(call.args[1]), frame.values))

    return function


def _round(ev: Evaluator, call: Call) -> Frame:
    frame = ev.frame(call.args[0])
    inverse = 1.0 / (ev.row(call.args[1]) if len(call.args) > 1 else np.ones(ev.grid.steps))
    return nameless(frame, np.floor(frame.values * inverse + 0.5) / inverse)


def _scalar(ev: Evaluator, call: Call) -> Row:
    frame = ev.frame(call.args[0])
    count = frame.present.sum(axis=0)
    total = np.where(frame.present, frame.values, 0.0).sum(axis=0)
    return np.where(count == 1, total, np.nan)


def _vector(ev: Evaluator, call: Call) -> Frame:
    return lone({}, ev.row(call.args[0]))


def _absent(ev: Evaluator, call: Call) -> Frame:
    return absent_where_not(ev.frame(call.args[0]), call.args[0])


def _timestamp(ev: Evaluator, call: Call) -> Frame:
    node: Node = call.args[0]
    while isinstance(node, Paren):
        node = node.inner
    if isinstance(node, Selector):
        return compact(select.instant(ev.query, ev.grid, node, ev.lookback_ms, moments=True))
    frame = ev.frame(node)
    return nameless(frame, np.broadcast_to(ev.grid.times / 1000, frame.values.shape))


def _constant(worth: Callable[[Evaluator], Any]) -> Function:
    return lambda ev, call: np.broadcast_to(np.asarray(worth(ev), np.float64), (ev.grid.steps,))


def _either(choose: Callable[..., Any]) -> Function:
    return lambda ev, call: choose(ev.row(call.args[0]), ev.row(call.args[1]))


def _unsorted(ev: Evaluator) -> bool:
    if ev.grid.steps != 1:
        ev.query.warn("sorting has no effect in a range query: its series come ordered by labels")
    return ev.grid.steps != 1


def _sort(descending: bool) -> Function:
    def function(ev: Evaluator, call: Call) -> Frame:
        frame = compact(ev.frame(call.args[0]))
        if _unsorted(ev):
            return frame
        values = frame.values[:, 0]
        return take(frame, np.argsort(-values if descending else values, kind="stable"))

    return function


def _sort_by_label(descending: bool) -> Function:
    def function(ev: Evaluator, call: Call) -> Frame:
        frame = ev.frame(call.args[0])
        names = [ev.text(it) for it in call.args[1:]]
        if _unsorted(ev):
            return frame
        every = [([natural_key(it.get(name, "")) for name in names], sorted(it.items())) for it in frame.labels]
        order = sorted(range(len(every)), key=every.__getitem__, reverse=descending)
        return take(frame, np.array(order, np.int64))

    return function


VALUES: Final[dict[str, Function]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    "clamp": _clamp,
    "clamp_min": _clamp_one(_greater),
    "clamp_max": _clamp_one(_lesser),
    "round": _round,
    "scalar": _scalar,
    "vector": _vector,
    "absent": _absent,
    "timestamp": _timestamp,
    "time": _constant(lambda ev: ev.grid.times / 1000),
    "pi": _constant(lambda _: np.pi),
    "start": _constant(lambda ev: ev.query.start_ms / 1000),
    "end": _constant(lambda ev: ev.query.end_ms / 1000),
    "step": _constant(lambda ev: ev.query.step_ms / 1000),
    "range": _constant(lambda ev: (ev.query.end_ms - ev.query.start_ms) / 1000),
    "min_of": _either(_lesser),
    "max_of": _either(_greater),
    "sort": _sort(descending=False),
    "sort_desc": _sort(descending=True),
    "sort_by_label": _sort_by_label(descending=False),
    "sort_by_label_desc": _sort_by_label(descending=True),
}

"""Functions of range vectors: rate and its kin, everything `_over_time`, trends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.promql import select
from service.promql.aggregate import check_share
from service.promql.codes import FOLD
from service.promql.errors import ExecutionFault
from service.promql.frame import Frame, Row, compact, lone
from service.promql.jit import kernel
from service.promql.labels import number_text
from service.promql.model import Labels
from service.promql.select import Ranged
from service.promql.tree import Call, Node, Paren, RangeSelector, Selector
from service.samples import NAME

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

Function = Callable[["Evaluator", Call], Any]
_COUNTER_ENDINGS: Final = ("_total", "_sum", "_count", "_bucket")
_KEEP_NAMES: Final = ("last_over_time", "first_over_time")
_FOLDS: Final = {
    "count_over_time": FOLD.COUNT,
    "sum_over_time": FOLD.SUM,
    "avg_over_time": FOLD.AVG,
    "last_over_time": FOLD.LAST,
    "first_over_time": FOLD.FIRST,
    "present_over_time": FOLD.PRESENT,
    "stddev_over_time": FOLD.STDDEV,
    "stdvar_over_time": FOLD.STDVAR,
    "ts_of_last_over_time": FOLD.TS_LAST,
    "ts_of_first_over_time": FOLD.TS_FIRST,
    "ts_of_min_over_time": FOLD.TS_MIN,
    "ts_of_max_over_time": FOLD.TS_MAX,
}


def run(ev: Evaluator, call: Call, data: Ranged, name: str, *given: Any) -> Frame:
    """A kernel over all windows; arrays among `given` have one number per step."""
    numbers = [it for it in given if isinstance(it, np.ndarray)]
    fixed = data.fixed and all((it == it[0]).all() or np.isnan(it).all() for it in numbers)
    steps = 1 if fixed else ev.grid.steps
    ends = data.ends if fixed or not data.fixed else np.repeat(data.ends, steps)
    given = tuple(np.ascontiguousarray(it[:steps]) if isinstance(it, np.ndarray) else it for it in given)
    n = len(data.labels)
    ev.query.cells(n, ev.grid.steps)
    out, ok = np.zeros((n, steps)), np.zeros((n, steps), np.bool_)
    work = kernel(name)
    for rows, columns in select.blocks(ev.query, n, steps, _samples_a_window(data)):
        slots = data.offsets[rows.start : rows.stop + 1]
        some = tuple(it[columns] if isinstance(it, np.ndarray) else it for it in given)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        whole = shape[1] == steps
        values = out[rows] if whole else np.zeros(shape)
        there = ok[rows] if whole else np.zeros(shape, np.bool_)
        work(slots, data.ts_ms, data.values, ends[columns], data.range_ms, *some, values, there)
        if not whole:
            out[rows, columns], ok[rows, columns] = values, there
    drop = data.drop if call.name in _KEEP_NAMES else np.ones(n, np.bool_)
    return compact(Frame(data.labels, drop, *select.spread(out, ok, ev.grid.steps, fixed)))


def _samples_a_window(data: Ranged) -> int:
    """About how many samples lie in a window: what working out one costs."""
    some = np.flatnonzero(np.diff(data.offsets))
    if not len(some):
        return 1
    span = max(1, int(data.ts_ms[data.offsets[some + 1] - 1].max() - data.ts_ms[data.offsets[some]].min()))
    return 1 + int(len(data.ts_ms) / len(data.labels) * min(1.0, data.range_ms / span))


def _extrapolated(counter: bool, rate: bool) -> Function:
    def function(ev: Evaluator, call: Call) -> Frame:
        data = ev.ranged(call.args[0])
        if counter:
            _inform_of_gauges(ev, data, call.args_at[0])
        return run(ev, call, data, "extrapolated", counter, rate)

    return function


def _inform_of_gauges(ev: Evaluator, data: Ranged, place: str) -> None:
    for name in dict.fromkeys(it.get(NAME, "") for it in data.labels):
        if name and not name.endswith(_COUNTER_ENDINGS):
            ev.query.inform(
                f'metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "{name}" ({place})'
            )


def _pair(rate: bool) -> Function:
    return lambda ev, call: run(ev, call, ev.ranged(call.args[0]), "pair", rate)


def _folded(ev: Evaluator, call: Call) -> Frame:
    return run(ev, call, ev.ranged(call.args[0]), "fold", int(_FOLDS[call.name]))


def _extremes(least: bool) -> Function:
    return lambda ev, call: run(ev, call, ev.ranged(call.args[0]), "extremes", least)


def _turns(falls: bool) -> Function:
    return lambda ev, call: run(ev, call, ev.ranged(call.args[0]), "turns", falls)


def _mad(ev: Evaluator, call: Call) -> Frame:
    return run(ev, call, ev.ranged(call.args[0]), "mad")


def _quantile(ev: Evaluator, call: Call) -> Frame:
    shares = ev.row(call.args[0])
    data = ev.ranged(call.args[1])
    if data.labels:
        check_share(ev, shares, call.args_at[0])
    return run(ev, call, data, "ordered", shares)


def _deriv(ev: Evaluator, call: Call) -> Frame:
    zeros = np.zeros(ev.grid.steps)
    return run(ev, call, ev.ranged(call.args[0]), "trend", zeros.astype(np.int64), zeros, True)


def _predicted(ev: Evaluator, call: Call) -> Frame:
    return run(ev, call, ev.ranged(call.args[0]), "trend", ev.grid.times, ev.row(call.args[1]), False)


def _smoothed(ev: Evaluator, call: Call) -> Frame:
    data = ev.ranged(call.args[0])
    smoothing, trending = ev.row(call.args[1]), ev.row(call.args[2])
    if data.labels:
        _check_factor(smoothing, "smoothing")
        _check_factor(trending, "trend")
    return run(ev, call, data, "smoothed", smoothing, trending)


def _check_factor(factor: Row, name: str) -> None:
    wrong = factor[~((factor > 0) & (factor < 1))]
    if len(wrong):
        raise ExecutionFault(f"invalid {name} factor. Expected: 0 < factor < 1, got: {number_text(float(wrong[0]))}")


def _absent_over_time(ev: Evaluator, call: Call) -> Frame:
    found = run(ev, call, ev.ranged(call.args[0]), "fold", int(FOLD.PRESENT))
    return absent_where_not(found, call.args[0])


def absent_where_not(found: Frame, node: Node) -> Frame:
    """One where no row of the frame is present, with the labels that the expression speaks of."""
    gone = np.logical_not(found.present.any(axis=0, keepdims=True))[0]
    return compact(lone(absent_labels(node), np.ones(found.values.shape[1]), gone))


def absent_labels(node: Node) -> Labels:
    """The labels that a selector says a series would have."""
    while isinstance(node, Paren):
        node = node.inner
    selector = node.selector if isinstance(node, RangeSelector) else node
    if not isinstance(selector, Selector):
        return {}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for it in selector.matchers:
        if it.op == "=" and it.name not in seen:
            found[it.name] = it.value
            seen.add(it.name)
        else:
            found.pop(it.name, None)
    return {name: value for name, value in found.items() if name != NAME and value}


OVER_TIME: Final[dict[str, Function]] = {
    **dict.fromkeys(_FOLDS, _folded),
    "rate": _extrapolated(counter=True, rate=True),
    "increase": _extrapolated(counter=True, rate=False),
    "delta": _extrapolated(counter=False, rate=False),
    "irate": _pair(rate=True),
    "idelta": _pair(rate=False),
    "min_over_time": _extremes(least=True),
    "max_over_time": _extremes(least=False),
    "changes": _turns(falls=False),
    "resets": _turns(falls=True),
    "mad_over_time": _mad,
    "quantile_over_time": _quantile,
    "deriv": _deriv,
    "predict_linear": _predicted,
    "double_exponential_smoothing": _smoothed,
    "absent_over_time": _absent_over_time,
}

"""Aggregations: rows into groups, at all steps at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from service.promql.codes import AGGREGATE
from service.promql.errors import ExecutionFault
from service.promql.frame import Flags, Floats, Frame, Ints, Row, compact, empty, key, numbered, take, without
from service.promql.jit import kernel
from service.promql.labels import label_share, number_text, valid_label
from service.promql.model import Labels
from service.promql.tops import MOST_PLACES, members, ranks, tops
from service.promql.tree import Aggregation, Node
from service.samples import NAME

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

_FOLDS: Final = {
    "sum": AGGREGATE.SUM,
    "avg": AGGREGATE.AVG,
    "min": AGGREGATE.MIN,
    "max": AGGREGATE.MAX,
    "count": AGGREGATE.COUNT,
    "group": AGGREGATE.GROUP,
    "stddev": AGGREGATE.STDDEV,
    "stdvar": AGGREGATE.STDVAR,
}


def aggregate(ev: Evaluator, node: Aggregation) -> Frame:
    """What an aggregation is worth."""
    frame = compact(ev.frame(node.inner))
    groups, labels = grouping(frame, node)
    if node.op in _FOLDS:
        return _folded(frame, groups, labels, _FOLDS[node.op])
    assert node.param is not None  # noqa: S101 - the parser demands it
    return _SPECIAL[node.op](ev, node, node.param, frame, groups, labels)


def grouping(frame: Frame, node: Aggregation) -> tuple[Ints, list[Labels]]:
    """For each row the number of its group, and the labels of each group."""
    if node.without:
        bare = [without(it, (*node.labels, NAME)) for it in frame.labels]
        groups, count = numbered([key(it) for it in bare])
    else:
        bare = [{name: it[name] for name in node.labels if it.get(name)} for it in frame.labels]
        groups, count = numbered([tuple(it.items()) for it in bare])
    labels: list[Labels] = [{}] * count
    for group, it in zip(groups.tolist(), bare, strict=True):
        labels[group] = it
    return groups, labels


def _dropped(frame: Frame, groups: Ints, count: int) -> Flags:
    found = np.zeros(count, np.bool_)
    found[groups[frame.drop]] = True
    return found


def _folded(frame: Frame, groups: Ints, labels: list[Labels], op: AGGREGATE) -> Frame:
    shape = (len(labels), frame.values.shape[1])
    out, ok = np.zeros(shape), np.zeros(shape, np.bool_)
    values, present = np.ascontiguousarray(frame.values), np.ascontiguousarray(frame.present)
    kernel("grouped")(values, present, groups, int(op), out, ok)
    return Frame(labels, _dropped(frame, groups, len(labels)), out, ok)


def _quantile(ev: Evaluator, node: Aggregation, param: Node, frame: Frame, groups: Ints, labels: list[Labels]) -> Frame:
    shares = ev.row(param)
    check_share(ev, shares, node.param_at)
    out, ok = np.zeros((len(labels), frame.values.shape[1])), np.zeros((len(labels), frame.values.shape[1]), np.bool_)
    for group, rows in enumerate(members(groups, len(labels))):
        ev.query.tick()
        ok[group] = frame.present[rows].any(axis=0)
        out[group] = quantiles(frame.values[rows], frame.present[rows], shares)
    return Frame(labels, _dropped(frame, groups, len(labels)), out, ok)


def check_share(ev: Evaluator, shares: Row, place: str) -> None:
    """Warns of quantiles that are none."""
    for wrong in dict.fromkeys(shares[~((shares >= 0) & (shares <= 1))].tolist()):
        ev.query.warn(f"quantile value should be between 0 and 1, got {number_text(wrong)} ({place})")


def quantiles(values: Floats, present: Flags, shares: Row) -> Row:
    """The quantile of each column over its present values, linear between the nearest two; NaN sorts first."""
    nan = np.isnan(values) & present
    ranked = np.sort(np.where(present, np.where(nan, -np.inf, values), np.inf), axis=0)
    count, gone = present.sum(axis=0), nan.sum(axis=0)
    rank = np.where((shares >= 0) & (shares <= 1), shares, 0.0) * np.maximum(count - 1, 0)
    below = np.floor(rank).astype(np.int64)
    above = np.minimum(np.maximum(count - 1, 0), below + 1)
    steps = np.arange(values.shape[1])
    low = np.where(below < gone, np.nan, ranked[below, steps])
    high = np.where(above < gone, np.nan, ranked[above, steps])
    found = low * (1 - (rank - below)) + high * (rank - below)
    found = np.where(shares < 0, -np.inf, np.where(shares > 1, np.inf, found))
    return np.where(np.isnan(shares), np.nan, found)


def _top(ev: Evaluator, node: Aggregation, param: Node, frame: Frame, groups: Ints, labels: list[Labels]) -> Frame:
    largest = node.op == "topk"
    wanted = np.clip(_counts(ev.row(param), frame), 0, len(frame.labels))
    kept = np.zeros(frame.present.shape, np.bool_)
    few = len(labels) * ev.grid.steps * int(wanted.max(initial=0)) <= MOST_PLACES
    values, present = np.ascontiguousarray(frame.values), np.ascontiguousarray(frame.present)
    (kernel("tops") if few else tops)(values, present, groups, wanted, largest, kept)
    found = compact(Frame(frame.labels, frame.drop, frame.values, kept))
    if ev.grid.steps != 1 or not found.labels:
        return found
    mine = groups[kept[:, 0]]
    places = ranks(-found.values if largest else found.values, found.present)[:, 0]
    return take(found, np.lexsort((places, mine)))


def _counts(wanted: Row, frame: Frame) -> Ints:
    """How many are wanted at each step; where there is nothing to choose from, any number will do."""
    wanted = np.where(frame.present.any(axis=0), wanted, 0.0)
    if np.isnan(wanted).any():
        raise ExecutionFault("Parameter value is NaN")
    wrong = wanted[np.abs(wanted) >= 2.0**63]
    if len(wrong):
        passes = "overflows" if wrong[0] > 0 else "underflows"
        raise ExecutionFault(f"Scalar value {number_text(float(wrong[0]))} {passes} int64")
    return np.trunc(wanted).astype(np.int64)


def _limited(ev: Evaluator, node: Aggregation, param: Node, frame: Frame, groups: Ints, labels: list[Labels]) -> Frame:
    wanted, kept = _counts(ev.row(param), frame), np.zeros(frame.present.shape, np.bool_)
    for rows in members(groups, len(labels)):
        kept[rows] = frame.present[rows] & (np.cumsum(frame.present[rows], axis=0) <= wanted)
    return compact(Frame(frame.labels, frame.drop, frame.values, kept))


def _sampled(ev: Evaluator, node: Aggregation, param: Node, frame: Frame, groups: Ints, labels: list[Labels]) -> Frame:
    ratio = ev.row(param)
    if np.isnan(ratio).any():
        raise ExecutionFault("Ratio value is NaN")
    for wrong in dict.fromkeys(ratio[np.abs(ratio) > 1].tolist()):
        capped = math.copysign(1.0, wrong)
        ev.query.warn(
            f"ratio value should be between -1 and 1, got {number_text(wrong)}, "
            f"capping to {number_text(capped)} ({node.param_at})"
        )
    ratio = np.clip(ratio, -1, 1)
    shares = np.array([label_share(it) for it in frame.labels])[:, None]
    chosen = np.where(ratio >= 0, shares < ratio, shares >= 1 + ratio) if len(frame.labels) else frame.present
    return compact(Frame(frame.labels, frame.drop, frame.values, frame.present & chosen))


def _count_values(
    ev: Evaluator, node: Aggregation, param: Node, frame: Frame, groups: Ints, labels: list[Labels]
) -> Frame:
    name = ev.text(param)
    if not valid_label(name):
        raise ExecutionFault(f"invalid label name {name!r} in count_values(): give it one")
    if not frame.labels:
        return empty(ev.grid.steps)
    rows, steps = np.nonzero(frame.present)
    distinct, which = np.unique(frame.values[rows, steps], return_inverse=True)
    pairs, inverse = np.unique(groups[rows] * len(distinct) + which, return_inverse=True)
    ev.query.cells(len(pairs), ev.grid.steps)
    out = np.zeros((len(pairs), ev.grid.steps))
    np.add.at(out, (inverse, steps), 1.0)
    drop = _dropped(frame, groups, len(labels))
    made = [{**labels[it // len(distinct)], name: number_text(float(distinct[it % len(distinct)]))} for it in pairs]
    return Frame(made, drop[pairs // len(distinct)], out, out > 0)


_SPECIAL: Final[dict[str, Callable[[Evaluator, Aggregation, Node, Frame, Ints, list[Labels]], Frame]]] = {
    "quantile": _quantile,
    "topk": _top,
    "bottomk": _top,
    "limitk": _limited,
    "limit_ratio": _sampled,
    "count_values": _count_values,
}

"""Functions of histograms. Classic ones only: on what has no native histogram in it, those of native ones are empty."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from service.promql.aggregate import check_share
from service.promql.frame import (
    Flags,
    Floats,
    Frame,
    Ints,
    Row,
    compact,
    empty,
    key,
    merged,
    numbered,
    stacked,
    without,
)
from service.promql.jit import kernel
from service.promql.labels import number_text
from service.promql.model import Labels
from service.promql.tree import Call
from service.samples import NAME

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator


class Histograms(NamedTuple):
    """Buckets of h histograms: rows (n, T) by histogram and upper bound, and the labels of each histogram."""

    labels: list[Labels]
    values: Floats
    present: Flags
    uppers: Floats
    begins: Ints
    names: list[str]


def _histograms(ev: Evaluator, frame: Frame, place: str) -> Histograms:
    frame = compact(frame)
    uppers = np.array([_bound(it.get("le", "")) for it in frame.labels], np.float64)
    for it, upper in zip(frame.labels, uppers, strict=True):
        if math.isnan(upper):
            ev.query.warn(
                f'bucket label "le" is missing or has a malformed value of "{it.get("le", "")}" '
                f'for metric name "{it.get(NAME, "")}" ({place})'
            )
    rows = np.flatnonzero(~np.isnan(uppers))
    bare = [without(frame.labels[i], ("le",)) for i in rows.tolist()]
    groups, count = numbered([key(it) for it in bare])
    order = np.lexsort((uppers[rows], groups))
    begins = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bincount(groups, minlength=count))))
    labels: list[Labels] = [{}] * count
    for group, it in zip(groups.tolist(), bare, strict=True):
        labels[group] = it
    chosen = rows[order]
    names = [it.get(NAME, "") for it in labels]
    return Histograms(labels, frame.values[chosen], frame.present[chosen], uppers[chosen], begins, names)


def _bound(text: str) -> float:
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _made(data: Histograms, values: Floats, present: Flags) -> Frame:
    return Frame(data.labels, np.ones(len(data.labels), np.bool_), values, present)


def _quantile(ev: Evaluator, call: Call) -> Frame:
    q = ev.row(call.args[0])
    check_share(ev, q, call.args_at[0])
    data = _histograms(ev, ev.frame(call.args[1]), call.args_at[1])
    return _made(data, *_quantiles_of(ev, data, q, call.name, call.args_at[1]))


def _quantiles_of(ev: Evaluator, data: Histograms, q: Row, name: str, place: str) -> tuple[Floats, Flags]:
    shape = (len(data.labels), ev.grid.steps)
    out, ok, forced = np.zeros(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    q = np.ascontiguousarray(q)
    kernel("bucket_quantile")(data.values, data.present, data.uppers, data.begins, q, out, ok, forced)
    for h in np.flatnonzero(forced.any(axis=1)):
        ev.query.inform(
            f"input to {name} needed to be fixed for monotonicity: counts of buckets fell with rising bounds "
            f'for metric name "{data.names[h]}" ({place})'
        )
    return out, ok


def _quantiles(ev: Evaluator, call: Call) -> Frame:
    """One row per histogram and quantile, told apart by a label."""
    data = _histograms(ev, ev.frame(call.args[0]), call.args_at[0])
    name = ev.text(call.args[1])
    parts: list[Frame] = []
    for node, place in zip(call.args[2:], call.args_at[2:], strict=True):
        q = ev.row(node)
        check_share(ev, q, place)
        found = _made(data, *_quantiles_of(ev, data, q, call.name, call.args_at[0]))
        labels: list[Labels] = [{**it, name: _open_metrics(float(q[0]))} for it in found.labels]
        parts.append(Frame(labels, found.drop, found.values, found.present))
    return merged(stacked(parts), "two quantiles are one: name each once")


def _open_metrics(value: float) -> str:
    text = number_text(value)
    return text if "." in text or not math.isfinite(value) else text + ".0"


def _fraction(ev: Evaluator, call: Call) -> Frame:
    low, high = (np.ascontiguousarray(ev.row(it)) for it in call.args[:2])
    data = _histograms(ev, ev.frame(call.args[2]), call.args_at[2])
    shape = (len(data.labels), ev.grid.steps)
    out, ok = np.zeros(shape), np.zeros(shape, np.bool_)
    kernel("bucket_fraction")(data.values, data.present, data.uppers, data.begins, low, high, out, ok)
    return _made(data, out, ok)


def _native_only(ev: Evaluator, call: Call) -> Frame:
    ev.frame(call.args[0])
    return empty(ev.grid.steps)


HISTOGRAM: Final[dict[str, Callable[[Evaluator, Call], Any]]] = {
    "histogram_quantile": _quantile,
    "histogram_quantiles": _quantiles,
    "histogram_fraction": _fraction,
    **dict.fromkeys(
        ("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"), _native_only
    ),
}

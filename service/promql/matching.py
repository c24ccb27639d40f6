"""Operators between two vectors: which series find each other, and what comes of it at each step."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

import numpy as np

from service.promql.errors import ExecutionFault
from service.promql.frame import Flags, Frame, Ints, compact, key, merged, numbered, show, stacked, take, without
from service.promql.model import Labels
from service.promql.query import Query
from service.promql.tree import Binary, Matching
from service.samples import NAME

_COMPARISONS: Final = frozenset(("==", "!=", ">", "<", ">=", "<="))
_MANY_TO_MANY: Final = "many-to-many matching not allowed: matching labels must be unique on one side"
_MUST_BE_EXPLICIT: Final = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
_NOT_UNIQUE: Final = "multiple matches for labels: grouping labels must ensure unique matches"


def signature(labels: Labels, matching: Matching) -> Hashable:
    """What two series must share to match."""
    if matching.on:
        return tuple(labels.get(it, "") for it in matching.labels)
    return key(without(labels, (*matching.labels, NAME)))


def _signatures(left: Frame, right: Frame, matching: Matching) -> tuple[Ints, Ints, int]:
    every = [signature(it, matching) for it in (*left.labels, *right.labels)]
    ids, count = numbered(every)
    return ids[: len(left.labels)], ids[len(left.labels) :], count


def set_operated(query: Query, node: Binary, left: Frame, right: Frame) -> Frame:
    """and, or, unless."""
    mine, others, count = _signatures(left, right, node.matching)
    if node.op == "or":
        there = _anywhere(left.present, mine, count)
        added = Frame(right.labels, right.drop, right.values, right.present & ~there[others])
        return _joined(query, left, compact(added))
    there = _anywhere(right.present, others, count)[mine]
    kept = left.present & (there if node.op == "and" else ~there)
    return compact(Frame(left.labels, left.drop, left.values, kept))


def _anywhere(present: Flags, ids: Ints, count: int) -> Flags:
    """Per signature and step whether any of its rows is present."""
    found = np.zeros((count, present.shape[1]), np.bool_)
    if len(ids) == len(set(ids.tolist())):
        found[ids] = present
    else:
        np.logical_or.at(found, ids, present)
    return found


def _joined(query: Query, left: Frame, right: Frame) -> Frame:
    query.cells(len(left.labels) + len(right.labels), left.values.shape[1])
    return merged(stacked([left, right]), "vector cannot contain metrics with the same labelset")


def matched(query: Query, node: Binary, left: Frame, right: Frame, operator: Callable[..., Any]) -> Frame:
    """Arithmetic and comparisons: pairs of rows with one signature, where both are present."""
    matching = node.matching
    swapped = matching.side == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    many_ids, one_ids, count = _signatures(many, one, matching)
    one, one_ids = _unique(query, node, many, one, one_ids, count)
    fill_many, fill_one = matching.fill_left, matching.fill_right
    if swapped:
        fill_many, fill_one = fill_one, fill_many
    more = _fillers(query, matching, many, many_ids, one, one_ids, count, fill_many)
    one, one_ids = _extended(one, one_ids, _fillers(query, matching, one, one_ids, many, many_ids, count, fill_one))
    many, many_ids = _extended(many, many_ids, more)
    pairs, partners = _pairs(query, many_ids, one_ids, count, many.values.shape[1])
    a, b = _rows(many, pairs), _rows(one, partners)
    values = operator(b.values, a.values) if swapped else operator(a.values, b.values)
    present = a.present & b.present
    drop = np.array(a.drop)
    if node.op in _COMPARISONS:
        values, present, drop = _compared(node, b if swapped else a, values, present, drop)
    labels = [_labels(node, x, y) for x, y in zip(a.labels, b.labels, strict=True)]
    found = Frame(labels, drop, values, present)
    if matching.side == "one":
        _check_explicit(found, many_ids[pairs])
    return compact(merged(found, _NOT_UNIQUE))


def _fillers(
    query: Query,
    matching: Matching,
    frame: Frame,
    ids: Ints,
    other: Frame,
    other_ids: Ints,
    count: int,
    value: float | None,
) -> tuple[Frame, Ints] | None:
    """With `fill`: rows that stand in where the other side finds nobody, with the labels that are matched by."""
    if value is None:
        return None
    alone = _anywhere(other.present, other_ids, count) & ~_anywhere(frame.present, ids, count)
    wanted, rows = np.unique(other_ids, return_index=True)
    steps = frame.values.shape[1]
    query.cells(len(ids) + len(wanted), steps)
    labels = [_matched_labels(other.labels[i], matching) for i in rows]
    values = np.full((len(wanted), steps), value)
    return Frame(labels, np.zeros(len(wanted), np.bool_), values, alone[wanted]), wanted


def _extended(frame: Frame, ids: Ints, more: tuple[Frame, Ints] | None) -> tuple[Frame, Ints]:
    if more is None:
        return frame, ids
    return stacked([frame, more[0]]), np.concatenate((ids, more[1]))


def _matched_labels(labels: Labels, matching: Matching) -> Labels:
    if matching.on:
        return {it: labels[it] for it in matching.labels if it in labels}
    return without(labels, (*matching.labels, NAME))


def _compared(node: Binary, left: Frame, kept: Flags, present: Flags, drop: Flags) -> tuple[Any, Flags, Flags]:
    if node.as_bool:
        return kept.astype(np.float64), present, np.ones(len(drop), np.bool_)
    return left.values, present & kept, drop


def _rows(frame: Frame, rows: Ints) -> Frame:
    if len(rows) == len(frame.labels) and (rows == np.arange(len(rows))).all():
        return frame
    return take(frame, rows)


def _pairs(query: Query, many: Ints, one: Ints, count: int, steps: int) -> tuple[Ints, Ints]:
    """Row numbers of all pairs with one signature."""
    order = np.argsort(one, kind="stable")
    sizes = np.bincount(one, minlength=count)
    begins = np.cumsum(sizes) - sizes
    wanted = sizes[many] if len(many) else np.zeros(0, np.int64)
    query.cells(int(wanted.sum()), steps)
    pairs = np.repeat(np.arange(len(many)), wanted)
    ranks = np.arange(len(pairs)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    return pairs, order[begins[many[pairs]] + ranks]


def _unique(query: Query, node: Binary, many: Frame, one: Frame, ids: Ints, count: int) -> tuple[Frame, Ints]:
    """The side that must be unique, checked; rows that only take turns become one where their labels don't matter."""
    sizes = np.bincount(ids, minlength=count)
    if not (sizes > 1).any():
        return one, ids
    awake = many.present.any(axis=0)
    for group in np.flatnonzero(sizes > 1):
        rows = np.flatnonzero(ids == group)
        twice = np.flatnonzero((one.present[rows].sum(axis=0) > 1) & awake)
        if len(twice):
            raise ExecutionFault(_duplicates(node, one, rows[one.present[rows, twice[0]]]))
        query.tick()
    if node.matching.include:
        return one, ids
    labels = [{"": str(it)} for it in ids]
    joined = merged(Frame(labels, one.drop, one.values, one.present & awake), _MANY_TO_MANY)
    return joined, np.array([int(it[""]) for it in joined.labels], np.int64)


def _duplicates(node: Binary, one: Frame, rows: Ints) -> str:
    first, second = sorted(show(one.labels[i]) for i in rows[:2])
    labels = one.labels[rows[0]]
    group = _matched_labels(labels, node.matching)
    side = "left" if node.matching.side == "one-to-many" else "right"
    return (
        f"found duplicate series for the match group {show(group)} on the {side} hand-side of the operation: "
        f"[{first}, {second}];{_MANY_TO_MANY}"
    )


def _labels(node: Binary, many: Labels, one: Labels) -> Labels:
    matching = node.matching
    found = dict(many)
    if node.op not in _COMPARISONS:
        found.pop(NAME, None)
    if matching.side == "one":
        if matching.on:
            found = {name: value for name, value in found.items() if name in matching.labels}
        else:
            found = without(found, matching.labels)
    for name in matching.include:
        found.pop(name, None)
        if one.get(name):
            found[name] = one[name]
    return found


def _check_explicit(found: Frame, ids: Ints) -> None:
    """One to one: at no step two results of one signature."""
    sizes = np.bincount(ids) if len(ids) else np.zeros(0, np.int64)
    for group in np.flatnonzero(sizes > 1):
        if (found.present[ids == group].sum(axis=0) > 1).any():
            raise ExecutionFault(_MUST_BE_EXPLICIT)

"""Binary operators: scalars and vectors with scalars here, vectors with vectors in `matching`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from service.promql.errors import ExecutionFault
from service.promql.frame import Frame
from service.promql.matching import matched, set_operated
from service.promql.query import Query
from service.promql.tree import Binary

ARITHMETIC: Final[dict[str, Callable[..., Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISON: Final[dict[str, Callable[..., Any]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


def binary(query: Query, node: Binary, left: Any, right: Any) -> Any:
    """What the operator makes of two operands, each a Frame or a number for each step."""
    if isinstance(left, str) or isinstance(right, str):
        raise ExecutionFault(f"a text is no operand of {node.op}")
    if isinstance(left, Frame) and isinstance(right, Frame):
        if node.op in ("and", "or", "unless"):
            return set_operated(query, node, left, right)
        return matched(query, node, left, right, (ARITHMETIC | COMPARISON)[node.op])
    if isinstance(left, Frame):
        return _with_scalar(node, left, left.values, right)
    if isinstance(right, Frame):
        return _with_scalar(node, right, left, right.values)
    if node.op in ARITHMETIC:
        return ARITHMETIC[node.op](left, right)
    return COMPARISON[node.op](left, right).astype(np.float64)


def _with_scalar(node: Binary, frame: Frame, left: Any, right: Any) -> Frame:
    if node.op in ARITHMETIC:
        return _renamed(frame, ARITHMETIC[node.op](left, right))
    kept = COMPARISON[node.op](left, right)
    if node.as_bool:
        return _renamed(frame, kept.astype(np.float64))
    return Frame(frame.labels, frame.drop, frame.values, frame.present & kept)


def _renamed(frame: Frame, values: Any) -> Frame:
    return Frame(frame.labels, np.ones(len(frame.labels), np.bool_), values, frame.present)

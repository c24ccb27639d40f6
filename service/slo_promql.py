"""Queries of objectives, looked into before they are asked: what no engine could answer is a fault of the file."""

from __future__ import annotations

from service.promql.errors import QueryFault
from service.promql.parse import parse
from service.promql.tree import Node, Paren, RangeSelector, String, Subquery

MOST_SAID = 300


def why_not(text: str) -> str | None:
    """Why a text is no query that gives numbers at a moment; None where it is one."""
    try:
        tree = parse(text)
    except QueryFault as fault:
        return " ".join(str(fault).split())[:MOST_SAID]
    return _kind(tree)


def _kind(node: Node) -> str | None:
    while isinstance(node, Paren):
        node = node.inner
    match node:
        case RangeSelector() | Subquery():
            return "it gives a range of samples, where one at a moment is asked for; put rate(…) around it"
        case String():
            return "it is a text, where numbers are asked for"
        case _:
            return None

"""PromQL to a tree of ours; promql-parser reads the grammar and checks types and counts of arguments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, cast

import promql_parser as native

from service.promql.errors import BadQuery, LimitFault, QueryFault
from service.promql.lex import LONGEST_MS, lex, seconds_of
from service.promql.model import Limits
from service.promql.regex import anchored
from service.promql.tree import (
    Aggregation,
    Anchor,
    Binary,
    Call,
    Matching,
    Negation,
    Node,
    Number,
    Paren,
    RangeSelector,
    Selector,
    Shift,
    Side,
    String,
    Subquery,
)
from service.samples import NAME, Matcher, Op

_MILLISECOND: Final = timedelta(milliseconds=1)
_LATEST_MS: Final = 34 * LONGEST_MS
_OPS: Final[dict[str, Op]] = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}
_SIDES: Final[dict[str, Side]] = {
    "OneToOne": "one",
    "ManyToOne": "many-to-one",
    "OneToMany": "one-to-many",
    "ManyToMany": "many-to-many",
}


def parse(text: str, limits: Limits | None = None) -> Node:
    """The tree of a query; raises BadQuery with the reason, LimitFault where it is too long or too deep."""
    limits = limits or Limits()
    lexed = lex(text, limits)
    tree = _native(lexed.text)
    with _guarded():
        moments = [_moment(it) for it in lexed.moments]
        return _Translation(moments, iter(lexed.calls), limits.max_depth).node(tree, 0)


def pretty(text: str, limits: Limits | None = None) -> str:
    """The query in one fixed style; raises as `parse` does.

    The parser's own style loses a negative `@` and an empty `ignoring ()`: then only blanks and comments are tidied.
    """
    tree, lexed = parse(text, limits), lex(text, limits or Limits())
    try:
        shown = str(_native(lexed.plain).prettify())
        return shown if parse(shown, limits) == tree else lexed.plain.strip()
    except QueryFault:
        return lexed.plain.strip()


def _native(text: str) -> Any:
    with _guarded():
        return native.parse(text)


@contextmanager
def _guarded() -> Iterator[None]:
    """The parser tells of a fault by ValueError or OverflowError, of one of its own by a panic."""
    try:
        yield
    except (ValueError, OverflowError) as fault:
        raise BadQuery(f"invalid query: {fault}") from None
    except BaseException as panic:  # pyo3's PanicException is no Exception
        if type(panic).__name__ != "PanicException":
            raise
        raise BadQuery("invalid query: the parser can't read it") from None


def _moment(text: str) -> int:
    """Milliseconds of a number or duration after `@`."""
    sign = -1 if text[0] == "-" else 1
    seconds = seconds_of(text.lstrip("+-")) * sign
    if not math.isfinite(seconds) or abs(seconds) * 1000 > _LATEST_MS:
        raise BadQuery(f"the moment after @, {text}, is out of range")
    return math.floor(seconds * 1000 + 0.5)


class _Translation:
    """One query's walk from the parser's tree to ours."""

    def __init__(self, moments: list[int], calls: Iterator[tuple[str, ...]], max_depth: int) -> None:
        self._moments = moments
        self._calls = calls
        self._max_depth = max_depth

    def node(self, it: Any, depth: int) -> Node:
        """Our node of the parser's node."""
        if depth > self._max_depth:
            raise LimitFault("max_depth", f"the query is deeper than {self._max_depth}: split it by recording rules")
        return cast(Node, getattr(self, f"_{type(it).__name__}")(it, depth + 1))

    def _NumberLiteral(self, it: Any, _: int) -> Number:  # noqa: N802
        return Number(float(it.val))

    def _StringLiteral(self, it: Any, _: int) -> String:  # noqa: N802
        return String(it.val)

    def _VectorSelector(self, it: Any, _: int) -> Selector:  # noqa: N802
        if it.matchers.or_matchers:
            raise BadQuery("invalid query: `or` between matchers is no PromQL; use =~ or the operator `or`")
        matchers = [Matcher(one.name, _OPS[str(one.op)], one.value) for one in it.matchers.matchers]
        for one in matchers:
            if one.op in ("=~", "!~"):
                anchored(one.value)
        named = [Matcher(NAME, "=", it.name)] if it.name is not None else []
        return Selector((*named, *matchers), self._shift(it))

    def _MatrixSelector(self, it: Any, depth: int) -> RangeSelector:  # noqa: N802
        return RangeSelector(self._VectorSelector(it.vector_selector, depth), _duration(it.range))

    def _SubqueryExpr(self, it: Any, depth: int) -> Subquery:  # noqa: N802
        inner = self.node(it.expr, depth)
        step = None if it.step is None else _duration(it.step)
        return Subquery(inner, _duration(it.range), step, self._shift(it))

    def _UnaryExpr(self, it: Any, depth: int) -> Negation:  # noqa: N802
        return Negation(self.node(it.expr, depth))

    def _ParenExpr(self, it: Any, depth: int) -> Paren:  # noqa: N802
        return Paren(self.node(it.expr, depth))

    def _BinaryExpr(self, it: Any, depth: int) -> Binary:  # noqa: N802
        op, modifier = str(it.op), it.modifier
        left, right = self.node(it.lhs, depth), self.node(it.rhs, depth)
        return Binary(op, left, right, bool(modifier and modifier.return_bool), _matching(op, modifier))

    def _AggregateExpr(self, it: Any, depth: int) -> Aggregation:  # noqa: N802
        places = next(self._calls, ())
        modifier = it.modifier
        labels = tuple(modifier.labels) if modifier else ()
        without = modifier is not None and str(modifier.type).endswith("Without")
        param = None if it.param is None else self.node(it.param, depth)
        inner = self.node(it.expr, depth)
        return Aggregation(str(it.op), inner, param, labels, without, places[0] if places else "1:1")

    def _Call(self, it: Any, depth: int) -> Call:  # noqa: N802
        places = next(self._calls, ())
        args = tuple(self.node(one, depth) for one in it.args)
        return Call(it.func.name, args, places if len(places) == len(args) else ("1:1",) * len(args))

    def _shift(self, it: Any) -> Shift:
        offset = 0 if it.offset is None else _duration(it.offset)
        if it.at is None:
            return Shift(None, offset)
        kind = str(it.at.type).rpartition(".")[2].lower()
        if kind in ("start", "end"):
            return Shift(cast(Anchor, kind), offset)
        return Shift(self._moments[round(it.at.at.timestamp())], offset)


def _matching(op: str, modifier: Any) -> Matching:
    if modifier is None:
        return Matching("many-to-many" if op in ("and", "or", "unless") else "one")
    side = _SIDES[str(modifier.card).rpartition(".")[2]]
    on = modifier.matching is not None and str(modifier.matching.type).endswith("Include")
    labels = tuple(modifier.matching.labels) if modifier.matching is not None else ()
    fill = modifier.fill_values
    return Matching(side, on, labels, tuple(modifier.group_labels or ()), fill.lhs, fill.rhs)


def _duration(given: timedelta) -> int:
    found = given // _MILLISECOND
    if abs(found) > LONGEST_MS:
        raise BadQuery("a duration of more than 292 years: shorten it")
    return found

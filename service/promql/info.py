"""info(): labels of info metrics, such as `target_info`, beside the series of the same target."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from service.promql import select
from service.promql.errors import ExecutionFault
from service.promql.frame import Flags, Floats, Frame, empty, merged
from service.promql.model import Labels
from service.promql.regex import anchored
from service.promql.tree import Call, Node, Paren, Selector, Shift
from service.samples import NAME, Matcher

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

_TARGET: Final = ("instance", "job")
_DEFAULT: Final = Matcher(NAME, "=", "target_info")


class _Line(NamedTuple):
    """A row on its way: its labels, whether its name goes, its values, where it is, and whether it got labels."""

    labels: Labels
    drop: bool
    values: Floats
    present: Flags
    told: bool


def info(ev: Evaluator, call: Call) -> Frame:
    """The rows of the first argument with labels of info metrics; experimental in Prometheus 3."""
    base = ev.frame(call.args[0])
    given = _matchers(call.args[1]) if len(call.args) > 1 else ()
    names = tuple(it for it in given if it.name == NAME) or (_DEFAULT,)
    data = tuple(it for it in given if it.name != NAME)
    found = ev.frame(Selector((*names, *data), Shift()))
    newest = select.instant(ev.query, ev.grid, Selector((*names, *data), Shift()), ev.lookback_ms, moments=True)
    chosen = _newest(found, {_key(it): row for it, row in zip(newest.labels, newest.values, strict=True)})
    lines: list[_Line] = []
    wanted = {it.name for it in data}
    for row, labels in enumerate(base.labels):
        line = _Line(labels, bool(base.drop[row]), base.values[row], base.present[row], told=False)
        itself = all(matches(it, labels.get(it.name, "")) for it in names)
        told = [line] if itself else _told(line, chosen.get(_target(labels), {}), wanted)
        lines += told if itself or all(matches(it, "") for it in data) else [it for it in told if it.told]
    return _framed(lines, ev.grid.steps)


def matches(matcher: Matcher, value: str) -> bool:
    """Whether a label's value fulfils a condition."""
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (anchored(matcher.value).fullmatch(value) is not None) == (matcher.op == "=~")


def _matchers(node: Node) -> tuple[Matcher, ...]:
    while isinstance(node, Paren):
        node = node.inner
    if not isinstance(node, Selector):
        raise ExecutionFault("the second argument of info() must be matchers in braces: write info(x, {name=~'.+'})")
    return node.matchers


def _key(labels: Labels) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def _target(labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(it, "") for it in _TARGET)


def _newest(
    found: Frame, moments: dict[frozenset[tuple[str, str]], Floats]
) -> dict[tuple[str, ...], dict[str, list[tuple[Labels, Flags]]]]:
    """Of each target and info metric the series with the steps at which they are the newest one."""
    groups: dict[tuple[tuple[str, ...], str], list[int]] = defaultdict(list)
    for row, labels in enumerate(found.labels):
        groups[_target(labels), labels.get(NAME, "")].append(row)
    chosen: dict[tuple[str, ...], dict[str, list[tuple[Labels, Flags]]]] = defaultdict(dict)
    for (target, name), rows in groups.items():
        when = np.array([np.where(found.present[it], moments[_key(found.labels[it])], -np.inf) for it in rows])
        first = when.argmax(axis=0)
        chosen[target][name] = [
            (found.labels[it], found.present[it] & (first == place)) for place, it in enumerate(rows)
        ]
    return chosen


def _told(line: _Line, infos: dict[str, list[tuple[Labels, Flags]]], wanted: set[str]) -> list[_Line]:
    """The row split where it gets labels and where it gets none."""
    lines = [line]
    for series in infos.values():
        split: list[_Line] = []
        for it in lines:
            rest = it.present
            for labels, present in series:
                here = it.present & present
                if here.any():
                    split.append(it._replace(labels=_joined(it.labels, labels, wanted), present=here, told=True))
                    rest = rest & ~here
            if rest.any():
                split.append(it._replace(present=rest))
        lines = split
    return lines


def _joined(base: Labels, labels: Labels, wanted: set[str]) -> Labels:
    """The labels of both; those of the row itself stand."""
    added = {name: it for name, it in labels.items() if name not in (*_TARGET, NAME) and (not wanted or name in wanted)}
    return {**added, **base}


def _framed(lines: list[_Line], steps: int) -> Frame:
    if not lines:
        return empty(steps)
    drop = np.array([it.drop for it in lines], np.bool_)
    values, present = np.array([it.values for it in lines]), np.array([it.present for it in lines])
    frame = Frame([it.labels for it in lines], drop, values, present)
    return merged(frame, "vector cannot contain metrics with the same labelset")

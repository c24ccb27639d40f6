"""label_replace and label_join."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from service.promql.errors import BadQuery, ExecutionFault
from service.promql.frame import Frame, merged
from service.promql.labels import valid_label
from service.promql.model import Labels
from service.promql.regex import anchored
from service.promql.tree import Call
from service.samples import NAME

if TYPE_CHECKING:
    from service.promql.evaluate import Evaluator

_REFERENCE: Final = re.compile(r"\$(?:\$|\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
_MAX_VALUE_CHARS: Final = 1 << 16
_FAULT: Final = "vector cannot contain metrics with the same labelset"


def _replace(ev: Evaluator, call: Call) -> Frame:
    frame = ev.frame(call.args[0])
    target, template, source, pattern = (ev.text(it) for it in call.args[1:])
    try:
        compiled = anchored(pattern)
    except BadQuery as fault:
        raise ExecutionFault(str(fault)) from None
    if not valid_label(target):
        raise ExecutionFault(f"invalid destination label name in label_replace(): {target!r}")
    expand = _template(template, compiled)

    def value(labels: Labels) -> str | None:
        found = compiled.fullmatch(labels.get(source, ""))
        return None if found is None else expand(found)

    return _relabelled(frame, target, [value(it) for it in frame.labels])


def _template(template: str, compiled: Any) -> Callable[[Any], str]:
    """What fills `$1`, `${1}`, `$name` of a text from a match; a group that is not there is empty."""
    names = set(compiled.groupindex)
    count = compiled.groups

    def group(found: Any, reference: re.Match[str]) -> str:
        if reference.group() == "$$":
            return "$"
        name = reference.group(1) or reference.group(2)
        if name.isdigit():
            return (found.group(int(name)) or "") if int(name) <= count else ""
        return (found.group(name) or "") if name in names else ""

    return lambda found: _REFERENCE.sub(lambda it: group(found, it), template)


def _join(ev: Evaluator, call: Call) -> Frame:
    frame = ev.frame(call.args[0])
    target, separator, *sources = (ev.text(it) for it in call.args[1:])
    for it in (target, *sources):
        if not valid_label(it):
            raise ExecutionFault(f"invalid label name in label_join(): {it!r}")
    return _relabelled(frame, target, [separator.join(it.get(name, "") for name in sources) for it in frame.labels])


def _relabelled(frame: Frame, target: str, values: Iterable[str | None]) -> Frame:
    """The frame with a label set, or removed where the value is empty; None leaves a row alone."""
    labels: list[Labels] = []
    drop = np.array(frame.drop)
    for row, (old, value) in enumerate(zip(frame.labels, values, strict=True)):
        if value is None:
            labels.append(old)
            continue
        if len(value) > _MAX_VALUE_CHARS:
            raise ExecutionFault(f"a label value of {len(value)} characters, at most {_MAX_VALUE_CHARS}: shorten it")
        new = dict(old)
        new.pop(target, None)
        if value:
            new[target] = value
        if target == NAME:
            drop[row] = False
        labels.append(new)
    return merged(Frame(labels, drop, frame.values, frame.present), _FAULT)


RELABEL: Final[dict[str, Callable[[Evaluator, Call], Frame]]] = {"label_replace": _replace, "label_join": _join}

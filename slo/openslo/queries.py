"""Queries as text: their window put in, and the counter's selector where a query is one in disguise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from slo.model import Matcher, Selector

WINDOW: Final = re.compile(r"\{\{\s*+\.window\s*+\}\}")
"""How Sloth's users write the window of a query: `[{{.window}}]`."""
_TEMPLATE = re.compile(r"\{\{[^{}]*+\}\}")
_METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_STRING = r'"(?:[^"\\\n]|\\.)*"|' + r"'(?:[^'\\\n]|\\.)*'|`[^`]*`"
_SELECTOR = rf"(?P<metric>{_METRIC})\s*+(?P<braces>\{{(?:[^\"'`{{}}]|{_STRING})*\}})?"
_BARE = re.compile(rf"\s*+{_SELECTOR}\s*+")
_SUM = re.compile(rf"\s*+sum\s*+\(\s*+{_SELECTOR}\s*+\)\s*+")
_RATE = re.compile(
    rf"\s*+sum\s*+\(\s*+(?:rate|increase)\s*+\(\s*+{_SELECTOR}\s*+\[\s*+\{{\{{\s*+\.window\s*+\}}\}}\s*+\]\s*+\)\s*+\)\s*+"
)
_MATCHER = re.compile(rf"\s*+([a-zA-Z_][a-zA-Z0-9_]*)\s*+(=~|!~|!=|=)\s*+({_STRING})\s*+")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True)
class Query:
    """A query of PromQL, perhaps with a place for its window."""

    text: str

    @property
    def windowed(self) -> bool:
        """True where the query has a place for its window."""
        return WINDOW.search(self.text) is not None

    @property
    def strange(self) -> str | None:
        """The first template that nothing fills."""
        return next((it[:60] for it in _TEMPLATE.findall(self.text) if not WINDOW.fullmatch(it)), None)

    def over(self, window: str) -> str:
        """The query with its window put in, such as `5m`."""
        return WINDOW.sub(lambda _: window, self.text)

    def counter(self, declared: bool) -> Selector | None:
        """The counter that the query sums, None where it is more than that.

        `sum(rate(x[{{.window}}]))` and the same with `increase` say themselves that x is a counter; a bare selector and
        its `sum` are one where the indicator declares it.
        """
        found = _RATE.fullmatch(self.text) or (
            (declared and (_BARE.fullmatch(self.text) or _SUM.fullmatch(self.text))) or None
        )
        if not found:
            return None
        matchers = _matchers((found["braces"] or "{}")[1:-1])
        return None if matchers is None else Selector(found["metric"], matchers)


def _matchers(text: str) -> tuple[Matcher, ...] | None:
    """The matchers within braces; None where they are none that is understood here."""
    found, at = [], 0
    while text[at:].strip():
        one = _MATCHER.match(text, at)
        value = _string(one[3]) if one else None
        if one is None or value is None:
            return None
        found.append(Matcher(one[1], cast(Literal["=", "!=", "=~", "!~"], one[2]), value))
        at = one.end()
        if at < len(text):
            if text[at] != ",":
                return None
            at += 1
    return tuple(found)


def _string(text: str) -> str | None:
    """The value of a string literal; None where it has an escape that is rarely seen."""
    if text[0] == "`":
        return text[1:-1]
    parts = re.split(r"\\(.)", text[1:-1])
    if any(it not in _ESCAPES for it in parts[1::2]):
        return None
    return "".join(_ESCAPES[it] if index % 2 else it for index, it in enumerate(parts))

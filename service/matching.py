"""Whether labels satisfy matchers: regular expressions by RE2, anchored, in bounded memory and linear time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import re2

from service.errors import ServiceFault
from service.samples import Matcher

MOST_BYTES: Final = 8 << 20


class BadPattern(ServiceFault):
    """A regular expression that is none, or needs too much memory."""


def test_of(matchers: Sequence[Matcher]) -> Callable[[Mapping[str, str]], bool]:
    """Whether labels satisfy all matchers; a label that is absent is an empty text. Raises BadPattern."""
    tests = [(it.name, _test(it)) for it in matchers]
    return lambda labels: all(test(labels.get(name, "")) for name, test in tests)


def _test(matcher: Matcher) -> Callable[[str], bool]:
    value = matcher.value
    match matcher.op:
        case "=":
            return lambda text: text == value
        case "!=":
            return lambda text: text != value
        case "=~":
            found = compiled(value)
            return lambda text: found.fullmatch(text) is not None
        case "!~":
            other = compiled(value)
            return lambda text: other.fullmatch(text) is None


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """A pattern of which a point is any character; raises BadPattern."""
    options = re2.Options()
    options.max_mem, options.log_errors, options.dot_nl = MOST_BYTES, False, True
    try:
        return re2.compile(pattern, options)
    except re2.error as fault:
        raise BadPattern(f"{pattern[:120]!r} is no regular expression that can be used: {str(fault)[:200]}") from fault

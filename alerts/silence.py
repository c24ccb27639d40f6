"""Silences: which labels they match, with Alertmanager's meaning, and what makes one invalid."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from alerts.model import Labels, Silence, SilenceMatcher

MAX_MATCHERS = 20
DAY_MS = 86_400_000
MAX_MS = 365 * DAY_MS + 60_000
"""A silence that outlives this is no silence but a rule that should go; a minute for clocks that differ."""
MAX_TEXT = 1_000
MAX_PATTERN = 256
MAX_VALUE = 512
"""Longer label values are matched by their beginning, so that no pattern takes long."""
MAX_REPEATS = 3
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REPEAT = re.compile(r"[*+?]|\{\d*,?\d*\}")


def silenced(labels: Labels, silences: Iterable[Silence], now_ms: int) -> bool:
    """True where an active silence matches: all its matchers hold."""
    return any(active(it, now_ms) and matches(labels, it.matchers) for it in silences)


def active(silence: Silence, now_ms: int) -> bool:
    """True from its start up to, not including, its end."""
    return silence.starts_ms <= now_ms < silence.ends_ms


def matches(labels: Labels, matchers: Iterable[SilenceMatcher]) -> bool:
    """True where every matcher holds; a label that is missing counts as empty."""
    values = dict(labels)
    return all(_holds(it, values.get(it.name, "")) for it in matchers)


def _holds(matcher: SilenceMatcher, value: str) -> bool:
    if matcher.is_regex:
        return (_pattern(matcher.value).fullmatch(value[:MAX_VALUE]) is not None) == matcher.is_equal
    return (value == matcher.value) == matcher.is_equal


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


def faults(silence: Silence, now_ms: int) -> list[str]:
    """Everything that is wrong with a new silence, each with its remedy; empty where it is valid."""
    return [
        *_time_faults(silence, now_ms),
        *_text_faults("created_by", silence.created_by),
        *_text_faults("comment", silence.comment),
        *_matcher_faults(silence.matchers),
    ]


def _time_faults(silence: Silence, now_ms: int) -> list[str]:
    found = []
    if silence.ends_ms <= silence.starts_ms:
        found.append("the silence ends before it starts: set ends_ms after starts_ms")
    if silence.ends_ms <= now_ms:
        found.append("the silence has ended already: set ends_ms in the future")
    if silence.ends_ms - now_ms > MAX_MS:
        found.append(f"the silence ends later than {MAX_MS // DAY_MS} days from now: end it by then")
    return found


def _text_faults(name: str, text: str) -> list[str]:
    if not text.strip():
        return [f"{name} is empty: say {'who' if name == 'created_by' else 'why'}"]
    return [f"{name} has more than {MAX_TEXT} characters"] if len(text) > MAX_TEXT else []


def _matcher_faults(matchers: tuple[SilenceMatcher, ...]) -> list[str]:
    if not matchers:
        return ['no matcher: name at least one label, such as service = "shop/api"']
    if len(matchers) > MAX_MATCHERS:
        return [f"more than {MAX_MATCHERS} matchers"]
    found = [text for it in matchers for text in _one_matcher_faults(it)]
    if not found and all(_holds(it, "") for it in matchers):
        found.append("every matcher also matches a missing label: the silence would match everything")
    return found


def _one_matcher_faults(matcher: SilenceMatcher) -> list[str]:
    found = []
    if not _NAME.fullmatch(matcher.name) or len(matcher.name) > 128:
        found.append(f"{matcher.name[:64]!r} is not a label name")
    if len(matcher.value) > MAX_TEXT:
        found.append(f"the value of {matcher.name[:64]} has more than {MAX_TEXT} characters")
    elif matcher.is_regex and (problem := pattern_fault(matcher.value)):
        found.append(f"the pattern of {matcher.name[:64]} {problem}")
    return found


def pattern_fault(pattern: str) -> str | None:
    """Why a pattern is refused, or None: it must compile, and must not be able to take for ever.

    A repeated group that itself repeats or branches, and more than a few repeats, can make a match exponential.
    """
    if len(pattern) > MAX_PATTERN:
        return f"has more than {MAX_PATTERN} characters"
    if re.search(r"\(\?(?!:)|\\[1-9]", pattern):
        return "uses a look-around, a flag or a back-reference: use plain groups"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    plain = re.sub(r"\\.", "x", pattern, flags=re.DOTALL)
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "x", plain)
    if _repeats_itself(plain):
        return "repeats a group that repeats or branches itself: write it without the nesting"
    if len(_REPEAT.findall(plain.replace("(?:", "("))) > MAX_REPEATS:
        return f"repeats more than {MAX_REPEATS} times: use several matchers, or name the values"
    return None


def _repeats_itself(plain: str) -> bool:
    """True where a group that holds a repeat or a branch is repeated; escapes and classes are replaced already."""
    text, depths, closed_busy = plain.replace("(?:", "("), [False], False
    for index, char in enumerate(text):
        after_group = index > 0 and text[index - 1] == ")"
        if char == "(":
            depths.append(False)
        elif char == ")" and len(depths) > 1:
            closed_busy = depths.pop()
            depths[-1] = depths[-1] or closed_busy
        elif char == "|":
            depths[-1] = True
        elif char in "*+{" or (char == "?" and not after_group):
            if after_group and closed_busy:
                return True
            depths[-1] = True
    return False

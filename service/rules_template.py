"""Texts of alerts: the part of Go's templates that labels and annotations of rule files are written in.

`{{ $labels.name }}`, `{{ $value }}`, functions and pipelines of them. What is said with `if`, `range`, `with` or a
query stays as it is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

MOST_CHARS: Final = 16_384
_ACTION: Final = re.compile(r"(\s*)\{\{(-?)(.*?)(-?)\}\}(\s*)", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<path>[$.][\w.$]*)|(?P<word>\w+)"""
    r"""|(?P<mark>[|()]))""",
    re.VERBOSE,
)
_CONTROL: Final = re.compile(r"^\s*(if|else|end|range|with|define|template|block|query|first|/\*)")
_VERB: Final = re.compile(r"%([-+ 0#]*)(\d*)(?:\.(\d+))?([vsdfgeqxt%])")


class TemplateFault(Exception):
    """A text that is no template; the message says what and the remedy."""


class _Unknown(Exception):
    """Something that is not worked out here."""


def check(text: str) -> None:
    """Raises TemplateFault where a text can't be a template."""
    if len(text) > MOST_CHARS:
        raise TemplateFault(f"a text of {len(text)} characters, at most {MOST_CHARS} are taken; shorten it")
    if text.count("{{") != text.count("}}"):
        raise TemplateFault("a template has {{ without }}, or the other way round; close it")


def expanded(text: str, labels: Mapping[str, str], value: float) -> str:
    """A text with its actions worked out; those that can't be are left as they are written."""
    if "{{" not in text:
        return text

    def action(match: re.Match[str]) -> str:
        before, trim, inner, trim_after, after = match.groups()
        try:
            worked = _printed(_pipeline(_Tokens(inner), labels, value))
        except (_Unknown, ValueError, TypeError, OverflowError, ZeroDivisionError, KeyError):
            return match.group()
        return f"{'' if trim else before}{worked}{'' if trim_after else after}"

    return text if _has_control(text) else _ACTION.sub(action, text)


def _has_control(text: str) -> bool:
    return any(_CONTROL.match(it.group(3)) for it in _ACTION.finditer(text))


class _Tokens:
    """The pieces of an action."""

    def __init__(self, text: str) -> None:
        self._found: list[tuple[str, str]] = []
        at, text = 0, text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise _Unknown
            self._found.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
        self._at = 0

    def peek(self) -> tuple[str, str] | None:
        """The next piece."""
        return self._found[self._at] if self._at < len(self._found) else None

    def take(self) -> tuple[str, str]:
        """The next piece, and go on."""
        found = self.peek()
        if found is None:
            raise _Unknown
        self._at += 1
        return found


def _pipeline(tokens: _Tokens, labels: Mapping[str, str], value: float) -> Any:
    found = _command(tokens, labels, value, ())
    while tokens.peek() == ("mark", "|"):
        tokens.take()
        found = _command(tokens, labels, value, (found,))
    if tokens.peek() not in (None, ("mark", ")")):
        raise _Unknown
    return found


def _command(tokens: _Tokens, labels: Mapping[str, str], value: float, piped: Sequence[Any]) -> Any:
    kind, text = tokens.peek() or ("", "")
    if kind == "word":
        tokens.take()
        arguments = []
        while tokens.peek() not in (None, ("mark", "|"), ("mark", ")")):
            arguments.append(_operand(tokens, labels, value))
        if text not in _FUNCTIONS:
            raise _Unknown
        return _FUNCTIONS[text](*arguments, *piped)
    if piped:
        raise _Unknown
    return _operand(tokens, labels, value)


def _operand(tokens: _Tokens, labels: Mapping[str, str], value: float) -> Any:
    kind, text = tokens.take()
    match kind:
        case "text":
            return text[1:-1] if text[0] == "`" else _unquoted(text[1:-1])
        case "number":
            return float(text) if "." in text else int(text)
        case "path":
            return _path(text, labels, value)
        case "mark" if text == "(":
            found = _pipeline(tokens, labels, value)
            if tokens.take() != ("mark", ")"):
                raise _Unknown
            return found
    raise _Unknown


def _path(text: str, labels: Mapping[str, str], value: float) -> Any:
    match text.lstrip("$.").split("."):
        case ["value"] | ["Value"]:
            return value
        case ["labels"] | ["Labels"]:
            return labels
        case ["labels", name] | ["Labels", name]:
            return labels.get(name, "")
        case ["externalLabels", _] | ["ExternalLabels", _] | ["externalURL"] | ["ExternalURL"]:
            return ""
    raise _Unknown


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda it: escapes.get(it[1], it[1]), text)


def _printed(found: Any) -> str:
    if isinstance(found, float):
        return _go_float(found)
    if isinstance(found, Mapping):
        return "map[" + " ".join(f"{name}:{it}" for name, it in sorted(found.items())) + "]"
    return str(found)


def _go_float(value: float) -> str:
    """A number as `%v` prints it: an exponent below 1e-4 and from 1e21 on."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if value and not 1e-4 <= abs(value) < 1e21:
        return repr(value).replace(".0e", "e").removesuffix(".0")
    text = repr(value)
    return (format(value, ".0f") if "e" in text else text).removesuffix(".0")


def _printf(pattern: str, *arguments: Any) -> str:
    left = list(arguments)

    def verb(match: re.Match[str]) -> str:
        flags, width, precision, kind = match.groups()
        if kind == "%":
            return "%"
        found = left.pop(0)
        if kind in "vs" and precision is None:
            return format(_printed(found), f"{'<' if '-' in flags else '>'}{width}" if width else "")
        if kind == "q":
            return '"' + _printed(found).replace("\\", "\\\\").replace('"', '\\"') + '"'
        number = int(float(found)) if kind in "dx" else float(found) if kind in "fgev" else found
        spec = "g" if kind == "v" else kind
        bounded = f".{min(int(precision), 100)}" if precision is not None else ""
        return f"%{flags}{width[:3]}{bounded}{spec}" % number

    return _VERB.sub(verb, pattern)


def _number(found: Any) -> float:
    return float(found)


def _scaled(found: Any, base: float, prefixes: Sequence[str]) -> str:
    value, at = _number(found), 0
    if value == 0 or math.isnan(value) or math.isinf(value):
        return _short(value)
    while abs(value) >= base and at < len(prefixes) - 1:
        value, at = value / base, at + 1
    return f"{_short(value)}{prefixes[at]}"


def _humanize(found: Any) -> str:
    value = _number(found)
    if value == 0 or abs(value) >= 1 or math.isnan(value):
        return _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P", "E", "Z", "Y"))
    small = ("m", "u", "n", "p", "f", "a", "z", "y")
    for prefix in small:
        value *= 1000
        if abs(value) >= 1:
            return f"{_short(value)}{prefix}"
    return f"{_short(value)}{small[-1]}"


def _short(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return _go_float(value)
    return f"{value:.4g}"


def _duration(found: Any) -> str:
    value = _number(found)
    if math.isnan(value) or math.isinf(value):
        return _short(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        return f"{_humanize(value)}s"
    sign, whole = ("-" if value < 0 else ""), int(abs(value))
    days, hours, minutes, seconds = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{abs(value):.4g}s"


def _timestamp(found: Any) -> str:
    at = datetime.fromtimestamp(_number(found), UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} +0000 UTC"


def _replaced(pattern: str, by: str, text: str) -> str:
    from service.store_index import compiled

    return str(compiled(pattern).sub(re.sub(r"\$\{?(\d)\}?", r"\\\1", by), text))


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "printf": _printf,
    "print": lambda *them: "".join(map(_printed, them)),
    "humanize": _humanize,
    "humanize1024": lambda it: _scaled(it, 1024.0, ("", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")),
    "humanizePercentage": lambda it: f"{_number(it) * 100:.4g}%",
    "humanizeDuration": _duration,
    "humanizeTimestamp": _timestamp,
    "title": lambda it: str(it).title(),
    "toUpper": lambda it: str(it).upper(),
    "toLower": lambda it: str(it).lower(),
    "stripPort": lambda it: str(it).rsplit(":", 1)[0],
    "reReplaceAll": _replaced,
    "index": lambda labels, name: labels.get(name, "") if isinstance(labels, Mapping) else "",
    "externalURL": lambda: "",
}

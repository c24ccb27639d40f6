"""`${VAR}` in Compose files and env files: the forms of the Compose Specification."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_TEXT_CHARS = 1024 * 1024
MAX_DEPTH = 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")


def interpolate(text: str, environ: Mapping[str, str], missing: set[str] | None = None) -> str:
    """The text with `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${VAR:+other}` and `$$` replaced.

    A variable without a value and without a default becomes the empty text, and its name goes into `missing`.
    Raises ValueError, with the remedy, for a required variable and for a malformed form.
    """
    if "$" not in text:
        return text
    result = _expand(text, environ, set() if missing is None else missing, 0)
    if len(result) > MAX_TEXT_CHARS:
        raise ValueError(f"becomes longer than {MAX_TEXT_CHARS} characters; shorten the variables' values")
    return result


def _expand(text: str, environ: Mapping[str, str], missing: set[str], depth: int) -> str:
    if depth > MAX_DEPTH:
        raise ValueError(f"defaults are nested deeper than {MAX_DEPTH}; simplify them")
    out, at = [], 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        replaced, at = _one(text, dollar + 1, environ, missing, depth)
        out.append(replaced)
    return "".join([*out, text[at:]])


def _one(text: str, at: int, environ: Mapping[str, str], missing: set[str], depth: int) -> tuple[str, int]:
    if text.startswith("$", at):
        return "$", at + 1
    if text.startswith("{", at):
        end = _closing(text, at + 1)
        return _braced(text[at + 1 : end], environ, missing, depth), end + 1
    name = _NAME.match(text, at)
    if name is None:
        raise ValueError(f"invalid interpolation at {text[at - 1 : at + 12]!r}; write $$ for a dollar sign")
    return _value(name[0], environ, missing), name.end()


def _closing(text: str, at: int) -> int:
    depth = 1
    for index in range(at, len(text)):
        if text[index] == "{" and text[index - 1] == "$":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise ValueError(f"${{{text[at : at + 20]} is not closed; add the brace, or write $$ for a dollar sign")


def _value(name: str, environ: Mapping[str, str], missing: set[str]) -> str:
    if name not in environ:
        missing.add(name)
    return environ.get(name, "")


def _braced(body: str, environ: Mapping[str, str], missing: set[str], depth: int) -> str:
    match = _NAME.match(body)
    name, rest = (match[0], body[match.end() :]) if match else ("", body)
    operator = next((known for known in _OPERATORS if rest.startswith(known)), None)
    if not name or (rest and operator is None):
        raise ValueError(f"invalid interpolation ${{{body[:40]}}}; the form is ${{NAME}} or ${{NAME:-default}}")
    if operator is None:
        return _value(name, environ, missing)
    word = rest[len(operator) :]
    given = environ.get(name, "") != "" if operator.startswith(":") else name in environ
    match operator[-1]:
        case "-":
            return environ[name] if given else _expand(word, environ, missing, depth + 1)
        case "+":
            return _expand(word, environ, missing, depth + 1) if given else ""
    if not given:
        said = _expand(word, environ, missing, depth + 1)
        raise ValueError(f"variable {name} is required: {said or 'it has no value'}; set it in the environment")
    return environ[name]


def env_file(text: str, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The variables of an env file; None for a bare name, whose value the environment holds.

    Raises ValueError with the line's number.
    """
    found: dict[str, str | None] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not _NAME.fullmatch(name.strip()) and not re.fullmatch(r"[A-Za-z_][\w.-]*", name.strip()):
            raise ValueError(f"line {number}: {name[:40]!r} is no variable name; the form is NAME=value")
        known = {**environ, **{key: text for key, text in found.items() if text is not None}}
        found[name.strip()] = _env_value(value.strip(), known, number) if equals else None
    return found


def _env_value(value: str, environ: Mapping[str, str], number: int) -> str:
    if value[:1] == "'":
        end = value.find("'", 1)
        if end < 0:
            raise ValueError(f"line {number}: the quote is not closed; close it on the same line")
        return value[1:end]
    if value[:1] == '"':
        match = re.match(r'"((?:[^"\\]|\\.)*)"', value)
        if match is None:
            raise ValueError(f"line {number}: the quote is not closed; close it on the same line")
        return interpolate(_unescaped(match[1]), environ)
    return interpolate(re.sub(r"\s+#.*$", "", value), environ)


def _unescaped(text: str) -> str:
    known = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}
    return re.sub(r"\\(.)", lambda match: known.get(match[1], match[0]), text)

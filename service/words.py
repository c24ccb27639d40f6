"""What a validator found wrong, in our words: one clause that says what, and one that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Context = Mapping[str, Any]

_KINDS: Final[Mapping[str, str]] = {
    "int": "a whole number; write one such as 10",
    "float": "a number; write one such as 10 or 0.5",
    "bool": "true or false; write one of them",
    "string": "a text; put it in quotes",
    "tuple": "a list; begin each item with -, or write [a, b]",
    "list": "a list; begin each item with -, or write [a, b]",
    "dict": "a mapping; write keys with values",
    "model": "a mapping; write keys with values",
    "datetime": "a moment; write one such as 2026-01-31T12:00:00Z",
}
_RULES: Final[Mapping[str, Callable[[Context], str]]] = {
    "missing": lambda _: "is missing; write it",
    "extra_forbidden": lambda _: "is not known here; remove it",
    "greater_than": lambda it: f"is too small; write a number above {_number(it['gt'])}",
    "greater_than_equal": lambda it: f"is too small; write a number of at least {_number(it['ge'])}",
    "less_than": lambda it: f"is too large; write a number below {_number(it['lt'])}",
    "less_than_equal": lambda it: f"is too large; write a number of at most {_number(it['le'])}",
    "finite_number": lambda _: f"is not {_KINDS['float']}",
    "string_too_short": lambda it: f"is too short; write at least {_counted(it['min_length'], 'character')}",
    "string_too_long": lambda it: f"is too long; write at most {_counted(it['max_length'], 'character')}",
    "too_short": lambda it: f"has too few items; write at least {it['min_length']}",
    "too_long": lambda it: f"has too many items; write at most {it['max_length']}",
    "string_pattern_mismatch": lambda it: f"has not its form; write what matches {it['pattern']}",
    "literal_error": lambda it: f"is none of its words; write {it['expected']}",
    "value_error": lambda it: str(it["error"]),
    "json_invalid": lambda it: f"is no JSON ({it['error']}); correct it",
    "json_type": lambda _: "is no JSON; correct it",
    "timezone_aware": lambda _: "has no time zone; end it with Z",
}


def words(kind: str, context: Context) -> str:
    """The sentence of one of pydantic's faults, by its `type` and `ctx`; never the value, which may be a secret."""
    if kind in _RULES:
        return _RULES[kind](context)
    noun = next((said for name, said in _KINDS.items() if kind.startswith(f"{name}_")), None)
    return f"is not {noun}" if noun else "is not what belongs here; see docs/configuration.md"


def _number(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

"""What is wrong with a command line, in one sentence: what, and the nearest that is known or where help is.

The parser's errors are told apart by their names: they stand in one private place of the library or another, by its
version.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import typer

UsageError: type[Exception] = next(it for it in typer.BadParameter.__mro__ if it.__name__ == "ClickException")
"""The root of everything that the parser raises."""

_NO_COMMAND = re.compile(r"No such command '(.*?)'\.", re.DOTALL)
_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)|Got unexpected extra argument\(s\) \((.*)\)", re.DOTALL)

_VALIDATED = tuple(
    (re.compile(form), ours)
    for form, ours in (
        (r"greater than or equal to (\S+)", r"is too small; write at least \1"),
        (r"greater than (\S+)", r"is too small; write more than \1"),
        (r"less than or equal to (\S+)", r"is too large; write at most \1"),
        (r"less than (\S+)", r"is too large; write less than \1"),
        (r"not in the range (\S+?)<=?x<=?(\S+)", r"is out of range; write a number from \1 to \2"),
        (r"valid int", r"is no whole number; write one such as 10"),
        (r"valid (number|float)", r"is no number; write one such as 10 or 0.5"),
    )
)
"""What the parser says of a value that has a kind or bounds, by the words of its versions, and what we say."""


def is_help(error: Any) -> bool:
    """True where nothing was asked at all, which help answers."""
    return type(error).__name__ == "NoArgsIsHelpError"


def sentence(error: Any) -> str:
    """One line for a parser's error."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "midwatch"
    return f"{command}: {_what(error, context, f'see `{command} --help`')}"


def _what(error: Any, context: Any, see: str) -> str:
    kind, message = type(error).__name__, str(error.message or "").rstrip(".").removeprefix("Value error, ")
    if kind == "NoSuchOption":
        options = () if context is None else _options(context)
        return f"there is no option {error.option_name}; {_near(error.option_name, options, see)}"
    if kind == "MissingParameter":
        return f"{_named(error.param)} is missing; {see}"
    if unknown := _NO_COMMAND.match(error.message or ""):
        return f"there is no command {unknown[1]}; {_near(unknown[1], context.command.list_commands(context), see)}"
    if extra := _EXTRA.match(message):
        return f"{extra[1] or extra[2]} is more than it takes; {see}"
    if kind == "BadOptionUsage":
        gets = "needs a value" if "requires" in message else "takes no value"
        return f"{error.option_name} {gets}; {see}"
    option = "" if getattr(error, "param", None) is None else _named(error.param)
    for form, ours in _VALIDATED:
        if option and (told := form.search(message)):
            return f"{option} {told.expand(ours)}"
    return f"{f'{option}: ' if option else ''}{message[:1].lower()}{message[1:]}" + (
        "" if ";" in message else f"; {see}"
    )


def _options(context: Any) -> Iterable[str]:
    return [name for it in context.command.get_params(context) for name in it.opts if name.startswith("--")]


def _named(param: Any) -> str:
    if param is None:
        return "an argument"
    return str(param.opts[0]) if param.opts[0].startswith("-") else param.name.upper().rstrip("_")


def _near(given: str, known: Iterable[str], see: str) -> str:
    close = difflib.get_close_matches(given[:60], list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else see

"""What is looked at before the parser is called: bounds that keep it from crashing, and spellings it does not know.

The parser runs native code: deep nesting overflows its stack, a negative `@` is read as 0, and bytes of escapes are
read as characters. So the text is cut into tokens here, checked, and rewritten where it must be.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from service.promql.errors import BadQuery, LimitFault
from service.promql.model import Limits

_TOKEN: Final = re.compile(
    r"""(?P<blank>(?:\s|\#[^\n]*)+)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[0-9A-Za-z_.]*)
    |(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<symbol>[=!<>]=|=~|!~|.)""",
    re.VERBOSE | re.DOTALL,
)
_BYTE_ESCAPE: Final = re.compile(r"\\(?:x[89a-fA-F][0-9a-fA-F]|[23][0-7][0-7])")
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3})|[^\\]+|\\.", re.DOTALL)
_OPERATORS: Final = frozenset(
    ("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless", "atan2")
)
_SET_WORDS: Final = ("and", "or", "unless", "atan2")
_MODIFIERS: Final = ("by", "without", "on", "ignoring", "group_left", "group_right", "fill", "fill_left", "fill_right")
_NO_CALLS: Final = frozenset((*_SET_WORDS, *_MODIFIERS, "bool", "offset"))
RENAMED: Final = {"holt_winters": "double_exponential_smoothing"}
_UNITS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_UNIT: Final = re.compile(r"([0-9]+)(ms|[smhdwy])")
LONGEST_MS: Final = 292 * _UNITS["y"]
"""No duration is longer: a Prometheus holds nanoseconds in 64 bits, and sums of moments stay far from our bounds."""
_BORDERS: Final = ("start", "end")


class Token(NamedTuple):
    """A piece of a query and where it begins."""

    kind: str
    text: str
    begin: int


class Lexed(NamedTuple):
    """A query made safe to parse.

    `text` is what the parser gets: each number after `@` is replaced by its place in `moments` (text of the number);
    `plain` is the same with the numbers as they were.
    `calls` has for each call and aggregation, in order, where its arguments begin in the original, as `line:column`.
    """

    text: str
    plain: str
    moments: tuple[str, ...]
    calls: tuple[tuple[str, ...], ...]


def lex(text: str, limits: Limits) -> Lexed:
    """The query checked and rewritten; raises BadQuery or LimitFault."""
    if len(text) > limits.max_text_chars:
        raise LimitFault(
            "max_text_chars", f"the query has {len(text)} characters, at most {limits.max_text_chars} are taken"
        )
    if not text.isprintable() and any(ord(it) < 32 and it not in "\t\n\r" for it in text):
        raise BadQuery("the query has control characters: write them as escapes in quotes")
    tokens = [Token(str(it.lastgroup), it.group(), it.start()) for it in _TOKEN.finditer(text)]
    seen = [it for it in tokens if it.kind != "blank"]
    if not seen:
        raise BadQuery("no expression found in the query: it is empty")
    _check_depth(seen, limits)
    _check_durations(seen)
    rewritten, plain, moments = _rewrite(tokens)
    return Lexed("".join(rewritten), "".join(plain), moments, _calls(text, seen))


def seconds_of(text: str) -> float:
    """A number, or a duration such as `1h30m`, in seconds; raises BadQuery."""
    parts = _UNIT.findall(text)
    if parts and "".join(map("".join, parts)) == text:
        return sum(int(number) * _UNITS[unit] for number, unit in parts) / 1000
    try:
        if "_" not in text:
            return float(int(text, 16)) if text[:2].lower() == "0x" else float(text)
    except ValueError:
        pass
    raise BadQuery(f"{text} is neither a number nor a duration: write 90 or 1m30s")


def _check_durations(tokens: list[Token]) -> None:
    """The parser panics at durations it can't hold: those after `offset` and in brackets are looked at."""
    brackets, shifts = 0, False
    for it in tokens:
        if it.kind == "number" and (brackets or shifts) and not seconds_of(it.text) * 1000 <= LONGEST_MS:
            raise BadQuery(f"the duration {it.text} is longer than 292 years: shorten it")
        brackets += (it.text == "[") - (it.text == "]")
        shifts = it.text.lower() == "offset" or (shifts and it.text in ("+", "-"))


def _check_depth(tokens: list[Token], limits: Limits) -> None:
    depth = deepest = operators = 0
    for it in tokens:
        if it.kind == "symbol" and it.text in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif it.kind == "symbol" and it.text in ")]}":
            depth -= 1
        elif it.kind in ("symbol", "word") and it.text.lower() in _OPERATORS:
            operators += 1
    if deepest > limits.max_depth or operators > limits.max_depth:
        raise LimitFault(
            "max_depth",
            f"the query nests {deepest} deep and has {operators} operators, at most {limits.max_depth} of each are "
            "taken: split it by recording rules",
        )


def _rewrite(tokens: list[Token]) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The text with moments replaced, the text with them, and them; old names and escapes are respelled in both."""
    parts: list[str] = []
    plain: list[str] = []
    moments: list[str] = []
    sign: str | None = None
    for it in tokens:
        said = " " if it.kind == "blank" else _respelled(it)
        if sign is not None and it.kind == "number":
            plain.append(sign + it.text)
            parts.append(str(len(moments)))
            moments.append(sign + it.text)
        elif sign is not None and it.kind == "symbol" and it.text in "+-":
            sign = "-" if (sign == "-") != (it.text == "-") else "+"
            continue
        else:
            said = said if it.kind == "blank" else (sign or "") + said
            parts.append(said)
            plain.append(said)
        if it.kind != "blank":
            sign = "" if it.kind == "symbol" and it.text == "@" else None
    return parts, plain, tuple(moments)


def _respelled(token: Token) -> str:
    if token.kind == "word":
        return RENAMED.get(token.text, token.text)
    if token.kind == "string" and token.text[0] != "`" and _BYTE_ESCAPE.search(token.text):
        return _decoded(token)
    return token.text


def _decoded(token: Token) -> str:
    """A text whose escapes are bytes, with the characters these bytes make in UTF-8."""
    found = b""
    for it in _ESCAPE.finditer(token.text):
        byte = it.group(1)
        if byte is None:
            found += it.group().encode("utf-8", "surrogatepass")
        else:
            value = int(byte[1:], 16) if byte[0] == "x" else int(byte, 8)
            found += bytes([value & 255]) if value >= 128 else it.group().encode()
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise BadQuery(f"the text {token.text} is no UTF-8: write characters, or \\u escapes") from None


def _calls(text: str, tokens: list[Token]) -> tuple[tuple[str, ...], ...]:
    """Where the arguments of each call begin; calls in the order of their names."""
    found: list[list[int]] = []
    owners: list[int | None] = []
    waiting: int | None = None
    filling: int | None = None
    ends = Token("symbol", "", len(text))
    for before, it, after in zip([ends, *tokens], tokens, [*tokens[1:], ends], strict=False):
        if filling is not None and it.text != ")":
            found[filling].append(it.begin)
        filling = None
        if _is_call(before, it, after):
            waiting = len(found)
            found.append([])
        elif it.kind == "symbol" and it.text in "([{":
            owned = waiting if it.text == "(" and before.text.lower() not in ("by", "without") else None
            waiting = None if owned is not None else waiting
            owners.append(owned)
            filling = owned
        elif it.kind == "symbol" and it.text in ")]}" and owners:
            owners.pop()
        elif it.kind == "symbol" and it.text == "," and owners:
            filling = owners[-1]
    return tuple(tuple(_place(text, begin) for begin in it) for it in found)


def _is_call(before: Token, word: Token, after: Token) -> bool:
    if word.kind != "word" or word.text.lower() in _NO_CALLS:
        return False
    if before.text == "@" and word.text.lower() in _BORDERS:
        return False
    return after.text == "(" or after.text.lower() in ("by", "without")


def _place(text: str, begin: int) -> str:
    line = text.count("\n", 0, begin)
    return f"{line + 1}:{begin - text.rfind(chr(10), 0, begin)}"

"""Reads values out of a Compose file's tree: interpolates, converts, and gathers every fault with its line and key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from runtime.compose_interpolate import interpolate
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.compose_yaml import Node, Scalar, Sequence

T = TypeVar("T")

MAX_FAULTS = 100
_UNSAYABLE = re.compile(r"[\0\ud800-\udfff]")


class Fault(NamedTuple):
    """One fault: the line, the path of its key, what is wrong and the remedy."""

    line: int
    key: str
    message: str


class Reader:
    """One file's context: its folder, the variables, and the faults found so far."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = environ
        self.faults: list[Fault] = []
        self.missing: set[str] = set()

    def fault(self, line: int, key: str, message: str) -> None:
        """Notes a fault once; beyond the bound they are dropped, for the first hundred say enough."""
        found = Fault(line, key, message)
        if len(self.faults) < MAX_FAULTS and found not in self.faults:
            self.faults.append(found)

    def text(self, node: Node | None, key: str) -> str | None:
        """The interpolated text; None where it is absent or null."""
        if node is None or (isinstance(node, Scalar) and node.null):
            return None
        if not isinstance(node, Scalar):
            self.fault(node.line, key, f"a {_kind(node)} stands where one value belongs; write a single value")
            return None
        try:
            return _sayable(interpolate(node.text, self.environ, self.missing))
        except ValueError as error:
            self.fault(node.line, key, str(error))
            return None

    def value(self, node: Node | None, key: str, parse: Callable[[str], T]) -> T | None:
        """The text as `parse` reads it, whose ValueError becomes a fault; None where absent or at fault."""
        text = self.text(node, key)
        if text is None or node is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.fault(node.line, key, str(error))
            return None

    def items(self, node: Node | None, key: str) -> tuple[tuple[Node, str], ...]:
        """A list's items, each with its path."""
        if node is None or (isinstance(node, Scalar) and node.null):
            return ()
        if not isinstance(node, Sequence):
            self.fault(node.line, key, f"a {_kind(node)} stands where a list belongs; begin each item with -")
            return ()
        return tuple((item, f"{key}[{index}]") for index, item in enumerate(node.items))

    def texts(self, node: Node | None, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = (self.text(item, path) for item, path in self.items(node, key))
        return tuple(text for text in found if text is not None)

    def words(self, node: Node | None, key: str, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...] | None:
        """A command: a list as it stands, a text as `split` splits it; None where absent."""
        if isinstance(node, Sequence):
            return self.texts(node, key)
        return self.value(node, key, split)

    def section(self, node: Node | None, key: str, honoured: Iterable[str], refused: Iterable[str] = ()) -> YamlMapping:
        """A mapping whose keys are all honoured; others are faults, `x-…` is dropped. Empty where absent."""
        mapping = self.mapping(node, key)
        known = tuple(honoured)
        entries = {}
        for name, value in mapping.entries.items():
            if name in known:
                entries[name] = value
            elif not name.startswith("x-"):
                self.fault(mapping.lines[name], join(key, name), _unknown(name, known, tuple(refused)))
        return YamlMapping(entries, mapping.line, mapping.lines)

    def mapping(self, node: Node | None, key: str) -> YamlMapping:
        """A mapping with whatever keys; empty where it is absent or null."""
        if isinstance(node, YamlMapping):
            return node
        if node is not None and not (isinstance(node, Scalar) and node.null):
            self.fault(node.line, key, f"a {_kind(node)} stands where a mapping belongs; write keys with values")
        return YamlMapping({}, node.line if node is not None else 1)

    def pairs(self, node: Node | None, key: str) -> dict[str, str | None]:
        """Names with values, from a mapping or from a list of `NAME=value`; None for a name without a value."""
        if isinstance(node, Sequence):
            texts = self.texts(node, key)
            split = (text.partition("=") for text in texts)
            return {name: value if equals else None for name, equals, value in split}
        entries = self.mapping(node, key).entries
        return {name: self.text(value, join(key, name)) for name, value in entries.items()}


def join(key: str, name: str) -> str:
    """The path of a key inside another."""
    return f"{key}.{name}" if key else name


def _sayable(text: str) -> str:
    """The text, unless no program can be given it; raises ValueError."""
    if _UNSAYABLE.search(text):
        raise ValueError("holds a NUL or half a character, which the engine can't be told; remove it")
    return text


def _kind(node: Node) -> str:
    return {Scalar: "value", Sequence: "list", YamlMapping: "mapping"}[type(node)]


def _unknown(name: str, honoured: tuple[str, ...], refused: tuple[str, ...]) -> str:
    if name in refused:
        return "Midwatch does not honour this key of Compose; remove it"
    near = difflib.get_close_matches(name, honoured, n=1, cutoff=0.6)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; remove it (known here: {', '.join(sorted(honoured))})"

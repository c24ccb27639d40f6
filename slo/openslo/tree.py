"""YAML text as trees that know their lines, bounded in size, depth and what aliases expand to.

Built from the parser's events, without recursion, and stopped at the first event beyond a bound. Scalars stay text:
what `0.999` or `2022-01-01 12:00:00` means is for the field to say that holds it, so that no target goes through a
binary float.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 1024 * 1024
MAX_NODES = 120_000
MAX_DEPTH = 40
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_NULLS = ("", "~", "null", "Null", "NULL")
_MERGE = "<<"
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
"""Numbers of YAML 1.2, of which 1.1 takes some for text, such as `12e5`."""
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{it}" for it in ("null", "bool", "int", "float", "str", "seq", "map"))


@dataclass(frozen=True)
class Scalar:
    """One value as its text; `quoted` where it would be no text without quotes. Lines are no part of equality."""

    text: str
    line: int = field(compare=False)
    quoted: bool = False

    @property
    def null(self) -> bool:
        """True for an empty value, `~` or `null`."""
        return not self.quoted and self.text in _NULLS


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    line: int = field(compare=False)


@dataclass(frozen=True)
class Mapping:
    """A mapping; `lines` holds the line of each key."""

    entries: dict[str, Node]
    line: int = field(compare=False)
    lines: dict[str, int] = field(default_factory=dict, compare=False)


Node = Scalar | Items | Mapping


class TreeFault(NamedTuple):
    """A fault of the text itself."""

    line: int
    path: str
    what: str
    remedy: str


class _Stop(Exception):
    def __init__(self, line: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.line, self.what, self.remedy = line, what, remedy


@dataclass
class _Frame:
    """A list or mapping that is being read."""

    line: int
    anchor: str | None
    mapping: bool
    size: int = 1
    height: int = 1
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    merged: list[Mapping] = field(default_factory=list)
    key: tuple[str, int, bool] | None = None

    def step(self) -> str:
        """What this frame adds to a path."""
        if self.mapping:
            return f".{shown(self.key[0])}" if self.key else ""
        return f"[{len(self.items)}]"


class _Anchored(NamedTuple):
    node: Node
    size: int
    height: int


def parse(text: str) -> tuple[list[Node], list[TreeFault]]:
    """The trees of all documents of a text, and its faults; what follows a syntax error is not read."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return [], [TreeFault(1, "", f"the file is larger than {MAX_BYTES} bytes", "split it into several")]
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _Stop as stop:
        builder.faults.append(TreeFault(stop.line, builder.path(), stop.what, stop.remedy))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        what = " ".join(str(error.problem or error.context).split())
        if "nesting depth" in what:
            # Newer libyaml gives up by itself, before it tells of the first level.
            builder.faults.append(TreeFault(line, builder.path(), _TOO_DEEP, "flatten it"))
        else:
            told = f"not YAML: {what[:120]}"
            builder.faults.append(TreeFault(line, builder.path(), told, "correct the syntax there"))
    except (yaml.YAMLError, ValueError) as error:
        what = " ".join(str(error).split())
        builder.faults.append(TreeFault(1, "", f"not YAML: {what[:120]}", "save it as plain UTF-8 text"))
    return builder.documents, builder.faults


def shown(name: str) -> str:
    """A name as a path shows it: short, and with what a terminal would obey escaped."""
    return name[:64] if name[:64].isprintable() else repr(name[:64])[1:-1]


def is_text(plain: str) -> bool:
    """True for what is a text even without quotes, by YAML 1.1 and by 1.2."""
    known = _RESOLVER.resolve(yaml.ScalarNode, plain, (True, False)) == "tag:yaml.org,2002:str"
    return bool(known) and NUMBER.fullmatch(plain) is None


class _Builder:
    """Takes events, gives documents; counts what aliases multiply."""

    def __init__(self) -> None:
        self.documents: list[Node] = []
        self.faults: list[TreeFault] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._count = 0

    def path(self) -> str:
        """Where in the document the builder is."""
        return "".join(frame.step() for frame in self._frames).lstrip(".")

    def take(self, event: yaml.Event) -> None:
        """One event more."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.DocumentStartEvent():
                self._anchors.clear()
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.ScalarEvent():
                self._tag(event.tag, line)
                node = Scalar(event.value, line, not event.implicit[0] and not is_text(event.value))
                self._done(node, 1, 0, event.anchor)
            case yaml.AliasEvent():
                self._alias(str(event.anchor), line)
            case _:
                pass

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        self._tag(event.tag, line)
        if len(self._frames) >= MAX_DEPTH:
            raise _Stop(line, _TOO_DEEP, "flatten it")
        self._frames.append(_Frame(line, event.anchor, isinstance(event, yaml.MappingStartEvent)))

    def _tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag not in _PLAIN_TAGS and tag != "!":
            raise _Stop(line, f"tag {tag[:60]} is not honoured", "remove it")

    def _close(self) -> None:
        frame = self._frames.pop()
        node: Node = Items(tuple(frame.items), frame.line)
        if frame.mapping:
            for mapping in frame.merged:
                for key in mapping.entries.keys() - frame.entries.keys():
                    frame.entries[key], frame.lines[key] = mapping.entries[key], mapping.lines[key]
            node = Mapping(frame.entries, frame.line, frame.lines)
        self._done(node, frame.size, frame.height, frame.anchor, counted=frame.size - 1)

    def _alias(self, name: str, line: int) -> None:
        found = self._anchors.get(name)
        if found is None:
            raise _Stop(line, f"alias {name[:60]} has no anchor before it, or holds itself", "write the value out")
        if len(self._frames) + found.height > MAX_DEPTH:
            raise _Stop(line, f"{_TOO_DEEP} by aliases", "flatten it")
        self._done(found.node, found.size, found.height, None)

    def _done(self, node: Node, size: int, height: int, anchor: str | None, counted: int = 0) -> None:
        """A node is finished; `counted` of its `size` are counted already."""
        self._count += size - counted
        if self._count > MAX_NODES:
            raise _Stop(node.line, f"more than {MAX_NODES} values, aliases expanded", "split the file")
        if anchor is not None:
            self._anchors[anchor] = _Anchored(node, size, height)
        if not self._frames:
            self.documents.append(node)
            return
        frame = self._frames[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if frame.mapping:
            self._entry(frame, node)
        else:
            frame.items.append(node)

    def _entry(self, frame: _Frame, node: Node) -> None:
        if frame.key is None:
            if not isinstance(node, Scalar):
                raise _Stop(node.line, "a key must be a plain text", "write it as one word")
            frame.key = (node.text, node.line, node.quoted)
            return
        key, line, quoted = frame.key
        if key == _MERGE and not quoted:
            frame.merged.extend(self._merged(node, line))
        elif key in frame.entries:
            first = frame.lines[key]
            self.faults.append(
                TreeFault(line, self.path(), f"the key stands twice, first in line {first}", "remove one")
            )
        else:
            frame.entries[key], frame.lines[key] = node, line
        frame.key = None

    def _merged(self, node: Node, line: int) -> Iterator[Mapping]:
        for item in node.items if isinstance(node, Items) else (node,):
            if not isinstance(item, Mapping):
                raise _Stop(line, "<< takes a mapping or a list of mappings", "name an anchor of one")
            yield item

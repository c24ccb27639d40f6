"""YAML text as a tree that knows its lines, bounded in size, depth and what its aliases expand to.

Scalars stay text: what `1.10`, `on` or `22:22` means is for the field to say that holds it, as YAML 1.1 would read
the last as a number to base 60.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

MAX_BYTES = 1024 * 1024
MAX_NODES = 50_000
MAX_DEPTH = 50
MAX_FOUND = 100

_NULLS = ("", "~", "null", "Null", "NULL")
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "timestamp", "value", "merge", "map", "seq")
)
_MERGE = "<<"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Scalar(NamedTuple):
    """One value as its text; `quoted` where it can't mean null."""

    text: str
    line: int
    quoted: bool = False

    @property
    def null(self) -> bool:
        """True for an empty value, `~` or `null`."""
        return not self.quoted and self.text in _NULLS


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class Mapping:
    """A mapping; `lines` holds the line of each key."""

    entries: dict[str, Node]
    line: int
    lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


class YamlFault(Exception):
    """One fault of the text itself: its line, what is wrong, and the remedy."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse(text: str, found: list[YamlFault] | None = None) -> Node:
    """The tree of one YAML document with aliases and merge keys resolved; raises YamlFault.

    With a list `found`, faults that leave the rest of the tree readable are put into it and reading goes on.
    """
    if len(text.encode()) > MAX_BYTES:
        raise YamlFault(1, f"the file is larger than {MAX_BYTES} bytes; split it into several projects")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlFault(line, f"not YAML: {error.problem or error.context}; correct the syntax there") from error
    except (yaml.YAMLError, ValueError) as error:
        raise YamlFault(1, f"not YAML: {' '.join(str(error).split())}; save it as plain UTF-8 text") from error
    except RecursionError as error:
        raise YamlFault(1, f"nested deeper than {MAX_DEPTH} levels; flatten it") from error
    return Scalar("", 1) if root is None else _Builder(found).node(root, 0)


class _Builder:
    """Walks the graph that YAML is into a tree, counting what aliases multiply."""

    def __init__(self, found: list[YamlFault] | None) -> None:
        self.count = 0
        self._found = found

    def _fault(self, line: int, message: str) -> None:
        if self._found is None:
            raise YamlFault(line, message)
        if (
            all((it.line, str(it)) != (line, message) for it in self._found[-MAX_FOUND:])
            and len(self._found) < MAX_FOUND
        ):
            self._found.append(YamlFault(line, message))

    def node(self, node: yaml.Node, depth: int) -> Node:
        line = node.start_mark.line + 1
        self.count += 1
        if self.count > MAX_NODES:
            raise YamlFault(line, f"aliases expand to more than {MAX_NODES} values; write fewer aliases")
        if depth > MAX_DEPTH:
            raise YamlFault(line, f"nested deeper than {MAX_DEPTH} levels, or an alias holds itself; flatten it")
        if node.tag not in _PLAIN_TAGS:
            self._fault(line, f"tag {node.tag[:60]} is not honoured; remove it")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, line, depth)
        if isinstance(node, yaml.SequenceNode):
            return Sequence(tuple(self.node(item, depth + 1) for item in node.value), line)
        if not isinstance(node, yaml.ScalarNode):
            raise YamlFault(line, "neither a value, a list nor a mapping; write one of them")
        return Scalar(node.value, line, quoted=node.style is not None)

    def _mapping(self, node: yaml.MappingNode, line: int, depth: int) -> Mapping:
        own: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Mapping] = []
        for key_node, value_node in node.value:
            key, at, quoted = self._key(key_node)
            if key == _MERGE and not quoted:
                merged += self._merged(self.node(value_node, depth + 1), at)
            elif key in own:
                self._fault(at, f"key {key[:60]} stands twice, first in line {lines[key]}; remove one")
            else:
                own[key], lines[key] = self.node(value_node, depth + 1), at
        for mapping in merged:
            for key, value in mapping.entries.items():
                if key not in own:
                    own[key], lines[key] = value, mapping.lines[key]
        return Mapping(own, line, lines)

    def _key(self, node: yaml.Node) -> tuple[str, int, bool]:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise YamlFault(line, "a key must be a plain text; write it as one word")
        if _CONTROL.search(node.value):
            self._fault(line, f"key {node.value[:60]!a} holds a control character; remove it")
        return node.value, line, node.style is not None

    def _merged(self, value: Node, line: int) -> list[Mapping]:
        items = value.items if isinstance(value, Sequence) else (value,)
        found = [item for item in items if isinstance(item, Mapping)]
        if len(found) != len(items):
            raise YamlFault(line, "<< takes a mapping or a list of mappings; name an anchor of one")
        return found

"""The fields of one mapping, read by name and type; each fault goes into the report, and reading goes on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from slo.openslo.faults import At, Report
from slo.openslo.tree import Items, Mapping, Node, Scalar, shown
from slo.openslo.values import Duration, Refused, decimal, duration

T = TypeVar("T")
MAX_TEXT = 8192
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBERLIKE = re.compile(r"[+-]?(\d|\.\d).*")


@dataclass(frozen=True)
class Fields:
    """A mapping at its place; what no reader knows is a fault from the beginning."""

    node: Mapping
    at: At
    report: Report
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        """Tell of unknown fields, with the nearest known."""
        for name in self.node.entries:
            if name not in self.known and not self.report.full():
                self.report.error(self.place(name), "the field is not known", remedy_for(name, self.known))

    def place(self, name: str) -> At:
        """Where a field stands, or would."""
        path = f"{self.at.path}.{shown(name)}" if self.at.path else shown(name)
        return At(self.at.file, self.node.lines.get(name, self.at.line), path)

    def has(self, name: str) -> bool:
        """True where the field stands and is not null."""
        return self.get(name) is not None

    def get(self, name: str) -> Node | None:
        """The field's node, None where it is missing or null."""
        node = self.node.entries.get(name)
        return None if isinstance(node, Scalar) and node.null else node

    def text(self, name: str, *, at_most: int | None = None) -> str | None:
        """A text; a number or a flag is none, unless it is quoted."""
        node = self.get(name)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self._wrong(name, node, "a text")
            return None
        if len(node.text) > MAX_TEXT:
            self.report.error(self.place(name), f"longer than {MAX_TEXT} characters", "shorten it")
            return None
        if not node.quoted and (node.text in _FLAGS or _plain_number(node.text)):
            self.report.error(self.place(name), f"{node.text[:40]} is no text", "put it into quotes")
        if at_most is not None and len(node.text) > at_most:
            self.report.frowned(self.place(name), f"longer than {at_most} characters", "shorten it")
        return node.text

    def needed(self, name: str, why: str = "", *, at_most: int | None = None) -> str:
        """A text that must be there and not empty; an empty one once the fault is told."""
        found = self.text(name, at_most=at_most)
        if not found and not (isinstance(self.get(name), Items | Mapping)):
            self.missing(name, why)
        return found or ""

    def missing(self, name: str, why: str = "") -> None:
        """Tell that a field must be there."""
        self.report.error(self.place(name), "is missing", f"add it{': ' + why if why else ''}")

    def number(self, name: str) -> Fraction | None:
        """An exact number."""
        return self._plain(name, "a number", decimal)

    def duration(self, name: str) -> Duration | None:
        """A duration such as 4w."""
        return self._plain(name, "a duration", duration, quoted=True)

    def flag(self, name: str) -> bool | None:
        """True or false."""
        return self._plain(name, "true or false", _flag)

    def choice(self, name: str, known: Sequence[T]) -> T | None:
        """One of a few words."""
        text = self.text(name)
        if text is None or text in known:
            return next((it for it in known if it == text), None)
        words = tuple(str(it) for it in known)
        self.report.error(self.place(name), f"{text[:40]!r} is none of {', '.join(words)}", remedy_for(text, words))
        return None

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """A text that a parser reads."""
        return self._plain(name, "a text", parse, quoted=True)

    def child(self, name: str, known: tuple[str, ...]) -> Fields | None:
        """A mapping within; None where it is missing, and where it is none, which is told."""
        node = self.get(name)
        if node is None:
            return None
        if not isinstance(node, Mapping):
            self._wrong(name, node, "a mapping")
            return None
        return Fields(node, self.place(name), self.report, known)

    def children(self, name: str, known: tuple[str, ...]) -> list[Fields]:
        """The mappings of a list."""
        found = []
        for item, at in self.items(name):
            if isinstance(item, Mapping):
                found.append(Fields(item, at, self.report, known))
            else:
                remedy = "write its fields, each as `name: value`"
                self.report.error(at, f"{_what(item)} where a mapping is due", remedy)
        return found

    def items(self, name: str) -> Iterator[tuple[Node, At]]:
        """The nodes of a list with their places."""
        node = self.get(name)
        if node is None:
            return
        if not isinstance(node, Items):
            self._wrong(name, node, "a list")
            return
        here = self.place(name)
        for index, item in enumerate(node.items):
            yield item, At(here.file, item.line, f"{here.path}[{index}]")

    def any(self, name: str) -> Node | None:
        """Any YAML."""
        return self.get(name)

    def _plain(self, name: str, what: str, parse: Callable[[str], T], *, quoted: bool = False) -> T | None:
        node = self.get(name)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self._wrong(name, node, what)
            return None
        if node.quoted and not quoted:
            self.report.error(self.place(name), f"{node.text[:40]!r} is text, not {what}", "remove the quotes")
            return None
        try:
            return parse(node.text)
        except Refused as refused:
            self.report.error(self.place(name), refused.what, refused.remedy)
            return None

    def _wrong(self, name: str, node: Node, what: str) -> None:
        self.report.error(self.place(name), f"{_what(node)} where {what} is due", f"write {what}")


def remedy_for(name: str, known: Sequence[str]) -> str:
    """What to write instead: the nearest known word, or all of them."""
    close = difflib.get_close_matches(name[:64].lower(), [it.lower() for it in known], n=1)
    near = next((it for it in known if close and it.lower() == close[0]), None)
    return f"did you mean {near}?" if near else f"remove it or write one of {', '.join(known)}"


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise Refused(f"{text[:40]!r} is neither true nor false", "write true or false")
    return _FLAGS[text]


def _plain_number(text: str) -> bool:
    try:
        return bool(_NUMBERLIKE.fullmatch(text)) and decimal(text) is not None
    except Refused:
        return False


def _what(node: Node) -> str:
    match node:
        case Scalar():
            return f"{node.text[:40]!r} stands"
        case Items():
            return "a list stands"
        case Mapping():
            return "a mapping stands"

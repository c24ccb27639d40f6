"""Prometheus rule files, read strictly: every fault at once, each with file, line and remedy."""

from __future__ import annotations

import difflib
import glob
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from service.prometheus_params import PrometheusFault, duration
from service.promql.errors import QueryFault
from service.promql.parse import parse
from service.rules_model import AlertingRule, Group, Loaded, Rule, RuleFault, pairs
from service.rules_model import RecordingRule as Recording
from service.rules_template import TemplateFault, check

MOST_BYTES: Final = 4 << 20
MOST_FILES: Final = 500
GROUP_KEYS: Final = ("name", "interval", "query_offset", "limit", "labels", "rules", "partial_response_strategy")
RULE_KEYS: Final = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)

Report = Callable[[yaml.Node, str], None]


def files_of(globs: Sequence[str]) -> list[Path]:
    """The files that the patterns name, each once, in order."""
    found = {Path(it) for pattern in globs for it in glob.glob(pattern, recursive=True)}  # noqa: PTH207 - any pattern
    return sorted(found)[:MOST_FILES]


def load(globs: Sequence[str], interval_ms: int) -> Loaded:
    """The groups of all files that the patterns name; a pattern without magic must name a file."""
    faults = [
        RuleFault(pattern, 1, "no such file; correct service.rules")
        for pattern in globs
        if not glob.has_magic(pattern) and not Path(pattern).exists()
    ]
    found = [load_file(it, interval_ms) for it in files_of(globs)]
    groups = tuple(group for it in found for group in it.groups)
    return Loaded(groups, (*faults, *(fault for it in found for fault in it.faults)))


def load_file(path: Path, interval_ms: int) -> Loaded:
    """The groups of one file; those of a file with faults are not to be used."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return _nothing(path, 1, "is no regular file; correct service.rules")
        if found.st_size > MOST_BYTES:
            return _nothing(path, 1, f"longer than {MOST_BYTES} bytes; split it")
        return parse_text(path.read_text(encoding="utf-8"), str(path), interval_ms)
    except UnicodeDecodeError as fault:
        return _nothing(path, 1, f"not UTF-8 at byte {fault.start}; save it as UTF-8")
    except OSError as fault:
        return _nothing(path, 1, f"can't be read: {fault.strerror}; correct its permissions")


def parse_text(text: str, file: str, interval_ms: int) -> Loaded:
    """The groups of a file's text."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        line = (fault.problem_mark.line if fault.problem_mark else 0) + 1
        return _nothing(Path(file), line, f"no YAML: {fault.problem}; correct it")
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        return _nothing(Path(file), 1, f"no YAML: {str(fault)[:200] or 'nested too deep'}; correct it")
    reader = _Reader(file, interval_ms)
    groups = tuple(reader.groups(root)) if root is not None else ()
    return Loaded(groups, tuple(reader.faults))


def _nothing(path: Path, line: int, message: str) -> Loaded:
    return Loaded((), (RuleFault(str(path), line, message),))


class _Reader:
    """Reads one file's tree; what is wrong is noted, and reading goes on."""

    def __init__(self, file: str, interval_ms: int) -> None:
        self.faults: list[RuleFault] = []
        self._file, self._interval_ms = file, interval_ms

    def groups(self, root: yaml.Node) -> Iterator[Group]:
        """All groups."""
        whole = self._mapping(root, ("groups",))
        seen: set[str] = set()
        for node in self._items(whole.get("groups")):
            group = self._group(node)
            if group is not None:
                if group.name in seen:
                    self._fault(node, f"a second group is named {group.name!r} in this file; rename one")
                seen.add(group.name)
                yield group

    def _group(self, node: yaml.Node) -> Group | None:
        keys = self._mapping(node, GROUP_KEYS)
        name = self._text(keys.get("name"))
        if not isinstance(node, yaml.MappingNode):
            return None
        if not name:
            self._fault(node, "a group without a name; give it one")
            return None
        common = dict(self._labels(keys.get("labels")))
        rules = tuple(rule for it in self._items(keys.get("rules")) if (rule := self._rule(it, common)) is not None)
        return Group(
            self._file,
            name,
            self._duration(keys.get("interval"), self._interval_ms) or self._interval_ms,
            self._duration(keys.get("query_offset"), 0),
            self._number(keys.get("limit")),
            rules,
        )

    def _rule(self, node: yaml.Node, common: dict[str, str]) -> Rule | None:
        keys = self._mapping(node, RULE_KEYS)
        if not isinstance(node, yaml.MappingNode):
            return None
        expr = self._expression(node, keys.get("expr"))
        record, alert = self._text(keys.get("record")), self._text(keys.get("alert"))
        if bool(record) == bool(alert):
            self._fault(node, "a rule has either `record` or `alert`; write one of them")
            return None
        labels = pairs({**common, **dict(self._labels(keys.get("labels")))})
        line = node.start_mark.line + 1
        if record:
            self._check_recording(record, keys)
            return Recording(record, expr, labels, line)
        annotations = pairs(dict(self._labels(keys.get("annotations"))))
        for at in ("labels", "annotations"):
            self._check_templates(keys.get(at))
        for_ms, keep_ms = (self._duration(keys.get(it), 0) for it in ("for", "keep_firing_for"))
        return AlertingRule(alert, expr, labels, annotations, for_ms, keep_ms, line)

    def _check_recording(self, name: str, keys: dict[str, yaml.Node]) -> None:
        if not _METRIC.fullmatch(name):
            self._fault(keys["record"], f"{name[:80]!r} is no name of a metric; letters, digits, _ and : make one")
        for key in ("for", "keep_firing_for", "annotations"):
            if key in keys:
                self._fault(keys[key], f"`{key}` has no meaning for a recording rule; remove it")

    def _expression(self, rule: yaml.Node, node: yaml.Node | None) -> str:
        text = self._text(node).strip()
        if not text:
            self._fault(node or rule, "a rule without an expression; write `expr`")
            return ""
        try:
            parse(text)
        except QueryFault as fault:
            self._fault(node or rule, f"{str(fault)[:300]}; correct the expression")
        return text

    def _labels(self, node: yaml.Node | None) -> Iterator[tuple[str, str]]:
        if node is None or _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, "labels and annotations are pairs of a name and a text; correct it")
            return
        for key, value in node.value:
            if not _LABEL.fullmatch(str(key.value)) or key.value == "__name__":
                self._fault(key, f"{str(key.value)[:80]!r} is no name of a label; letters, digits and _ make one")
            elif not isinstance(value, yaml.ScalarNode):
                self._fault(value, f"{key.value} must be a text; put it in quotes")
            else:
                yield str(key.value), str(value.value)

    def _check_templates(self, node: yaml.Node | None) -> None:
        for _, value in node.value if isinstance(node, yaml.MappingNode) else ():
            try:
                check(str(value.value))
            except TemplateFault as fault:
                self._fault(value, str(fault))

    def _mapping(self, node: yaml.Node, known: Sequence[str]) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"a mapping is needed here, with {', '.join(known)}")
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                told = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
                self._fault(key, f"unknown key {name[:80]!r}; {told}")
            elif name in found:
                self._fault(key, f"{name} is said twice; remove one")
            else:
                found[name] = value
        return found

    def _items(self, node: yaml.Node | None) -> list[yaml.Node]:
        if node is None or _is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._fault(node, "a list is needed here; begin each item with `-`")
            return []
        return list(node.value)

    def _text(self, node: yaml.Node | None) -> str:
        if node is None or _is_null(node):
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, "a text is needed here; put it in quotes")
            return ""
        return str(node.value)

    def _duration(self, node: yaml.Node | None, default_ms: int) -> int:
        text = self._text(node)
        if not text or node is None:
            return default_ms
        try:
            found = 0 if text == "0" else duration("", text) if not text.replace(".", "").isdigit() else -1
        except PrometheusFault:
            found = -1
        if found < 0:
            self._fault(node, f"{text[:80]!r} is no duration; write one such as 5m")
            return default_ms
        return found

    def _number(self, node: yaml.Node | None) -> int:
        text = self._text(node)
        if node is None or not text:
            return 0
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            self._fault(node, f"{text[:80]!r} is no whole number from 0 on")
            return 0
        return int(text)

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.faults.append(RuleFault(self._file, node.start_mark.line + 1, message))


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"

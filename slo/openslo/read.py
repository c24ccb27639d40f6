"""Files to documents: every document that has no fault, and every finding of those that have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from slo.openslo import alerting, alpha
from slo.openslo.common import DOCUMENT, body, description, meta, sli
from slo.openslo.faults import At, Finding, Report
from slo.openslo.fields import Fields, remedy_for
from slo.openslo.model import DataSource, Document, Service
from slo.openslo.slos import slo
from slo.openslo.tree import Items, Mapping, Node, Scalar, parse

VERSION = "openslo/v1"
_NOTHING = Scalar("", 1)


class Read(NamedTuple):
    """What one or more files hold."""

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    faulty: tuple[Document, ...] = ()
    """Documents with a fault, as far as they were read: their queries can still be looked into."""

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(it for it in self.findings if it.level == "error")


def read(texts: Sequence[tuple[str, str]], strict: bool = False) -> Read:
    """The documents of (file name, text) pairs, each judged by itself; what names another is not looked up."""
    documents: list[Document] = []
    faulty: list[Document] = []
    findings: list[Finding] = []
    for file, text in texts:
        report = Report(file, strict)
        documents += _file(file, text, report, faulty)
        if report.left_out:
            at = At(file, 1, "")
            report.findings.append(Finding(at, f"{report.left_out} more faults", "correct those above first"))
        findings += report.findings
    return Read(tuple(documents), tuple(findings), tuple(faulty))


def _file(file: str, text: str, report: Report, faulty: list[Document]) -> Iterator[Document]:
    nodes, faults = parse(text)
    for fault in faults:
        report.error(At(file, fault.line, fault.path), fault.what, fault.remedy)
    for node, path in _roots(nodes):
        if isinstance(node, Scalar) and node.null:
            continue
        before = report.errors
        found = list(_document(node, At(file, node.line, path), report))
        if report.errors == before:
            yield from found
        else:
            faulty += found
    if not faults and not any(True for node, _ in _roots(nodes) if not (isinstance(node, Scalar) and node.null)):
        report.warn(At(file, 1, ""), "holds no document", "write one with apiVersion, kind, metadata and spec")


def _roots(nodes: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    """The documents with their paths; a list at the root is a list of documents."""
    for node in nodes:
        if isinstance(node, Items):
            yield from ((item, f"[{index}]") for index, item in enumerate(node.items))
        else:
            yield node, ""


def _document(node: Node, at: At, report: Report) -> Iterator[Document]:
    if not isinstance(node, Mapping):
        report.error(at, "is no mapping", "write a document with apiVersion, kind, metadata and spec")
        return
    fields = Fields(node, at, report, DOCUMENT)
    version = fields.needed("apiVersion", VERSION)
    if version == VERSION:
        yield from _of_kind(fields, _READERS)
    elif version == alpha.VERSION:
        yield from _of_kind(fields, _OLD_READERS)
    elif version:
        what = f"{version[:40]!r} is not known"
        report.error(fields.place("apiVersion"), what, f"write {VERSION}")


def _of_kind(fields: Fields, readers: dict[str, Callable[[Fields], list[Document]]]) -> list[Document]:
    kind = fields.needed("kind", f"one of {', '.join(readers)}")
    if kind in readers:
        return readers[kind](fields)
    if kind:
        fields.report.error(fields.place("kind"), f"{kind[:40]!r} is no kind", remedy_for(kind, tuple(readers)))
    return []


def _service(document: Fields) -> Service:
    return Service(meta(document, service=True), description(body(document, ("description",))), document.at)


def _data_source(document: Fields) -> DataSource:
    spec = body(document, ("description", "type", "connectionDetails"))
    kind = spec.needed("type", "such as Prometheus")
    connection = spec.any("connectionDetails")
    if connection is None:
        spec.missing("connectionDetails", "how to reach it")
    return DataSource(meta(document), description(spec), kind, connection or _NOTHING, document.at)


_READERS: dict[str, Callable[[Fields], list[Document]]] = {
    "SLO": lambda it: [slo(it)],
    "SLI": lambda it: [sli(it)],
    "Service": lambda it: [_service(it)],
    "DataSource": lambda it: [_data_source(it)],
    "AlertPolicy": lambda it: [alerting.policy(it)],
    "AlertCondition": lambda it: [alerting.condition(it)],
    "AlertNotificationTarget": lambda it: [alerting.target(it)],
}
_OLD_READERS: dict[str, Callable[[Fields], list[Document]]] = {
    "SLO": alpha.slos,
    "Service": lambda it: [alpha.service(it)],
}

"""References resolved: what SLOs name in other documents is put into them; what is named twice or nowhere is told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from slo.openslo.faults import At, Finding, Level
from slo.openslo.fields import remedy_for
from slo.openslo.model import (
    AlertCondition,
    AlertNotificationTarget,
    AlertPolicy,
    DataSource,
    Document,
    MetricSource,
    ObjectiveSpec,
    Ratio,
    Ref,
    Sli,
    Slo,
)
from slo.openslo.read import read
from slo.openslo.sources import elsewhere

T = TypeVar("T", bound=Document)


MOST_MISSING = 1000
"""Names without a document that are told of in all files, each with the nearest known; beyond only faults are."""


class Loaded(NamedTuple):
    """What files hold, with references resolved."""

    slos: tuple[Slo, ...]
    """Those without a fault; each has its indicators inline."""
    documents: tuple[Document, ...]
    """All documents without a fault, as written."""
    findings: tuple[Finding, ...]
    faulty: tuple[Document, ...] = ()
    """Documents with a fault, as far as they were read."""

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(it for it in self.findings if it.level == "error")


def load(texts: Sequence[tuple[str, str]], strict: bool = False, own: Collection[str] | None = None) -> Loaded:
    """All documents of (file name, text) pairs as one space of names.

    `own` are addresses of the service that is to judge them: a Prometheus elsewhere is then a fault, else a warning.
    """
    found = read(texts, strict)
    names = _Names({}, [], strict, own)
    for document in found.documents:
        names.add(document)
    slos = tuple(it for document in found.documents if isinstance(document, Slo) and (it := _slo(document, names)))
    for document in found.documents:
        if isinstance(document, AlertPolicy):
            _policy(document, names)
    return Loaded(slos, found.documents, (*found.findings, *_once(names.findings)), found.faulty)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


@dataclass
class _Names:
    """Documents by kind and name."""

    known: dict[tuple[type, str], Document]
    findings: list[Finding]
    strict: bool
    own: Collection[str] | None = None
    """Addresses of this service; None where it is not known which it is."""

    def add(self, document: Document) -> None:
        """One document more; a second one of a name must say the same, but for labels and texts."""
        key = (type(document), document.meta.name)
        first = self.known.setdefault(key, document)
        if first is document:
            return
        where = f"{first.at.file}:{first.at.line}"
        alike = replace(document, meta=first.meta) == first and not isinstance(document, Slo | DataSource)
        level: Level = "warning" if alike else "error"
        what = f"{kind_of(document)} {document.meta.name} stands twice, first in {where}"
        self.findings.append(Finding(_at(document.at, "metadata.name"), what, "rename or remove one", level))

    def find(self, kind: type[T], name: str, at: At, level: Level) -> T | None:
        """The document of a kind by its name; None once it is told that there is none."""
        found = self.known.get((kind, name))
        if isinstance(found, kind):
            return found
        if len(self.findings) >= MOST_MISSING:
            if level == "error":
                self.findings.append(Finding(at, f"no {kind_of(kind)} is called {name}", "correct those above first"))
            return None
        of_kind = [it for known, it in self.known if known is kind]
        what = f"no {kind_of(kind)} is called {name}"
        remedy = remedy_for(name, sorted(of_kind)[:20]) if of_kind else "add it, or the file that holds it"
        self.findings.append(Finding(at, what, remedy, level))
        return None

    @property
    def soft(self) -> Level:
        """How grave a missing document is that no number depends on."""
        return "error" if self.strict else "warning"


def kind_of(document: Document | type) -> str:
    """The word for a document's kind."""
    kind = document if isinstance(document, type) else type(document)
    return kind.__name__.upper() if kind in (Slo, Sli) else kind.__name__


def _slo(written: Slo, names: _Names) -> Slo | None:
    """The SLO with its indicators and policies inline; None where an indicator is missing or can't be read."""
    before = sum(it.level == "error" for it in names.findings)
    own = _indicator(written.indicator, written.indicator_ref, names)
    objectives = tuple(_objective(it, names) for it in written.objectives)
    policies = tuple(_named(it, AlertPolicy, names) for it in written.policies)
    found = replace(
        written,
        indicator=own,
        indicator_ref=None,
        objectives=objectives,
        policies=tuple(_policy(it, names) if isinstance(it, AlertPolicy) else it for it in policies),
    )
    if own is not None and written.indicator_ref is not None:
        for objective in objectives:
            _comparable(objective, own, names)
    return None if sum(it.level == "error" for it in names.findings) > before else found


def _objective(written: ObjectiveSpec, names: _Names) -> ObjectiveSpec:
    own = _indicator(written.indicator, written.indicator_ref, names)
    found = replace(written, indicator=own, indicator_ref=None)
    if own is not None and written.indicator_ref is not None:
        _comparable(found, own, names)
    return found


def _comparable(objective: ObjectiveSpec, indicator: Sli, names: _Names) -> None:
    """A threshold that is named elsewhere needs `op` and `value` as an inline one does."""
    if indicator.spec.threshold is None:
        return
    for field, value in (("op", objective.op), ("value", objective.value)):
        if value is None:
            what = f"is missing, but {indicator.meta.name} is a threshold metric"
            names.findings.append(Finding(_at(objective.at, field), what, "write op and value"))


def _indicator(inline: Sli | None, ref: Ref | None, names: _Names) -> Sli | None:
    found = names.find(Sli, ref.name, ref.at, "error") if ref is not None else inline
    if found is None:
        return None
    ratio = found.spec.ratio
    if ratio is not None:
        sources = (_source(it, names) for it in (ratio.good, ratio.bad, ratio.total, ratio.raw))
        good, bad, total, raw = sources
        ratio = Ratio(ratio.counter, good, bad, total, raw, ratio.raw_type)
    return replace(found, spec=replace(found.spec, threshold=_source(found.spec.threshold, names), ratio=ratio))


def _source(source: MetricSource | None, names: _Names) -> MetricSource | None:
    """A source's type, where its DataSource alone tells it; one that is a Prometheus elsewhere can't be asked."""
    if source is None or source.ref is None:
        return source
    where = _at(source.at, "metricSourceRef")
    told = names.known.get((DataSource, source.ref))
    if isinstance(told, DataSource) and (host := elsewhere(told, names.own or ())) is not None:
        level: Level = "warning" if names.own is None else "error"
        what = f"{source.ref} is at {host[:100]}, and queries are asked of the samples that are here"
        remedy = "have them sent here by remote write, or read by service.store, and take the address out"
        names.findings.append(Finding(where, what, remedy, level))
    if source.type is not None:
        return source
    found = names.find(DataSource, source.ref, where, "error")
    return replace(source, type=found.type) if found is not None else source


def _policy(written: AlertPolicy, names: _Names) -> AlertPolicy:
    return replace(
        written,
        conditions=tuple(_named(it, AlertCondition, names) for it in written.conditions),
        targets=tuple(_named(it, AlertNotificationTarget, names) for it in written.targets),
    )


def _named(entry: T | Ref, kind: type[T], names: _Names) -> T | Ref:
    if not isinstance(entry, Ref):
        return entry
    return names.find(kind, entry.name, entry.at, names.soft) or entry


def _at(at: At, field: str) -> At:
    return at._replace(path=f"{at.path}.{field}" if at.path else field)

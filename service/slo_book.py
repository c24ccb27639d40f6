"""The objectives of files, taken up again when the files change; a faulty file never replaces a good one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from service.slo_files import fingerprint, read_texts
from service.slo_good import Good, Nowhere
from service.slo_promql import why_not
from slo.burn import DEFAULT, Policy
from slo.openslo.faults import Finding
from slo.openslo.measures import Own
from slo.openslo.model import Document, Slo
from slo.openslo.objectives import FromFiles, objectives_of
from slo.openslo.plans import Plan, Planned, plan
from slo.openslo.resolve import Loaded, load

_LOG = logging.getLogger(__name__)
LOOK_MS: Final = 5_000
"""Time between two looks at the files."""
NOTHING: Final = FromFiles((), ())


class Shelf(NamedTuple):
    """The files as they were last looked at, all of one moment."""

    files: tuple[str, ...] = ()
    """Their names, faulty ones too."""
    good: tuple[str, ...] = ()
    """Names of those that are in force."""
    plans: tuple[Plan, ...] = ()
    documents: tuple[Document, ...] = ()
    """In force, as written."""
    slos: tuple[Slo, ...] = ()
    """In force, with what they name in their place."""
    faults: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    """Warnings and notes on the files as they are."""
    looked_ms: int | None = None


class _Tried(NamedTuple):
    """Texts, and what they would be in force."""

    texts: dict[str, str]
    planned: Planned
    loaded: Loaded

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that there is to say of them."""
        return (*self.loaded.findings, *self.planned.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Their faults."""
        return tuple(it for it in self.findings if it.level == "error")


class SloBook:
    """What files ask for, as it is in force; `look` runs on one thread, all else may be read from any."""

    def __init__(
        self,
        paths: Sequence[str] = (),
        strict: bool = False,
        receivers: Collection[str] | None = None,
        own: Collection[str] | None = None,
        policy: Policy = DEFAULT,
        kept: Good | None = None,
    ) -> None:
        """`receivers` are the names that alert policies may tell, `own` addresses of this service and its store.

        `kept` holds what was good before the service was started.
        """
        self._receivers, self._own, self._policy, self._kept = receivers, own, policy, kept or Nowhere()
        self._paths, self._strict = tuple(paths), strict
        self.shelf = Shelf()
        self._seen: object = None
        self._leaving: object = None
        self._looked_ms: int | None = None
        self._good: dict[str, str] = {}
        self.in_force: FromFiles = NOTHING
        self.faults: tuple[Finding, ...] = ()
        """What is wrong in the files as they are; the objectives that were good go on."""

    @property
    def strict(self) -> bool:
        """Files are read to the letter of the specification."""
        return self._strict

    def look(self, now_ms: int) -> FromFiles:
        """What is in force, after a look at the files where it is time for one."""
        if self._paths and (self._looked_ms is None or not 0 <= now_ms - self._looked_ms < LOOK_MS):
            self._looked_ms = now_ms
            self._reload()
            self.shelf = self.shelf._replace(looked_ms=now_ms)
        return self.in_force

    def _reload(self) -> None:
        seen = fingerprint(self._paths)
        if seen == self._seen:
            return
        if self._seen is None:
            self._good = self._kept.read()
        found = read_texts(self._paths)
        texts = dict(found.texts)
        as_they_are = self._tried(texts)
        faults = (*found.faults, *as_they_are.errors)
        tried = self._fit(texts, {it.at.file for it in faults}) if faults else as_they_are
        if tried is not None and self._leaves(tried.planned.plans, seen):
            return
        self._seen, self.faults = seen, faults
        self._tell(texts, (*found.faults, *as_they_are.findings))
        if tried is not None:
            self._take(tried)

    def _tell(self, texts: Collection[str], findings: Sequence[Finding]) -> None:
        for it in findings:
            if it.level != "note":
                _LOG.log(logging.ERROR if it.level == "error" else logging.WARNING, "objectives: %s", it)
        files = tuple(sorted({*texts, *(it.at.file for it in self.faults)}))
        told = tuple(it for it in findings if it.level != "error")
        self.shelf = self.shelf._replace(files=files, faults=self.faults, warnings=told)

    def _take(self, tried: _Tried) -> None:
        """Let these texts be in force."""
        if tried.texts != self._good:
            self._kept.write(tried.texts)
        self._good = tried.texts
        self.in_force = objectives_of(tried.planned.plans, self._policy)
        self.shelf = self.shelf._replace(
            good=tuple(sorted(tried.texts)), plans=tried.planned.plans, documents=tried.loaded.documents,
            slos=tried.loaded.slos,
        )  # fmt: skip

    def _leaves(self, plans: Sequence[Plan], seen: object) -> bool:
        """Whether objectives are gone of which that is to be seen once more.

        A file may be away, or empty, while it is written: an alert that ends for that begins again as another incident.
        """
        gone = bool({_name(it) for it in self.shelf.plans} - {_name(it) for it in plans})
        waits = gone and seen != self._leaving
        self._leaving = seen if waits else None
        return waits

    def _fit(self, texts: Mapping[str, str], faulty: Collection[str]) -> _Tried | None:
        """What may be in force where files are faulty; None where all stays as it is."""
        tries = (self._tried(it) for it in self._ways(texts, faulty))
        return next((it for it in tries if not it.errors), None)

    def _ways(self, texts: Mapping[str, str], faulty: Collection[str]) -> Iterator[dict[str, str]]:
        """What may be in force where files are faulty, the best first; after a start also all as it was, or the rest.

        What was kept may itself be faulty to another version than the one that kept it.
        """
        kept = {file: text for file, text in texts.items() if file not in faulty}
        yield kept | {file: text for file, text in self._good.items() if _within(file, faulty)}
        if self.in_force is NOTHING:
            if self._good:
                yield dict(self._good)
            yield kept

    def _tried(self, texts: dict[str, str]) -> _Tried:
        loaded = load(sorted(texts.items()), self._strict, self._own)
        planned = plan(loaded.slos, self._strict, why_not, self._receivers, self._policy)
        return _Tried(texts, planned, loaded)


def _within(file: str, faulty: Collection[str]) -> bool:
    """Whether a file is one of those that are faulty, or in a folder that is."""
    return file in faulty or any(str(it) in faulty for it in Path(file).parents)


def _name(it: Plan) -> tuple[str, str, str]:
    return it.name, it.service, it.measure.of if isinstance(it.measure, Own) else ""

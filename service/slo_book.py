"""The objectives of files, taken up again when the files change; a faulty file never replaces a good one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from service.slo_files import fingerprint, read_texts
from service.slo_good import Good, Nowhere
from service.slo_promql import why_not
from slo.burn import DEFAULT, Policy
from slo.openslo.faults import Finding
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
        self._seen = seen
        found = read_texts(self._paths)
        texts = dict(found.texts)
        planned, loaded, findings = self._planned(texts)
        self.faults = (*found.faults, *(it for it in findings if it.level == "error"))
        for it in (*found.faults, *findings):
            if it.level != "note":
                _LOG.log(logging.ERROR if it.level == "error" else logging.WARNING, "objectives: %s", it)
        told = tuple(it for it in findings if it.level != "error")
        files = tuple(sorted({*texts, *(it.at.file for it in self.faults)}))
        self.shelf = self.shelf._replace(files=files, faults=self.faults, warnings=told)
        if self.faults:
            for way in self._ways(texts):
                planned, loaded, findings = self._planned(way)
                if not any(it.level == "error" for it in findings):
                    texts = way
                    break
            else:
                return
        if texts != self._good:
            self._kept.write(texts)
        self._good = texts
        self.in_force = objectives_of(planned.plans, self._policy)
        self.shelf = self.shelf._replace(
            good=tuple(sorted(texts)), plans=planned.plans, documents=loaded.documents, slos=loaded.slos
        )

    def _ways(self, texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """What may be in force where files are faulty, the best first; after a start also all as it was, or the rest.

        What was kept may itself be faulty to another version than the one that kept it.
        """
        yield self._mended(texts)
        if self.in_force is NOTHING:
            if self._good:
                yield dict(self._good)
            faulty = {it.at.file for it in self.faults}
            yield {file: text for file, text in texts.items() if file not in faulty}

    def _mended(self, texts: Mapping[str, str]) -> dict[str, str]:
        """The texts, with each faulty file as it was when it was good last; one that never was is left out."""
        faulty = {it.at.file for it in self.faults}
        kept = {file: text for file, text in texts.items() if file not in faulty}
        return kept | {file: self._good[file] for file in faulty if file in self._good}

    def _planned(self, texts: Mapping[str, str]) -> tuple[Planned, Loaded, tuple[Finding, ...]]:
        loaded = load(sorted(texts.items()), self._strict, self._own)
        planned = plan(loaded.slos, self._strict, why_not, self._receivers, self._policy)
        return planned, loaded, (*loaded.findings, *planned.findings)

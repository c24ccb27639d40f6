"""The projects that were handed to the agent, kept on disk so that they outlive it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.book import Declared
from runtime.model import Project, ServiceName, ServiceSpec
from runtime.probe import READINESS_LABEL

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Handed:
    """One project, and with which configuration each of its services was last brought up."""

    project: Project
    deployed: dict[str, str] = field(default_factory=dict)
    stopping: bool = False


_JSON = TypeAdapter(Handed)


class ProjectFolder:
    """One file for each project, only for the agent's user: environments hold secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self) -> dict[str, Handed]:
        """Every project by name; a file that can't be read is left where it is and told of."""
        found: dict[str, Handed] = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                handed = _JSON.validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not of the form that this version writes"
                LOG.error("%s can't be read, its project is not kept: %s; hand its file over again", path, why)
                continue
            found[handed.project.name] = handed
        return found

    def save(self, handed: Handed) -> None:
        """Writes one project; raises OSError."""
        path = self._path(handed.project.name)
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(_JSON.dump_json(handed))
        new.replace(path)

    def remove(self, name: str) -> None:
        """Forgets a project."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def declared(handed: Handed) -> dict[ServiceName, Declared]:
    """What a project asks of its services."""
    project = handed.project
    return {ServiceName(project.name, spec.name): _declared(project, spec) for spec in project.services}


def _declared(project: Project, spec: ServiceSpec) -> Declared:
    probed = spec.healthcheck is not None or bool(spec.labels.get(READINESS_LABEL, "").strip())
    return Declared(spec.replicas, project.source, dict(spec.labels), probed=probed)


def same_file(kept: Project, handed: Project) -> bool:
    """True where both were read from one file, by one path or by two that lead to it."""
    return kept.source == handed.source or os.path.realpath(kept.source) == os.path.realpath(handed.source)


def other_file(kept: Project, handed: Project) -> str:
    """Why a second file of the same project's name is not taken, and what to do."""
    return (
        f"{handed.source}: project {kept.name} is kept from {kept.source}, whose services would be removed; "
        f"write another name: at the top of this file, or replace that one by `midwatch run --replace`"
    )


def stopping(handed: Handed) -> Handed:
    """The same project, to be ended."""
    return replace(handed, stopping=True)

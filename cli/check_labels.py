"""Labels `midwatch.slo.…` of Compose files: those that can't be obeyed, and objectives whose burn rows can't work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runtime.model import Project, ServiceSpec
from slo.goal_lint import goal_lint
from slo.overrides import LABEL_PREFIX, goals


def label_faults(file: Path, text: str, project: Project) -> tuple[str, ...]:
    """Labels that would be ignored, each with its line."""
    found = [(it.name, fault) for it in project.services for fault in goals(_subject(project, it), it.labels)[1]]
    return tuple(
        f"{file}:{_line(text, it.label)}: services.{name}.labels: {it.label} = {it.value!r}: {it.problem}"
        for name, it in found
    )


def label_remarks(file: Path, text: str, project: Project) -> Iterator[str]:
    """Burn rows that can't work for what labels ask for, by the table that is judged by where none is set."""
    for it in project.services:
        asked, plain = (goals(_subject(project, it), labels)[0] for labels in (it.labels, {}))
        changed = {name: goal for name, goal in asked.items() if goal != plain[name]}
        for said in goal_lint(changed):
            line = _line(text, f"{LABEL_PREFIX}{said.partition(':')[0]}.")
            yield f"{file}:{line}: services.{it.name}.labels: warning: {said}"


def _subject(project: Project, service: ServiceSpec) -> str:
    return f"{project.name}/{service.name}"


def _line(text: str, piece: str) -> int:
    """The first line that holds a text; 1 where none does, for it came from a variable."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if piece in line), 1)

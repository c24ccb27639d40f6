"""Findings of files: each says where, what and the remedy; all of them are told at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "note"]
MAX_FINDINGS = 200
"""Findings of one file that are told; a file that is wrong throughout need not fill a log."""


Promql = Callable[[str], str | None]
"""Says why a text is no query of PromQL; None where it is one. Given from outside, for the parser is the service's."""


class At(NamedTuple):
    """A place in a file."""

    file: str
    line: int
    path: str
    """Such as `spec.objectives[0].target`, from the document's root; empty for the document itself."""


class Finding(NamedTuple):
    """One fault, warning or remark."""

    at: At
    what: str
    remedy: str
    level: Level = "error"

    def __str__(self) -> str:
        """`file:line: path: what; remedy`."""
        where = f"{self.at.file}:{self.at.line}: " + (f"{self.at.path}: " if self.at.path else "")
        return f"{where}{'' if self.level == 'error' else self.level + ': '}{self.what}; {self.remedy}"


@dataclass
class Report:
    """Gathers the findings of one file."""

    file: str
    strict: bool
    """True: what the specification or its SDK forbids is an error throughout."""
    findings: list[Finding] = field(default_factory=list)
    left_out: int = 0
    promql: Promql | None = None
    """None where queries are not looked into."""

    def error(self, at: At, what: str, remedy: str) -> None:
        """A fault, in either mode."""
        self._add(Finding(at, what, remedy))

    def frowned(self, at: At, what: str, remedy: str) -> None:
        """What is forbidden, but stands in examples of the specification itself: a warning in lenient mode."""
        self._add(Finding(at, what, remedy, "error" if self.strict else "warning"))

    def warn(self, at: At, what: str, remedy: str) -> None:
        """What is allowed and likely not meant."""
        self._add(Finding(at, what, remedy, "warning"))

    def note(self, at: At, what: str, remedy: str) -> None:
        """What is as it should be, and good to know."""
        self._add(Finding(at, what, remedy, "note"))

    @property
    def errors(self) -> int:
        """Faults so far."""
        return sum(it.level == "error" for it in self.findings) + self.left_out

    def full(self) -> bool:
        """True where nothing more is told; one more fault is counted then."""
        if len(self.findings) < MAX_FINDINGS:
            return False
        self.left_out += 1
        return True

    def told(self, at: At) -> bool:
        """True where a fault of this very field stands already."""
        return any(it.at.path == at.path and it.level == "error" for it in self.findings)

    def _add(self, finding: Finding) -> None:
        if len(self.findings) >= MAX_FINDINGS:
            self.left_out += finding.level == "error"
        else:
            self.findings.append(finding)

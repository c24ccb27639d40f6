"""Errors of the command line.

Refusal               ends the command with exit code 2 and one clear line
├── ConfigFault       faults of configuration files, one line each
└── Answered          what the service says no to, with its answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """What can't be done, and the remedy; printed as one line, exit code 2."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)


class Answered(Refusal):
    """What the service says no to; `told` is the JSON of its answer, where that is an object."""

    def __init__(self, what: str, told: Mapping[str, Any]) -> None:
        super().__init__(what, "correct the request")
        self.told = told


class ConfigFault(Refusal):
    """Faults of configuration files, all at once: each is `file:line: key: what`."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults), "correct the file")
        self.faults = faults

    def __str__(self) -> str:
        """One line for each fault."""
        return "\n".join(self.faults)

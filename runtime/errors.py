"""Errors of the runtime room.

RuntimeFault
├── EngineUnavailable     no engine answers, or its socket may not be opened
├── EngineRefused         the engine answered with an error
├── ComposeFault          a Compose file holds something that can't be honoured
└── ParseFault            text of the kernel that is not what its format says
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """Anything the runtime room can't do; the message says what, where and the remedy."""


class EngineUnavailable(RuntimeFault):
    """No engine answers at the address, or the address may not be opened."""


class EngineRefused(RuntimeFault):
    """The engine answered a request with an error."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ComposeFault(RuntimeFault):
    """Faults of one Compose file, each one line with file, line, key and remedy."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ParseFault(RuntimeFault):
    """Kernel text that does not have its documented format; names file and line."""

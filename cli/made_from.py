"""What a process of ours runs: the same word as long as command, configuration and code are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent.parent
ROOMS: Final = ("agent", "alerts", "cli", "dashboards", "runtime", "service", "slo")
NOT_RUN: Final = ("__pycache__", "frontend")


def made_from(command: Sequence[str], config_file: Path | None, environment: Mapping[str, str]) -> str:
    """A word of hexadecimal digits over the command, the file's text, our variables and the code; no secret in it."""
    found = hashlib.sha256()
    for part in (*command, *_variables(environment), *_code(HOME)):
        found.update(part.encode() + b"\0")
    if config_file is not None:
        found.update(config_file.read_bytes())
    return found.hexdigest()[:32]


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Those that a process of ours reads: settings, and the engine's."""
    return (f"{name}={environment[name]}" for name in sorted(environment) if name.startswith(("MIDWATCH_", "DOCKER_")))


def _code(home: Path) -> Iterator[str]:
    """Each file of the rooms that is read when they run, with the time at which it was written."""
    for room in ROOMS:
        for folder, folders, files in os.walk(home / room):
            folders[:] = sorted(name for name in folders if name not in NOT_RUN)
            for file in sorted(files):
                yield f"{folder}/{file}:{Path(folder, file).stat().st_mtime_ns}"

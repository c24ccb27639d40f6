"""The agent's memory on disk: written whole to a second file, synced, then renamed over the first."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 1
NAME = "checkpoint.json"


class BadCheckpoint(Exception):
    """The file is there but holds no checkpoint of this version; the message names it and what becomes of it."""


def write(folder: Path, state: Mapping[str, Any], *, complete: bool) -> None:
    """Replaces the checkpoint; raises OSError and leaves the old one where that fails.

    `complete` says that nothing was counted after it: the agent ended with it.
    """
    text = json.dumps({"version": VERSION, "complete": complete, **state}, separators=(",", ":"))
    temporary = folder / f"{NAME}.new"
    temporary.touch(mode=0o600)
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / NAME)
    _sync(folder)


def read(folder: Path) -> dict[str, Any] | None:
    """The checkpoint, None where there never was one; raises BadCheckpoint where it can't be used."""
    path = folder / NAME
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{path} can't be read ({error}): all counters begin anew") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise BadCheckpoint(f"{path} is not of version {VERSION}: all counters begin anew")
    return state


def set_aside(folder: Path) -> None:
    """Keeps a checkpoint that can't be used under another name, for whoever looks into it."""
    path = folder / NAME
    if path.exists():
        path.replace(folder / f"{NAME}.bad")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

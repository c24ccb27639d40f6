"""Open file descriptors of a container's processes."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.cgroup import CgroupPaths, OpenFiles
from runtime.kept import read_once

MOST_PROCESSES = 500
"""A container with more than these has no count: a part of it would be no number, all of it too dear."""


def open_files(paths: CgroupPaths, proc: Path, pid: int) -> OpenFiles:
    """The descriptors of all processes in the container's cgroup, and the soft limit of its main process."""
    return OpenFiles(_descriptors(_processes(paths), proc), soft_limit(proc / str(pid) / "limits"))


def _processes(paths: CgroupPaths) -> list[str] | None:
    folder = paths.v1.get("pids") or paths.unified or next(iter(paths.v1.values()), None)
    try:
        return read_once(f"{folder}/cgroup.procs").decode().split() if folder else None
    except (OSError, UnicodeDecodeError):
        return None


def _descriptors(processes: list[str] | None, proc: Path) -> int | None:
    if processes is None or len(processes) > MOST_PROCESSES:
        return None
    try:
        found = [_of_process(proc / process / "fd") for process in processes]
    except OSError:
        return None
    counts = [count for count in found if count is not None]
    return sum(counts) if counts else None


def _of_process(folder: Path) -> int | None:
    """Descriptors of one process: the kernel tells from 6.2 by the folder's size, which is 0 before.

    None for a process that ended meanwhile; raises OSError for one that may not be looked at.
    """
    try:
        return folder.stat().st_size or sum(1 for _ in os.scandir(folder))
    except (FileNotFoundError, ProcessLookupError):
        return None


def soft_limit(path: Path) -> int | None:
    """The soft limit of open files by /proc/<pid>/limits; None where there is none or it can't be read."""
    try:
        lines = read_once(str(path)).splitlines()
    except OSError:
        return None
    words = next((line.split() for line in lines if line.startswith(b"Max open files")), [])
    return int(words[3]) if len(words) > 4 and words[3].isdigit() else None

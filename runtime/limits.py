"""What really limits a container: the least that its cgroup and every one above it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from runtime.cgroup import CgroupPaths, Layout, Limits, ceiling
from runtime.cgroup_v1 import NO_LIMIT_BYTES, quota
from runtime.cgroup_v2 import cpu_max
from runtime.errors import ParseFault
from runtime.procfs import number

T = TypeVar("T", int, float)
P = TypeVar("P")

MOST_ANCESTORS = 32


def effective(layout: Layout, paths: CgroupPaths) -> Limits:
    """The least memory in bytes and CPU in cores over the container and its ancestors; the host's size is not in it.

    Kernel Documentation/admin-guide/cgroup-v2, "Resource Distribution Models": a limit holds for all below it.
    A file that is missing or garbled limits nothing here; the container's own is told of where it is read.
    """
    return Limits(
        memory_bytes=_least(layout, paths, "memory", _memory_v1, _memory_v2),
        cpu_cores=_least(layout, paths, "cpu", _cores_v1, _cores_v2),
    )


def _least(
    layout: Layout,
    paths: CgroupPaths,
    controller: str,
    in_v1: Callable[[Path], T | None],
    in_v2: Callable[[Path], T | None],
) -> T | None:
    hierarchy, folder, limit = layout.v1.get(controller), paths.v1.get(controller), in_v1
    if hierarchy is None:
        hierarchy, folder, limit = layout.unified, paths.unified, in_v2
    if hierarchy is None or folder is None:
        return None
    found = map(limit, ancestors(folder, hierarchy.mountpoint))
    return min((one for one in found if one is not None), default=None)


def ancestors(folder: Path, mountpoint: Path) -> Iterator[Path]:
    """The folder and all above it up to the mountpoint, which is the last; none for a folder that is not below it."""
    if not folder.is_relative_to(mountpoint):
        return
    for one in (folder, *folder.parents[: MOST_ANCESTORS - 1]):
        yield one
        if one == mountpoint:
            return


def _memory_v1(folder: Path) -> int | None:
    limit = _parsed(folder / "memory.limit_in_bytes", number)
    return None if limit is None or limit >= NO_LIMIT_BYTES else limit


def _memory_v2(folder: Path) -> int | None:
    return _parsed(folder / "memory.max", ceiling)


def _cores_v1(folder: Path) -> float | None:
    allowed = _parsed(folder / "cpu.cfs_quota_us", quota)
    period = _parsed(folder / "cpu.cfs_period_us", number)
    return allowed / period if allowed is not None and period else None


def _cores_v2(folder: Path) -> float | None:
    allowed, period = _parsed(folder / "cpu.max", cpu_max) or (None, 0)
    return allowed / period if allowed is not None and period else None


def _parsed(path: Path, parse: Callable[[bytes, str], P]) -> P | None:
    try:
        return parse(path.read_bytes(), str(path))
    except (OSError, ParseFault):
        return None

"""What really limits a container: the least that its cgroup and every one above it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from runtime.cgroup import CgroupPaths, Layout, Limits, ceiling
from runtime.cgroup_v1 import NO_LIMIT_BYTES, quota
from runtime.cgroup_v2 import cpu_max
from runtime.errors import ParseFault
from runtime.kept import read_once
from runtime.procfs import number

P = TypeVar("P")
_Limit = Callable[[Path], float | None]

MOST_ANCESTORS = 32
MOST_FOLDERS = 4096


class Above:
    """What the folders above containers allow: containers share them, so each is read once in a while for all."""

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._known: dict[tuple[str, Path], tuple[float, float | None]] = {}

    def least(self, controller: str, folder: Path, now: float, look: Callable[[], float | None]) -> float | None:
        """What was seen of a folder and those above it not long ago (seconds on the caller's clock), or a new look."""
        key = (controller, folder)
        known = self._known.get(key)
        if known is None or not 0 <= now - known[0] < self._seconds:
            if len(self._known) >= MOST_FOLDERS:
                self._known.clear()
            known = self._known[key] = (now, look())
        return known[1]


def effective(layout: Layout, paths: CgroupPaths, above: Above, now: float) -> Limits:
    """The least memory in bytes and CPU in cores over the container and its ancestors; the host's size is not in it.

    Kernel Documentation/admin-guide/cgroup-v2, "Resource Distribution Models": a limit holds for all below it.
    A file that is missing or garbled limits nothing here; the container's own is told of where it is read.
    """
    return Limits(
        memory_bytes=_whole(_least(layout, paths, "memory", (_memory_v1, _memory_v2), above, now)),
        cpu_cores=_least(layout, paths, "cpu", (_cores_v1, _cores_v2), above, now),
    )


def _least(
    layout: Layout, paths: CgroupPaths, controller: str, limits: tuple[_Limit, _Limit], above: Above, now: float
) -> float | None:
    hierarchy, folder, limit = layout.v1.get(controller), paths.v1.get(controller), limits[0]
    if hierarchy is None:
        hierarchy, folder, limit = layout.unified, paths.unified, limits[1]
    if hierarchy is None or folder is None:
        return None
    top = hierarchy.mountpoint
    if folder == top or not folder.is_relative_to(top):
        return limit(folder) if folder == top else None
    parent = folder.parent
    shared = above.least(controller, parent, now, lambda: _lesser(map(limit, ancestors(parent, top))))
    return _lesser((limit(folder), shared))


def _lesser(limits: Iterable[float | None]) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


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
        return parse(read_once(str(path)), str(path))
    except (OSError, ParseFault):
        return None

"""What a container wrote into its own layer, and the file system under it: walked within a budget of time.

The layer is found by the container's own mounts, so it needs no engine and holds for Docker, Podman and containerd.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from runtime.errors import ParseFault
from runtime.procfs import mountinfo

LOOK_EVERY = 256
"""Entries between two looks at the clock."""
BLOCK_BYTES = 512


class LayerUse(NamedTuple):
    """Bytes in a writable layer, None where they could not be counted in time; the rest is of its file system."""

    device: str
    used_bytes: int | None
    size_bytes: int
    inodes: int
    inodes_free: int


class Running(NamedTuple):
    """A container to look at."""

    id: str
    pid: int


def layer_folder(text: bytes, where: str = "mountinfo") -> str | None:
    """The folder of the writable layer by a container's own mountinfo; None where its root is no overlay.

    Raises ParseFault where the text is garbled.
    """
    for mount in mountinfo(text, where):
        if mount.mountpoint == "/" and mount.fstype == "overlay":
            upper = next((one for one in mount.super_options if one.startswith("upperdir=")), "")
            folder = upper.removeprefix("upperdir=")
            return folder if folder.startswith("/") else None
    return None


def used_bytes(folder: str, until: float, clock: Callable[[], float] = time.monotonic) -> int | None:
    """The blocks of all files below a folder in bytes, as `du` counts them; None where the time is up before the end.

    A file with several names counts once. What vanishes meanwhile counts nothing; nothing is followed elsewhere.
    """
    total, seen, waiting, looked = 0, set[tuple[int, int]](), [folder], 0
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                looked += 1
                if looked % LOOK_EVERY == 0 and clock() > until:
                    return None
                total += _of_entry(entry, waiting, seen)
    return total


def _of_entry(entry: os.DirEntry[str], waiting: list[str], seen: set[tuple[int, int]]) -> int:
    try:
        facts = entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            waiting.append(entry.path)
    except OSError:
        return 0
    if facts.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
        inode = (facts.st_dev, facts.st_ino)
        if inode in seen:
            return 0
        seen.add(inode)
    return facts.st_blocks * BLOCK_BYTES


class Layers:
    """The latest look at each container's layer; `look` from one thread, `use` from any.

    `container_seconds` bounds the walk of one layer, `round_seconds` that of all. The next round begins where the
    last one ran out of time.
    """

    def __init__(
        self,
        root: Path,
        *,
        container_seconds: float = 0.5,
        round_seconds: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._clock = root, clock
        self._container_seconds, self._round_seconds = container_seconds, round_seconds
        self._known: dict[str, LayerUse] = {}
        self._next: str | None = None
        self.out_of_time = 0
        """Layers that were not counted for want of time, since the beginning."""

    def use(self, container_id: str) -> LayerUse | None:
        """What is known of a container's layer."""
        return self._known.get(container_id)

    def look(self, running: Iterable[Running], names: Mapping[str, str], stopped: Callable[[], bool]) -> None:
        """Looks at all once; `names` gives `/dev/vda` for `254:0`."""
        end = self._clock() + self._round_seconds
        found = sorted(running)
        first = next((n for n, one in enumerate(found) if self._next is not None and one.id >= self._next), 0)
        fresh: dict[str, LayerUse] = {}
        self._next = None
        for one in found[first:] + found[:first]:
            if stopped():
                return
            layer = self._look_at(one, end, names)
            if layer is not None:
                known = self._known.get(one.id)
                fresh[one.id] = known if known == layer else layer
        self._known = fresh

    def _look_at(self, one: Running, end: float, names: Mapping[str, str]) -> LayerUse | None:
        folder = self._folder(one.pid)
        if folder is None:
            return None
        try:
            space, device = os.statvfs(folder), Path(folder).stat().st_dev
        except OSError:
            return None
        number = f"{os.major(device)}:{os.minor(device)}"
        used = self._used(one, folder, end)
        return LayerUse(names.get(number, number), used, space.f_blocks * space.f_frsize, space.f_files, space.f_ffree)

    def _used(self, one: Running, folder: str, end: float) -> int | None:
        now = self._clock()
        used = used_bytes(folder, min(end, now + self._container_seconds), self._clock) if now < end else None
        if used is None:
            self.out_of_time += 1
            if self._clock() >= end:
                self._next = self._next or one.id
        return used

    def _folder(self, pid: int) -> str | None:
        path = self._root / "proc" / str(pid) / "mountinfo"
        try:
            folder = layer_folder(path.read_bytes(), str(path))
        except (OSError, ParseFault):
            return None
        return None if folder is None else str(self._root / folder.lstrip("/"))

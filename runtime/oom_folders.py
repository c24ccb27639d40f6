"""Which containers' cgroups come and go: every folder that may hold some is watched, none is polled."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runtime.cgroup import container_ids
from runtime.oom_inotify import CREATE, DELETE, IGNORED, IS_FOLDER, ONLY_FOLDERS, Inotify, Notice

MAX_FOLDERS = 2048
_MASK = CREATE | DELETE | ONLY_FOLDERS
_LEAVES = (".mount", ".scope", ".socket", ".swap", ".device", ".timer", ".automount")


class Came(NamedTuple):
    """A container's cgroup is there; `new` is False for one that was there when its parent was first watched."""

    container_id: str
    folder: Path
    new: bool


class Went(NamedTuple):
    """A container's cgroup is gone."""

    container_id: str
    folder: Path


class ContainerFolders:
    """Watches a hierarchy, if there is one, from its top down to, and not into, the folders of containers."""

    def __init__(self, inotify: Inotify, top: Path | None, max_folders: int = MAX_FOLDERS) -> None:
        self._inotify = inotify
        self._top = top
        self._max_folders = max_folders
        self._folders: dict[int, Path] = {}
        self._watched: set[Path] = set()
        self.refused = 0

    @property
    def watched(self) -> frozenset[Path]:
        """The folders that may hold containers."""
        return frozenset(self._watched)

    def scan(self) -> list[Came]:
        """Watches all there is; the containers found."""
        return list(self._enter(self._top, new=False)) if self._top else []

    def rescan(self) -> list[Came]:
        """All containers there are, after notices were lost: those not known yet are new."""
        self._watched.clear()
        return list(self._enter(self._top, new=True)) if self._top else []

    def enter(self, parent: Path, *, new: bool) -> list[Came]:
        """Watches one more parent, which lies below no watched one; the containers found in it."""
        return list(self._enter(parent, new=new))

    def changes(self, notice: Notice) -> list[Came | Went]:
        """What a notice means for containers; a parent that is new is entered, since containers may be in it by now."""
        parent = self._folders.get(notice.watch)
        if parent is None:
            return []
        if notice.mask & IGNORED:
            self._watched.discard(self._folders.pop(notice.watch))
        if not notice.mask & IS_FOLDER:
            return []
        folder = parent / notice.name
        if notice.mask & CREATE:
            return list(self._meet(folder, new=True))
        return [Went(found, folder) for found in container_ids(notice.name)]

    def _enter(self, folder: Path, *, new: bool) -> Iterator[Came]:
        if folder in self._watched or not self._watch(folder):
            return
        try:
            children = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for name in children:
            yield from self._meet(folder / name, new=new)

    def _meet(self, folder: Path, *, new: bool) -> Iterator[Came]:
        ids = container_ids(folder.name)
        if ids:
            yield Came(ids[-1], folder, new)
        elif not folder.name.endswith(_LEAVES) and not _is_plain_service(folder.name):
            yield from self._enter(folder, new=new)

    def _watch(self, folder: Path) -> bool:
        if len(self._watched) >= self._max_folders:
            self.refused += 1
            return False
        if self._inotify.fd is None:  # nothing is told: whoever has it scans again and again
            self._watched.add(folder)
            return True
        try:
            watch = self._inotify.add(folder, _MASK)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV):
                self.refused += 1
            return False
        self._folders[watch] = folder
        self._watched.add(folder)
        return True


def _is_plain_service(name: str) -> bool:
    """Services of systemd hold no containers, but for a user's manager, below which rootless engines run."""
    return name.endswith(".service") and not name.startswith("user@")

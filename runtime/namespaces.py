"""Who counts a network namespace: one container, however many share it."""

from __future__ import annotations

import os
from pathlib import Path


class Networks:
    """The owner of each network namespace by its inode; the host's has none. For one thread."""

    def __init__(self, host: int | None) -> None:
        """`host`: the inode of the host's own namespace, None where it can't be told."""
        self._host = host
        self._owners: dict[int, str] = {}

    def claim(self, container_id: str, namespace: int | None) -> bool:
        """True where the container is the one to count this namespace: the first to ask, until it gives it back.

        A namespace that can't be told is taken for the container's own.
        """
        if namespace is None:
            return True
        if namespace == self._host:
            return False
        return self._owners.setdefault(namespace, container_id) == container_id

    def give_back(self, container_id: str) -> None:
        """The container ended: its namespace is the next one's that asks."""
        self._owners = {inode: owner for inode, owner in self._owners.items() if owner != container_id}


def network_of(process: int) -> int | None:
    """The inode of a process's network namespace by its open folder in /proc; None where it can't be told."""
    try:
        return os.stat("ns/net", dir_fd=process).st_ino
    except OSError:
        return None


def network_of_host(proc: Path) -> int | None:
    """The inode of the network namespace of the host's first process; of ours where that one is shut to us."""
    for process in ("1", "self"):
        try:
            return (proc / process / "ns/net").stat().st_ino
        except OSError:
            continue
    return None

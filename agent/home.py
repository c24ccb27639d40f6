"""The agent's folder: who the node is, and a lock so that no two agents count the same."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from pathlib import Path

from agent.model import NodeIdentity
from runtime.identity import bounded

LOCK = "lock"
NODE_ID = "node_id"


class HomeTaken(Exception):
    """Another agent uses the data folder, or it can't be used; one line with the remedy."""


class Home:
    """`<data>/agent`, locked while this is open."""

    def __init__(self, data: Path) -> None:
        """Makes and locks the folder; raises HomeTaken."""
        self.folder = data / "agent"
        self.socket = data / "agent.sock"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeTaken(
                f"{self.folder} can't be used: {error.strerror}; choose another folder by --data"
            ) from error
        self._take_lock()

    def identity(self, node: str | None) -> NodeIdentity:
        """The node's name (the host's by default) and the agent's UUID, made at its first start."""
        path = self.folder / NODE_ID
        try:
            node_id = str(uuid.UUID(path.read_text().strip()))
        except (FileNotFoundError, ValueError):
            node_id = str(uuid.uuid4())
            path.write_text(f"{node_id}\n")
        return NodeIdentity(bounded(node or socket.gethostname()), node_id)

    def close(self) -> None:
        """Frees the folder for the next agent."""
        os.close(self._lock)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "another process"
            os.close(self._lock)
            raise HomeTaken(
                f"an agent (pid {holder}) uses {self.folder} already; stop it or name another --data"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

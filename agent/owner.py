"""Whose a project's containers are, where several agents share an engine: only one of them may keep it.

A container carries the id of the agent that made it and where that agent's data folder is. Another agent's containers
are left alone while it lives: it holds the lock of its folder, which the kernel frees whatever ends it. Those of one
that is gone are taken over, as are those without the labels, of an earlier version. A folder that another mount
namespace names can't be looked into, so its agent is taken to live.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.home import LOCK, NODE_ID, Home
from runtime.model import AGENT_FOLDER_LABEL, AGENT_LABEL, Container

MOST_ID_BYTES = 64


class ProjectTaken(Exception):
    """A project of that name is kept already, by another agent or from another file; one line with the remedy."""


class Owner:
    """This agent as the owner of the containers that it makes."""

    def __init__(self, home: Home, node_id: str) -> None:
        self._id = node_id
        self._namespace = str(Path("/proc/self/ns/mnt").stat().st_ino)
        self.labels: Mapping[str, str] = {
            AGENT_LABEL: node_id,
            AGENT_FOLDER_LABEL: f"{self._namespace}:{home.folder.absolute()}",
        }
        """What every container of ours carries."""

    def others(self, containers: Sequence[Container]) -> tuple[Container, ...]:
        """Those of the containers that another agent keeps which lives."""
        lives = {key: self._lives(*key) for key in {_key(one) for one in containers}}
        return tuple(one for one in containers if lives[_key(one)])

    def _lives(self, agent: str, where: str) -> bool:
        if agent in ("", self._id):
            return False
        namespace, _, folder = where.partition(":")
        if namespace != self._namespace:
            return True
        return _id_in(Path(folder)) == agent and _locked(Path(folder))


def taken(project: str, others: Sequence[Container]) -> str:
    """Why a project can't be kept here, and what to do."""
    folder = Path(others[0].labels.get(AGENT_FOLDER_LABEL, "").partition(":")[2]).parent
    names = ", ".join(one.name for one in others[:3]) + (" …" if len(others) > 3 else "")
    return (
        f"project {project} is kept on this engine by another agent, whose data folder is {folder} ({names}): "
        f"end it there by `midwatch stop {project} --data {folder}`, or give this one another name"
    )


def _key(container: Container) -> tuple[str, str]:
    return container.labels.get(AGENT_LABEL, ""), container.labels.get(AGENT_FOLDER_LABEL, "")


def _id_in(folder: Path) -> str | None:
    try:
        descriptor = _opened(folder / NODE_ID)
    except OSError:
        return None
    try:
        return os.read(descriptor, MOST_ID_BYTES).decode().strip()
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """A regular file for reading: the folder is a label's, which may name a pipe that nobody writes to, or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(f"{path} is no regular file")


def _locked(folder: Path) -> bool:
    try:
        descriptor = _opened(folder / LOCK)
    except FileNotFoundError:
        return False
    except OSError:
        # Another user's folder: nobody can tell, so nothing of it is touched.
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

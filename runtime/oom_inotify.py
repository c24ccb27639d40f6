"""inotify of the kernel, which Python's library lacks: watches in, events out."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MODIFY = 0x2
CREATE = 0x100
DELETE = 0x200
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLY_FOLDERS = 0x1000000
IS_FOLDER = 0x40000000

_HEAD = struct.Struct("iIII")
_BUFFER = 65536


class Notice(NamedTuple):
    """One event: the number of its watch, what happened, and the name inside a watched folder."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance; its `fd` is readable when there are events.

    It is None where the node's limit of instances is reached (`fs.inotify.max_user_instances`): nothing is told then.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int | None = None
        if wanted:
            with suppress(OSError):
                self.fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, path: Path, mask: int) -> int:
        """Begins to watch; the number of the watch. Raises OSError, ENOSPC where the node's limit is reached."""
        if self.fd is None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._checked(self._libc.inotify_add_watch(self.fd, os.fsencode(path), mask))

    def remove(self, watch: int) -> None:
        """Ends a watch, which may have ended by itself."""
        if self.fd is not None:
            self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Notice]:
        """All events that are there."""
        found: list[Notice] = []
        while self.fd is not None:
            try:
                text = os.read(self.fd, _BUFFER)
            except BlockingIOError:
                return found
            found += _notices(text)
        return found

    def close(self) -> None:
        """Ends all watches."""
        if self.fd is not None:
            os.close(self.fd)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def _notices(text: bytes) -> list[Notice]:
    found = []
    at = 0
    while at < len(text):
        watch, mask, _, length = _HEAD.unpack_from(text, at)
        name = text[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
        found.append(Notice(watch, mask, os.fsdecode(name)))
        at += _HEAD.size + length
    return found

"""The mount table, read again only when it changed: a node has a mount or more for each container."""

from __future__ import annotations

import os
import select

from runtime.kept import KeptFile


class MountTable:
    """The text of mountinfo; the kernel tells by poll(2) where it changed since (proc_pid_mountinfo(5))."""

    def __init__(self, file: KeptFile) -> None:
        self.path = file.path
        self._file = file
        self._text: bytes | None = None
        self._poll = select.poll()
        fd = file.fileno
        # A file with a size is a copy of the kernel's, which never tells.
        self._tells = fd is not None and os.fstat(fd).st_size == 0
        if fd is not None and self._tells:
            self._poll.register(fd, select.POLLERR | select.POLLPRI)

    def read(self) -> bytes | None:
        """The whole text, the very object of before while nothing changed; None where it can't be read."""
        if self._text is None or not self._tells or self._poll.poll(0):
            self._text = self._file.read()
        return self._text

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

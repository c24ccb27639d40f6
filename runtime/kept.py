"""Files that stay open between rounds: ten times cheaper to read than to open, and bounded in number.

A kept file of a cgroup answers ENODEV once the cgroup is gone. A kept `/proc/<pid>/net/dev` answers for ever and
keeps the network namespace alive: whoever holds a reader closes it when the container dies.
"""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

_CHUNK = 16384
_GONE = {errno.ENODEV, errno.ENOENT, errno.ESRCH}
_UNREADABLE = {errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.EINVAL, errno.EIO, errno.EMFILE, errno.ENFILE}
_SURELY_WHOLE = 2048
"""The kernel ends a read at most one record short of a page: below this there is nothing more to read."""


class Allowance:
    """How many files may stay open at once; beyond it files are opened for each read, which is counted."""

    def __init__(self, files: int | None = None) -> None:
        self.files = _three_quarters_of_the_limit() if files is None else files
        self.used = 0
        self.refused = 0

    def take(self) -> bool:
        """True where one more file may stay open."""
        if self.used >= self.files:
            self.refused += 1
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """One file was closed."""
        self.used -= 1


def _three_quarters_of_the_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4


def raise_file_limit(wanted: int = 65536) -> int:
    """Raises the soft limit of open files as far as `wanted` and the hard limit allow; the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < top:
        resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
        return top
    return soft


class KeptFile:
    """One file read from its start again and again; `gone` once its cgroup or process is no more.

    With `folder`, an open folder that `path` is below, the file is either kept or, beyond the allowance, gone:
    to open it again by name could find another process.
    """

    def __init__(self, path: Path, allowance: Allowance, folder: int | None = None) -> None:
        self.path = str(path)
        self.gone = False
        self._allowance = allowance
        self._fd: int | None = None
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            self.gone = is_gone(error)
            return
        if allowance.take():
            self._fd = fd
        else:
            self.gone = folder is not None
            os.close(fd)

    @property
    def fileno(self) -> int | None:
        """The open file's descriptor; None where it is opened anew for each read."""
        return self._fd

    def read(self) -> bytes | None:
        """The whole file, None where it can't be read."""
        fd = self._fd
        try:
            if fd is None:
                return None if self.gone else read_once(self.path)
            text = os.pread(fd, _CHUNK, 0)
        except OSError as error:
            self.gone = is_gone(error)
            return None
        return text if len(text) < _SURELY_WHOLE else _whole(fd, text)

    def close(self) -> None:
        """Closes the file; reading it afterwards gives None."""
        self.gone = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._allowance.give_back()


def is_gone(error: OSError) -> bool:
    """True where the error says that the cgroup or process is no more, False where it can't be read; else it raises."""
    if error.errno in _GONE:
        return True
    if error.errno in _UNREADABLE:
        return False
    raise error


def read_once(path: str) -> bytes:
    """A file that is opened for this reading alone, at a third of what `Path.read_bytes` takes; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.pread(fd, _CHUNK, 0)
        return text if len(text) < _SURELY_WHOLE else _whole(fd, text)
    finally:
        os.close(fd)


def _whole(fd: int, text: bytes) -> bytes:
    parts = [text]
    while text:
        text = os.pread(fd, _CHUNK, sum(map(len, parts)))
        parts.append(text)
    return b"".join(parts)

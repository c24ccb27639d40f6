"""Files that somebody named, read to a bound: a pipe that nobody writes to, a device or a folder is refused at once."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The whole of a regular file; raises OSError, whose `strerror` says what stands there or that it is too long."""
    _require_regular(path.stat().st_mode, path)  # to open a device may already do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
        text = os.read(descriptor, most_bytes + 1)
        while len(text) <= most_bytes and (more := os.read(descriptor, most_bytes + 1 - len(text))):
            text += more
    finally:
        os.close(descriptor)
    if len(text) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes", str(path))
    return text


def _require_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {_kind(mode)}, no regular file", str(path))


def mode_of(path: Path) -> int:
    """What stands at a path, by links too, as stat(2) says it; 0 for nothing, or what can't be told."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")

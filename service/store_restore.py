"""A backup takes the place of the database's file; the old one is kept beside it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from service.errors import StoreFault
from service.store_db import Database


def restore(backup: Path, path: Path, stamp: str) -> Path | None:
    """Set a copy of the backup in the place of the database at `path`; where the old one is now, None if none was.

    The copy is opened first. At no moment is there no file, and nothing of the old one is lost: its log goes with it.
    Raises StoreFault where the service has the file open, or the backup is none.
    """
    if not backup.is_file():
        raise StoreFault(f"{backup}: is no file; name one that `midwatch backup` made")
    log, aside = _log(path), path.with_name(f"{path.stem}-before-{stamp}{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.restoring")
    try:
        with _held(path):
            _copied(backup, fresh)
            there = path.exists()
            for old, kept in ((path, aside), (log, _log(aside))):
                if old.exists():
                    os.link(old, kept)
            fresh.replace(path)
            # a log is of the file that it lies beside: this one is of the old file
            log.unlink(missing_ok=True)
    except OSError as fault:
        raise StoreFault(
            f"{path}: can't be restored: {fault.strerror}; free some space, or run as its owner"
        ) from fault
    finally:
        for left in (fresh, _log(fresh)):
            with suppress(OSError):
                left.unlink(missing_ok=True)
    return aside if there else None


def _copied(backup: Path, fresh: Path) -> None:
    """A copy that was opened once, and so is a database of ours; on disk."""
    if _log(backup).exists():
        raise StoreFault(f"{backup}: is a database in use, with a log beside it; name one that `midwatch backup` made")
    try:
        with duckdb.connect(str(backup), read_only=True) as looked:
            looked.execute("SELECT max(version) FROM meta")
    except duckdb.Error as fault:
        raise StoreFault(f"{backup}: is no backup: {str(fault)[:200]}; name one that `midwatch backup` made") from fault
    shutil.copyfile(backup, fresh)
    Database(fresh).close()
    with fresh.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """The file as no other process has it; the lock is the one that the database takes."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield
        return
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreFault(f"{path}: the service has it open; stop it first, and start it again afterwards") from None
        yield


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")

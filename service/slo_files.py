"""OpenSLO files on disk: what paths, folders and patterns name, read within bounds."""

from __future__ import annotations

import errno
import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from os.path import realpath
from pathlib import Path
from typing import Final, NamedTuple

from slo.openslo.faults import At, Finding
from slo.openslo.tree import MAX_BYTES

MOST_FILES: Final = 1000
SUFFIXES: Final = (".yaml", ".yml")
_REMEDY: Final = "correct its path or permissions"


class Texts(NamedTuple):
    """(file name, text) pairs, and what could not be read."""

    texts: tuple[tuple[str, str], ...]
    faults: tuple[Finding, ...]


def read_texts(paths: Sequence[str]) -> Texts:
    """The texts of all files that the paths name; of a folder its .yaml and .yml files, those of folders within too."""
    texts: list[tuple[str, str]] = []
    faults: list[Finding] = []
    files = _once(file for path in paths for file in _files(path, faults))
    if len(files) > MOST_FILES:
        faults.append(_fault(files[MOST_FILES], f"one of more than {MOST_FILES} files", "name fewer files"))
    for file in files[:MOST_FILES]:
        try:
            texts.append((str(file), _text(file)))
        except UnicodeDecodeError as error:
            faults.append(_fault(file, f"is not UTF-8 at byte {error.start}", "save it as UTF-8"))
        except OSError as error:
            faults.append(_fault(file, f"can't be read: {error.strerror}", _REMEDY))
    return Texts(tuple(texts), tuple(faults))


def _once(files: Iterable[Path]) -> list[Path]:
    """Each file once, however many links lead to it, by a name that does not begin with a dot where it has one.

    Mounted configuration maps of Kubernetes have each file twice: in a folder of its version, and as a link.
    """
    found: dict[str, Path] = {}
    for file in files:
        known = found.setdefault(realpath(file), file)
        if _hidden(known) and not _hidden(file):
            found[realpath(file)] = file
    return list(found.values())


def _hidden(file: Path) -> bool:
    return any(part.startswith(".") and part != ".." for part in file.parts)


def fingerprint(paths: Sequence[str]) -> tuple[tuple[str, int, int, int], ...]:
    """What tells whether any of the files has changed."""
    found = []
    for file in dict.fromkeys(file for path in paths for file in _files(path, [])):
        try:
            stat = file.stat()
        except OSError:
            found.append((str(file), 0, 0, 0))
        else:
            found.append((str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


def _files(path: str, faults: list[Finding]) -> Iterator[Path]:
    found = sorted(Path(it) for it in glob.glob(path, recursive=True))  # noqa: PTH207 - any pattern
    if not found:
        named = Path(_plain(path))
        if not named.exists():
            what = "is no folder" if glob.has_magic(path) else "is no file"
            faults.append(_fault(named, what, "correct the path"))
    for it in found:
        if it.is_dir():
            yield from in_folder(it, faults)
        else:
            yield it


def _plain(path: str) -> str:
    """The folder whose files a pattern chooses from; what is no pattern is itself."""
    parts = Path(path).parts
    return str(Path(*itertools.takewhile(lambda it: not glob.has_magic(it), parts)))


def in_folder(folder: Path, faults: list[Finding] | None = None) -> list[Path]:
    """The YAML files in a folder and in folders within, in order; folders that can't be read are faults."""

    def unread(error: OSError) -> None:
        if faults is not None:
            faults.append(_fault(Path(error.filename), f"can't be read: {error.strerror}", _REMEDY))

    every = (Path(at) / name for at, _, names in os.walk(folder, onerror=unread) for name in names)
    return sorted(file for file in every if file.suffix in SUFFIXES and file.is_file())


def _text(file: Path) -> str:
    """The file's text, one byte more than is allowed at most: what reads it says that it is too long."""
    if not file.is_file():  # to open a pipe or a device may wait for ever
        raise OSError(errno.EINVAL, "it is no regular file", str(file))
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1).decode("utf-8") if file.stat().st_size <= MAX_BYTES else " " * (MAX_BYTES + 1)


def _fault(file: Path, what: str, remedy: str) -> Finding:
    return Finding(At(str(file), 1, ""), what, remedy)

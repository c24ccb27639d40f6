"""Images from what the machine has: a busybox, and a Python made from its own interpreter.

No public registry is needed: the root file systems are imported through the engine's API.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import docker

from cli.errors import Refusal

APPLETS = (
    "sh",
    "ls",
    "cat",
    "sleep",
    "wget",
    "echo",
    "true",
    "false",
    "kill",
    "dd",
    "head",
    "yes",
    "seq",
    "nc",
    "httpd",
)
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "turtledemo", "site-packages",
            "dist-packages"}  # fmt: skip
EXTENSIONS_LEFT_OUT = ("_test", "_ctypes_test", "_xx", "xxlimited", "_tkinter", "_dbm", "_gdbm", "_curses", "readline",
                       "_sqlite3", "_ssl", "_hashlib", "_crypt", "nis", "ossaudiodev")  # fmt: skip
"""Extension modules whose shared libraries would double the image."""
PASSWD = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"


class Interpreter(NamedTuple):
    """A Python on this machine: its binary, its standard library and the tag of its compiled files."""

    binary: Path
    library: Path
    cache_tag: str


def import_busybox(client: docker.DockerClient, repository: str, tag: str) -> None:
    """Import an image that holds busybox and nothing else."""
    with tempfile.TemporaryFile() as root:
        with tarfile.open(fileobj=root, mode="w") as tar:
            _skeleton(tar)
            _busybox(tar)
        _import(client, root, repository, tag, ("ENV PATH=/bin", 'CMD ["sh"]'))


def import_python(client: docker.DockerClient, repository: str, tag: str) -> None:
    """Import an image that runs `python3` with the standard library of this machine's interpreter."""
    with tempfile.TemporaryFile() as root:
        with tarfile.open(fileobj=root, mode="w") as tar:
            _skeleton(tar)
            _python(tar, interpreter())
            if shutil.which("busybox"):
                _busybox(tar)
        changes = ("ENV PATH=/usr/bin:/bin", "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1", 'CMD ["python3"]')
        _import(client, root, repository, tag, changes)


def interpreter() -> Interpreter:
    """The machine's own Python, else the one that runs this."""
    system = Path("/usr/bin/python3")
    binary = system if system.exists() else Path(sys.executable)
    code = "import json,os,sys,sysconfig; print(json.dumps([os.path.realpath(getattr(sys, '_base_executable', '') or sys.executable), os.path.dirname(os.__file__), sys.implementation.cache_tag]))"  # noqa: E501
    told = subprocess.run([str(binary), "-I", "-c", code], capture_output=True, text=True, check=True)
    path, library, tag = json.loads(told.stdout)
    return Interpreter(Path(path), Path(library), tag)


def _python(tar: tarfile.TarFile, python: Interpreter) -> None:
    files = sorted(library_files(python))
    extensions = [path for path in files if path.suffix == ".so"]
    _add(tar, python.binary, str(python.binary))
    for path in [*files, *shared_libraries([python.binary, *extensions])]:
        _add(tar, path, str(path))
    if str(python.binary) != "/usr/bin/python3":
        _link(tar, "usr/bin/python3", str(python.binary))


def library_files(python: Interpreter) -> Iterator[Path]:
    """The standard library's files, compiled ones too: without them each start compiles anew."""
    pending = [python.library]
    while pending:
        for path in pending.pop().iterdir():
            if path.is_dir():
                if path.name not in LEFT_OUT and not path.name.startswith("config-"):
                    pending.append(path)
            elif _wanted(path, python.cache_tag):
                yield path


def _wanted(path: Path, cache_tag: str) -> bool:
    if path.suffix == ".so":
        return not path.name.startswith(EXTENSIONS_LEFT_OUT)
    if path.suffix == ".pyc":
        return path.name.endswith(f".{cache_tag}.pyc")
    return path.suffix == ".py"


def shared_libraries(binaries: Sequence[Path]) -> list[Path]:
    """What the loader needs for the binaries, by ldd, as absolute paths."""
    told = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    return sorted(set(_ldd_paths(told.splitlines())))


def _ldd_paths(lines: Iterable[str]) -> Iterator[Path]:
    for line in lines:
        target = line.split("=>")[-1].split("(")[0].strip()
        if line.startswith("\t") and target.startswith("/"):
            yield Path(target)


def _skeleton(tar: tarfile.TarFile) -> None:
    for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "usr/bin", "app"):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
        tar.addfile(entry)
    entry = tarfile.TarInfo("etc/passwd")
    entry.size, entry.mode = len(PASSWD), 0o644
    tar.addfile(entry, io.BytesIO(PASSWD))


def _busybox(tar: tarfile.TarFile) -> None:
    binary = shutil.which("busybox")
    if binary is None:
        raise Refusal("busybox is not installed", "install busybox-static")
    _add(tar, Path(binary), "bin/busybox")
    for applet in APPLETS:
        _link(tar, f"bin/{applet}", "busybox")


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Content and time of the file behind any link, owned by root: equal machines make equal layers."""
    real = path.resolve()
    entry = tar.gettarinfo(str(real), name.lstrip("/"))
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    with real.open("rb") as content:
        tar.addfile(entry, content)


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _import(
    client: docker.DockerClient, root: io.BufferedRandom, repository: str, tag: str, changes: Sequence[str]
) -> None:
    root.seek(0)
    client.api.import_image_from_data(root, repository=repository, tag=tag, changes=list(changes))

"""The guest's file system, its disk and what it starts from, made of what this machine has."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from compileall import compile_dir
from importlib import metadata
from pathlib import Path
from py_compile import PycInvalidationMode

from packaging.requirements import Requirement

from cli.images import shared_libraries

SOURCES = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
DISK_MB = 1536
ENGINE = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker-init")
ROOMS = ("agent", "runtime", "cli", "service", "slo", "alerts", "dashboards", "runbooks", "tests", "pyproject.toml")
PACKAGES = ("midwatch", "pytest", "pytest-timeout", "hypothesis")
"""What the agent and its tests import; `midwatch` with what it requires, its own code comes from the sources."""
LIBRARY_LEFT_OUT = ("__pycache__", "test", "idlelib", "tkinter", "lib2to3", "turtledemo", "site-packages",
                    "dist-packages", "config-*", "ensurepip")  # fmt: skip
DISK_MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
GUEST_MODULES = ("overlay",)
FOLDERS = (
    "bin",
    "sbin",
    "proc",
    "sys",
    "dev",
    "tmp",
    "run",
    "root",
    "etc",
    "var/lib",
    "lib/modules",
    "midwatch",
    "site",
)


class CannotMake(Exception):
    """The guest can't be made or booted here; the text says why and what would help."""


def kernel(folder: Path) -> Path:
    """Debian's cloud kernel, unpacked under the folder; its modules' folder."""
    found = sorted((folder / "lib/modules").glob("*"))
    if found:
        return found[-1]
    need("apt-get", "dpkg-deb")
    folder.mkdir(parents=True, exist_ok=True)
    depends = _output("apt-cache", "depends", "linux-image-cloud-amd64")
    names = [line.split()[-1] for line in depends.splitlines() if "Depends: linux-image" in line]
    if not names:
        raise CannotMake("apt knows no linux-image-cloud-amd64: run apt-get update, on Debian for amd64")
    for old in folder.glob("*.deb"):
        old.unlink()
    _run("apt-get", "-o", "APT::Sandbox::User=root", "download", names[0], cwd=folder)
    (package,) = folder.glob("*.deb")
    _run("dpkg-deb", "-x", str(package), str(folder))
    return next((folder / "lib/modules").glob("*"))


def stage(root: Path, modules: Path, arguments: list[str]) -> None:
    """Lays the guest's file system out under `root`."""
    shutil.rmtree(root, ignore_errors=True)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    _busybox(root)
    binaries = [_found(name) for name in ENGINE]
    for binary in binaries:
        _copy(binary, root / "usr/bin" / binary.name)
    objects = [*binaries, *_python(root), *_site(root / "site")]
    for library in shared_libraries(objects):
        _copy(library, root / str(library).lstrip("/"))
    for room in ROOMS:
        _copy_tree(SOURCES / room, root / "midwatch" / room, "node_modules")
    for folder in ("midwatch", "site", str(Path(os.__file__).parent).lstrip("/")):
        compile_dir(root / folder, quiet=2, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    _modules(root / "lib/modules" / modules.name, modules, GUEST_MODULES)
    _run("busybox", "depmod", "-b", str(root), modules.name)
    _etc(root / "etc")
    _start_file(HERE / "init", root / "init")
    kills = shlex.quote(os.environ.get("MIDWATCH_TEST_KILLS", "40"))
    command = shlex.join(["python3", "-m", "pytest", "-p", "no:cacheprovider", *arguments])
    (root / "tests.sh").write_text(f"export MIDWATCH_TEST_KILLS={kills}\n{command}\ncode=$?\n")


def image(root: Path, to: Path) -> None:
    """An ext4 disk with all that is under `root`."""
    to.unlink(missing_ok=True)
    with to.open("wb") as file:
        file.truncate(DISK_MB << 20)
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(root), str(to))


def initramfs(folder: Path, modules: Path, to: Path) -> None:
    """The archive that the kernel starts from: busybox and what finds the disk."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "proc", "sys", "dev", "root", "modules"):
        (folder / name).mkdir(parents=True)
    _busybox(folder)
    _start_file(HERE / "initramfs-init", folder / "init")
    _modules(folder / "modules", modules, DISK_MODULES)
    files = {path.stem.replace("-", "_"): path for path in (folder / "modules").rglob("*.ko")}
    order = [str(files[name].relative_to(folder / "modules")) for name in DISK_MODULES if name in files]
    (folder / "modules/order").write_text("\n".join(order))
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    with to.open("wb") as file:
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], input=names.encode(), stdout=file, cwd=folder,
                       stderr=subprocess.DEVNULL, check=True)  # fmt: skip


def _python(root: Path) -> Iterator[Path]:
    """The interpreter and its library at their own places; what of it needs shared libraries."""
    binary = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library = Path(os.__file__).parent
    _copy(binary, root / str(binary).lstrip("/"))
    _copy_tree(library, root / str(library).lstrip("/"), *LIBRARY_LEFT_OUT)
    link = root / "usr/bin/python3"
    if not link.exists():
        link.symlink_to(binary)
    yield binary
    yield from library.glob("lib-dynload/*.so")


def _site(to: Path) -> Iterator[Path]:
    """The packages that are required, copied; what of them needs shared libraries."""
    for name in sorted(_closure(PACKAGES)):
        for file in metadata.distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." in file.parts or not source.is_file() or "__editable__" in file.name or file.suffix == ".pth":
                continue
            _copy(source, to / file)
            if ".so" in file.suffixes:
                yield source


def _closure(names: Iterable[str]) -> set[str]:
    """The distributions with all that they require here, without extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        required = map(Requirement, metadata.distribution(name).requires or ())
        waiting += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def _modules(to: Path, modules: Path, names: Iterable[str]) -> None:
    for name in names:
        for file in modules.rglob(f"{name}.ko"):
            _copy(file, to / file.relative_to(modules))
    for index in modules.glob("modules.*"):
        _copy(index, to / index.name)


def _busybox(root: Path) -> None:
    _copy(_found("busybox"), root / "bin/busybox")
    for applet in _output("busybox", "--list").split():
        link = root / "bin" / applet
        if not link.exists():
            link.symlink_to("/bin/busybox")


def _start_file(source: Path, to: Path) -> None:
    shutil.copyfile(source, to)
    to.chmod(0o755)


def _etc(folder: Path) -> None:
    (folder / "passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (folder / "group").write_text("root:x:0:\ndocker:x:1:\n")
    (folder / "hosts").write_text("127.0.0.1 localhost guest\n")
    (folder / "nsswitch.conf").write_text("hosts: files\n")
    _copy(Path("/etc/os-release"), folder / "os-release")


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, to)


def _copy_tree(source: Path, to: Path, *left_out: str) -> None:
    if source.is_file():
        _copy(source, to)
    else:
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__", *left_out), dirs_exist_ok=True)


def _found(name: str) -> Path:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise CannotMake(f"{name} is not installed")
    return Path(path).resolve() if name != "busybox" else Path(path)


def need(*names: str) -> None:
    """Raises CannotMake where one of these commands is missing."""
    for name in names:
        _found(name)


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotMake(f"{shlex.join(command)} failed: {(done.stderr or done.stdout).strip()}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

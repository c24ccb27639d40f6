"""The container engine for `midwatch up`: found, installed, started privately, stopped again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import docker
import docker.errors
import requests

from cli.errors import Refusal
from cli.packages import ensure
from cli.processes import Process

SYSTEM_SOCKET = "unix:///var/run/docker.sock"
PACKAGES = ("docker.io", "iptables")
SOCKET_PATH_LIMIT = 100
"""A unix socket's path holds 108 bytes; the engine appends to some of ours."""
START_SECONDS = 60.0


class Engine(NamedTuple):
    """An engine that answers; `private` where it is the one under our data folder."""

    url: str
    private: bool


def candidates(data: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where an engine may answer: DOCKER_HOST alone, where it is set; else what `up` used, the machine's, our own."""
    if named := environment.get("DOCKER_HOST"):
        return (named,)
    note = data / "engine.url"
    used = (note.read_text().strip(),) if note.exists() else ()
    return tuple(dict.fromkeys((*used, SYSTEM_SOCKET, private_url(data))))


def private_url(data: Path) -> str:
    """The address of the private engine under a data folder."""
    return f"unix://{data}/engine/docker.sock"


def answers(url: str, timeout_seconds: float = 5.0) -> bool:
    """True where an engine answers a ping; refuses where its socket may not be opened."""
    path = Path(url.removeprefix("unix://"))
    if url.startswith("unix://") and _is_closed(path):
        raise Refusal(f"no permission to open {path}", "run as root or join the group of the socket (usually docker)")
    try:
        with contextlib.closing(docker.DockerClient(base_url=url, timeout=int(timeout_seconds))) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, requests.exceptions.RequestException):
        return False


def find(urls: Sequence[str]) -> str | None:
    """The first address at which an engine answers."""
    return next((url for url in urls if answers(url)), None)


def ensure_engine(data: Path, environment: Mapping[str, str], install: bool, tell: Callable[[str], None]) -> Engine:
    """An engine that answers: found, or installed and started where `install` allows it."""
    found = find(candidates(data, environment))
    if found is not None:
        return Engine(found, found == private_url(data))
    if named := environment.get("DOCKER_HOST"):
        raise Refusal(f"no container engine answers at DOCKER_HOST={named}", "start it, or unset DOCKER_HOST")
    if not install:
        raise Refusal("no container engine answers", "start one and set DOCKER_HOST, or leave out --no-install")
    if shutil.which("dockerd", path=_path()) is None:
        ensure(PACKAGES, autostart=True, tell=tell)
    if Path("/run/systemd/system").is_dir() and _system_start():
        return Engine(SYSTEM_SOCKET, False)
    tell("starting a private engine")
    start_private(data / "engine")
    return Engine(private_url(data), True)


def record(data: Path, url: str) -> None:
    """Remember which engine `up` uses, for the commands that follow."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "engine.url").write_text(f"{url}\n")


def recorded(data: Path, environment: Mapping[str, str]) -> str:
    """The engine that `up` used, else the first that answers; refuses where there is none."""
    note = data / "engine.url"
    urls = candidates(data, {} if note.exists() else environment)
    found = find(urls)
    if found is None:
        raise Refusal(f"no container engine answers at {' or '.join(urls)}", "run: midwatch up")
    return found


def start_private(folder: Path) -> str:
    """Start an engine with all it has under the folder, where it does not run yet; returns its address."""
    _preflight(folder)
    for part in ("data", "exec"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    config = folder / "daemon.json"
    config.write_text("{}\n")
    url, process = f"unix://{folder}/docker.sock", process_of(folder)
    if process.pid() is None:
        (folder / "engine.pid").unlink(missing_ok=True)
        process.start(_command(folder, url), {**os.environ, "PATH": _path()})
    try:
        process.wait(lambda: answers(url), START_SECONDS, f"see {process.log_file}")
    except Refusal:
        process.stop()
        raise
    return url


def stop_private(folder: Path) -> bool:
    """Stop the engine of the folder and the containers in it; True where it ran."""
    process = process_of(folder)
    if process.pid() is not None:
        _kill_containers(f"unix://{folder}/docker.sock")
    return process.stop()


def process_of(folder: Path) -> Process:
    """The private engine's process."""
    return Process("dockerd", folder)


def _is_closed(path: Path) -> bool:
    """True where the path, or a folder on the way to it, may not be used by us."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK | os.W_OK)


def _command(folder: Path, url: str) -> list[str]:
    return [
        "dockerd", "-H", url, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
        "--pidfile", f"{folder}/engine.pid", "--config-file", f"{folder}/daemon.json",
        "--exec-opt", "native.cgroupdriver=cgroupfs",
    ]  # fmt: skip


def _preflight(folder: Path) -> None:
    if len(str(folder)) + len("/docker.sock") > SOCKET_PATH_LIMIT:
        raise Refusal(f"{folder} is too long for a socket's path", "choose a shorter --data")
    if os.geteuid() != 0:
        raise Refusal("only root may start a container engine", "run as root or start an engine and set DOCKER_HOST")
    if shutil.which("dockerd", path=_path()) is None:
        raise Refusal("dockerd is not installed", f"install {' '.join(PACKAGES)}")


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def _system_start() -> bool:
    asked = subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False)
    return asked.returncode == 0 and answers(SYSTEM_SOCKET)


def _kill_containers(url: str) -> None:
    """Without this the engine waits out the grace period of each container."""
    try:
        with contextlib.closing(docker.DockerClient(base_url=url)) as client:
            for container in client.containers.list(sparse=True):
                with contextlib.suppress(docker.errors.APIError):
                    container.kill()
    except (docker.errors.DockerException, requests.exceptions.RequestException):
        return  # an engine that does not answer is terminated all the same

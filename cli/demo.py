"""The demo shop: its images in a registry, its project, and what makes it go wrong and right again."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import httpx
from docker.models.containers import Container

from cli.errors import Refusal
from cli.images import import_python
from runtime.model import PROJECT_LABEL, SERVICE_LABEL

REPOSITORY = "shop"
"""Folder of the images in the registry."""
REPLICATED = ("front", "api", "worker")
"""Services with knobs."""
PULLED = ("front", "api")
"""Services whose images come from the registry."""
MISSING_TAG = "no-such-tag"
PORT = 8080
STATE = "/state"
REPAIR_SECONDS = 90.0


def source() -> Path:
    """The shop's files: packed beside this module in a wheel, else in the source tree."""
    here = Path(__file__).resolve().parent
    return next(folder for folder in (here / "shop", here.parent / "examples" / "shop") if folder.is_dir())


class Project:
    """The shop's folder under the data folder: the files as they came, and `.env` with what is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def compose(self) -> Path:
        """The file that the agent is given."""
        return self.folder / "compose.yaml"

    @property
    def name(self) -> str:
        """The project's name in the engine."""
        return self._load()["SHOP_PROJECT"]

    def write(self, name: str, registry_port: int, shop_port: int) -> None:
        """Copy the shop's files and set its name and ports."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in ("compose.yaml", "Dockerfile", "shop.py"):
            shutil.copyfile(source() / file, self.folder / file)
        ports = {"SHOP_REGISTRY": f"127.0.0.1:{registry_port}", "SHOP_PORT": str(shop_port)}
        self._save({"SHOP_PROJECT": name, **ports})

    def set_tag(self, service: str, tag: str | None) -> bool:
        """Set the tag of a service's image, None for the good one; True where that changed something."""
        values, key = self._load(), f"SHOP_{service.upper()}_TAG"
        before = values.pop(key, None)
        self._save(values | ({key: tag} if tag else {}))
        return before != tag

    def exists(self) -> bool:
        """True once the shop was written here."""
        return self.compose.exists() and (self.folder / ".env").exists()

    def _load(self) -> dict[str, str]:
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def _save(self, values: Mapping[str, str]) -> None:
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in sorted(values.items())))


def publish_images(client: docker.DockerClient, registry_port: int, tell: Callable[[str], None]) -> None:
    """Make the shop's images from this machine's Python, push them, and forget them, so that pulls are real."""
    base, apps = image_names(registry_port)
    tell("making a Python image from this machine's interpreter")
    import_python(client, base, "1")
    tell("building and pushing the shop's images")
    built, _ = client.images.build(path=str(source()), buildargs={"BASE": f"{base}:1"}, rm=True)
    for name in apps:
        built.tag(name, "1")
    for name in (base, *apps):
        _push(client, name)
    for name in (*apps, base):
        client.images.remove(f"{name}:1", force=True, noprune=False)


def image_names(registry_port: int) -> tuple[str, tuple[str, ...]]:
    """The base image's name and those of the services."""
    registry = f"127.0.0.1:{registry_port}/{REPOSITORY}"
    return f"{registry}/python", tuple(f"{registry}/{service}" for service in PULLED)


def published(registry_port: int) -> bool:
    """True where the registry holds all of the shop's images."""
    base, apps = image_names(registry_port)
    paths = (name.partition("/")[2] for name in (base, *apps))
    urls = (f"http://127.0.0.1:{registry_port}/v2/{path}/manifests/1" for path in paths)
    return all(httpx.head(url, trust_env=False).status_code == 200 for url in urls)


def broken(client: docker.DockerClient, service: str, project: str, knobs: Mapping[str, float]) -> int:
    """Turn knobs in every running replica; returns how many took them. Refuses where there is none."""
    found = replicas(client, service, project)
    query = "&".join(f"{name}={value:g}" for name, value in knobs.items())
    done = sum(takes(container, "POST", f"/break?{query}") for container in found)
    if not done:
        raise Refusal(f"no running container of {project}/{service} takes the fault", "see `midwatch ps`")
    return done


def repaired(client: docker.DockerClient, service: str, project: str) -> int:
    """Take the faults out of every replica, be it running or waiting for its restart; returns how many."""
    found = replicas(client, service, project)
    for container in found:
        _repair(container)
    return len(found)


def replicas(client: docker.DockerClient, service: str, project: str) -> list[Container]:
    """The service's containers, running or not."""
    labels = [f"{PROJECT_LABEL}={project}", f"{SERVICE_LABEL}={service}"]
    return client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)


def _push(client: docker.DockerClient, name: str) -> None:
    for line in client.images.push(name, "1", stream=True, decode=True):
        if "error" in line:
            raise Refusal(f"push of {name}:1 failed: {line['error']}", "see whether the registry runs and has room")


def _repair(container: Container) -> None:
    """A running one is asked; one that is between two lives finds its fault file emptied at its next start."""
    deadline = time.monotonic() + REPAIR_SECONDS
    while not takes(container, "POST", "/repair") and not _repair_stopped(container):
        if time.monotonic() > deadline:
            raise Refusal(f"{container.name} can't be repaired", "see `docker logs` of it")
        time.sleep(0.1)


def _repair_stopped(container: Container) -> bool:
    """True where it did not run before and after its file was emptied: it can't have read the old one."""
    if container.status == "running":
        return False
    with contextlib.suppress(docker.errors.APIError):
        container.put_archive(STATE, _empty_fault_file(container))
    container.reload()
    return bool(container.status != "running")


def _empty_fault_file(container: Container) -> bytes:
    packed, content = io.BytesIO(), json.dumps({}).encode()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(f"{container.attrs['Config']['Hostname']}.json")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def takes(container: Container, method: str, path: str) -> bool:
    """True where the container answers the request with 200."""
    for address in _addresses(container):
        with contextlib.suppress(httpx.HTTPError):
            url = f"http://{address}:{PORT}{path}"
            return httpx.request(method, url, timeout=5.0, trust_env=False).status_code == 200
    return False


def _addresses(container: Container) -> Iterator[str]:
    container.reload()
    networks: Mapping[str, Any] = container.attrs["NetworkSettings"]["Networks"]
    yield from (network["IPAddress"] for network in networks.values() if network["IPAddress"])


def known(services: Sequence[str]) -> None:
    """Refuse names that are no services with knobs."""
    for name in services:
        if name not in REPLICATED:
            raise Refusal(f"the shop has no service {name} with knobs", f"name one of {', '.join(REPLICATED)}")

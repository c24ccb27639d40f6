"""Real registries for tests: open, or behind a password; stopped and started at will."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import docker

from cli import registry
from cli.processes import Process

USER, PASSWORD = "midwatch", "correct horse"
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"
"""bcrypt of the password, the one kind that docker-registry takes."""


@dataclass
class RegistryUnderTest:
    """A docker-registry on a free port; `address` is `127.0.0.1:PORT`."""

    folder: Path
    port: int
    client: docker.DockerClient
    htpasswd: Path | None = None

    @property
    def address(self) -> str:
        """The registry's part of a reference."""
        return f"127.0.0.1:{self.port}"

    @property
    def credentials(self) -> dict[str, str] | None:
        """Username and password, where it asks for them."""
        return {"username": USER, "password": PASSWORD} if self.htpasswd else None

    def start(self) -> None:
        """Start it, on the same port and with the images it had."""
        registry.start(self.folder, self.port, self.htpasswd)

    def stop(self) -> None:
        """Stop it: connections are refused from here on."""
        Process("registry", self.folder).stop()

    def push(self, image: str, repository: str, tag: str = "1", keep: bool = False) -> str:
        """Push an image of the engine as `address/repository:tag`, forget the local tag, return the reference."""
        name = f"{self.address}/{repository}"
        self.client.images.get(image).tag(name, tag)
        for line in self.client.images.push(name, tag, auth_config=self.credentials, stream=True, decode=True):
            if "error" in line:
                raise AssertionError(f"push of {name}:{tag} failed: {line['error']}")
        if not keep:
            self.client.images.remove(f"{name}:{tag}")
        return f"{name}:{tag}"

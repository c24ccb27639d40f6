"""Credentials of registries, as `docker login` left them; never printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from docker import auth
from docker.errors import DockerException

HUB_KEY = "docker.io"


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token; only the user is ever shown."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def config_path(environ: Mapping[str, str]) -> Path:
    """Where Docker's client keeps its configuration: `DOCKER_CONFIG`, else `~/.docker`."""
    folder = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME") or "~").expanduser() / ".docker")
    return Path(folder) / "config.json"


def credentials_for(registry: str, environ: Mapping[str, str]) -> Credentials | None:
    """What Docker's configuration (`auths`, `credHelpers`, `credsStore`) holds for the registry; None without any."""
    path = config_path(environ)
    if not path.is_file():
        return None
    try:
        found = auth.load_config(config_path=str(path)).resolve_authconfig(registry)
    except (DockerException, OSError, ValueError, AttributeError, TypeError):
        return None
    return _of(found or {})


def _of(found: Mapping[str, str]) -> Credentials | None:
    username, token = found.get("username") or found.get("Username"), found.get("IdentityToken")
    password = found.get("password") or found.get("Password") or ""
    return Credentials(username or "", password, token or "") if username or token else None

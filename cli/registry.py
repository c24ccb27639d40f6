"""A registry on loopback, from Debian's docker-registry: for the demo's real pulls, and for tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx

from cli.errors import Refusal
from cli.processes import Process

PACKAGES = ("docker-registry",)
START_SECONDS = 20.0

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder}/images}}
  delete: {{enabled: true}}
http:
  addr: {address}
"""
AUTH = """\
auth:
  htpasswd: {{realm: midwatch, path: {htpasswd}}}
"""


def start(folder: Path, port: int, htpasswd: Path | None = None) -> Process:
    """Start a registry on 127.0.0.1:port that keeps its images under the folder; found where it runs already."""
    binary = shutil.which("docker-registry")
    if binary is None:
        raise Refusal("docker-registry is not installed", "install the package docker-registry")
    process = Process("registry", folder)
    if process.pid() is None:
        config = write_config(folder, port, htpasswd)
        process.start([binary, "serve", str(config)], {"PATH": "/usr/bin:/bin"})
    process.wait(lambda: answers(port), START_SECONDS, f"see {process.log_file}")
    return process


def write_config(folder: Path, port: int, htpasswd: Path | None) -> Path:
    """Write the registry's configuration and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "registry.yml"
    text = CONFIG.format(folder=folder, address=f"127.0.0.1:{port}")
    config.write_text(text + (AUTH.format(htpasswd=htpasswd) if htpasswd else ""))
    return config


def answers(port: int) -> bool:
    """True where a registry answers at the port, be it with a demand for credentials."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/", timeout=2.0, trust_env=False).status_code in (200, 401)
    except httpx.HTTPError:
        return False

"""Whom a registry's certificate must come from, as the engine sees it: the system's trust, and `certs.d` of Docker."""

from __future__ import annotations

import ipaddress
import ssl
import urllib.parse
from collections.abc import Collection
from pathlib import Path

from runtime.registry_http import is_loopback

CERTIFICATES = Path("/etc/docker/certs.d")
MAX_CONTEXTS = 200

_Key = tuple[tuple[str, int], ...]


class Trust:
    """TLS contexts of registries, made once and anew where a certificate changed: reading the system's takes long."""

    def __init__(self, folder: Path = CERTIFICATES) -> None:
        self._folder = folder
        self._contexts: dict[_Key, ssl.SSLContext] = {}

    def context(self, registry: str) -> ssl.SSLContext:
        """A context that trusts the system's authorities and those in `<folder>/<registry>/*.crt`.

        A certificate that can't be read is left out, as if it were not there.
        """
        files = self._certificates(registry)
        key = tuple((str(path), path.stat().st_mtime_ns) for path in files)
        if key not in self._contexts:
            if len(self._contexts) >= MAX_CONTEXTS:
                self._contexts.clear()
            self._contexts[key] = _trusting(files)
        return self._contexts[key]

    def _certificates(self, registry: str) -> list[Path]:
        # A registry's name comes from an image's: it must not lead out of the folder.
        if "/" in registry or registry.startswith("."):
            return []
        try:
            return sorted(path for path in (self._folder / registry).glob("*.crt") if path.is_file())
        except OSError:
            return []


def _trusting(files: list[Path]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in files:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError):
            continue
    return context


def unchecked() -> ssl.SSLContext:
    """A context for registries that the engine was told not to ask for a certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_insecure(registry: str, names: Collection[str], networks: Collection[str]) -> bool:
    """True where the engine's configuration names the registry, or a network that its address is in.

    Loopback is not meant: plain HTTP is spoken there anyway, and nobody in between reads a password.
    """
    try:
        host = urllib.parse.urlsplit(f"//{registry}").hostname or ""
        if is_loopback(host):
            return False
        if registry in names:
            return True
        address = ipaddress.ip_address(host)
        return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False

"""What must hold before anything is started, so that nothing is left half-started."""

from __future__ import annotations

import errno
import shutil
import socket
from pathlib import Path

from cli.errors import Refusal

NEEDED_BYTES = 512 << 20
"""Room for images, the store's first days and the spool."""


def require_room(data: Path, needed: int = NEEDED_BYTES) -> None:
    """Make the data folder; refuse where its disk is nearly full."""
    data.mkdir(parents=True, exist_ok=True)
    probe = data / ".writable"
    probe.write_bytes(b"x")
    probe.unlink()
    free = shutil.disk_usage(data).free
    if free < needed:
        raise Refusal(
            f"only {free >> 20} MiB are free under {data}, {needed >> 20} MiB are needed",
            "free some space or choose another disk with --data",
        )


def require_port(host: str, port: int, setting: str) -> None:
    """Refuse where somebody listens on the address already; `setting` is the key that moves it."""
    if port == 0 or _free(host, port):
        return
    variable = "MIDWATCH_" + setting.upper().replace(".", "_")
    raise Refusal(f"port {port} on {host} is in use by another program", f"end it, or set {setting} ({variable})")


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise Refusal(
                f"can't listen on {host}:{port}: {error.strerror}", "choose an address of this machine"
            ) from error
    return True

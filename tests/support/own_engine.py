"""An engine of a test's own, without a bridge, on a small disk of its own: to be filled, configured and thrown away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.engine import answers
from cli.processes import Process

START_SECONDS = 60.0
WITHOUT_NETWORK = (
    "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
)  # fmt: skip


@contextmanager
def own_engine(disk_mib: int = 64, **configuration: Any) -> Iterator[str]:
    """The address of an engine with this `daemon.json`, while the context lasts; its images lie in memory."""
    if os.geteuid() != 0 or shutil.which("dockerd", path=_path()) is None:
        reason = "an engine of a test's own takes root and dockerd"
        pytest.fail(reason) if os.environ.get("MIDWATCH_TEST_REQUIRE") else pytest.skip(reason)
    # An engine's sockets lie deep below its folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="mw-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "data").mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "midwatch-test", folder / "data"], check=True
        )
        process = Process("dockerd", folder)
        try:
            yield _started(process, folder, configuration)
        finally:
            process.stop()
            subprocess.run(["umount", "-l", folder / "data"], check=True)


def _started(process: Process, folder: Path, configuration: dict[str, Any]) -> str:
    (folder / "daemon.json").write_text(json.dumps(configuration))
    url = f"unix://{folder}/docker.sock"
    command = [
        "dockerd", "-H", url, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
        "--pidfile", f"{folder}/engine.pid", "--config-file", f"{folder}/daemon.json",
        "--exec-opt", "native.cgroupdriver=cgroupfs", *WITHOUT_NETWORK,
    ]  # fmt: skip
    process.start(command, {**os.environ, "PATH": _path()})
    process.wait(lambda: answers(url), START_SECONDS, f"see {process.log_file}")
    return url


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

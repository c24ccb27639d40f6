"""An engine of a test's own, that may be stopped, killed, filled and started again without harm to another.

It has a bridge of its own: an engine without one (`--bridge=none`) takes `docker0` from every other on the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from cli.engine import answers
from cli.images import import_busybox
from tests.support.waiting import until

IMAGE = "midwatch-test/busybox"
START_SECONDS = 60.0
TOOLS = ("dockerd", "ip")


class OwnEngine:
    """A private `dockerd` under a short folder; only processes that it started are ever signalled."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.image = f"{IMAGE}:1"
        self._bridge = f"mw{uuid.uuid4().hex[:10]}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "daemon.json").write_text(json.dumps(dict(configuration)))

    @property
    def client(self) -> docker.DockerClient:
        """A new client: a connection to an engine that went is of no use."""
        return docker.DockerClient(base_url=self.url, timeout=30)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        folder = self.folder
        if not _is_there(self._bridge):
            _run("ip", "link", "add", self._bridge, "type", "bridge")
        # Where nobody reaps what was killed, its number looks alive and the engine would wait for it in vain.
        for left in ("engine.pid", "exec/containerd/containerd.pid"):
            (folder / left).unlink(missing_ok=True)
        command = [
            "dockerd", "-H", self.url, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
            "--pidfile", f"{folder}/engine.pid", "--config-file", f"{folder}/daemon.json",
            "--exec-opt", "native.cgroupdriver=cgroupfs", f"--bridge={self._bridge}", "--iptables=false",
            "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--shutdown-timeout=3",
        ]  # fmt: skip
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PATH": _path()})
        until(lambda: answers(self.url), START_SECONDS, what=f"an engine, see {folder}/log")

    def stop(self) -> None:
        """Ends it as a service manager would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it: its containers run on without it."""
        self._end(signal.SIGKILL)

    def clean(self) -> None:
        """Removes every container and ends it; one that was killed is started again for that."""
        try:
            self._remove_containers()
        finally:
            self.stop()
            _run("ip", "link", "delete", self._bridge)

    def _remove_containers(self) -> None:
        if self._process is None:
            self.start()
        with contextlib.closing(self.client) as client:
            for container in client.containers.list(all=True, ignore_removed=True):
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)


@contextlib.contextmanager
def own_engine(*, disk_mib: int | None = None, tiny: bool = False, **configuration: Any) -> Iterator[OwnEngine]:
    """An engine with this `daemon.json`, while the context lasts.

    With `disk_mib` its data lies on a disk in memory of that size, with `tiny` it has the tiny image. Skipped without
    root, dockerd and ip, but not in `make test`.
    """
    _require_means()
    # An engine's sockets lie deep below its folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="mw-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if disk_mib is not None:
            (folder / "data").mkdir()
            _run("mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "midwatch-test", str(folder / "data"))
        try:
            engine = OwnEngine(folder, configuration)
            engine.start()
            try:
                if tiny:
                    with contextlib.closing(engine.client) as client:
                        import_busybox(client, IMAGE, "1")
                yield engine
            finally:
                engine.clean()
        finally:
            _unmount(folder)


def _unmount(folder: Path) -> None:
    """One that was killed left its folder mounted upon itself."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)


def _require_means() -> None:
    if os.geteuid() == 0 and all(shutil.which(tool, path=_path()) for tool in TOOLS):
        return
    reason = f"an engine of a test's own takes root and {' and '.join(TOOLS)}"
    if os.environ.get("MIDWATCH_TEST_REQUIRE"):
        pytest.fail(reason)
    pytest.skip(reason)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _path()})


def _is_there(device: str) -> bool:
    """Asked in this process's network namespace, which need not be that of the mounted `/sys`."""
    asked = ["ip", "link", "show", "dev", device]
    return subprocess.run(asked, check=False, capture_output=True, env={**os.environ, "PATH": _path()}).returncode == 0


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

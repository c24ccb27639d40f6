"""An engine of a test's own, without a network, that may be stopped, killed and started again under the agent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
import requests.exceptions

from cli.images import import_busybox
from tests.support.waiting import until

IMAGE = "midwatch-test/busybox"


class OwnEngine:
    """A private `dockerd` under a short folder; only processes that it started are ever signalled."""

    def __init__(self, folder: Path, *, live_restore: bool = False) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/docker.sock"
        self.image = f"{IMAGE}:1"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "daemon.json").write_text(json.dumps({"live-restore": live_restore}))

    @property
    def client(self) -> docker.DockerClient:
        """A new client: a connection to an engine that went is of no use."""
        return docker.DockerClient(base_url=self.url, timeout=30)

    def start(self) -> None:
        """Starts it and waits until it answers."""
        folder = self.folder
        # Where nobody reaps what was killed, its number looks alive and the engine would wait for it in vain.
        for left in ("engine.pid", "exec/containerd/containerd.pid"):
            (folder / left).unlink(missing_ok=True)
        command = [
            "dockerd", "-H", self.url, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
            "--pidfile", f"{folder}/engine.pid", "--config-file", f"{folder}/daemon.json",
            "--exec-opt", "native.cgroupdriver=cgroupfs", "--bridge=none", "--iptables=false", "--ip6tables=false",
            "--ip-forward=false", "--ip-masq=false", "--shutdown-timeout=3",
        ]  # fmt: skip
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self.answers, 60, what=f"an engine, see {folder}/log")

    def answers(self) -> bool:
        """True where it answers a ping."""
        try:
            with contextlib.closing(self.client) as client:
                return bool(client.ping())
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False

    def stop(self) -> None:
        """Ends it as a service manager would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it: its containers run on without it."""
        self._end(signal.SIGKILL)

    def clean(self) -> None:
        """Removes every container and ends it; one that was killed is started again for that."""
        if self._process is None:
            self.start()
        with contextlib.closing(self.client) as client:
            for container in client.containers.list(all=True, ignore_removed=True):
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)
        self.stop()
        # One that was killed left its folder mounted upon itself.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((one for one in mounts if one.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)


@contextlib.contextmanager
def own_engine(folder: Path, *, live_restore: bool = False) -> Iterator[OwnEngine]:
    """An engine of its own with the tiny image; skipped without root and dockerd, but not in `make test`."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        reason = "an engine that can be restarted takes root and dockerd"
        if os.environ.get("MIDWATCH_TEST_REQUIRE"):
            pytest.fail(reason)
        pytest.skip(reason)
    engine = OwnEngine(folder, live_restore=live_restore)
    engine.start()
    try:
        with contextlib.closing(engine.client) as client:
            import_busybox(client, IMAGE, "1")
        yield engine
    finally:
        engine.clean()

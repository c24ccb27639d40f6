"""Real engines that take remote write, each on a port of its own, with an empty store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import httpx
import pytest

from cli.processes import Process
from service.remote_api import RemoteApi
from tests.support.ports import free_port
from tests.support.waiting import until

ENGINES = ("prometheus", "victoria-metrics")


class Engine:
    """A real Prometheus or VictoriaMetrics; the test is skipped where it is not installed."""

    def __init__(self, name: str, folder: Path) -> None:
        binary = shutil.which(name)
        if binary is None and not os.environ.get("MIDWATCH_TEST_REQUIRE"):
            pytest.skip(f"no {name} on this machine")
        assert binary is not None, name
        self.name, self.folder, self.port = name, folder, free_port()
        self._process = Process(name, folder)
        self._command = [binary, *_options(name, folder, self.port)]
        self.start()

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the same store after `stop`."""
        self._process.start(self._command, {"PATH": "/usr/bin:/bin"})
        until(self._answers, what=f"{self.name} answers")

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def flush(self) -> None:
        """Make what was taken visible."""
        if self.name == "victoria-metrics":
            httpx.get(f"{self.url}/internal/force_flush", trust_env=False).raise_for_status()

    def load(self, rules: str) -> None:
        """Let a Prometheus evaluate these rules from now on."""
        (self.folder / "rules.yml").write_text(rules)
        (self.folder / "prometheus.yml").write_text("rule_files: [rules.yml]\n")
        httpx.post(f"{self.url}/-/reload", trust_env=False, timeout=30.0).raise_for_status()

    def api(self, client: httpx.Client) -> RemoteApi:
        """Its API."""
        return RemoteApi(client, self.url)

    def _answers(self) -> bool:
        try:
            path = "/-/ready" if self.name == "prometheus" else "/health"
            return httpx.get(f"{self.url}{path}", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def _options(name: str, folder: Path, port: int) -> list[str]:
    if name == "prometheus":
        config = folder / "prometheus.yml"
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text("global: {}\n")
        return [
            f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", "--web.enable-remote-write-receiver",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle",
        ]  # fmt: skip
    return [f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=1"]

"""The engine that tests use: one that answers, else a private one that ends with the session."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest

from cli.engine import candidates, find, start_private, stop_private

TEST_LABEL = "io.midwatch.test"
DEFAULT_DATA = Path("/var/lib/midwatch")


@dataclass(frozen=True)
class EngineUnderTest:
    """An engine that answers; what a test makes carries `labels`, and only that is removed at the end."""

    url: str
    client: docker.DockerClient
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def labels(self) -> dict[str, str]:
        """To be set on every container, network and volume that a test makes."""
        return {TEST_LABEL: self.run_id}

    def clean(self) -> None:
        """Remove what this run made."""
        chosen = {"label": f"{TEST_LABEL}={self.run_id}"}
        for container in self.client.containers.list(all=True, filters=chosen, ignore_removed=True):
            container.remove(force=True, v=True)
        for network in self.client.networks.list(filters=chosen):
            network.remove()
        for volume in self.client.volumes.list(filters=chosen):
            volume.remove(force=True)


@contextmanager
def engine_under_test(folder: Path) -> Iterator[EngineUnderTest]:
    """The first engine that answers, else a private one under the folder while the context lasts."""
    url = find(candidates(DEFAULT_DATA, os.environ))
    private = url is None
    if url is None:
        _require_means()
        url = start_private(folder)
    try:
        with closing(docker.DockerClient(base_url=url, timeout=60)) as client:
            engine = EngineUnderTest(url, client)
            yield engine
            engine.clean()
    finally:
        if private:
            stop_private(folder)


def _require_means() -> None:
    """Without an engine and the means to start one the tests are skipped, but not in `make test`."""
    if shutil.which("dockerd") and os.geteuid() == 0:
        return
    reason = "no container engine answers, and none can be started: it takes root and dockerd"
    if os.environ.get("MIDWATCH_TEST_REQUIRE"):
        pytest.fail(reason)
    pytest.skip(reason)

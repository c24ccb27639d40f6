"""Captured answers of an engine, and containers made up for tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.model import CONFIG_HASH_LABEL, PROJECT_LABEL, REPLICA_LABEL, SERVICE_LABEL, Container

FOLDER = Path(__file__).parents[1] / "fixtures" / "engine"

ANY = Container(
    id="0" * 64, name="lonely_darwin", image="busybox:1", image_id="sha256:1", labels={}, state="running", pid=7,
    created_ms=1, started_ms=2, finished_ms=None, exit_code=None, oom_killed=False, restart_count=0,
    restart_policy="no", max_retries=0, health="none", network_mode="default", address="172.17.0.2",
    memory_limit_bytes=None, cpu_limit_cores=None,
)  # fmt: skip
"""A running container that nobody labelled."""


def captured(name: str) -> dict[str, Any]:
    """One captured `inspect` answer."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def captured_pull(name: str) -> list[tuple[int, dict[str, Any]]]:
    """The lines of one captured pull with their milliseconds."""
    return [tuple(json.loads(line)) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def owned(project: str, service: str, replica: int = 1, hashed: str = "", **changes: Any) -> Container:
    """A container that Midwatch made."""
    labels = {
        PROJECT_LABEL: project, SERVICE_LABEL: service, REPLICA_LABEL: str(replica), CONFIG_HASH_LABEL: hashed,
    }  # fmt: skip
    name = f"{project}-{service}-{replica}"
    changed: Container = replace(ANY, **{"id": name, "name": name, "labels": labels, **changes})
    return changed

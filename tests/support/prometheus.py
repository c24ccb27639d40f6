"""A real Prometheus on a port of its own that scrapes every second, and rules that others wrote."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli.processes import Process
from tests.support.ports import free_port

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and not os.environ.get("MIDWATCH_TEST_REQUIRE"),
    reason="no prometheus on this machine",
)


class Prometheus:
    """A real one, on a port of its own, that scrapes every second by default; `{port}` in a target is its own."""

    def __init__(
        self,
        folder: Path,
        targets: dict[str, str],
        rules: tuple[Path, ...] = (),
        interval: str = "1s",
        flags: tuple[str, ...] = (),
        write_to: dict[str, Any] | None = None,
    ) -> None:
        self.port, self._process = free_port(), Process("prometheus", folder)
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [target.format(port=self.port)]}]}
            for name, target in targets.items()
        ]
        every = {"scrape_interval": interval, "evaluation_interval": "1s"}
        config = folder / "prometheus.yml"
        written: dict[str, Any] = {"global": every, "scrape_configs": jobs, "rule_files": [str(path) for path in rules]}
        if write_to is not None:
            written["remote_write"] = [write_to]
        config.write_text(yaml.safe_dump(written))
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        binary = shutil.which("prometheus")
        assert binary is not None
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", listen, *flags]
        self._process.start(command, {"PATH": "/usr/bin:/bin"})

    def get(self, path: str, **query: str) -> Any:
        """The data of an API answer, None while it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
            return httpx.get(url, params=query, trust_env=False, timeout=60.0).raise_for_status().json()["data"]
        except httpx.HTTPError:
            return None

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its alerts."""
        groups = (self.get("rules") or {}).get("groups", ())
        return [rule for group in groups for rule in group["rules"]]

    def firing(self, alert: str, label: str) -> set[str]:
        """The values of a label over the alerts of one rule that fire."""
        alerts = [one for rule in self.rules() if rule["name"] == alert for one in rule["alerts"]]
        return {one["labels"].get(label, "") for one in alerts if one["state"] == "firing"}

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def peer_file(name: str) -> Path:
    """A file of `../shared/peer`; the test is skipped where it is not there."""
    for folder in Path(__file__).resolve().parents:
        path = folder / "shared" / "peer" / name
        if path.exists():
            return path
    pytest.skip(f"no file ../shared/peer/{name} on this machine")


_TIME = re.compile(r"\b(\d+)([smhd])\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def hastened(rules: str, factor: int, longest: int) -> str:
    """Rules whose every time is shorter by a factor, at most `longest` seconds; thresholds in seconds too."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[1]) * _SECONDS[match[2]]
        return f"{min(longest, seconds // factor)}s"

    kept = [
        _TIME.sub(shorter, line) if line.strip().startswith(("expr:", "- expr:", "for:")) else line
        for line in rules.splitlines()
    ]
    return "\n".join(kept).replace("container_last_seen > 60", f"container_last_seen > {60 // factor}") + "\n"

"""What Prometheus's HTTP API tells of the server: targets, metadata, status."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from service import catalogue
from service.model import Metadata
from service.parts import Parts
from service.prometheus_api import tsdb_status
from service.prometheus_params import Form, invalid
from service.prometheus_rules import moment
from service.roster import Heard

FOLLOWED: Final = "3.5.0"
"""The version of Prometheus whose API and language are followed; tools decide by it what they may ask."""
MOST_NAMED: Final = 10_000


class About:
    """Answers by address."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._begun_ms = parts.clock()

    def all(self) -> Mapping[str, Callable[[Form], Any]]:
        """Every address with what it answers."""
        return {
            "targets": self.targets,
            "targets/metadata": lambda form: [],
            "scrape_pools": lambda form: {"scrapePools": ["midwatch-agent"]},
            "metadata": self.metadata,
            "alertmanagers": lambda form: {"activeAlertmanagers": [], "droppedAlertmanagers": []},
            "status/buildinfo": lambda form: self.build(),
            "status/config": lambda form: {"yaml": ""},
            "status/flags": lambda form: self.flags(),
            "status/runtimeinfo": lambda form: self.runtime(),
            "status/tsdb": self.tsdb,
        }

    def targets(self, form: Form) -> dict[str, Any]:
        """`/targets`: the agents that were heard within a day."""
        state = form.text("state").lower()
        now_ms = self._parts.clock()
        limits = self._parts.settings.thresholds()
        heard = catalogue.nodes(self._parts.store, now_ms) if state != "dropped" else []
        found = [_target(it, now_ms - it.last_seen_ms <= limits.silent_after_ms(it.interval_ms)) for it in heard]
        return {"activeTargets": found, "droppedTargets": [], "droppedTargetCounts": {}}

    def metadata(self, form: Form) -> dict[str, Any]:
        """`/metadata`: type, help and unit of metrics, as senders told them."""
        limit, metric = _limit(form), form.text("metric")
        known = {it.metric: it for it in (*self._parts.store.metadata(), *self._parts.wire.metadata.all())}
        chosen = [known[name] for name in sorted(known) if not metric or name == metric]
        return {it.metric: [_metadata(it)] for it in chosen[: limit or None]}

    def build(self) -> dict[str, str]:
        """`/status/buildinfo`."""
        return {
            "version": FOLLOWED,
            "revision": f"midwatch-{_version()}",
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": f"python{platform.python_version()}",
        }

    def flags(self) -> dict[str, str]:
        """`/status/flags`: those that have a meaning here."""
        settings = self._parts.settings
        return {
            "query.lookback-delta": f"{settings.query.lookback_seconds:g}s",
            "query.max-concurrency": str(settings.query.max_concurrent),
            "query.max-samples": str(settings.query.max_samples),
            "query.timeout": f"{settings.query.timeout_seconds:g}s",
            "storage.tsdb.retention.time": f"{settings.retention.raw_days}d",
            "web.listen-address": settings.listen,
        }

    def runtime(self) -> dict[str, Any]:
        """`/status/runtimeinfo`."""
        parts = self._parts
        return {
            "startTime": moment(self._begun_ms),
            "CWD": "",
            "hostname": platform.node(),
            "serverTime": moment(parts.clock()),
            "reloadConfigSuccess": not parts.rules.faults,
            "lastConfigTime": moment(parts.rules.loaded_ms or self._begun_ms),
            "corruptionCount": 0,
            "goroutineCount": threading.active_count(),
            "GOMAXPROCS": parts.settings.query.max_concurrent,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": f"{parts.settings.retention.raw_days}d",
        }

    def tsdb(self, form: Form) -> dict[str, Any]:
        """`/status/tsdb`."""
        limit = _limit(form, "limit") or 10
        return tsdb_status(self._parts.queries.listing, min(limit, MOST_NAMED), self._parts.clock())


def _version() -> str:
    try:
        return version("midwatch")
    except PackageNotFoundError:
        return "source"  # the folders as they stand, not installed


def _limit(form: Form, name: str = "limit") -> int:
    text = form.text(name)
    if text and not text.lstrip("-").isdecimal():
        raise invalid(name, "limit must be a number")
    return max(0, int(text[:18])) if text else 0


def _metadata(it: Metadata) -> dict[str, str]:
    return {"type": it.type, "help": it.help, "unit": it.unit}


def _target(it: Heard, up: bool) -> dict[str, Any]:
    labels = {"instance": it.node, "job": "midwatch-agent", "node_id": it.node_id}
    return {
        "discoveredLabels": labels,
        "labels": labels,
        "scrapePool": "midwatch-agent",
        "scrapeUrl": "",
        "globalUrl": "",
        "lastError": "" if up else "the agent is silent",
        "lastScrape": moment(it.last_seen_ms),
        "lastScrapeDuration": 0,
        "health": "up" if up else "down",
        "scrapeInterval": f"{it.interval_ms / 1000:g}s",
        "scrapeTimeout": f"{it.interval_ms / 1000:g}s",
    }

"""Counters that outlive the containers, by service: each exists from first sight, carries its start, never falls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, get_args

from agent import account as rows
from agent.account import Account, Key
from agent.model import Labels, Points
from runtime.model import PLATFORM, Build, Pull, PullOutcome, PullQuality, RegistryTiming, ServiceName

By = Literal["policy", "manual", "midwatch"]
ExitReason = Literal["ok", "error", "oom", "signal", "stopped"]
Cause = Literal["container", "ancestor", "host"]
Victim = Literal["main", "child", "unknown"]
Segment = Literal["queue", "pull", "create", "start", "ready", "total"]

PULLS = "midwatch_image_pulls_total"
PULL_SECONDS = "midwatch_image_pull_duration_seconds"
PULL_BYTES = "midwatch_image_pull_bytes_total"
PULL_LAYERS = "midwatch_image_pull_layers_total"
PULL_RETRIES = "midwatch_image_pull_retries_total"
PULL_THROUGHPUT = "midwatch_image_pull_throughput_bytes_per_second"
BUILD_SECONDS = "midwatch_image_build_seconds"
COLD_START = "midwatch_cold_start_seconds"
COLD_START_ERROR = "midwatch_cold_start_error_seconds"
REGISTRY = "midwatch_registry_request_duration_seconds"
UNATTRIBUTED = "midwatch_oom_kills_unattributed_total"
HOST_KILLS = "midwatch_oom_kills_host_total"

MAX_SERVICES = 2000
MAX_REPOSITORIES = 50
MAX_REGISTRIES = 100
UNKNOWN = "unknown"
"""The registry and repository of pulls that somebody made and nobody tells more of."""
LONGEST_STEP_MS = 60_000


class Ledger:
    """All accounts; safe to call from several threads.

    `max_services` bounds them: the undeclared one that was seen longest ago goes first. `max_repositories` bounds the
    image repositories of one service. A step of time longer than `longest_step_ms` was not watched and counts nothing.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        *,
        max_services: int = MAX_SERVICES,
        max_repositories: int = MAX_REPOSITORIES,
        longest_step_ms: int = LONGEST_STEP_MS,
    ) -> None:
        self._now_ms = now_ms
        self._max_services = max_services
        self._max_repositories = max_repositories
        self._longest_step_ms = longest_step_ms
        self._accounts: dict[ServiceName, Account] = {}
        self._dropped: dict[str, int] = {}
        self._lock = threading.RLock()
        self.revision = 0
        """Rises with every count but that of time: a checkpoint older than it would lose one."""

    def see(self, service: ServiceName, *, declared: bool | None = None) -> int:
        """Notes that a service is there; answers its first sight in milliseconds."""
        with self._lock:
            account = self._account(service)
            account.active = True
            if declared is not None:
                account.declared = declared
            return account.start_ms

    def restart(self, service: ServiceName, by: By, n: int = 1) -> None:
        """Counts restarts of a container."""
        self._add(service, (rows.RESTARTS, (("by", by),)), n)

    def exit(self, service: ServiceName, reason: ExitReason) -> None:
        """Counts the end of a container."""
        self._add(service, (rows.EXITS, (("reason", reason),)), 1)

    def oom(self, service: ServiceName, cause: Cause, victim: Victim, n: int = 1) -> None:
        """Counts processes that the kernel killed for memory."""
        self._add(service, (rows.OOM_KILLS, (("cause", cause), ("victim", victim))), n)

    def unnamed_oom(self, *, unattributed: int = 0, host: int = 0) -> None:
        """Counts kills that no container could be named for, and kills of processes in no container."""
        self._add(PLATFORM, (UNATTRIBUTED, ()), unattributed)
        self._add(PLATFORM, (HOST_KILLS, ()), host)

    def cold_start(self, service: ServiceName, segment: Segment, seconds: float | None) -> None:
        """Counts one start; None where it was never ready."""
        with self._lock:
            self.revision += 1
            self._account(service).observe((COLD_START, (("segment", segment),)), seconds, self._now_ms())

    def cold_start_error(self, service: ServiceName, seconds: float) -> None:
        """Publishes by how much the service's last time to ready may be too long: the pause between looks."""
        with self._lock:
            self._account(service).gauges[COLD_START_ERROR] = seconds

    def expect_cold_starts(self, service: ServiceName) -> None:
        """A service with a probe has its cold-start histogram with 0 before its first start is ready."""
        with self._lock:
            self._account(service).distribution((COLD_START, (("segment", "ready"),)), self._now_ms())

    def expect_builds(self, service: ServiceName) -> None:
        """A service whose image we build has its build histogram with 0 before the first build ends."""
        with self._lock:
            self._account(service).distribution((BUILD_SECONDS, ()), self._now_ms())

    def expect_pulls(self, service: ServiceName, registry: str, repository: str) -> bool:
        """Every outcome of a repository exists with 0; False where the bound of repositories is reached."""
        with self._lock:
            account, now = self._account(service), self._now_ms()
            at = (("registry", registry), ("repository", repository))
            if not self._has_room(account, PULL_BYTES, at):
                return False
            for outcome in get_args(PullOutcome):
                account.add((PULLS, (*at, ("outcome", outcome), ("quality", "exact"))), 0, now)
            for source in ("registry", "cache"):
                account.add((PULL_LAYERS, (*at, ("source", source))), 0, now)
            account.add((PULL_BYTES, at), 0, now)
            account.add((PULL_RETRIES, at), 0, now)
            return True

    def pull(self, pull: Pull, service: ServiceName) -> None:
        """Counts one pull that we issued; its durations where it fetched the image."""
        at = (("registry", pull.registry), ("repository", pull.repository))
        with self._lock:
            if not self.expect_pulls(service, pull.registry, pull.repository):
                return
            self.revision += 1
            account, now = self._account(service), self._now_ms()
            account.add((PULLS, (*at, ("outcome", pull.outcome), ("quality", "exact"))), 1, now)
            account.add((PULL_BYTES, at), pull.bytes, now)
            account.add((PULL_RETRIES, at), pull.retries, now)
            if pull.outcome in ("ok", "cached"):
                account.add((PULL_LAYERS, (*at, ("source", "cache"))), pull.layers_cached, now)
                account.add((PULL_LAYERS, (*at, ("source", "registry"))), len(pull.layers) - pull.layers_cached, now)
            if pull.outcome == "ok":
                self._observe_pull(account, at, pull_phases(pull), "exact")
                if pull.bytes_per_second is not None:
                    account.observe((PULL_THROUGHPUT, at), pull.bytes_per_second, now)

    def pull_by_others(self, registry: str, repository: str, outcome: PullOutcome, seconds: float | None) -> None:
        """Counts one pull that somebody else issued; `seconds` is None where the engine does not tell."""
        at = (("registry", registry), ("repository", repository))
        with self._lock:
            account, now = self._account(PLATFORM), self._now_ms()
            if not self._has_room(account, PULLS, (*at, ("outcome", "ok"), ("quality", "derived"))):
                return
            self.revision += 1
            for known in ("ok", "cached"):
                account.add((PULLS, (*at, ("outcome", known), ("quality", "derived"))), 0, now)
            account.add((PULLS, (*at, ("outcome", outcome), ("quality", "derived"))), 1, now)
            if outcome == "ok" and seconds is not None:
                self._observe_pull(account, at, {"total": seconds}, "derived")

    def _has_room(self, account: Account, name: str, labels: Labels) -> bool:
        """False where a repository is new and the bound of repositories is reached, which is counted."""
        if (name, labels) in account.counters or labels[0] == ("registry", UNKNOWN):
            return True
        present = {has[:2] for known, has in account.counters if known == name}
        if len(present) < self._max_repositories:
            return True
        self._dropped["image repositories"] = self._dropped.get("image repositories", 0) + 1
        return False

    def _has_room_for(self, registry: str, account: Account) -> bool:
        """False where a registry is new and their bound is reached, which is counted."""
        known = {dict(labels)["registry"] for name, labels in account.distributions if name == REGISTRY}
        if registry in known or len(known) < MAX_REGISTRIES:
            return True
        self._dropped["registries"] = self._dropped.get("registries", 0) + 1
        return False

    def _observe_pull(self, account: Account, at: Labels, phases: Mapping[str, float], quality: PullQuality) -> None:
        for phase, seconds in phases.items():
            account.observe((PULL_SECONDS, (*at, ("phase", phase), ("quality", quality))), seconds, self._now_ms())

    def build(self, service: ServiceName, build: Build) -> None:
        """Counts one build that we ran; a failed one in +Inf alone."""
        with self._lock:
            self.revision += 1
            seconds = build.seconds if build.ok else None
            self._account(service).observe((BUILD_SECONDS, ()), seconds, self._now_ms())

    def registry(self, timing: RegistryTiming) -> None:
        """Counts one manifest request by phase; a failed one in +Inf of `total` alone, a failed blob of `blob`."""
        with self._lock:
            self.revision += 1
            account, now = self._account(PLATFORM), self._now_ms()
            if not self._has_room_for(timing.registry, account):
                return
            phases: dict[str, float | None] = {"total": timing.total_seconds if timing.ok else None, **timing.phases}
            if timing.blob_message is not None:
                phases["blob"] = None
            for phase, seconds in phases.items():
                account.observe((REGISTRY, (("registry", timing.registry), ("phase", phase))), seconds, now)

    def advance(self, service: ServiceName, desired: int, healthy: int, dt_ms: int, *, instances: int) -> None:
        """Adds what `desired` and `healthy` containers, and `instances`, which have run, came to in `dt_ms`.

        The others count only where desired, so they are never more.
        """
        step = dt_ms if 0 < dt_ms <= self._longest_step_ms else 0
        with self._lock:
            account, now = self._account(service), self._now_ms()
            account.add((rows.DESIRED_SECONDS, ()), desired * step, now)
            account.add((rows.HEALTHY_SECONDS, ()), min(healthy, desired) * step, now)
            account.add((rows.INSTANCE_SECONDS, ()), min(instances, desired) * step, now)

    def scraped(self, service: ServiceName, seen_ms: int, unseen_ms: int) -> None:
        """Adds container-time of which scrapes of a container's own metrics tell, and of which none ever will."""
        with self._lock:
            account, now = self._account(service), self._now_ms()
            account.add((rows.SCRAPED_SECONDS, ()), seen_ms, now)
            account.add((rows.UNSCRAPED_SECONDS, ()), unseen_ms, now)
            self.revision += unseen_ms > 0

    def publish(self, service: ServiceName, desired: int, healthy: int) -> None:
        """Sets the gauges of a service to what they are at this moment."""
        with self._lock:
            account = self._account(service)
            gauges = account.gauges
            gauges[rows.DESIRED], gauges[rows.HEALTHY] = desired, healthy
            rate = account.restart_rate(self._now_ms()) if service != PLATFORM else None
            if rate is None:
                gauges.pop(rows.RESTART_RATE, None)
            else:
                gauges[rows.RESTART_RATE] = rate

    def unpublish(self, service: ServiceName) -> None:
        """Takes the gauges of a service back: nobody knows them now."""
        with self._lock:
            gauges = self._account(service).gauges
            for name in (rows.DESIRED, rows.HEALTHY, rows.RESTART_RATE):
                gauges.pop(name, None)

    def forget(self, service: ServiceName) -> None:
        """Stops publishing a service; its counters go on where they were when it is seen again."""
        with self._lock:
            account = self._accounts.get(service)
            if account is not None:
                account.active, account.declared = False, False
                account.gauges.clear()

    def value(self, service: ServiceName, name: str, **labels: str) -> int:
        """The sum of a service's counters of that name that have these labels; milliseconds for container-seconds."""
        with self._lock:
            account = self._accounts.get(service)
            wanted = set(labels.items())
            found = account.counters.items() if account else ()
            return sum(counter.value for (known, has), counter in found if known == name and wanted <= set(has))

    def points(self, now_ms: int, only: Collection[ServiceName] | None = None) -> list[Points]:
        """Every published account's samples of this moment, or those of some services alone."""
        with self._lock:
            wanted = self._accounts if only is None else only
            active = [one for name, one in self._accounts.items() if one.active and name in wanted]
            return [points for account in active for points in account.points(now_ms)]

    def dropped(self) -> Mapping[str, int]:
        """What was lost at a bound, by what it was."""
        with self._lock:
            return dict(self._dropped)

    def to_json(self) -> list[dict[str, Any]]:
        """All accounts for the checkpoint."""
        with self._lock:
            return [rows.to_json(account) for account in self._accounts.values()]

    def restore(self, accounts: list[dict[str, Any]], *, complete: bool) -> None:
        """Goes on from a checkpoint; raises KeyError, TypeError or ValueError where it is not one.

        One that is not `complete` may lack time that was published already: container-seconds begin anew.
        """
        restored = [rows.from_json(data) for data in accounts]
        for account in () if complete else restored:
            account.begin_time_anew(self._now_ms())
        with self._lock:
            self._accounts = {account.service: account for account in restored}

    def _add(self, service: ServiceName, key: Key, n: int) -> None:
        with self._lock:
            self.revision += 1
            self._account(service).add(key, n, self._now_ms())

    def _account(self, service: ServiceName) -> Account:
        now = self._now_ms()
        account = self._accounts.get(service)
        if account is None:
            self._make_room()
            account = self._accounts[service] = Account(service, now, now)
            for key in () if service == PLATFORM else rows.FROM_FIRST_SIGHT:
                account.add(key, 0, now)
        account.seen_ms = max(account.seen_ms, now)
        return account

    def _make_room(self) -> None:
        self.revision += 1
        while len(self._accounts) >= self._max_services:
            kept = [one for one in self._accounts.values() if one.service != PLATFORM]
            oldest = min(kept, key=lambda one: (one.declared, one.active, one.seen_ms), default=None)
            if oldest is None:
                return
            del self._accounts[oldest.service]
            self._dropped["services"] = self._dropped.get("services", 0) + 1


def pull_phases(pull: Pull) -> dict[str, float]:
    """Seconds of a pull by phase, and in `total`."""
    return {"total": pull.seconds, **{str(phase): seconds for phase, seconds in pull.phases.items()}}

"""The engine's JSON as our types: pure functions over what it answers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from runtime.identity import COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL
from runtime.model import Container, EngineEvent, RestartPolicy

Json = Mapping[str, Any]

CONTAINER_ACTIONS = (
    "create", "start", "die", "stop", "kill", "restart", "oom", "pause", "unpause",
    "destroy", "rename", "update", "health_status",
)  # fmt: skip
IMAGE_ACTIONS = ("pull", "tag", "untag", "delete", "import", "load")

DEFAULT_HEALTH_INTERVAL_SECONDS = 30.0
MAX_LABELS = 200
MAX_IMAGES = 5_000
MAX_LABEL_CHARS = 4096
_FIRST_PREFIXES = ("io.midwatch.", "midwatch.")
_FIRST_LABELS = (COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL)

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_STATES = {
    "created": "created", "running": "running", "paused": "paused", "restarting": "restarting",
    "removing": "removing", "exited": "exited", "dead": "dead",
    # Podman's own words, through its Docker API.
    "configured": "created", "initialized": "created", "stopped": "exited", "stopping": "running",
}  # fmt: skip


def time_ms(text: str | None) -> int | None:
    """An RFC 3339 time as milliseconds UTC; None for Go's zero time, an empty or a malformed text."""
    match = _TIME.fullmatch(text or "")
    if match is None or match[1].startswith("0001-"):
        return None
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        seconds = datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        # A thirteenth month, or a year that its zone moves out of the calendar.
        return None
    return int(seconds) * 1000 + int((match[2] or ".0")[1:4].ljust(3, "0"))


def container_of(inspect: Json) -> Container:
    """What `GET /containers/{id}/json` answers as our type; labels are bounded in number and length."""
    state, config, host = inspect["State"], inspect["Config"], inspect.get("HostConfig") or {}
    restart = host.get("RestartPolicy") or {}
    status = _STATES.get(state.get("Status", ""), "running" if state.get("Running") else "exited")
    ended = status in ("exited", "dead", "restarting")
    return Container(
        id=inspect["Id"],
        name=inspect.get("Name", "").lstrip("/"),
        image=config.get("Image") or "",
        image_id=inspect.get("Image", ""),
        labels=_labels(config.get("Labels") or {}),
        state=status,  # type: ignore[arg-type] # the values of _STATES are the words of the Literal
        pid=state.get("Pid") or None,
        created_ms=time_ms(inspect.get("Created")) or 0,
        started_ms=time_ms(state.get("StartedAt")),
        finished_ms=time_ms(state.get("FinishedAt")),
        exit_code=state.get("ExitCode") if ended else None,
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(inspect.get("RestartCount") or 0),
        restart_policy=_policy(restart.get("Name")),
        max_retries=int(restart.get("MaximumRetryCount") or 0),
        health=_health(state.get("Health") or {}),
        network_mode=host.get("NetworkMode") or "",
        address=_address(inspect.get("NetworkSettings") or {}),
        memory_limit_bytes=host.get("Memory") or None,
        cpu_limit_cores=_cores(host),
        # 0 is the engine's word for the default, which is 1024 (moby daemon/config, runc libcontainer).
        cpu_shares=int(host.get("CpuShares") or 1024),
        health_interval_seconds=_interval(config.get("Healthcheck") or {}),
    )


def event_of(line: Json) -> EngineEvent | None:
    """One line of `GET /events` as our type; None for a type or an action that nobody asked for."""
    kind, action = line.get("Type"), str(line.get("Action") or "")
    actions = {"container": CONTAINER_ACTIONS, "image": IMAGE_ACTIONS}.get(str(kind), ())
    if action.partition(":")[0] not in actions:
        return None
    actor = line.get("Actor") or {}
    attributes = _labels(actor.get("Attributes") or {})
    time_ns = int(line.get("timeNano") or int(line.get("time") or 0) * 10**9)
    return EngineEvent(time_ns, str(actor.get("ID") or ""), action, kind, attributes)  # type: ignore[arg-type]


def references_of(images: Iterable[Json]) -> dict[str, tuple[str, ...]]:
    """What `GET /images/json` answers as references by image id, of those that a registry knows; bounded in number.

    A repository is named by its tag where it has one here, else by its digest.
    """
    found: dict[str, tuple[str, ...]] = {}
    for image in itertools.islice(images, MAX_IMAGES):
        tags = {str(tag).rpartition(":")[0]: str(tag) for tag in image.get("RepoTags") or ()}
        digests = [str(digest) for digest in image.get("RepoDigests") or () if not str(digest).startswith("<none>")]
        named = dict.fromkeys(tags.get(digest.partition("@")[0], digest) for digest in digests)
        if named:
            found[str(image.get("Id") or "")] = tuple(named)
    return found


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        first = [key for key in labels if key.startswith(_FIRST_PREFIXES) or key in _FIRST_LABELS]
        rest = [key for key in labels if key not in set(first)]
        labels = {key: labels[key] for key in (first + rest)[:MAX_LABELS]}
    return {key: str(value)[:MAX_LABEL_CHARS] for key, value in labels.items()}


def _policy(name: str | None) -> RestartPolicy:
    return name if name in get_args(RestartPolicy) else "no"  # type: ignore[return-value]


def _health(health: Json) -> Any:
    status = health.get("Status")
    return status if status in ("starting", "healthy", "unhealthy") else "none"


def _interval(check: Json) -> float:
    return (check.get("Interval") or 0) / 1e9 or DEFAULT_HEALTH_INTERVAL_SECONDS


def _address(settings: Json) -> str | None:
    networks = settings.get("Networks") or {}
    found = [settings.get("IPAddress")] + [network.get("IPAddress") for network in networks.values() if network]
    return next((address for address in found if address), None)


def _cores(host: Json) -> float | None:
    if host.get("NanoCpus"):
        return float(host["NanoCpus"]) / 1e9
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 100_000
    return quota / period if quota > 0 else None

"""What other rooms see of containers, pulls, probes and Compose projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PROJECT_LABEL = "io.midwatch.project"
SERVICE_LABEL = "io.midwatch.service"
CONFIG_HASH_LABEL = "io.midwatch.config-hash"
REPLICA_LABEL = "io.midwatch.replica"
AGENT_LABEL = "io.midwatch.agent"
AGENT_FOLDER_LABEL = "io.midwatch.agent-folder"

RestartPolicy = Literal["no", "always", "on-failure", "unless-stopped"]


class ServiceName(NamedTuple):
    """A service as `namespace/name`; the namespace is empty outside of a project."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """The label value: `shop/api`, or `api` without a namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


PLATFORM = ServiceName("", "platform")


@dataclass(frozen=True)
class Container:
    """One container as the engine inspects it; times are milliseconds UTC, None where the engine has none."""

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]
    pid: int | None
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    exit_code: int | None
    oom_killed: bool
    restart_count: int
    restart_policy: RestartPolicy
    max_retries: int
    health: Literal["none", "starting", "healthy", "unhealthy"]
    network_mode: str
    address: str | None
    memory_limit_bytes: int | None
    cpu_limit_cores: float | None
    cpu_shares: int | None = None
    """As asked for; the kernel's own number on cgroup v2 can't be turned back into it."""
    health_interval_seconds: float = 30.0
    """Time between two of the engine's own health checks."""

    @property
    def owned(self) -> bool:
        """True where Midwatch made it: only these are ever changed or removed."""
        return PROJECT_LABEL in self.labels


class EngineEvent(NamedTuple):
    """One container or image event of the engine's stream, de-duplicated by its first three fields."""

    time_ns: int
    id: str
    action: str
    kind: Literal["container", "image"]
    attributes: Mapping[str, str]


PullOutcome = Literal[
    "ok", "cached", "not_found", "unauthorized", "rate_limited", "unreachable", "dns", "tls", "timeout",
    "corrupt", "disk_full", "no_platform", "bad_reference", "cancelled", "error",
]  # fmt: skip
PullPhase = Literal["resolve", "wait", "download", "verify", "extract"]
PullQuality = Literal["exact", "derived"]
"""How a pull is known: from its own stream, or from what the engine says of pulls that others made."""


@dataclass(frozen=True)
class LayerTiming:
    """One layer of a pull; seconds, None where the phase was not seen."""

    id: str
    wait_seconds: float | None
    download_seconds: float | None
    verify_seconds: float | None
    queue_seconds: float | None
    extract_seconds: float | None
    bytes: int
    cached: bool


@dataclass(frozen=True)
class Pull:
    """One finished pull that we issued; `seconds` is from the request to its end."""

    reference: str
    registry: str
    repository: str
    outcome: PullOutcome
    at_ms: int
    seconds: float
    bytes: int
    layers: tuple[LayerTiming, ...]
    digest: str | None
    message: str | None
    retries: int = 0
    phases: Mapping[PullPhase, float] = field(default_factory=dict)
    """Seconds by phase, of those that were seen; of a pull that was seen to its end they add up to `seconds`."""

    @property
    def layers_cached(self) -> int:
        """Layers that the engine had already."""
        return sum(layer.cached for layer in self.layers)

    @property
    def bytes_per_second(self) -> float | None:
        """Fetched bytes over the time in which any layer was downloaded; None where nothing was, or in no time."""
        seconds = self.phases.get("download", 0.0)
        return self.bytes / seconds if self.bytes > 0 and seconds > 0 else None

    @property
    def networked(self) -> bool:
        """True where the pull reached for the network, so that it counts in the SLI."""
        return self.outcome not in ("cached", "cancelled", "bad_reference")


@dataclass(frozen=True)
class Build:
    """One finished image build that we ran."""

    reference: str
    at_ms: int
    seconds: float
    ok: bool
    message: str | None


@dataclass(frozen=True)
class HttpProbe:
    """Ready where `GET path` answers 200 to 399."""

    port: int
    path: str = "/"


@dataclass(frozen=True)
class TcpProbe:
    """Ready where the port accepts a connection."""

    port: int


@dataclass(frozen=True)
class ExecProbe:
    """Ready where the command ends with 0 inside the container."""

    command: tuple[str, ...]


Probe = HttpProbe | TcpProbe | ExecProbe


@dataclass(frozen=True)
class HealthCheck:
    """The engine's own health check of a service; durations in seconds."""

    test: tuple[str, ...]
    interval_seconds: float | None = None
    timeout_seconds: float | None = None
    retries: int | None = None
    start_period_seconds: float | None = None


@dataclass(frozen=True)
class Port:
    """One published port."""

    target: int
    published: int | None = None
    host_ip: str = ""
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True)
class Mount:
    """One bind mount or named volume."""

    kind: Literal["bind", "volume", "tmpfs"]
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class BuildSpec:
    """How an image is built: absolute context folder, Dockerfile inside it, arguments."""

    context: str
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None


@dataclass(frozen=True)
class ServiceSpec:
    """One service of a Compose file, every default filled in."""

    name: str
    image: str
    build: BuildSpec | None
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    environment: Mapping[str, str]
    ports: tuple[Port, ...]
    mounts: tuple[Mount, ...]
    networks: tuple[str, ...]
    replicas: int
    memory_limit_bytes: int | None
    cpu_limit_cores: float | None
    healthcheck: HealthCheck | None
    restart: RestartPolicy
    max_retries: int
    depends_on: Mapping[str, Literal["service_started", "service_healthy", "service_completed_successfully"]]
    labels: Mapping[str, str]
    stop_grace_seconds: float
    user: str | None
    read_only: bool
    cap_drop: tuple[str, ...]
    working_dir: str | None = None
    pull_policy: Literal["missing", "always", "never"] = "missing"


@dataclass(frozen=True)
class Project:
    """A Compose file as desired state; `source` is its absolute path."""

    name: str
    source: str
    services: tuple[ServiceSpec, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]


class KnownBlob(NamedTuple):
    """The small blob of an image as its manifest of this digest names it; None where it names none."""

    manifest: str
    blob: str | None


class RateLimit(NamedTuple):
    """What a registry says of how much it allows: requests in a window; None where it does not say."""

    limit: int | None
    remaining: int | None
    window_seconds: int | None


class RegistryTiming(NamedTuple):
    """One manifest request to a registry and, where it worked, the fetch of a small blob.

    `total_seconds` is the manifest's; `phases` holds seconds of those that were reached, `blob` only where it worked.
    """

    registry: str
    at_ms: int
    ok: bool
    total_seconds: float
    phases: Mapping[str, float]
    message: str | None
    outcome: PullOutcome = "ok"
    """The class of the failure, of the manifest or else of the blob, in the words that pulls have for theirs."""
    blob_message: str | None = None
    """Why the blob could not be fetched; None where it was, or there is none to fetch."""
    known: KnownBlob | None = None
    rate_limit: RateLimit | None = None
    retry_after_seconds: float | None = None
    """How long the registry asks not to be asked again."""

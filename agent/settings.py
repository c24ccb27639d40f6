"""The `agent:` part of midwatch.yaml; every key has a default, so none is needed."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.tls import TlsFiles

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)
_MIB = 1 << 20
_PORT = re.compile(r"[0-9]{1,5}")
DEFAULT_SERVER = "http://127.0.0.1:8640"


def host_and_port(address: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPv6]:PORT` taken apart; raises ValueError with the remedy."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"{address!r} is no address to listen on; write HOST:PORT, such as 127.0.0.1:9640")
    return host.strip("[]"), int(port)


class LogSettings(BaseModel):
    """How containers' logs are followed; what is beyond a bound is dropped and counted."""

    model_config = _STRICT

    follow: bool = Field(True, description="Follow the containers' logs.")
    containers: int = Field(200, ge=1, le=5000, description="Most containers whose logs are followed at once.")
    lines_per_second: float = Field(200.0, gt=0, le=100_000, description="Lines a second taken of one container.")
    burst_lines: int = Field(1_000, ge=1, le=1_000_000, description="Lines of one container taken at once.")
    bytes_per_second: float = Field(
        256 * 1024.0, ge=1024, le=1 << 30, description="Bytes of lines a second taken of one container."
    )


class SpoolSettings(BaseModel):
    """What waits on disk until the service has it."""

    model_config = _STRICT

    max_bytes: int = Field(
        256 * _MIB, ge=_MIB, description="Bytes on disk; beyond it log lines go first, events last, each counted."
    )
    max_age_seconds: float = Field(
        172_800.0, ge=60, description="Samples, log lines and traces that waited longer are dropped and counted."
    )
    max_event_age_seconds: float = Field(
        604_800.0, ge=60, description="Events that waited longer are dropped and counted; never before the rest."
    )


class ScrapeSettings(BaseModel):
    """How the containers' own Prometheus metrics are read, where their labels ask for it."""

    model_config = _STRICT

    enabled: bool = Field(True, description="Scrape containers whose labels ask for it.")
    samples: int = Field(2_000, ge=1, le=100_000, description="Most samples taken of one container at once.")
    series: int = Field(10_000, ge=1, le=1_000_000, description="Most distinct series taken of one container in a day.")
    round_samples: int = Field(100_000, ge=1, le=10_000_000, description="Most samples taken of all in one round.")
    timeout_seconds: float = Field(3.0, gt=0, le=60, description="Longest time of one scrape.")


class LayerSettings(BaseModel):
    """How the size of what containers write into their own layers is found out."""

    model_config = _STRICT

    measure: bool = Field(True, description="Measure the writable layers.")
    interval_seconds: float = Field(300.0, ge=10, le=86_400, description="Time between two looks at all layers.")
    container_seconds: float = Field(0.5, gt=0, le=60, description="Longest look at one; beyond it has no size.")
    round_seconds: float = Field(3.0, gt=0, le=600, description="Longest look at all; the rest comes next time.")


COMPOSE_LABELS = (
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.compose.project.working_dir",
)


class LabelSettings(BaseModel):
    """Which labels of containers become labels of series."""

    model_config = _STRICT

    names: tuple[str, ...] = Field(
        COMPOSE_LABELS, strict=False, max_length=20, description="Container labels that container_info carries."
    )
    everywhere: bool = Field(
        False, description="Put them on all container_* of /metrics too, as cAdvisor does and its dashboards ask."
    )


class RegistrySettings(BaseModel):
    """How the registries are looked at that the images of this node come from."""

    model_config = _STRICT

    interval_seconds: float = Field(15.0, ge=1, le=3600, description="Time between two looks at a registry.")
    references: tuple[str, ...] = Field((), strict=False, description="Further images whose registries are looked at.")
    most: int = Field(20, ge=1, le=200, description="Most registries looked at; those that are needed here first.")


class ReadinessSettings(BaseModel):
    """How it is found out when a container with the label midwatch.readiness is ready."""

    model_config = _STRICT

    poll_seconds: float = Field(0.025, ge=0.005, le=5, description="Time between two looks at a container that starts.")
    deadline_seconds: float = Field(120.0, gt=0, le=3600, description="Not ready by then counts as never ready.")
    workers: int = Field(32, ge=1, le=256, description="Most starting containers that are looked at at once.")


class TlsSettings(BaseModel):
    """How the service is spoken to over https."""

    model_config = _STRICT

    ca: str | None = Field(None, description="Certificates that are trusted, PEM; the machine's own by default.")
    certificate: str | None = Field(None, description="What the agent shows of itself (mutual TLS), PEM.")
    key: str | None = Field(None, description="The private key of that certificate, PEM.")

    @model_validator(mode="after")
    def _whole(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: set both or none")
        return self

    def files(self) -> TlsFiles:
        """The files as they are used."""
        return TlsFiles(self.ca, self.certificate, self.key)


Bound = Annotated[int, Field(ge=1, le=1_000_000)]


class Settings(BaseModel):
    """What the agent can be told."""

    model_config = _STRICT

    interval_seconds: float = Field(5.0, ge=1, le=60, description="Time between two collection rounds.")
    node: str | None = Field(None, min_length=1, max_length=200, description="This node's name; the host's by default.")
    engine: str | None = Field(None, description="URL of the container engine; found by itself by default.")
    engine_metrics: str | None = Field(
        None, pattern="^http://", description="URL of the engine's own metrics; its daemon.json tells by default."
    )
    listen: str = Field("127.0.0.1:9640", description="Address of the agent's /metrics.")
    listen_token: str | None = Field(
        None, min_length=16, description="Bearer token of /metrics; needed to listen beyond this machine."
    )
    server: str | None = Field(
        None, pattern="^https?://", description="URL of the Midwatch service; this machine's by default."
    )
    token: str | None = Field(None, min_length=1, description="Bearer token that the service asks for.")
    max_services: Bound = Field(2_000, description="Most services with counters; unseen ones go first.")
    max_containers: Bound = Field(5_000, description="Most containers that are watched.")
    removed_after_seconds: float = Field(
        3600.0, ge=1, description="A service that no project declares is dropped this long after its last container."
    )
    resync_seconds: float = Field(300.0, ge=5, description="Time between two inspections of all containers.")
    logs: LogSettings = LogSettings()  # type: ignore[call-arg]
    spool: SpoolSettings = SpoolSettings()  # type: ignore[call-arg]
    layers: LayerSettings = LayerSettings()  # type: ignore[call-arg]
    labels: LabelSettings = LabelSettings()  # type: ignore[call-arg]
    scrape: ScrapeSettings = ScrapeSettings()  # type: ignore[call-arg]
    registries: RegistrySettings = RegistrySettings()  # type: ignore[call-arg]
    tls: TlsSettings = TlsSettings()  # type: ignore[call-arg]
    readiness: ReadinessSettings = ReadinessSettings()  # type: ignore[call-arg]

    @field_validator("listen")
    @classmethod
    def _is_address(cls, listen: str) -> str:
        host_and_port(listen)
        return listen

"""What a container of a service is made of: the Engine API's body, its names, labels and configuration hash. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from runtime.model import (
    CONFIG_HASH_LABEL,
    PROJECT_LABEL,
    REPLICA_LABEL,
    SERVICE_LABEL,
    HealthCheck,
    Mount,
    Port,
    ServiceSpec,
)

HASH_CHARS = 16


class Creation(NamedTuple):
    """A container to be made: its name, the engine's body, and (network, aliases) to join beside the first."""

    name: str
    body: Mapping[str, Any]
    further_networks: tuple[tuple[str, tuple[str, ...]], ...]


def network_name(project: str, network: str) -> str:
    """The engine's name of a project's network."""
    return f"{project}_{network}"


def volume_name(project: str, volume: str) -> str:
    """The engine's name of a project's volume."""
    return f"{project}_{volume}"


def container_name(project: str, service: str, replica: int) -> str:
    """The engine's name of a replica's container; replicas count from 1."""
    return f"{project}-{service}-{replica}"


def owner_labels(project: str) -> dict[str, str]:
    """The label of what belongs to a project as a whole: its networks and volumes."""
    return {PROJECT_LABEL: project}


def config_hash(project: str, spec: ServiceSpec) -> str:
    """A hash over all that shapes a container, the same on every run: a change of it is a change of the container.

    What is empty leaves no trace, so that a later field of ours does not replace every container there is.
    """
    body = creation(project, spec, 1).body
    text = json.dumps(_without_empty(body), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARS]


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items() if key not in (REPLICA_LABEL,)}
        return {key: item for key, item in kept.items() if item not in (None, "", {}, [], False, 0)}
    return [_without_empty(item) for item in value] if isinstance(value, list | tuple) else value


def creation(
    project: str,
    spec: ServiceSpec,
    replica: int,
    hashed: str | None = None,
    owner: Mapping[str, str] = MappingProxyType({}),
) -> Creation:
    """The container of one replica; `hashed` becomes its configuration label, `owner` says by labels who made it."""
    first, *further = spec.networks or ("default",)
    aliases = (spec.name,)
    labels = {**spec.labels, **owner, PROJECT_LABEL: project, SERVICE_LABEL: spec.name, REPLICA_LABEL: str(replica)}
    if hashed is not None:
        labels[CONFIG_HASH_LABEL] = hashed
    body: dict[str, Any] = {
        "Image": spec.image,
        "Cmd": _listed(spec.command),
        "Entrypoint": _listed(spec.entrypoint),
        "Env": [f"{name}={value}" for name, value in sorted(spec.environment.items())],
        "ExposedPorts": {_port_key(port): {} for port in spec.ports},
        "User": spec.user or "",
        "WorkingDir": spec.working_dir or "",
        "Labels": labels,
        "Healthcheck": _healthcheck(spec.healthcheck),
        "StopTimeout": math.ceil(spec.stop_grace_seconds),
        "HostConfig": _host_config(project, spec, network_name(project, first)),
        "NetworkingConfig": {"EndpointsConfig": {network_name(project, first): {"Aliases": list(aliases)}}},
    }
    others = tuple((network_name(project, network), aliases) for network in further)
    return Creation(container_name(project, spec.name, replica), body, others)


def _listed(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _host_config(project: str, spec: ServiceSpec, network: str) -> dict[str, Any]:
    return {
        "NetworkMode": network,
        "Memory": spec.memory_limit_bytes or 0,
        "NanoCpus": round((spec.cpu_limit_cores or 0) * 1e9),
        "RestartPolicy": {"Name": spec.restart, "MaximumRetryCount": spec.max_retries},
        "PortBindings": _bindings(spec.ports),
        "Mounts": [_mount(project, mount) for mount in spec.mounts],
        "ReadonlyRootfs": spec.read_only,
        "CapDrop": list(spec.cap_drop),
    }


def _port_key(port: Port) -> str:
    return f"{port.target}/{port.protocol}"


def _bindings(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        published = "" if port.published is None else str(port.published)
        found.setdefault(_port_key(port), []).append({"HostIp": port.host_ip, "HostPort": published})
    return found


def _mount(project: str, mount: Mount) -> dict[str, Any]:
    named = mount.kind == "volume" and mount.source
    source = volume_name(project, mount.source) if named else mount.source
    return {"Type": mount.kind, "Source": source, "Target": mount.target, "ReadOnly": mount.read_only}


def _healthcheck(check: HealthCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "Test": list(check.test),
        "Interval": _nanoseconds(check.interval_seconds),
        "Timeout": _nanoseconds(check.timeout_seconds),
        "Retries": check.retries or 0,
        "StartPeriod": _nanoseconds(check.start_period_seconds),
    }


def _nanoseconds(seconds: float | None) -> int:
    return round((seconds or 0) * 1e9)

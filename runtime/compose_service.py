"""One service of a Compose file, from its mapping to a ServiceSpec."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Sequence_
from pathlib import Path
from typing import Literal, TypeVar

from runtime import compose_names as names
from runtime import compose_values as values
from runtime.compose_interpolate import env_file
from runtime.compose_reader import Reader, join
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.compose_yaml import Node, Scalar, Sequence
from runtime.model import BuildSpec, HealthCheck, Mount, Port, ServiceSpec
from runtime.probe import probe_of
from runtime.regular import mode_of, read_regular

HONOURED = (
    "image", "build", "command", "entrypoint", "environment", "env_file", "ports", "volumes", "networks", "deploy",
    "mem_limit", "cpus", "healthcheck", "restart", "depends_on", "labels", "stop_grace_period", "user", "read_only",
    "cap_drop", "working_dir", "pull_policy", "scale",
)  # fmt: skip
REFUSED = (
    "annotations", "attach", "blkio_config", "cap_add", "cgroup", "cgroup_parent", "configs", "container_name",
    "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_shares", "cpuset", "credential_spec", "develop",
    "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "expose", "extends",
    "external_links", "extra_hosts", "gpus", "group_add", "hostname", "init", "ipc", "isolation", "label_file",
    "links", "logging", "mac_address", "mem_reservation", "mem_swappiness", "memswap_limit", "network_mode",
    "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "post_start", "pre_stop", "privileged",
    "profiles", "runtime", "secrets", "security_opt", "shm_size", "stdin_open", "stop_signal", "storage_opt",
    "sysctls", "tmpfs", "tty", "ulimits", "userns_mode", "uts", "volumes_from",
)  # fmt: skip
RESERVED_LABELS = "io.midwatch."
DEFAULT_STOP_GRACE_SECONDS = 10.0
MAX_REPLICAS = 1000
MAX_ENV_FILE_BYTES = 1024 * 1024

T = TypeVar("T")
Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
_CONDITIONS: dict[str, Condition] = {
    "service_started": "service_started",
    "service_healthy": "service_healthy",
    "service_completed_successfully": "service_completed_successfully",
}
_POLICIES: dict[str, Literal["missing", "always", "never"]] = {
    "missing": "missing", "if_not_present": "missing", "always": "always", "never": "never",
}  # fmt: skip


def service(reader: Reader, name: str, node: Node, project: str) -> ServiceSpec:
    """The service with every default filled in; what is at fault is noted in the reader."""
    key = f"services.{name[:60]}"
    section = reader.section(node, key, HONOURED, REFUSED)
    get = section.entries.get
    build = _build(reader, get("build"), f"{key}.build")
    image = _image(reader, section, key)
    restart, retries = reader.value(get("restart"), f"{key}.restart", values.restart) or ("no", 0)
    return ServiceSpec(
        name=name,
        image=image or f"{project}-{name}",
        build=build,
        command=reader.words(get("command"), f"{key}.command", values.words),
        entrypoint=reader.words(get("entrypoint"), f"{key}.entrypoint", values.words),
        environment=_environment(reader, section, key),
        ports=_ports(reader, get("ports"), f"{key}.ports"),
        mounts=_mounts(reader, get("volumes"), f"{key}.volumes"),
        networks=_networks(reader, get("networks"), f"{key}.networks"),
        replicas=_replicas(reader, section, key),
        memory_limit_bytes=_limit(reader, section, key, "mem_limit", "memory", values.memory_bytes),
        cpu_limit_cores=_limit(reader, section, key, "cpus", "cpus", values.cores),
        healthcheck=_healthcheck(reader, get("healthcheck"), f"{key}.healthcheck"),
        restart=restart,
        max_retries=retries,
        depends_on=_depends_on(reader, get("depends_on"), f"{key}.depends_on"),
        labels=_labels(reader, get("labels"), f"{key}.labels"),
        stop_grace_seconds=_grace(reader, get("stop_grace_period"), f"{key}.stop_grace_period"),
        user=reader.value(get("user"), f"{key}.user", lambda text: names.user(text) if text else ""),
        read_only=reader.value(get("read_only"), f"{key}.read_only", values.boolean) or False,
        cap_drop=_capabilities(reader, get("cap_drop"), f"{key}.cap_drop"),
        working_dir=reader.value(get("working_dir"), f"{key}.working_dir", names.absolute),
        pull_policy=reader.value(get("pull_policy"), f"{key}.pull_policy", _pull_policy) or "missing",
    )


def _image(reader: Reader, section: YamlMapping, key: str) -> str | None:
    node = section.entries.get("image")
    if reader.text(node, f"{key}.image"):
        return reader.value(node, f"{key}.image", names.image)
    if "build" not in section.entries:
        empty = "image" in section.entries
        what = "is empty; name an image" if empty else "has neither image nor build; name one of them"
        reader.fault(section.lines.get("image", section.line), f"{key}.image" if empty else key, what)
    return None


def _capabilities(reader: Reader, node: Node | None, key: str) -> tuple[str, ...]:
    found = (reader.value(item, path, names.capability) for item, path in reader.items(node, key))
    return tuple(name for name in found if name is not None)


def _build(reader: Reader, node: Node | None, key: str) -> BuildSpec | None:
    if node is None:
        return None
    if isinstance(node, Scalar):
        node = YamlMapping({"context": node}, node.line, {"context": node.line})
    section = reader.section(node, key, ("context", "dockerfile", "args", "target"))
    get = section.entries.get
    context = Path(os.path.realpath(reader.folder / (reader.text(get("context"), f"{key}.context") or ".")))
    dockerfile = reader.text(get("dockerfile"), f"{key}.dockerfile") or "Dockerfile"
    if not stat.S_ISDIR(mode_of(context)):
        reader.fault(node.line, key, f"context {context} is no folder; correct the path")
    elif not stat.S_ISREG(mode_of(context / dockerfile)):
        reader.fault(node.line, key, f"there is no {dockerfile} in {context}; name the file with dockerfile")
    args = _from_environ(reader, reader.pairs(get("args"), f"{key}.args"))
    return BuildSpec(str(context), dockerfile, args, reader.text(get("target"), f"{key}.target"))


def _from_environ(reader: Reader, pairs: Mapping[str, str | None]) -> dict[str, str]:
    # A name without a value takes that of the environment, and is left out where that has none.
    held = {name: reader.environ.get(name) if value is None else value for name, value in pairs.items()}
    return {name: value for name, value in held.items() if value is not None}


def _environment(reader: Reader, section: YamlMapping, key: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, line in _env_files(reader, section.entries.get("env_file"), f"{key}.env_file"):
        found |= _from_environ(reader, _read_env_file(reader, path, line, f"{key}.env_file"))
    pairs = reader.pairs(section.entries.get("environment"), f"{key}.environment")
    for name in pairs:
        try:
            names.variable(name)
        except ValueError as error:
            node = section.entries["environment"]
            line = node.lines[name] if isinstance(node, YamlMapping) else section.lines["environment"]
            reader.fault(line, join(f"{key}.environment", name[:60]), str(error))
    return found | _from_environ(reader, pairs)


def _env_files(reader: Reader, node: Node | None, key: str) -> list[tuple[Path, int]]:
    nodes = reader.items(node, key) if isinstance(node, Sequence) else ((node, key),)
    found = []
    for item, path in nodes:
        required: bool | None = True
        if isinstance(item, YamlMapping):
            entries = reader.section(item, path, ("path", "required")).entries
            required = reader.value(entries.get("required"), f"{path}.required", values.boolean)
            name = reader.text(entries.get("path"), f"{path}.path")
        else:
            name = reader.text(item, path)
        if name and item is not None and (required is not False or mode_of(reader.folder / name)):
            found.append((reader.folder / name, item.line))
    return found


def _read_env_file(reader: Reader, path: Path, line: int, key: str) -> dict[str, str | None]:
    try:
        return env_file(read_regular(path, MAX_ENV_FILE_BYTES).decode(), reader.environ)
    except UnicodeDecodeError as error:
        reader.fault(line, key, f"{path}: not UTF-8 at byte {error.start}; save it as plain UTF-8 text")
    except OSError as error:
        reader.fault(line, key, f"{path} can't be read: {error.strerror}; correct the path or its permissions")
    except ValueError as error:
        reader.fault(line, key, f"{path}: {error}")
    return {}


def _ports(reader: Reader, node: Node | None, key: str) -> tuple[Port, ...]:
    found: tuple[Port, ...] = ()
    for item, path in reader.items(node, key):
        if isinstance(item, YamlMapping):
            found += _long_port(reader, item, path)
        else:
            found += reader.value(item, path, values.ports) or ()
    return found


def _long_port(reader: Reader, node: YamlMapping, key: str) -> tuple[Port, ...]:
    section = reader.section(node, key, ("target", "published", "host_ip", "protocol", "mode", "name", "app_protocol"))
    texts = {name: reader.text(value, join(key, name)) for name, value in section.entries.items()}
    if not texts.get("target"):
        reader.fault(node.line, key, "target is missing; name the container's port")
        return ()
    host_ip = texts.get("host_ip") or ""
    address = f"[{host_ip}]" if ":" in host_ip else host_ip
    host = f"{address}:{texts.get('published') or ''}:" if address else f"{texts.get('published') or ''}:"
    short = f"{host}{texts['target']}/{texts.get('protocol') or 'tcp'}"
    return reader.value(Scalar(short.removeprefix(":").replace("$", "$$"), node.line), key, values.ports) or ()


def _mounts(reader: Reader, node: Node | None, key: str) -> tuple[Mount, ...]:
    found = []
    for item, path in reader.items(node, key):
        if isinstance(item, YamlMapping):
            mount = _long_mount(reader, item, path)
        else:
            mount = reader.value(item, path, lambda text: values.mount(text, reader.folder))
        if mount is not None and mount.kind == "bind" and not mode_of(Path(mount.source)):
            reader.fault(item.line, path, f"{mount.source} does not exist; make it, or correct the path")
        elif mount is not None:
            found.append(mount)
    _refuse_twice(reader, node, key, [mount.target for mount in found])
    return tuple(found)


def _refuse_twice(reader: Reader, node: Node | None, key: str, targets: Sequence_[str]) -> None:
    for target in sorted({one for one in targets if targets.count(one) > 1}):
        reader.fault(node.line if node else 1, key, f"two volumes are mounted at {target[:60]}; remove one")


def _long_mount(reader: Reader, node: YamlMapping, key: str) -> Mount | None:
    section = reader.section(node, key, ("type", "source", "target", "read_only"))
    get = section.entries.get
    kind = reader.text(get("type"), f"{key}.type") or "volume"
    source, target = reader.text(get("source"), f"{key}.source"), reader.text(get("target"), f"{key}.target")
    read_only = reader.value(get("read_only"), f"{key}.read_only", values.boolean) or False
    if kind not in ("bind", "volume", "tmpfs"):
        reader.fault(node.line, key, f"type {kind[:20]!r} is not honoured; write bind, volume or tmpfs")
        return None
    if kind == "bind" and not source:
        reader.fault(node.line, key, "source is missing; name the host's path")
        return None
    try:
        return values.mount_of(kind, source or "", target or "", read_only, reader.folder)  # type: ignore[arg-type]
    except ValueError as error:
        reader.fault(node.line, key, str(error))
        return None


def _networks(reader: Reader, node: Node | None, key: str) -> tuple[str, ...]:
    if node is None:
        return ("default",)
    if isinstance(node, Sequence):
        return tuple(dict.fromkeys(reader.texts(node, key)))
    for name, value in reader.mapping(node, key).entries.items():
        reader.section(value, join(key, name), (), ("aliases", "ipv4_address", "ipv6_address", "priority"))
    return tuple(reader.mapping(node, key).entries) or ("default",)


def _replicas(reader: Reader, section: YamlMapping, key: str) -> int:
    deploy = reader.section(section.entries.get("deploy"), f"{key}.deploy", ("replicas", "resources"), _DEPLOY_REFUSED)
    _check_resources(reader, deploy, f"{key}.deploy.resources")
    node, scale = deploy.entries.get("replicas"), section.entries.get("scale")
    replicas = reader.value(node, f"{key}.deploy.replicas", _count)
    scaled = reader.value(scale, f"{key}.scale", _count)
    if replicas is not None and scaled is not None and replicas != scaled:
        reader.fault(section.lines["scale"], f"{key}.scale", f"deploy.replicas says {replicas}; remove one of the two")
    chosen = replicas if replicas is not None else scaled
    return 1 if chosen is None else chosen


_DEPLOY_REFUSED = ("endpoint_mode", "labels", "mode", "placement", "restart_policy", "rollback_config", "update_config")


def _count(text: str) -> int:
    return values.whole(text, 0, MAX_REPLICAS)


def _limit(
    reader: Reader, section: YamlMapping, key: str, short: str, limit: str, parse: Callable[[str], T | None]
) -> T | None:
    deploy = reader.mapping(section.entries.get("deploy"), f"{key}.deploy")
    resources = _resources(reader, deploy, f"{key}.deploy.resources")
    long = reader.value(resources.get(limit), f"{key}.deploy.resources.limits.{limit}", parse)
    plain = reader.value(section.entries.get(short), f"{key}.{short}", parse)
    if long is not None and plain is not None and long != plain:
        reader.fault(section.lines[short], f"{key}.{short}", f"deploy.resources.limits.{limit} differs; remove one")
    return long if long is not None else plain


def _resources(reader: Reader, deploy: YamlMapping, key: str) -> Mapping[str, Node]:
    entries = deploy.entries.get("resources")
    limits = reader.mapping(entries, key).entries.get("limits")
    return reader.mapping(limits, f"{key}.limits").entries


def _check_resources(reader: Reader, deploy: YamlMapping, key: str) -> None:
    section = reader.section(deploy.entries.get("resources"), key, ("limits",), ("reservations",))
    reader.section(section.entries.get("limits"), f"{key}.limits", ("cpus", "memory"), ("pids",))


def _healthcheck(reader: Reader, node: Node | None, key: str) -> HealthCheck | None:
    if node is None:
        return None
    honoured = ("test", "interval", "timeout", "retries", "start_period", "disable")
    get = reader.section(node, key, honoured, ("start_interval",)).entries.get
    if reader.value(get("disable"), f"{key}.disable", values.boolean):
        return HealthCheck(("NONE",))
    duration = values.interval_seconds
    return HealthCheck(
        test=_test(reader, get("test"), f"{key}.test"),
        interval_seconds=reader.value(get("interval"), f"{key}.interval", duration),
        timeout_seconds=reader.value(get("timeout"), f"{key}.timeout", duration),
        retries=reader.value(get("retries"), f"{key}.retries", values.whole),
        start_period_seconds=reader.value(get("start_period"), f"{key}.start_period", duration),
    )


def _test(reader: Reader, node: Node | None, key: str) -> tuple[str, ...]:
    words = reader.words(node, key, lambda text: ("CMD-SHELL", text)) or ()
    if words and words[0] not in ("NONE", "CMD", "CMD-SHELL") and node is not None:
        reader.fault(node.line, key, "the list begins with none of NONE, CMD, CMD-SHELL; begin it with one")
    return words


def _depends_on(reader: Reader, node: Node | None, key: str) -> dict[str, Condition]:
    if isinstance(node, Sequence):
        return dict.fromkeys(reader.texts(node, key), "service_started")
    found: dict[str, Condition] = {}
    for name, value in reader.mapping(node, key).entries.items():
        path = join(key, name)
        entries = reader.section(value, path, ("condition",), ("required", "restart")).entries
        condition = reader.value(entries.get("condition"), f"{path}.condition", _condition)
        found[name] = condition or "service_started"
    return found


def _condition(text: str) -> Condition:
    if text not in _CONDITIONS:
        raise ValueError(f"{text[:40]!r} is no condition; write one of {', '.join(_CONDITIONS)}")
    return _CONDITIONS[text]


def _pull_policy(text: str) -> Literal["missing", "always", "never"]:
    if text not in _POLICIES:
        raise ValueError(f"{text[:40]!r} is not honoured; write one of {', '.join(_POLICIES)}")
    return _POLICIES[text]


def _labels(reader: Reader, node: Node | None, key: str) -> dict[str, str]:
    found = {name: value or "" for name, value in reader.pairs(node, key).items()}
    line = node.line if node is not None else 1
    for name in found:
        if name.startswith(RESERVED_LABELS):
            reader.fault(line, join(key, name), f"labels that begin with {RESERVED_LABELS} are Midwatch's; rename it")
    try:
        probe_of(found)
    except ValueError as error:
        reader.fault(line, key, str(error))
    return found


def _grace(reader: Reader, node: Node | None, key: str) -> float:
    seconds = reader.value(node, key, values.duration_seconds)
    return DEFAULT_STOP_GRACE_SECONDS if seconds is None else seconds

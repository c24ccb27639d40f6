"""Compose files: the common subset of the Compose Specification as desired state, or every fault at once.

What is not honoured is an error, never ignored: a limit that nobody applies is worse than a file that is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from runtime.compose_interpolate import env_file
from runtime.compose_reader import Fault, Reader
from runtime.compose_service import service
from runtime.compose_yaml import MAX_BYTES, Scalar, YamlFault, parse
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.errors import ComposeFault
from runtime.model import Project, ServiceSpec
from runtime.regular import read_regular

logger = logging.getLogger(__name__)

MAX_SERVICES = 200
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")
_TOP = ("version", "name", "services", "networks", "volumes")
_TOP_REFUSED = ("configs", "include", "models", "secrets")


def load(path: str | Path, environ: Mapping[str, str]) -> Project:
    """A Compose file as a project; variables come from `environ`, then from `.env` beside the file.

    Raises ComposeFault with one line for each fault: `file:line: key: what; remedy`.
    """
    place = Path(path).absolute()
    try:
        return read(_text(place), place, _variables(place.parent, environ))
    except YamlFault as fault:
        raise ComposeFault((f"{path}:{fault.line}: {fault}",)) from fault
    except _Faults as faults:
        raise ComposeFault(tuple(_line(path, fault) for fault in faults.found)) from None


class _Faults(Exception):
    def __init__(self, found: Iterable[Fault]) -> None:
        super().__init__()
        self.found = sorted(found)


def _line(path: str | Path, fault: Fault) -> str:
    return (
        f"{path}:{fault.line}: {fault.key}: {fault.message}" if fault.key else f"{path}:{fault.line}: {fault.message}"
    )


def _text(place: Path) -> str:
    try:
        return read_regular(place, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlFault(1, f"not UTF-8 at byte {error.start}; save it as plain UTF-8 text") from error
    except OSError as error:
        raise YamlFault(1, f"can't be read: {error.strerror}; correct the path or its permissions") from error


def _variables(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    try:
        found = env_file(read_regular(folder / ".env", MAX_BYTES).decode(), environ)
    except FileNotFoundError:
        return dict(environ)
    except UnicodeDecodeError as error:
        raise YamlFault(1, f"{folder / '.env'} beside it is not UTF-8 at byte {error.start}; save it so") from error
    except OSError as error:
        what = f"{folder / '.env'} beside it can't be read: {error.strerror}; make it a file that can, or remove it"
        raise YamlFault(1, what) from error
    except ValueError as error:
        raise YamlFault(1, f"{folder / '.env'} beside it can't be used: {error}") from error
    return {**{name: value for name, value in found.items() if value is not None}, **environ}


def read(text: str, place: Path, environ: Mapping[str, str]) -> Project:
    """A Compose file's text as a project; `place` is its absolute path. Raises YamlFault or a gathering of faults."""
    broken: list[YamlFault] = []
    root = parse(text, broken)
    reader = Reader(place.parent, environ)
    for fault in broken:
        reader.fault(fault.line, "", str(fault))
    if isinstance(root, Scalar) and root.null:
        raise YamlFault(1, "the file is empty; name at least one service under services")
    top = reader.section(root, "", _TOP, _TOP_REFUSED)
    name = _project_name(reader, top, place)
    reader.environ = {**environ, "COMPOSE_PROJECT_NAME": name}
    services = _services(reader, top, name)
    networks = _declared(reader, top, "networks", "bridge")
    volumes = _declared(reader, top, "volumes", "local")
    _cross_check(reader, top, services, networks, volumes)
    if reader.faults:
        raise _Faults(reader.faults)
    for missing in sorted(reader.missing):
        logger.warning("%s: variable %s is not set and becomes empty", place, missing)
    used = {network for spec in services for network in spec.networks}
    return Project(name, str(place), services, tuple(sorted(used | set(networks))), tuple(volumes))


def normalised(name: str) -> str:
    """A project's name as Compose makes it: lower-case letters, digits, `-` and `_`, the first a letter or a digit."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")[:63]


def _project_name(reader: Reader, top: YamlMapping, place: Path) -> str:
    node = top.entries.get("name")
    given = reader.text(node, "name")
    name = normalised(given if given is not None else place.parent.name)
    if name:
        return name
    line, source = (
        (node.line, f"name {given!r}") if given is not None and node else (1, f"folder {place.parent.name!r}")
    )
    reader.fault(line, "name", f"{source} holds no letter or digit; write name: with one that does")
    return "unnamed"


def _services(reader: Reader, top: YamlMapping, project: str) -> tuple[ServiceSpec, ...]:
    mapping = reader.mapping(top.entries.get("services"), "services")
    if not mapping.entries:
        reader.fault(mapping.line, "services", "there is no service; name at least one")
    if len(mapping.entries) > MAX_SERVICES:
        reader.fault(mapping.line, "services", f"more than {MAX_SERVICES} services; split the file")
        return ()
    found = []
    for name, node in mapping.entries.items():
        if not _NAME.fullmatch(name):
            what = f"{name[:60]!r} is no service's name; use at most 63 letters, digits, . _ -, a letter or digit first"
            reader.fault(mapping.lines[name], f"services.{name[:60]}", what)
        found.append(service(reader, name, node, project))
    return tuple(found)


def _declared(reader: Reader, top: YamlMapping, key: str, driver: str) -> tuple[str, ...]:
    mapping = reader.mapping(top.entries.get(key), key)
    for name, node in mapping.entries.items():
        path = f"{key}.{name[:60]}"
        if not _NAME.fullmatch(name):
            reader.fault(mapping.lines[name], path, "is no name; use letters, digits, . _ -")
        refused = ("attachable", "driver_opts", "enable_ipv6", "external", "internal", "ipam", "labels", "name")
        section = reader.section(node, path, ("driver",), refused)
        chosen = reader.text(section.entries.get("driver"), f"{path}.driver")
        if chosen not in (None, driver):
            reader.fault(section.lines["driver"], f"{path}.driver", f"{chosen!r} is not honoured; write {driver}")
    return tuple(mapping.entries)


def _cross_check(
    reader: Reader, top: YamlMapping, services: tuple[ServiceSpec, ...], networks: Iterable[str], volumes: Iterable[str]
) -> None:
    names = reader.mapping(top.entries.get("services"), "services").entries
    for spec in services:
        line, key = names[spec.name].line, f"services.{spec.name}"
        for needed in spec.depends_on:
            if needed not in names:
                reader.fault(line, f"{key}.depends_on", f"there is no service {needed[:60]!r}; name one of this file")
        for network in spec.networks:
            if network != "default" and network not in networks:
                reader.fault(
                    line, f"{key}.networks", f"network {network[:60]!r} is not declared; add it under networks"
                )
        for mount in spec.mounts:
            if mount.kind == "volume" and mount.source and mount.source not in volumes:
                what = f"volume {mount.source[:60]!r} is not declared; add it under volumes, or begin a path with ./"
                reader.fault(line, f"{key}.volumes", what)
    lines = {name: node.line for name, node in names.items()}
    _check_ports(reader, services, lines)
    _check_cycle(reader, services, lines)


def _check_ports(reader: Reader, services: tuple[ServiceSpec, ...], lines: Mapping[str, int]) -> None:
    owners: dict[tuple[int, str, str], str] = {}
    for spec in services:
        key = f"services.{spec.name}.ports"
        for port in spec.ports:
            if port.published is None:
                continue
            if spec.replicas > 1:
                what = f"{spec.replicas} replicas can't share port {port.published}; leave the host's port out"
                reader.fault(lines[spec.name], key, what)
                break
            owner = owners.setdefault((port.published, port.protocol, port.host_ip), key)
            if owner != key:
                what = f"port {port.published} is taken by {owner}; choose another"
                reader.fault(lines[spec.name], key, what)


def _check_cycle(reader: Reader, services: tuple[ServiceSpec, ...], lines: Mapping[str, int]) -> None:
    left = {spec.name: set(spec.depends_on) & {other.name for other in services} for spec in services}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    if left:
        first = min(left, key=lambda name: lines[name])
        what = f"{', '.join(sorted(left))} depend on each other in a circle; break it"
        reader.fault(lines[first], f"services.{first}.depends_on", what)

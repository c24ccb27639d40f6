"""Texts of Compose files as values: durations, sizes, ports, mounts, commands. Each raises ValueError with a remedy."""

from __future__ import annotations

import math
import os
import re
import shlex
from pathlib import Path
from typing import Literal

from runtime.compose_names import host_ip
from runtime.model import Mount, Port, RestartPolicy

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d|w)")
_UNIT_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?", re.IGNORECASE)
_SHIFT = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
MAX_PORTS_OF_A_RANGE = 1000
MAX_DURATION_SECONDS = 365 * 86400.0
MAX_SIZE_BYTES = float(2**60)
MAX_CORES = 65536.0


def boolean(text: str) -> bool:
    """`true` or `false`, and YAML 1.1's other words for them, as Compose takes them."""
    word = text.strip().lower()
    if word in ("true", "yes", "on", "y"):
        return True
    if word in ("false", "no", "off", "n"):
        return False
    raise ValueError(f"{text[:40]!r} is neither true nor false; write one of them")


def whole(text: str, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole number within bounds."""
    if not re.fullmatch(r"[+-]?\d{1,12}", text.strip()):
        raise ValueError(f"{text[:40]!r} is no whole number; write one such as {least + 1}")
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"{number} is out of range; write a number from {least} to {most}")
    return number


def duration_seconds(text: str) -> float:
    """A duration such as `90s` or `1m30s`, in seconds."""
    parts = _DURATION_PART.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError(f"{text[:40]!r} is no duration; write one such as 30s, 500ms or 1m30s")
    seconds = math.fsum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError(f"{text[:40]!r} is longer than a year; write at most 365d")
    return seconds


def interval_seconds(text: str) -> float:
    """A duration of a health check: 0 takes the image's, and the engine takes none below a millisecond."""
    seconds = duration_seconds(text)
    if 0 < seconds < 0.001:
        raise ValueError(f"{text[:40]!r} is below the engine's minimum; write at least 1ms")
    return seconds


def size_bytes(text: str) -> int:
    """A size such as `512m`, `1gb` or plain bytes; units are powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is no size; write one such as 64m, 1.5g or 1073741824")
    size = float(match[1]) * 2 ** _SHIFT[match[2].lower()]
    if size > MAX_SIZE_BYTES:
        raise ValueError(f"{text[:40]!r} is more than any machine has; write one such as 64m or 1.5g")
    return int(size)


def memory_bytes(text: str) -> int | None:
    """A memory limit; 0 is none, and the engine takes none below 6 MiB."""
    size = size_bytes(text)
    if 0 < size < 6 * 1024 * 1024:
        raise ValueError(f"{text[:40]!r} is below the engine's minimum; write at least 6m")
    return size or None


def cores(text: str) -> float | None:
    """A limit of CPU cores such as `0.5`; 0 is none."""
    if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", text.strip()):
        raise ValueError(f"{text[:40]!r} is no number of cores; write one such as 0.5")
    if float(text) > MAX_CORES:
        raise ValueError(f"{text[:40]!r} is more than any machine has; write one such as 0.5")
    return float(text) or None


def words(text: str) -> tuple[str, ...]:
    """A command's text split as a shell splits it; no shell runs it."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"the command can't be split: {str(error).lower()}; close the quote, or use a list") from error


def restart(text: str) -> tuple[RestartPolicy, int]:
    """A restart policy, and its number of retries (0: no limit)."""
    match = re.fullmatch(r"(no|false|always|unless-stopped|on-failure)(?::(\d{1,6}))?", text.strip())
    if match is None or (match[2] is not None and match[1] != "on-failure"):
        raise ValueError(
            f"{text[:40]!r} is no restart policy; write no, always, unless-stopped, on-failure or on-failure:3"
        )
    name = "no" if match[1] == "false" else match[1]
    return name, int(match[2] or 0)  # type: ignore[return-value] # the pattern's words are the Literal's


def ports(text: str) -> tuple[Port, ...]:
    """The short form `[[IP:][HOST]:]CONTAINER[/PROTOCOL]`, where both sides may be ranges of the same length."""
    body, slash, protocol = text.strip().partition("/")
    if slash and protocol not in ("tcp", "udp"):
        raise ValueError(f"protocol {protocol[:20]!r} is not known; write tcp or udp")
    kind: Literal["tcp", "udp"] = "udp" if protocol == "udp" else "tcp"
    match = re.fullmatch(r"(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?([\d-]*):)?([\d-]+)", body)
    if match is None:
        raise ValueError(f"{text[:60]!r} is no port; write it as 80, 8080:80 or 127.0.0.1:8080:80")
    targets, address = port_range(match[3]), host_ip((match[1] or "").strip("[]"))
    published: tuple[int | None, ...] = port_range(match[2]) if match[2] else (None,) * len(targets)
    if len(published) != len(targets):
        counts = f"{len(published)} of the host for {len(targets)} of the container"
        raise ValueError(f"{text[:60]!r} has {counts}; make the ranges equally long")
    return tuple(Port(target, host, address, kind) for target, host in zip(targets, published, strict=True))


def port_range(text: str) -> tuple[int, ...]:
    """A port, or a range `8000-8003`, as its ports."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if not 1 <= first <= last <= 65535 or last - first >= MAX_PORTS_OF_A_RANGE:
        raise ValueError(f"{text[:40]!r} is no port or range of ports; ports go from 1 to 65535")
    return tuple(range(first, last + 1))


def mount(text: str, folder: Path) -> Mount:
    """The short form `[SOURCE:]TARGET[:ro|rw]`; a relative source starts at the project's folder."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"{text[:60]!r} is no volume; write SOURCE:TARGET or SOURCE:TARGET:ro")
    if len(parts) == 3 and parts[2] not in ("ro", "rw"):
        raise ValueError(f"mode {parts[2][:20]!r} is not honoured; write ro or rw")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    read_only = len(parts) == 3 and parts[2] == "ro"
    return mount_of("bind" if is_path(source) else "volume", source, target, read_only, folder)


def is_path(source: str) -> bool:
    """True where a mount's source is a path, not the name of a volume."""
    return source.startswith(("/", ".", "~"))


def mount_of(
    kind: Literal["bind", "volume", "tmpfs"], source: str, target: str, read_only: bool, folder: Path
) -> Mount:
    """A mount with its source made absolute."""
    if not target.startswith("/"):
        raise ValueError(f"target {target[:60]!r} is not absolute; begin it with /")
    if not target.strip("/."):
        raise ValueError(f"target {target[:60]!r} is the container's whole root; name a folder in it")
    if kind != "bind":
        return Mount(kind, source, target, read_only)
    try:
        place = Path(source).expanduser() if source.startswith("~") else folder / source
        return Mount("bind", os.path.realpath(place), target, read_only)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"source {source[:60]!r} leads nowhere; correct the path") from error

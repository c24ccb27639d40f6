"""Names in Compose files as the engine takes them: images, users and more. Each raises ValueError with a remedy."""

from __future__ import annotations

import difflib
import ipaddress
import re

MAX_NAME_CHARS = 255
MAX_UID = 2**31 - 1
IMAGE_FORM = "write it as nginx, nginx:1.27 or registry.example:5000/team/app:1.2"
CAPABILITIES = (
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
    "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
    "SYSLOG", "WAKE_ALARM",
)  # fmt: skip
"""capabilities(7), as of Linux 5.9: the last that was added."""

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::(\d{{1,5}}))?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_ID = re.compile(r"\d+", re.ASCII)


def image(text: str) -> str:
    """An image reference as the engine parses it: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`."""
    name, pinned, digest = text.partition("@")
    head, slash, rest = name.partition("/")
    named = bool(slash) and ("." in head or ":" in head or head == "localhost" or head != head.lower())
    path, tagged, tag = (rest if named else name).partition(":")
    shown = repr(text[:80])
    if named:
        _check_domain(head, shown)
    if path != path.lower() and _PATH.fullmatch(path.lower()):
        raise ValueError(f"{shown} is no image, its repository has capital letters; write {path.lower()[:80]}")
    if not _PATH.fullmatch(path) or len(path) + len(head) * named > MAX_NAME_CHARS:
        raise ValueError(f"{shown} is no image; {IMAGE_FORM}")
    if tagged and not _TAG.fullmatch(tag):
        raise ValueError(f"{shown} is no image, {tag[:40]!r} can't be a tag; use letters, digits, _ . -")
    if pinned and not _DIGEST.fullmatch(digest):
        raise ValueError(f"{shown} is no image, {digest[:40]!r} is no digest; write sha256: and 64 hexadecimal digits")
    return text


def _check_domain(domain: str, shown: str) -> None:
    found = _DOMAIN.fullmatch(domain)
    if found is None or (found[1] and not 1 <= int(found[1]) <= 65535):
        raise ValueError(f"{shown} is no image, {domain[:40]!r} is no registry's address; {IMAGE_FORM}")


def user(text: str) -> str:
    """`USER[:GROUP]`, each a name or a number."""
    parts = text.split(":")
    if len(parts) > 2 or not all(re.fullmatch(r"[^\s:/]+", part) for part in parts):
        raise ValueError(f"{text[:40]!r} is no user; write USER or USER:GROUP, such as 1000:1000")
    for part in parts:
        if _ID.fullmatch(part) and (len(part) > 10 or int(part) > MAX_UID):
            raise ValueError(f"{part[:20]} is no user's number; write one from 0 to {MAX_UID}")
    return text


def capability(text: str) -> str:
    """A capability's name with or without CAP_, in any case, or ALL."""
    name = text.strip().upper().removeprefix("CAP_")
    if name == "ALL" or name in CAPABILITIES:
        return text.strip()
    near = difflib.get_close_matches(name[:40], (*CAPABILITIES, "ALL"), n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else "write one of capabilities(7), such as NET_RAW, or ALL"
    raise ValueError(f"{text[:40]!r} is no capability; {remedy}")


def variable(name: str) -> str:
    """The name of an environment variable."""
    if not name:
        raise ValueError("a variable has no name; write NAME=value")
    if "=" in name:
        raise ValueError(f"{name[:40]!r} holds =, which no variable's name can; write the name alone")
    return name


def absolute(text: str) -> str:
    """A folder inside the container."""
    if not text.startswith("/"):
        raise ValueError(f"{text[:60]!r} is not absolute; begin it with /")
    return text


def host_ip(text: str) -> str:
    """An address of the host that a port is published on, empty for all of them."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no address; write one such as 127.0.0.1, or leave it out") from error

"""Finding a container engine on this machine, and saying plainly why there is none."""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from runtime.errors import EngineUnavailable

SYSTEM_SOCKET = "/var/run/docker.sock"
PRIVATE_SOCKET = "/var/lib/midwatch/engine/docker.sock"
"""Where `midwatch up` keeps the engine that it started itself."""

ANSWER_SECONDS = 3.0

Fault = Literal["absent", "forbidden", "silent"]


class Finding(NamedTuple):
    """What was found at one address: `fault` is None where an engine answers."""

    url: str
    fault: Fault | None
    detail: str = ""


def find_engine(
    environ: Mapping[str, str], private_socket: str = PRIVATE_SOCKET, system_socket: str = SYSTEM_SOCKET
) -> str:
    """The URL of the engine to use: `DOCKER_HOST`, else the system's socket, else Midwatch's own engine.

    Raises EngineUnavailable with one line that says which of the three it is and what to do: no engine, no
    permission on its socket, or a daemon that does not answer.
    """
    named = environ.get("DOCKER_HOST", "").strip()
    urls = [named] if named else [f"unix://{system_socket}", f"unix://{private_socket}"]
    findings = []
    for url in urls:
        finding = look(url)
        if finding.fault is None:
            return url
        findings.append(finding)
    raise EngineUnavailable(explain(findings, named=bool(named)))


def look(url: str, answer_seconds: float = ANSWER_SECONDS) -> Finding:
    """What is at an address; asks the engine's `/_ping` where it is a Unix socket."""
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        return _look_unix(url, rest, answer_seconds)
    if scheme in ("tcp", "http", "https"):
        return _look_tcp(url, rest, answer_seconds)
    return Finding(url, "absent", "only unix:// and tcp:// addresses are understood")


def _look_unix(url: str, path: str, answer_seconds: float) -> Finding:
    try:
        answered = _ping(path, answer_seconds)
    except PermissionError:
        return Finding(url, "forbidden", _who_may(path))
    except (FileNotFoundError, NotADirectoryError):
        return Finding(url, "absent", "there is no such socket")
    except ConnectionRefusedError:
        return Finding(url, "silent", "nothing listens on the socket any more")
    except TimeoutError:
        return Finding(url, "silent", f"it took the connection but said nothing for {answer_seconds:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Finding(url, "silent", str(error) or type(error).__name__)
    return Finding(url, None) if answered == 200 else Finding(url, "silent", f"/_ping was answered with {answered}")


def _ping(path: str, answer_seconds: float) -> int:
    connection = http.client.HTTPConnection("localhost")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(answer_seconds)
        sock.connect(path)
        connection.sock = sock
        connection.request("GET", "/_ping")
        with connection.getresponse() as response:
            return response.status


def _look_tcp(url: str, rest: str, answer_seconds: float) -> Finding:
    host, _, port = rest.partition("/")[0].rpartition(":")
    if not host or not port.isdigit():
        return Finding(url, "absent", "the address needs a host and a port, as in tcp://127.0.0.1:2375")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=answer_seconds):
            return Finding(url, None)
    except OSError as error:
        return Finding(url, "silent", error.strerror or str(error))


def _who_may(path: str) -> str:
    for place in (Path(path), *Path(path).parents):
        try:
            found = place.stat()
        except OSError:
            continue
        group, owner = _group(found.st_gid), _user(found.st_uid)
        kind = "socket" if stat.S_ISSOCK(found.st_mode) else "folder"
        return f"the {kind} {place} belongs to user {owner}, group {group}, and you are {_user(os.geteuid())}"
    return f"you are {_user(os.geteuid())}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def explain(findings: Iterable[Finding], named: bool) -> str:
    """One line for the worst that was found: a socket that may not be opened, then a silent one, then none at all."""
    found = list(findings)
    order: tuple[Fault, ...] = ("forbidden", "silent", "absent")
    worst = next(finding for fault in order for finding in found if finding.fault == fault)
    where = f"{worst.url} (from DOCKER_HOST)" if named else worst.url
    match worst.fault:
        case "forbidden":
            return (
                f"no permission to use the container engine at {where}: {worst.detail}; run as root, or join the "
                "socket's group (usermod -aG GROUP USER) and log in again"
            )
        case "silent":
            return (
                f"the container engine at {where} does not answer: {worst.detail}; see its log "
                "(journalctl -u docker) and start it again (systemctl restart docker)"
            )
    if named:
        return f"no container engine at {where}: {worst.detail}; correct DOCKER_HOST, or unset it"
    places = " or ".join(finding.url.removeprefix("unix://") for finding in found)
    return (
        f"no container engine: no socket at {places}; run `midwatch up`, which installs and starts one, "
        "or point DOCKER_HOST at yours"
    )

"""How a command on this machine speaks to the agent: over its socket in the data folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

ANSWER_SECONDS = 10.0
"""Time for an answer that needs no work; bringing a project up may take its own time."""


class AgentUnreachable(Exception):
    """No agent answers at the socket; the message is one line with the remedy."""


class AgentRefused(Exception):
    """The agent said no: the message is its full text, one line for each fault."""


def run(socket: Path, compose: Path, wait_seconds: float | None = None, *, replace: bool = False) -> Mapping[str, Any]:
    """Hands a Compose file to the agent; with `wait_seconds`, answers once its services stand, or after that time.

    The answer has `project`, `services`, `settled` and `failures` (a list of lines). A project that is kept from
    another file is refused, unless this one is to `replace` it.
    """
    body = {"path": str(compose.absolute()), "wait_seconds": wait_seconds, "replace": replace}
    return _ask(socket, "POST", "/projects", body, ANSWER_SECONDS + (wait_seconds or 0.0))


def stop(socket: Path, project: str, wait_seconds: float = 60.0) -> Mapping[str, Any]:
    """Ends a project: its containers are removed. The answer has `project`, `removed` and `failures`."""
    return _ask(socket, "DELETE", f"/projects/{project}", {"wait_seconds": wait_seconds}, ANSWER_SECONDS + wait_seconds)


def ps(socket: Path) -> list[Mapping[str, Any]]:
    """Every service: `service`, `desired`, `healthy`, `restarts`, `oom_kills`, `containers`, `project`, `waits_for`."""
    services: list[Mapping[str, Any]] = list(_ask(socket, "GET", "/ps", None, ANSWER_SECONDS)["services"])
    return services


def status(socket: Path) -> Mapping[str, Any]:
    """The agent itself: node, engine, spool, rounds, projects, /metrics address."""
    return _ask(socket, "GET", "/status", None, ANSWER_SECONDS)


def _ask(socket: Path, method: str, path: str, body: Mapping[str, Any] | None, seconds: float) -> Mapping[str, Any]:
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=seconds) as client:
            answer = client.request(method, f"http://agent{path}", json=body)
    except PermissionError as error:
        raise AgentUnreachable(f"{socket} belongs to another user; run as the user who runs the agent") from error
    except httpx.TimeoutException as error:
        raise AgentUnreachable(f"the agent at {socket} took longer than {seconds:g} s; look into its log") from error
    except (httpx.HTTPError, OSError) as error:
        raise AgentUnreachable(_no_agent(socket, error)) from error
    told: Mapping[str, Any] = answer.json()
    if answer.is_error:
        raise AgentRefused(str(told.get("error", answer.reason_phrase)))
    return told


def _no_agent(socket: Path, error: Exception) -> str:
    if "ermission denied" in str(error):
        return f"no permission on {socket}; run as the user who runs the agent"
    return f"no agent answers at {socket}; start it with `midwatch up` or `midwatch agent`, or name its --data"

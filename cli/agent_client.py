"""The agent of this machine, asked over its socket in the data folder; what it refuses ends the command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agent import client
from cli.errors import ConfigFault, Refusal
from cli.terminal import counted, plain

WAIT_SECONDS = 120.0
T = TypeVar("T")


def socket_of(data: Path) -> Path:
    """The agent's socket."""
    return data / "agent.sock"


def answers(data: Path) -> bool:
    """True where an agent answers."""
    try:
        client.status(socket_of(data))
    except client.AgentUnreachable:
        return False
    return True


def run(
    data: Path,
    compose: Path,
    tell: Callable[[str], None],
    wait: bool = True,
    strict: bool = False,
    replace: bool = False,
) -> None:
    """Hand over a Compose file and wait until its services stand; what fails is told, or where `strict` refused."""
    answer = _asked(lambda: client.run(socket_of(data), compose, WAIT_SECONDS if wait else None, replace=replace))
    if not wait:
        return
    failures = [" ".join(line.split()) for line in answer.get("failures", ())]
    if failures and strict:
        remedy = f"the agent tries again; see `midwatch ps`, or end it: midwatch stop {answer['project']}"
        raise Refusal("; ".join(failures), remedy)
    for line in failures:
        tell(plain(f"{answer['project']}: {line}"))
    if answer.get("settled"):
        count = len(answer["services"])
        tell(f"{answer['project']}: {counted(count, 'service')} {'stands' if count == 1 else 'stand'}")


def stop(data: Path, project: str) -> Mapping[str, Any]:
    """End a project; the answer has `removed` and `failures`."""
    return _asked(lambda: client.stop(socket_of(data), project))


def source_of(data: Path, project: str) -> Path | None:
    """The file that a project is kept from; None where none of that name is kept, or it is being ended."""
    kept = _asked(lambda: client.status(socket_of(data)))["projects"].get(project)
    return Path(kept["source"]) if kept and not kept["stopping"] else None


def ps(data: Path) -> list[Mapping[str, Any]]:
    """Every service of the node."""
    return _asked(lambda: client.ps(socket_of(data)))


def failures(data: Path) -> list[str]:
    """What keeps projects from their desired state, one line each."""
    status = _asked(lambda: client.status(socket_of(data)))
    return [line for project in status["projects"].values() for line in project["failures"]]


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except client.AgentUnreachable as error:
        raise Refusal(str(error)) from error
    except client.AgentRefused as error:
        raise ConfigFault(tuple(str(error).splitlines())) from error

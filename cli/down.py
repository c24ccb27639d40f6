"""`midwatch down`: stops what `midwatch up` started, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import docker
import docker.errors

from cli import agent_client, demo, engine
from cli.errors import Refusal
from cli.processes import Process
from cli.up import agent_process, server_process
from runtime.model import PROJECT_LABEL

STORED = ("agent", "server", "registry", "engine", "demo", "run")


def down(data: Path, purge: bool, environment: Mapping[str, str]) -> None:
    """Stop demo, agent, service, registry and the private engine, each where it runs."""
    stopped = [*_demo(data, purge, environment)]
    for process in (agent_process(data), server_process(data), Process("registry", data / "registry")):
        if process.stop():
            stopped.append(process.name)
    if engine.stop_private(data / "engine"):
        stopped.append("container engine")
    (data / "engine.url").unlink(missing_ok=True)
    if purge:
        _purge(data)
    print(f"stopped: {', '.join(stopped)}" if stopped else f"nothing was running under {data}")


def _demo(data: Path, purge: bool, environment: Mapping[str, str]) -> list[str]:
    """The shop by the agent that keeps it, else by its label; what another file keeps under its name stays."""
    project = demo.Project(data / "demo")
    if not project.exists() or _is_others(data, project):
        return []
    ended = _ended_by_agent(data, project.name)
    try:
        url = engine.recorded(data, environment)
    except Refusal:
        return ["demo shop"] if ended else []
    with closing(docker.DockerClient(base_url=url)) as client:
        return ["demo shop"] if _remove_demo(client, project.name, purge) or ended else []


def _is_others(data: Path, project: demo.Project) -> bool:
    """True where the agent that answers keeps another file under the shop's name."""
    try:
        return agent_client.source_of(data, project.name) not in (None, project.compose)
    except Refusal:
        return False


def _ended_by_agent(data: Path, project: str) -> bool:
    """True where an agent kept it and ended it; one that does not answer or does not know it is passed over."""
    try:
        return bool(agent_client.stop(data, project)["removed"])
    except Refusal:
        return False


def _remove_demo(client: docker.DockerClient, project: str, purge: bool) -> bool:
    """Remove what is left of it; True where there was a container."""
    chosen: dict[str, str | list[str] | bool] = {"label": f"{PROJECT_LABEL}={project}"}
    left = client.containers.list(all=True, filters=chosen, ignore_removed=True)
    for container in left:
        container.remove(force=True)
    for volume in client.volumes.list(filters=chosen) if purge else ():
        volume.remove(force=True)
    return bool(left)


def _purge(data: Path) -> None:
    for name in STORED:
        shutil.rmtree(data / name, ignore_errors=True)
    (data / "agent.sock").unlink(missing_ok=True)

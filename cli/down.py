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
    """The shop by the agent that keeps it, else by its label: nobody else has that on a container."""
    project = demo.Project(data / "demo")
    if not project.exists():
        return []
    if agent_client.answers(data):
        agent_client.stop(data, project.name)
    try:
        url = engine.recorded(data, environment)
    except Refusal:
        return []
    with closing(docker.DockerClient(base_url=url)) as client:
        return _remove_demo(client, project.name, purge)


def _remove_demo(client: docker.DockerClient, project: str, purge: bool) -> list[str]:
    chosen: dict[str, str | list[str] | bool] = {"label": f"{PROJECT_LABEL}={project}"}
    for container in client.containers.list(all=True, filters=chosen, ignore_removed=True):
        container.remove(force=True)
    for volume in client.volumes.list(filters=chosen) if purge else ():
        volume.remove(force=True)
    return ["demo shop"]


def _purge(data: Path) -> None:
    for name in STORED:
        shutil.rmtree(data / name, ignore_errors=True)
    (data / "agent.sock").unlink(missing_ok=True)

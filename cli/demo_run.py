"""The demo shop on a running agent: brought up, broken, repaired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import docker

from cli import agent_client, demo, projects, registry
from cli.config import DemoSettings
from cli.engine import recorded
from cli.errors import Refusal
from cli.packages import ensure
from cli.terminal import counted


def bring_up(data: Path, settings: DemoSettings, engine_url: str, tell: Callable[[str], None]) -> None:
    """Registry, images and project, each found where it is there already."""
    ensure((*registry.PACKAGES, "busybox-static"), autostart=False, tell=tell)
    registry.start(data / "registry", settings.registry_port)
    project = demo.Project(data / "demo")
    refuse_other(data, project, settings.project)
    if not demo.published(settings.registry_port):
        with closing(docker.DockerClient(base_url=engine_url, timeout=120)) as client:
            demo.publish_images(client, settings.registry_port, tell)
    project.write(settings.project, settings.registry_port, settings.shop_port)
    agent_client.run(data, project.compose, tell)


def end(data: Path) -> None:
    """Remove the shop's containers; refuses where its name is another project's by now."""
    project = _project(data)
    refuse_other(data, project, project.name)
    projects.stop(data, project.name)


def refuse_other(data: Path, project: demo.Project, name: str) -> None:
    """Refuse where the agent keeps another file under the shop's name."""
    source = agent_client.source_of(data, name)
    if source is not None and source != project.compose:
        raise Refusal(
            f"project {name} is kept from {source}, which is not the demo's",
            f"end it by `midwatch stop {name}`, or choose another demo.project",
        )


def break_service(
    data: Path, name: str, knobs: Mapping[str, float], bad_pull: bool, environment: Mapping[str, str]
) -> None:
    """Turn the knobs of a service, or ask for an image of it that is not there."""
    demo.known((name,))
    project = _project(data)
    if not knobs and not bad_pull:
        raise Refusal("nothing to break", "name a fault: --errors 0.3, --latency 800ms, --leak, --crash …")
    if knobs:
        with closing(docker.DockerClient(base_url=recorded(data, environment))) as client:
            count = demo.broken(client, name, project.name, knobs)
        print(f"{project.name}/{name}: {', '.join(knobs)} in {counted(count, 'container')}")
    if bad_pull:
        _bad_pull(data, project, name)


def repair_services(data: Path, name: str | None, environment: Mapping[str, str]) -> None:
    """Take the faults out of one service, or of all."""
    names = (name,) if name else demo.REPLICATED
    demo.known(names)
    project = _project(data)
    with closing(docker.DockerClient(base_url=recorded(data, environment))) as client:
        for one in names:
            count = demo.repaired(client, one, project.name)
            print(f"{project.name}/{one}: {counted(count, 'container')} repaired")
    changed = [project.set_tag(one, None) for one in names]
    if any(changed):
        agent_client.run(data, project.compose, print)


def _bad_pull(data: Path, project: demo.Project, name: str) -> None:
    if name not in demo.PULLED:
        raise Refusal(f"{name} is built here and pulls nothing", f"name one of {', '.join(demo.PULLED)}")
    project.set_tag(name, demo.MISSING_TAG)
    agent_client.run(data, project.compose, print, wait=False)
    print(f"{project.name}/{name}: asks for tag {demo.MISSING_TAG}")


def _project(data: Path) -> demo.Project:
    project = demo.Project(data / "demo")
    if not project.exists():
        raise Refusal("the demo is not up", "run: midwatch demo up")
    return project

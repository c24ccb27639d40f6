"""`midwatch up`: what is missing is started, what runs is found, and a start that fails is taken back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import docker
from rich.console import Console

from agent.settings import host_and_port
from cli import agent_client, demo, demo_run, engine, registry, service_client
from cli.config import Config, address
from cli.errors import Refusal
from cli.made_from import made_from
from cli.packages import ensure
from cli.preflight import require_port, require_room
from cli.processes import Process
from cli.steps import Steps

READY_SECONDS = 60.0
LIVE_SECONDS = 90.0


class Options(NamedTuple):
    """What the command line asked for."""

    data: Path
    config_file: Path | None
    install: bool
    demo: bool


def up(options: Options, config: Config, environment: Mapping[str, str]) -> None:
    """Bring everything up and wait until the dashboards hold live data; print their address."""
    console = Console()
    steps = Steps(console)
    require_room(options.data)
    _require_ports(options, config)
    with ExitStack() as undo:
        found = _engine(options, environment, steps, undo)
        _start(options, found, environment, undo, steps)
        if options.demo:
            _prepare_demo(options, config, found, steps, undo)
        _wait_ready(options, config, steps)
        engine.record(options.data, found.url)
        undo.pop_all()
    if options.demo:
        with steps.step("demo shop"):
            demo_run.bring_up(options.data, config.demo, found.url, steps.tell)
    with steps.step("live data on the dashboards"):
        service_client.wait_live(config.service, _demo_services(config) if options.demo else (), LIVE_SECONDS)
    console.print(f"\n[bold]Midwatch is up[/bold] after {steps.seconds:.1f} s: {address(config.service)}")


def _demo_services(config: Config) -> tuple[str, ...]:
    return tuple(f"{config.demo.project}/{name}" for name in demo.REPLICATED)


def config_in_use(data: Path) -> Path | None:
    """The configuration that the service runs with, None where it has none or does not run.

    Who brings up what runs already, and names no file, means this one: its receivers must not go unseen.
    """
    words = iter(server_process(data).command())
    return next((Path(next(words, "")) for word in words if word == "--config"), None)


def server_process(data: Path) -> Process:
    """The service's process."""
    return Process("server", data / "run")


def agent_process(data: Path) -> Process:
    """The agent's process."""
    return Process("agent", data / "run")


def _require_ports(options: Options, config: Config) -> None:
    _require_distinct(options, config)
    if server_process(options.data).pid() is None:
        require_port(*host_and_port(config.service.listen), "service.listen")
    if agent_process(options.data).pid() is None:
        require_port(*host_and_port(config.agent.listen), "agent.listen")
    if options.demo and Process("registry", options.data / "registry").pid() is None:
        require_port("127.0.0.1", config.demo.registry_port, "demo.registry_port")


def _require_distinct(options: Options, config: Config) -> None:
    """Each port is asked for once: the shop's is found taken only when all else runs already."""
    asked = {
        "service.listen": host_and_port(config.service.listen)[1],
        "agent.listen": host_and_port(config.agent.listen)[1],
    }
    if options.demo:
        asked |= {"demo.registry_port": config.demo.registry_port, "demo.shop_port": config.demo.shop_port}
    by_port: dict[int, str] = {}
    for key, port in asked.items():
        if port and (other := by_port.setdefault(port, key)) != key:
            raise Refusal(f"{key} and {other} ask for the same port {port}", f"choose another {key}")


def _engine(options: Options, environment: Mapping[str, str], steps: Steps, undo: ExitStack) -> engine.Engine:
    ran = engine.process_of(options.data / "engine").pid() is not None
    with steps.step("container engine"):
        found = engine.ensure_engine(options.data, environment, options.install, steps.tell)
    if found.private and not ran:
        undo.callback(engine.stop_private, options.data / "engine")
    return found


def _start(
    options: Options, found: engine.Engine, environment: Mapping[str, str], undo: ExitStack, steps: Steps
) -> None:
    """Both start at once; they are waited for later, while images are made."""
    told = {**environment, "DOCKER_HOST": found.url}
    for process, name in ((server_process(options.data), "server"), (agent_process(options.data), "agent")):
        command = _command(name, options)
        if begin(process, command, told, made_from(command, options.config_file, told), steps.tell):
            undo.callback(process.stop)


def begin(
    process: Process, command: list[str], environment: Mapping[str, str], made: str, tell: Callable[[str], None]
) -> bool:
    """Start a process that does not run, or that runs another code or configuration; True where it was started."""
    if process.is_made_from(made):
        return False
    if process.stop():
        tell(f"{process.name} starts anew: its configuration or its code is another now")
    process.start(command, environment, made)
    return True


def _command(name: str, options: Options) -> list[str]:
    file = ["--config", str(options.config_file.absolute())] if options.config_file else []
    return [sys.executable, "-P", "-m", "cli.main", name, "--data", str(options.data), *file]


def _prepare_demo(options: Options, config: Config, found: engine.Engine, steps: Steps, undo: ExitStack) -> None:
    with closing(docker.DockerClient(base_url=found.url)) as client:
        if not demo.replicas(client, "front", config.demo.project):
            require_port("127.0.0.1", config.demo.shop_port, "demo.shop_port")
    with steps.step("demo images in a registry of their own"):
        if options.install:
            ensure((*registry.PACKAGES, "busybox-static"), autostart=False, tell=steps.tell)
        process = Process("registry", options.data / "registry")
        ran = process.pid() is not None
        registry.start(options.data / "registry", config.demo.registry_port)
        if not ran:
            undo.callback(process.stop)
        if not demo.published(config.demo.registry_port):
            with closing(docker.DockerClient(base_url=found.url, timeout=120)) as client:
                demo.publish_images(client, config.demo.registry_port, steps.tell)


def _wait_ready(options: Options, config: Config, steps: Steps) -> None:
    server, agent = server_process(options.data), agent_process(options.data)
    with steps.step("service and agent"):
        server.wait(lambda: service_client.ready(config.service), READY_SECONDS, f"see {server.log_file}")
        agent.wait(lambda: agent_client.answers(options.data), READY_SECONDS, f"see {agent.log_file}")

"""`midwatch demo …`: the shop up and down, and its faults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.durations import seconds, share

DATA = Path("/var/lib/midwatch")
HOUR = 3600.0
Data = Annotated[Path, typer.Option("--data", envvar="MIDWATCH_DATA", help="Folder that holds all state.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
]
Name = Annotated[str, typer.Argument(help="front, api or worker.")]

app = typer.Typer(no_args_is_help=True, help="A small shop to watch, which goes wrong on demand.")


@app.command(epilog="Example: midwatch demo up")
def up(data: Data = DATA, config: ConfigFile = None) -> None:
    """Bring the shop up, beside a service and an agent that run."""
    from cli.config import load
    from cli.demo_run import bring_up
    from cli.engine import recorded

    bring_up(data.absolute(), load(config, os.environ).demo, recorded(data.absolute(), os.environ), print)


@app.command(epilog="Example: midwatch demo down")
def down(data: Data = DATA) -> None:
    """Remove the shop's containers."""
    from cli.demo_run import end

    end(data.absolute())


@app.command("break", epilog="Example: midwatch demo break api --leak")
def break_(
    name: Name,
    errors: Annotated[str | None, typer.Option(help="Share of requests that fail, such as 0.3.")] = None,
    latency: Annotated[str | None, typer.Option(help="Time added to each request, such as 800ms.")] = None,
    leak: Annotated[
        bool, typer.Option("--leak", help="Leak memory until the kernel kills it, again and again.")
    ] = False,
    crash: Annotated[bool, typer.Option("--crash", help="Crash a second after each start.")] = False,
    slow_start: Annotated[str | None, typer.Option(help="Time to readiness at each start, such as 5s.")] = None,
    bad_pull: Annotated[bool, typer.Option("--bad-pull", help="Ask for an image that is not there.")] = False,
    data: Data = DATA,
) -> None:
    """Make a service of the shop go wrong, for real, until it is repaired."""
    from cli.demo_run import break_service

    asked = {
        "errors": share(errors) if errors else None,
        "latency": seconds(latency, HOUR) if latency else None,
        "leak": 1.0 if leak else None,
        "crash": 1.0 if crash else None,
        "slow_start": seconds(slow_start, HOUR) if slow_start else None,
    }
    knobs = {knob: value for knob, value in asked.items() if value is not None}
    break_service(data.absolute(), name, knobs, bad_pull, os.environ)


@app.command(epilog="Example: midwatch demo repair api")
def repair(
    name: Annotated[str | None, typer.Argument(help="front, api or worker; all of them by default.")] = None,
    data: Data = DATA,
) -> None:
    """Take the faults out again."""
    from cli.demo_run import repair_services

    repair_services(data.absolute(), name, os.environ)

"""`midwatch run`, `stop` and `ps`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import agent_client, service_client
from cli.config import Config
from cli.errors import ConfigFault, Refusal
from cli.terminal import plain
from runtime.compose import load
from runtime.errors import ComposeFault

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")


def run(data: Path, file: Path, environment: Mapping[str, str], replace: bool = False) -> None:
    """Check a Compose file, hand it to the agent and wait until its services stand; refuses where one fails."""
    try:
        load(file, environment)
    except ComposeFault as fault:
        raise ConfigFault(fault.faults) from fault
    agent_client.run(data, file, print, strict=True, replace=replace)


def stop(data: Path, project: str) -> None:
    """End a project; refuses where its containers could not all be removed in time."""
    if not NAME.fullmatch(project):
        raise Refusal(f"{project[:80]!r} is no project's name", "write what stands before the / in `midwatch ps`")
    answer = agent_client.stop(data, project)
    if not answer["removed"]:
        why = "; ".join(answer["failures"]) or "its containers take long to end"
        raise Refusal(f"{project} is not removed yet: {why}", "the agent goes on; see `midwatch ps`")
    print(f"{plain(project)}: removed")


def ps(data: Path, config: Config, as_json: bool, everything: bool) -> None:
    """Show every service, with the least budget left of its objectives, and what fails."""
    services = agent_client.ps(data)
    budgets = service_client.budgets(config.service)
    if as_json:
        print(json.dumps([{**one, "budget_remaining": budgets.get(one["service"])} for one in services], indent=2))
        return
    console = Console()
    shown = [one for one in services if everything or one["desired"] or one["containers"]]
    console.print(_table(shown, budgets))
    for line in agent_client.failures(data):
        console.print(f"! {escape(plain(line))}", highlight=False, soft_wrap=True)


def budget_text(left: float | None) -> str:
    """The share of an error budget that is left; below nothing by more than tenfold, the figure says no more."""
    if left is None:
        return "–"
    return f"{left:.0%}" if left > -10 else "< -1000%"


def _table(services: Iterable[Mapping[str, Any]], budgets: Mapping[str, float]) -> Table:
    table = Table(box=None)
    table.add_column("SERVICE", overflow="fold")
    for title in ("DESIRED", "HEALTHY", "RESTARTS", "OOM KILLS", "BUDGET LEFT"):
        table.add_column(title, justify="right")
    table.add_column("WAITS FOR")
    for one in services:
        table.add_row(
            escape(plain(one["service"])),
            str(one["desired"]),
            str(one["healthy"]),
            str(one["restarts"]),
            str(one["oom_kills"]),
            budget_text(budgets.get(one["service"])),
            escape(plain(str(one.get("waits_for") or ""))),
        )
    return table

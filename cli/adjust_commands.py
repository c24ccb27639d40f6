"""`midwatch slo adjust`, `adjustments`, `revoke`: time that is taken out of budgets, by whom and why."""

from __future__ import annotations

import json as json_
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import typer

from cli.durations import seconds
from cli.query import moment
from cli.silence_commands import who
from cli.terminal import counted, plain
from slo.report_spans import zone_named

PATH = "/api/slo/adjustments"
ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


class Said(NamedTuple):
    """What the command line says of the time, as it says it."""

    since: str | None = None
    until: str | None = None
    length: str | None = None
    every: str | None = None
    on: tuple[str, ...] = ()
    at: str | None = None
    zone: str | None = None
    interval: int = 1


def adjust(
    why: Annotated[str, typer.Option("--why", help="Why it does not count.")],
    slo: Annotated[list[str] | None, typer.Option("--slo", help="Objectives by name; * is any text.")] = None,
    service: Annotated[list[str] | None, typer.Option("--service", help="Services by name; * is any text.")] = None,
    node: Annotated[list[str] | None, typer.Option("--node", help="Nodes by name or id, or registries.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="RFC 3339, seconds, or -1h; now by default.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="The end; with --every the last begin.")] = None,
    length: Annotated[str | None, typer.Option("--for", help="How long, such as 2h.")] = None,
    every: Annotated[Literal["day", "week", "month"] | None, typer.Option("--every", help="Again and again.")] = None,
    on: Annotated[list[str] | None, typer.Option("--on", help="sat; of a month 15, last, 1-sun, last-fri.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="When on those days, such as 02:00.")] = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="Whose clock --from, --until and --at are on, such as Europe/Berlin."),
    ] = None,
    interval: Annotated[int, typer.Option("--interval", help="2: every second day, week or month.")] = 1,
    incident: Annotated[str | None, typer.Option("--incident", help="The time of an incident, by its id.")] = None,
    silence: Annotated[bool, typer.Option("--silence", help="Send no pages of it meanwhile.")] = False,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Take time out of error budgets: maintenance, or an incident that shall not count; also afterwards."""
    days = tuple(day for text in on or () for day in text.split(","))
    said = Said(since, until, length, every, days, at, zone, interval)
    body = {
        "slos": slo or [], "services": service or [], "nodes": node or [], "reason": why, "created_by": who(),
        "silence": silence, "incident": incident, **times(said, time.time(), incident is not None),
    }  # fmt: skip
    made = _ask(config, "POST", PATH, body)
    _show([made], json)
    if not made["covers"]:
        print("midwatch: no objective that is judged now is covered by it; see `midwatch slo list`", file=sys.stderr)


def adjustments(
    every: Annotated[bool, typer.Option("--all", help="Those too that were revoked.")] = False,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show what is taken out of error budgets, the newest first."""
    _show(_ask(config, "GET", f"{PATH}?all={str(every).lower()}"), json)


def revoke(
    adjustment: Annotated[str, typer.Argument(help="Its id.")],
    why: Annotated[str, typer.Option("--why", help="Why it counts again.")],
    config: ConfigFile = None,
) -> None:
    """Let what an adjustment took out count again; the adjustment stays in the book."""
    _ask(config, "POST", f"{PATH}/{quote(adjustment, safe='')}/revoke", {"by": who(), "why": why})
    print(f"{plain(adjustment)} revoked")


def times(said: Said, now: float, of_incident: bool) -> dict[str, Any]:
    """The time as the API is asked for it; raises BadParameter."""
    if said.zone is not None:
        _is_zone(said.zone)
    since_ms = None if said.since is None else _ms(said.since, now, said.zone)
    until_ms = None if said.until is None else _ms(said.until, now, said.zone)
    if said.every is None:
        if said.on or said.at or said.interval != 1:
            raise typer.BadParameter("--on, --at and --interval need --every")
        if said.length is not None:
            if until_ms is not None:
                raise typer.BadParameter("--until and --for both say when it ends; say one of them")
            since_ms = _ms("now", now) if since_ms is None else since_ms
            until_ms = since_ms + _length_ms(said.length)
        if until_ms is None and not of_incident:
            raise typer.BadParameter("its end is missing; say --until, or --for with how long")
        return {"since_ms": since_ms, "until_ms": until_ms}
    if of_incident or said.at is None or said.length is None:
        raise typer.BadParameter("--every needs --at and --for, and is not for an incident")
    again = {
        "every": said.every, "on": list(said.on), "at": said.at, "zone": said.zone or "UTC", "interval": said.interval,
        "length_ms": _length_ms(said.length),
    }  # fmt: skip
    return {"since_ms": since_ms, "until_ms": until_ms, "recurrence": again}


def _ms(text: str, now: float, zone: str | None = None) -> int:
    return round(moment(text, now, zone) * 1000)


def _is_zone(name: str) -> None:
    try:
        zone_named(name)
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault


def _length_ms(text: str) -> int:
    return round(seconds(text) * 1000)


def _ask(config: Path | None, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    from cli.config import load
    from cli.service_client import ask

    return ask(load(config, os.environ).service, method, path, body)


def _show(found: list[dict[str, Any]], json: bool) -> None:
    if json:
        print(json_.dumps(found, indent=2))
        return
    for one in found:
        print(line(one))


def line(one: dict[str, Any]) -> str:
    """One adjustment on one line."""
    of = ",".join(f"{name}={it}" for name in ("slo", "service", "node") for it in one[f"{name}s"])
    of += "" if one["covers"] is None else f" ({counted(one['covers'], 'objective')})"
    silent = ", silenced" if one["silence"] else ""
    gone = one["revoked"]
    end = f"  revoked {_utc(gone['at_ms'])} by {gone['by']}: {gone['why']}" if gone else ""
    return plain(f"{one['id']}  {one['state']}  {of}  {one['when']}{silent}  {one['created_by']}: {one['reason']}{end}")


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"

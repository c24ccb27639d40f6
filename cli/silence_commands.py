"""`midwatch silence …`: quiet for a while; a page that went out always gets its resolve."""

from __future__ import annotations

import getpass
import json as json_
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.durations import seconds
from cli.terminal import plain

ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
MATCHER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(=~|!~|!=|=)(.*)", re.DOTALL)

app = typer.Typer(no_args_is_help=True, help="Keep pages from going out for a while.")


@app.command(epilog="Example: midwatch silence add service=shop/api --for 2h --comment 'new disks'")
def add(
    matchers: Annotated[list[str], typer.Argument(help="NAME=VALUE, also with !=, =~ and !~.")],
    duration: Annotated[str, typer.Option("--for", help="How long, such as 2h.")] = "1h",
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    config: ConfigFile = None,
) -> None:
    """Silence what matches, from now on."""
    from cli.config import load
    from cli.service_client import ask

    now, length = datetime.now(UTC), seconds(duration)
    if length < 1:
        raise typer.BadParameter(f"{duration[:40]!r} is too short; write at least 1s")
    body = {
        "matchers": [matcher(text) for text in matchers],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=length)).isoformat(),
        "createdBy": who(),
        "comment": comment or "from the command line",
    }
    print(ask(load(config, os.environ).service, "POST", "/api/silences", body)["silenceID"])


@app.command("list", epilog="Example: midwatch silence list --json")
def list_(config: ConfigFile = None, json: Json = False) -> None:
    """Show the silences that stand."""
    from cli.config import load
    from cli.service_client import ask

    silences = ask(load(config, os.environ).service, "GET", "/api/silences")
    if json:
        print(json_.dumps(silences, indent=2))
        return
    for one in silences:
        print(line(one))


@app.command(epilog="Example: midwatch silence expire 4f1c…")
def expire(silence: Annotated[str, typer.Argument(help="Its id.")], config: ConfigFile = None) -> None:
    """End a silence now."""
    from cli.config import load
    from cli.service_client import ask

    ask(load(config, os.environ).service, "DELETE", f"/api/silences/{quote(silence, safe='')}")
    print(f"{plain(silence)} expired")


def who() -> str:
    """Who sits at this terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user that no file knows, as in many containers
        return f"uid {os.getuid()}"


def matcher(text: str) -> dict[str, Any]:
    """`service=~"shop/.*"` as Alertmanager's matcher; refuses anything else as a usage error."""
    found = MATCHER.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text[:80]!r} is no matcher; write service=shop/api, or with !=, =~ or !~")
    name, operator, value = found.groups()
    return {
        "name": name,
        "value": value.strip('"'),
        "isRegex": "~" in operator,
        "isEqual": not operator.startswith("!"),
    }


def line(silence: dict[str, Any]) -> str:
    """One silence on one line."""
    signs = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    matchers = ",".join(f"{m['name']}{signs[m['isRegex'], m['isEqual']]}{m['value']}" for m in silence["matchers"])
    return plain(
        f"{silence['id']}  {matchers}  until {silence['endsAt']}  {silence['createdBy']}: {silence['comment']}"
    )

"""`midwatch token …`: tokens of agents, made and revoked on the service's machine."""

from __future__ import annotations

import json as json_
import time
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import Refusal
from cli.terminal import plain

Data = Annotated[Path, typer.Option("--data", envvar="MIDWATCH_DATA", help="Folder that holds all state.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Name = Annotated[str, typer.Argument(help="Whose token it is, such as the node's name.")]
DATA = Path("/var/lib/midwatch")

app = typer.Typer(no_args_is_help=True, help="Tokens by which agents and other senders may bring data.")


@app.command(epilog="Example: midwatch token create node-7")
def create(name: Name, data: Data = DATA) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    from service import tokens

    try:
        print(tokens.create(tokens.token_file(data.absolute()), name, time.time_ns() // 1_000_000))
    except tokens.TokenFault as fault:
        raise Refusal(str(fault)) from fault


@app.command("list", epilog="Example: midwatch token list --json")
def list_(data: Data = DATA, json: Json = False) -> None:
    """Show whose tokens there are, and which were revoked."""
    from service import tokens
    from slo.text import utc

    try:
        found = tokens.read(tokens.token_file(data.absolute()))
    except tokens.TokenFault as fault:
        raise Refusal(str(fault)) from fault
    if json:
        rows = [{"name": it.name, "id": it.id, "created": utc(it.created_ms), "revoked": it.revoked_ms is not None}
                for it in found]  # fmt: skip
        print(json_.dumps(rows, indent=2))
        return
    for it in found:
        print(plain(f"{it.name}  {it.id}  {'revoked' if it.revoked_ms else 'holds'}  created {utc(it.created_ms)}"))


@app.command(epilog="Example: midwatch token revoke node-7")
def revoke(name: Name, data: Data = DATA) -> None:
    """A token holds no longer, from the next request on."""
    from service import tokens

    try:
        tokens.revoke(tokens.token_file(data.absolute()), name, time.time_ns() // 1_000_000)
    except tokens.TokenFault as fault:
        raise Refusal(str(fault)) from fault
    print(f"the token of {plain(name)} is revoked")

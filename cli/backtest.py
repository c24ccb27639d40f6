"""`midwatch slo backtest`: what objectives would have done over stored history, for people or as JSON."""

from __future__ import annotations

import json as json_
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from cli.durations import seconds
from cli.service_client import ask
from cli.terminal import plain
from service.settings import Settings
from service.slo_files import read_texts
from slo.text import duration, utc

WAIT_SECONDS: Final = 120.0
MOST_SHOWN: Final = 20
"""Pages and tickets of one objective that are listed."""


class Asked(NamedTuple):
    """What the command line says."""

    files: Sequence[Path]
    since: str
    target: str | None
    strict: bool


def backtest(settings: Settings, asked: Asked, json: bool) -> None:
    """Ask the service and print what it says; ends with 1 where a file is faulty."""
    texts = read_texts([str(it) for it in asked.files])
    if texts.faults:
        print(*texts.faults, sep="\n", file=sys.stderr)
        raise typer.Exit(1)
    since_ms = round((time.time() - seconds(asked.since)) * 1000)
    body: dict[str, Any] = {"files": dict(texts.texts), "since_ms": since_ms, "strict": asked.strict}
    if asked.target is not None:
        body["target_percent"] = asked.target.removesuffix("%").strip()
    found = ask(settings, "POST", "/api/slo/backtest", body=body, wait_seconds=WAIT_SECONDS)
    if json:
        print(json_.dumps(found, indent=2))
        return
    for line in lines(found):
        print(plain(line))


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people."""
    if not found["objectives"]:
        yield "The files ask for no objective of a service that is known."
    for it in found["objectives"]:
        scope = "".join(f" {name}={value}" for name, value in it["scope"].items())
        yield f"{it['service']}{scope} · {it['slo']}: {it['target']} over {duration(it['window_ms'])}"
        if it["asked"] is None:
            yield f"  not tried: {it['why_not']}"
            continue
        yield from _result(it["asked"])
        suggested = it["asked"]["suggested_target_percent"]
        if suggested is not None:
            yield f"  history would have left a quarter of the budget or more at {suggested} %"
        if it["in_force"] is None:
            yield "  no objective of this name is in force"
        else:
            yield f"  in force, {it['in_force']['target']}:"
            yield from (f"  {line}" for line in _result(it["in_force"]))


def _result(it: Mapping[str, Any]) -> Iterator[str]:
    if it["sli"] is None:
        yield f"  nothing was counted; {_percent(it['coverage'])} of the time was observed"
        return
    yield f"  SLI {_percent(it['sli'], 4)}: {it['bad']} bad of {it['total']}; {_percent(it['coverage'])} observed"
    yield f"  budget left {_percent(it['budget_left'])}, at its least {_percent(it['least_left'])}"
    roads = [one["road"] for one in it["alerts"]]
    yield f"  pages: {roads.count('page')}, tickets: {roads.count('ticket')}"
    for one in it["alerts"][:MOST_SHOWN]:
        opened, resolved = one["opened_ms"], one["resolved_ms"]
        lasted = "and goes on" if resolved is None else f"for {duration(resolved - opened)}"
        yield f"    {one['road']:<6} {utc(opened)} {lasted} ({', '.join(one['rows'])})"
    if len(it["alerts"]) > MOST_SHOWN:
        yield f"    and {len(it['alerts']) - MOST_SHOWN} more"


def _percent(share: float | None, places: int = 2) -> str:
    return "none" if share is None else f"{100 * share:.{places}f} %"

"""`midwatch slo backtest`: what objectives would have done over stored history, for people or as JSON.

Exit codes beside those of every command: 1 where a file is faulty, 3 where history tells nothing of an objective.
"""

from __future__ import annotations

import json as json_
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from cli.durations import seconds
from cli.errors import Answered
from cli.service_client import ask
from cli.terminal import plain
from service.settings import Settings
from service.slo_files import read_texts
from slo.text import counted, duration, utc

WAIT_SECONDS: Final = 120.0
UNTOLD: Final = 3
"""Ends with this where nothing can be told of an objective; what can be stands printed."""
LEAST_SECONDS: Final = 60.0
MOST_SHOWN: Final = 20
"""Pages and tickets of one objective that are listed."""


class Asked(NamedTuple):
    """What the command line says."""

    files: Sequence[Path]
    since: str
    target: str | None
    strict: bool
    burn_table: str | None = None


def backtest(settings: Settings, asked: Asked, json: bool) -> None:
    """Ask the service and print what it says; ends with 1 where a file is faulty, with 3 as UNTOLD says."""
    texts = read_texts([str(it) for it in asked.files])
    _refuse([str(it) for it in texts.faults])
    since_ms = round((time.time() - _back_seconds(asked.since)) * 1000)
    body: dict[str, Any] = {"files": dict(texts.texts), "since_ms": since_ms, "strict": asked.strict}
    body |= targets(asked.target) | ({} if asked.burn_table is None else {"burn_table": asked.burn_table})
    try:
        found = ask(settings, "POST", "/api/slo/backtest", body=body, wait_seconds=WAIT_SECONDS)
    except Answered as refused:
        _refuse([it["text"] for it in refused.told.get("faults", ())])
        raise
    if json:
        print(json_.dumps(found, indent=2))
    else:
        for line in lines(found):
            print(plain(line))
    if untold(found):
        raise typer.Exit(UNTOLD)


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        print(*map(plain, faults), sep="\n", file=sys.stderr)
        raise typer.Exit(1)


def _back_seconds(since: str) -> float:
    found = seconds(since)
    if found < LEAST_SECONDS:
        raise typer.BadParameter(f"--since {since[:40]} holds no whole minute, and minutes are tried; write 1h or 30d")
    return found


def untold(found: Mapping[str, Any]) -> bool:
    """True where there is no objective, or one that was not tried or of which nothing was counted."""
    every = found["objectives"]
    return not every or any(it["asked"] is None or _nothing(it["asked"]) for it in every)


def _nothing(result: Mapping[str, Any]) -> bool:
    return result["budget_left"] is None and result["sli"] is None


def targets(text: str | None) -> dict[str, Any]:
    """One target takes the place of the files'; several are tried beside them."""
    if text is None:
        return {}
    found = [it.strip().removesuffix("%").strip() for it in text.split(",")]
    return {"target_percent": found[0]} if len(found) == 1 else {"targets_percent": found}


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
        yield from _suggested(it["asked"]["suggested"])
        for one in it["what_if"]:
            yield f"  were it {one['target']}: budget left {_percent(one['budget_left'])}, {_alerts(one)}"
        if it["adjustments"]:
            yield f"  without what {counted(it['adjustments'], 'budget adjustment')} took out"
        yield from _beside(it)


def _suggested(it: Mapping[str, Any] | None) -> Iterator[str]:
    if it is not None:
        what = "the worst window" if it["windows"] else "all of history"
        yield f"  suggested: {it['target_percent']} %, of whose budget {what} would have spent {_percent(it['spent'])}"


def _beside(it: Mapping[str, Any]) -> Iterator[str]:
    """The objective in force, and what would change."""
    if it["in_force"] is None:
        yield "  no objective of this name is in force"
        return
    yield f"  in force, {it['in_force']['target']}:"
    yield from (f"  {line}" for line in _result(it["in_force"]))
    than = it["difference"]
    if than is None:
        return
    changed = [one for one in than["both"] if one["sooner_ms"]]
    yield f"  against it: {len(than['new'])} new, {len(than['gone'])} gone, {len(changed)} at other times"
    for one in changed[:MOST_SHOWN]:
        when = "sooner" if one["sooner_ms"] > 0 else "later"
        yield f"    {one['road']:<6} {utc(one['in_force_ms'])} {duration(abs(one['sooner_ms']))} {when}"


def _alerts(it: Mapping[str, Any]) -> str:
    return f"pages: {it['pages']}, tickets: {it['tickets']}"


def _result(it: Mapping[str, Any]) -> Iterator[str]:
    if _nothing(it):
        yield f"  nothing was counted; {_percent(it['coverage'])} of the time was observed"
        return
    if it["sli"] is not None:
        counts = " bad of ".join(f"{it[name] / it['parts']:.10g}" for name in ("bad", "total"))
        unit = it["total_unit"]
        yield f"  SLI {_percent(it['sli'], 4)}: {counts} {unit}; {_percent(it['coverage'])} observed"
    yield f"  budget left {_percent(it['budget_left'])}, at its least {_percent(it['least_left'])}"
    yield f"  {_alerts(it)}"
    for one in it["alerts"][:MOST_SHOWN]:
        opened, resolved = one["opened_ms"], one["resolved_ms"]
        lasted = "and goes on" if resolved is None else f"for {duration(resolved - opened)}"
        yield f"    {one['road']:<6} {utc(opened)} {lasted} ({', '.join(one['rows'])})"
    if len(it["alerts"]) > MOST_SHOWN:
        yield f"    and {len(it['alerts']) - MOST_SHOWN} more"


def _percent(share: float | None, places: int = 2) -> str:
    return "none" if share is None else f"{100 * share:.{places}f} %"

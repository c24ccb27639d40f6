"""`midwatch query`: PromQL on the command line, as a table of one moment or a chart of a range."""

from __future__ import annotations

import json as json_
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import typer

from cli.durations import seconds
from cli.service_client import ask
from cli.terminal import plain
from service.settings import Settings

COLUMNS: Final = 60
"""Steps of a range that says none, and so the width of its chart."""
BLOCKS: Final = "▁▂▃▄▅▆▇█"
HOUR: Final = 3600.0
TEN_YEARS: Final = 3650 * 86_400.0
WAIT_SECONDS: Final = 120.0


class Asked(NamedTuple):
    """What the command line says, as it says it."""

    expression: str
    at: str | None
    since: str | None
    until: str | None
    step: str | None


def query(settings: Settings, asked: Asked, json: bool) -> None:
    """Ask the service and print what it says; warnings go to the standard error's stream."""
    path, form = request(asked, time.time())
    body = ask(settings, "POST", path, form=form, wait_seconds=WAIT_SECONDS)
    if json:
        print(json_.dumps(body["data"], indent=2))
        return
    for line in lines(body["data"]):
        print(line)
    for note in (*body.get("warnings", ()), *body.get("infos", ())):
        typer.echo(plain(note), err=True)


def request(asked: Asked, now: float) -> tuple[str, dict[str, str]]:
    """The address and the form of a question; raises BadParameter."""
    if asked.since is None and asked.until is None and asked.step is None:
        return "/api/v1/query", {"query": asked.expression, "time": repr(moment(asked.at, now))}
    if asked.at is not None:
        raise typer.BadParameter("--at is of one moment, --from, --to and --step are of a range; say one of them")
    until = moment(asked.until, now)
    since = moment(asked.since, now) if asked.since is not None else until - HOUR
    if since >= until:
        raise typer.BadParameter("--from must be before --to")
    step = seconds(asked.step) if asked.step else max(1.0, math.ceil((until - since) / COLUMNS))
    return "/api/v1/query_range", {
        "query": asked.expression, "start": repr(since), "end": repr(until), "step": repr(step),
    }  # fmt: skip


def moment(text: str | None, now: float, zone: str | None = None) -> float:
    """Seconds since 1970 of `-1h`, of seconds or of RFC 3339; now where nothing is said.

    A time without an offset is on the clock of `zone`, of this machine where there is none: one that the clock skips
    with the offset before the change, one that comes twice its first.
    """
    if text is None or text == "now":
        return now
    try:
        if text.startswith("-"):
            return now - seconds(text[1:], TEN_YEARS)
        if text.replace(".", "", 1).isdecimal():
            return float(text)
        found = datetime.fromisoformat(text)
        if zone is not None and not found.tzinfo:
            found = found.replace(tzinfo=ZoneInfo(zone))
        return (found if found.tzinfo else found.astimezone()).timestamp()
    except (ValueError, OverflowError) as fault:
        raise typer.BadParameter(f"{text[:40]!r} is no moment; write 2026-01-31T12:00:00Z, seconds, or -1h") from fault


def lines(data: Mapping[str, Any]) -> Iterator[str]:
    """The result for people."""
    result = data["result"]
    match data["resultType"]:
        case "vector":
            yield from _table([(name(it["metric"]), it["value"][1]) for it in result])
        case "matrix":
            yield from _chart(result)
        case _:
            yield plain(str(result[1]))


def name(metric: Mapping[str, str]) -> str:
    """A series as PromQL writes it; what a terminal would obey is escaped."""
    pairs = (f"{key}={json_.dumps(value, ensure_ascii=False)}" for key, value in metric.items() if key != "__name__")
    inner = ", ".join(pairs)
    return plain(metric.get("__name__", "") + (f"{{{inner}}}" if inner or "__name__" not in metric else ""))


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not rows:
        yield "no series"
        return
    width = max(len(text) for text, _ in rows)
    digits = max(len(value) for _, value in rows)
    for text, value in rows:
        yield f"{text:<{width}}  {plain(value):>{digits}}"


def _chart(result: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line of blocks for each series, all on one axis of time; a gap stays empty."""
    times = [at for one in result for at, _ in one["values"]]
    if not times:
        yield "no series"
        return
    first, last = min(times), max(times)
    for one in result:
        values = [(at, float(value)) for at, value in one["values"]]
        known = [value for _, value in values if math.isfinite(value)]
        yield name(one["metric"])
        yield f"  {_blocks(values, first, last)}"
        if known:
            yield f"  least {min(known):g}, most {max(known):g}, last {values[-1][1]:g}"
    yield f"{_time(first)} to {_time(last)}"


def _blocks(values: Sequence[tuple[float, float]], first: float, last: float) -> str:
    width = COLUMNS + 1 if last > first else 1
    most: list[float | None] = [None] * width
    for at, value in values:
        column = round((at - first) / (last - first) * (width - 1)) if last > first else 0
        before = most[column]
        most[column] = value if before is None or value > before else before
    known = [it for it in most if it is not None and math.isfinite(it)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    return "".join(" " if it is None else _block(it, low, high) for it in most).rstrip()


def _block(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "?"
    if high == low:
        return BLOCKS[3]
    # halves first: the difference of two large numbers may not be a number
    share = (value / 2 - low / 2) / (high / 2 - low / 2)
    return BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")

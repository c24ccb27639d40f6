"""`midwatch backup`, `restore`, `export` and `sql`: what is stored, in files and for questions of one's own."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import Refusal
from cli.terminal import counted, plain

DATA = Path("/var/lib/midwatch")
ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Since = Annotated[str, typer.Option("--from", help="-24h, seconds or RFC 3339.")]
Until = Annotated[str, typer.Option("--to", help="The same; now where nothing is said.")]


def backup(
    to: Annotated[Path, typer.Argument(help="A folder, or the file to make; one that is there already stays.")],
    config: ConfigFile = None,
) -> None:
    """Copy the whole database, as of one moment, while the service runs; `midwatch restore` sets it in place."""
    from cli.config import load
    from cli.data import copy

    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    path = to / f"midwatch-{stamp}.duckdb" if to.is_dir() else to
    size = copy(load(config, os.environ).service, path.absolute())
    print(plain(f"{path}: {counted(size, 'byte')}"))


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `midwatch backup` made.")],
    data: Annotated[Path, typer.Option("--data", envvar="MIDWATCH_DATA", help="Folder that holds all state.")] = DATA,
) -> None:
    """Set a backup in the place of the database, while the service is stopped; the old one is kept beside it."""
    from service.errors import StoreFault
    from service.store_restore import restore as restored

    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    path = data / "server" / "midwatch.duckdb"
    try:
        aside = restored(file, path, stamp)
    except StoreFault as fault:
        raise Refusal(str(fault)) from fault
    print(plain(f"{path}: restored from {file}" + (f"; the old one is {aside}" if aside else "")))


def export(
    parquet: Annotated[Path, typer.Option("--parquet", help="The folder of the files; made where it is missing.")],
    since: Since = "-24h",
    until: Until = "now",
    config: ConfigFile = None,
) -> None:
    """Write samples, series, events, logs, spans, judgements and incidents of a time range as Parquet files."""
    from cli.config import load
    from cli.data import Span, write_parquet

    span = Span.of(since, until, time.time())
    for path, rows in write_parquet(load(config, os.environ).service, parquet.absolute(), span):
        print(plain(f"{path}: {counted(rows, 'row')}"))


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over metrics, samples, series, events, logs, spans, …")],
    since: Since = "-1h",
    until: Until = "now",
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Most time that the query may take.")] = 30.0,
    memory_mb: Annotated[int, typer.Option(min=64, max=65_536, help="Most memory that it may take.")] = 1024,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Most rows that are printed.")] = 10_000,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Ask SQL of a time range, in a process of its own with a database in memory: the service's is not touched."""
    from cli.config import load
    from cli.data import Limits, Span, ask_sql, lines

    span = Span.of(since, until, time.time())
    found = ask_sql(load(config, os.environ).service, query, span, Limits(seconds, memory_mb, rows))
    for line in lines(found, json):
        print(line)
    if found.more:
        typer.echo(f"there are more than {counted(rows, 'row')}: ask for fewer, or set --rows", err=True)

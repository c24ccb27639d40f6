"""The command `midwatch`: parses, calls one room, prints. Rooms are imported where they are needed.

Exit codes: 0 fine, 1 findings, 2 usage or configuration.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli import usage
from cli.data_commands import DATA, backup, export, restore, sql
from cli.demo_commands import app as demo_app
from cli.errors import ConfigFault, Refusal
from cli.silence_commands import app as silence_app
from cli.slo_commands import app as slo_app
from cli.terminal import plain
from cli.token_commands import app as token_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keeps the watch over containers: exact counts, SLIs, error budgets and pages.",
)
app.add_typer(demo_app, name="demo")
app.add_typer(silence_app, name="silence")
app.add_typer(slo_app, name="slo")
app.add_typer(token_app, name="token")
app.command(epilog="Example: midwatch backup /srv/backups")(backup)
app.command(epilog="Example: midwatch restore /srv/backups/midwatch-2026-01-31T06-00-00Z.duckdb")(restore)
app.command(epilog="Example: midwatch export --from -24h --parquet /srv/export")(export)
app.command(epilog="Example: midwatch sql 'SELECT metric, count(*) FROM metrics GROUP BY 1' --from -1h")(sql)

Data = Annotated[Path, typer.Option("--data", envvar="MIDWATCH_DATA", help="Folder that holds all state.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command(epilog="Example: midwatch up --data /srv/midwatch")
def up(
    data: Data = DATA,
    config: ConfigFile = None,
    no_install: Annotated[
        bool, typer.Option("--no-install", help="Neither install nor start a container engine.")
    ] = False,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Leave the demo shop out.")] = False,
) -> None:
    """Start engine, service, agent and the demo shop on this machine, until the dashboards are live."""
    from cli.config import load
    from cli.up import Options, config_in_use, up

    config = config or config_in_use(data.absolute())
    up(Options(data.absolute(), config, not no_install, not no_demo), load(config, os.environ), os.environ)


@app.command(epilog="Example: midwatch down")
def down(
    data: Data = DATA,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the stored data too.")] = False,
) -> None:
    """Stop what `midwatch up` started, and nothing else; what was stored stays."""
    from cli.down import down

    down(data.absolute(), purge, os.environ)


@app.command(epilog="Example: midwatch server --config midwatch.yaml")
def server(data: Data = DATA, config: ConfigFile = None) -> None:
    """Run the service in the foreground: ingest, judgements, pages and dashboards."""
    from cli.config import load
    from cli.foreground import serve

    serve(data.absolute(), load(config, os.environ))


@app.command(epilog="Example: DOCKER_HOST=unix:///run/user/1000/docker.sock midwatch agent")
def agent(data: Data = DATA, config: ConfigFile = None) -> None:
    """Run this node's agent in the foreground: it watches the containers and runs projects."""
    from cli.config import load
    from cli.foreground import watch

    watch(data.absolute(), load(config, os.environ))


@app.command(epilog="Example: midwatch run compose.yaml")
def run(
    file: Annotated[Path, typer.Argument(help="A Compose file.")],
    data: Data = DATA,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace another file of the same project's name.")
    ] = False,
) -> None:
    """Hand a Compose file to the agent, which brings its services up and keeps them so."""
    from cli.projects import run

    run(data.absolute(), file.absolute(), os.environ, replace)


@app.command(epilog="Example: midwatch stop shop")
def stop(
    project: Annotated[str, typer.Argument(help="The project's name, as `midwatch ps` shows it.")],
    data: Data = DATA,
) -> None:
    """Remove a project's containers and keep it no longer; its volumes stay."""
    from cli.projects import stop

    stop(data.absolute(), project)


@app.command(epilog="Example: midwatch ps --json | jq '.[].service'")
def ps(
    data: Data = DATA,
    config: ConfigFile = None,
    json: Json = False,
    everything: Annotated[bool, typer.Option("--all", help="Services too that have no container any more.")] = False,
) -> None:
    """Show the services of this node: desired, healthy, restarts and error budget."""
    from cli.config import load
    from cli.projects import ps

    ps(data.absolute(), load(config, os.environ), json, everything)


@app.command(epilog="Example: midwatch query 'sum by (service) (rate(http_requests_total[5m]))' --from -1h")
def query(
    expression: Annotated[str, typer.Argument(help="A PromQL expression.")],
    at: Annotated[
        str | None, typer.Option("--at", help="The moment: RFC 3339, seconds, or -1h; now by default.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="Begin of a range.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="End of a range; now by default.")] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Step of a range, such as 30s; by its length else.")
    ] = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Ask in PromQL: a table of one moment, or a chart of a range."""
    from cli.config import load
    from cli.query import Asked, query

    query(load(config, os.environ).service, Asked(expression, at, since, until, step), json)


@app.command(epilog="Example: midwatch report --service shop/api --period last-month -o october.pdf")
def report(
    service: Annotated[str | None, typer.Option("--service", help="A service; all where none is given.")] = None,
    slo: Annotated[str | None, typer.Option("--slo", help="One objective of the service.")] = None,
    where: Annotated[str | None, typer.Option("--where", help="Its node or registry: node=n1.")] = None,
    period: Annotated[str | None, typer.Option("--period", help="last-week, 2026-W47, 2026-11, 30d (default).")] = None,
    since: Annotated[str | None, typer.Option("--from", help="First day, such as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Last day.")] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Time zone of the days; UTC else.")] = None,
    form: Annotated[
        Literal["html", "csv", "json", "parquet", "pdf"] | None,
        typer.Option("--format", help="By the file's name where it is left out, else html."),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--output", help="The file; standard output else.")] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="The same as --format pdf -o FILE.")] = None,
    part: Annotated[
        str | None, typer.Option("--part", help="CSV, Parquet: days, incidents, minutes, changes, summary.")
    ] = None,
    browser: Annotated[Path | None, typer.Option("--browser", help="The browser that makes the PDF.")] = None,
    config: ConfigFile = None,
) -> None:
    """Report what was promised for a period and what was kept: attainment, budget spent, incidents, worst minutes."""
    from cli.config import load
    from cli.report import Asked, report

    form, out = ("pdf", pdf) if pdf is not None else (form, out)
    asked = Asked(slo, service, where, period, since, until, zone, part, form, out, browser)
    report(load(config, os.environ).service, asked, os.environ)


@app.command(epilog="Example: midwatch check compose.yaml midwatch.yaml slos/")
def check(
    files: Annotated[
        list[Path], typer.Argument(help="Compose, midwatch.yaml, rule and OpenSLO files, or folders of them.")
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="OpenSLO to the letter: what its own examples get wrong is a fault too.")
    ] = False,
) -> None:
    """Check files: every fault at once, each with file, line and key; exit code 1 where there is any."""
    from cli.check import check

    raise typer.Exit(check(files, os.environ, strict))


def main() -> None:
    """Run the command; what can't be done is one clear line with its remedy and exit code 2."""
    try:
        sys.exit(app(prog_name="midwatch", standalone_mode=False) or 0)
    except usage.UsageError as error:
        _usage(error)
    except ConfigFault as faults:
        _refuse(*faults.faults)
    except Refusal as refusal:
        _refuse(f"midwatch: {refusal}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        _refuse(f"midwatch: {error.filename or 'writing'}: {error.strerror}; {REMEDIES[error.errno]}")


REMEDIES = {
    errno.ENOSPC: "free some space or choose another disk with --data",
    errno.EDQUOT: "free some space or choose another disk with --data",
    errno.EROFS: "choose a folder that can be written with --data",
    errno.EACCES: "run as root, or choose a folder of yours with --data",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP),
        "correct the path, or choose another folder with --data",
    ),
    errno.EPERM: "run as root, or choose a folder of yours with --data",
}


def _usage(error: Exception) -> None:
    if not usage.is_help(error):
        _refuse(usage.sentence(error))
    print(error, file=sys.stderr, end="")  # help that was drawn already is no text of it
    sys.exit(2)


def _refuse(*lines: str) -> None:
    for line in lines:
        print(plain(line), file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()

"""`midwatch slo …`: objectives as they are judged, OpenSLO files normalised or tried over stored history."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.adjust_commands import adjust, adjustments, revoke
from slo.burn import DEFAULT, Policy
from slo.openslo.faults import Finding

app = typer.Typer(no_args_is_help=True, help="Service level objectives.")
app.command(epilog="Example: midwatch slo adjust --service 'shop/*' --from -2h --until now --why 'new disks'")(adjust)
app.command(epilog="Example: midwatch slo adjustments --all")(adjustments)
app.command(epilog="Example: midwatch slo revoke 4f1c… --why 'it was ours'")(revoke)


@app.command(epilog="Example: midwatch slo export --format prometheus slos/ > rules.yml")
def export(
    files: Annotated[list[Path] | None, typer.Argument(help="OpenSLO files, or folders of them.")] = None,
    form: Annotated[
        Literal["openslo", "prometheus"],
        typer.Option("--format", help="openslo: OpenSLO v1, normalised; prometheus: a file of rules."),
    ] = "openslo",
    builtin: Annotated[
        bool, typer.Option("--builtin", help="With prometheus: what the running service judges, in place of files.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
    ] = None,
) -> None:
    """Write objectives to standard output: as OpenSLO v1 in one order and one way to write each value, or as rules.

    What can't be a rule of Prometheus is told, and ends with 3.
    """
    from cli.config import load
    from cli.slo_export import as_openslo, as_rules, in_force

    if bool(files) == builtin:
        raise typer.BadParameter("name OpenSLO files, or say --builtin in their place")
    if builtin and form == "openslo":
        raise typer.BadParameter("built-in objectives are no files; say --format prometheus")
    if form == "openslo":
        as_openslo(files or [])
        return
    settings = load(config, os.environ).service
    if builtin:
        in_force(settings)
    else:
        as_rules(settings, files or [])


@app.command(epilog="Example: midwatch slo backtest slos/shop.yaml --since 30d --target 99.95")
def backtest(
    files: Annotated[list[Path], typer.Argument(help="OpenSLO files, or folders of them.")],
    config: Annotated[
        Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How long back: 30d, 12h.")] = "30d",
    target: Annotated[
        str | None,
        typer.Option("--target", help="In percent, in place of the files' targets: 99.95; several are tried beside."),
    ] = None,
    burn_table: Annotated[
        Literal["workbook", "sloth-7d", "pyrra"] | None,
        typer.Option("--burn-table", help="Burn rows in place of those in force."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="OpenSLO to the letter.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Try objectives over stored history: budget, pages and tickets, beside the objective in force.

    Ends with 1 where a file is faulty, and with 3 where nothing was counted of an objective or it can't be tried.
    """
    from cli.backtest import Asked
    from cli.backtest import backtest as tried
    from cli.config import load

    tried(load(config, os.environ).service, Asked(files, since, target, strict, burn_table), json)


ConfigFile = Annotated[
    Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
State = Literal["ok", "burning", "exhausted", "no-traffic", "unmeasured", "learning"]


@app.command("list", epilog="Example: midwatch slo list --service shop/api")
def list_(
    service: Annotated[str | None, typer.Option("--service", help="Of this service alone.")] = None,
    state: Annotated[State | None, typer.Option("--state", help="In this state alone.")] = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List objectives as they are judged now: state, SLI, budget left, burn."""
    from cli.config import load
    from cli.slo_show import list_objectives

    list_objectives(load(config, os.environ).service, service, state, json)


@app.command(epilog="Example: midwatch slo show request-availability shop/api")
def show(
    slo: Annotated[str, typer.Argument(help="The objective's name.")],
    service: Annotated[str, typer.Argument(help="Its service; platform for nodes and registries.")] = "platform",
    where: Annotated[str, typer.Option("--where", help="Its scope: node=n1,node_id=….")] = "",
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one objective: state, SLI, budget, burn rows, and when the budget runs out."""
    from cli.config import load
    from cli.slo_show import show as shown

    shown(load(config, os.environ).service, slo, service, where, json)


def findings_of(files: Sequence[Path], strict: bool, policy: Policy = DEFAULT) -> tuple[Finding, ...]:
    """Everything there is to say of OpenSLO files, together: documents, references, and what can't be computed."""
    from service.slo_files import read_texts
    from slo.openslo.plans import indicators, plan
    from slo.openslo.resolve import load

    if not files:
        return ()
    from service.slo_promql import why_not  # the engine's parser is needed for queries alone

    texts = read_texts([str(it) for it in files])
    found = load(texts.texts, strict)
    own = indicators(found, strict, why_not)
    findings = (*texts.faults, *found.findings, *own, *plan(found.slos, strict, why_not, policy=policy).findings)
    return tuple(sorted(dict.fromkeys(findings), key=lambda it: (it.at.file, it.at.line)))


def yaml_files(folder: Path) -> list[Path]:
    """The YAML files in a folder and in folders within, in order."""
    from service.slo_files import in_folder

    return in_folder(folder)

"""`midwatch slo …`: OpenSLO files, normalised or tried over stored history."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.adjust_commands import adjust, adjustments, revoke
from slo.openslo.faults import Finding

app = typer.Typer(no_args_is_help=True, help="Service level objectives: files, history, and what does not count.")
app.command(epilog="Example: midwatch slo adjust --service 'shop/*' --from -2h --until now --why 'new disks'")(adjust)
app.command(epilog="Example: midwatch slo adjustments --all")(adjustments)
app.command(epilog="Example: midwatch slo revoke 4f1c… --why 'it was ours'")(revoke)


@app.command(epilog="Example: midwatch slo export --format openslo slos/ > all.yaml")
def export(
    files: Annotated[list[Path], typer.Argument(help="OpenSLO files, or folders of them.")],
    form: Annotated[Literal["openslo"], typer.Option("--format", help="openslo: OpenSLO v1, normalised.")] = "openslo",
) -> None:
    """Write the files' documents to standard output as OpenSLO v1, in one order and one way to write each value."""
    from service.slo_files import read_texts
    from slo.openslo.export import export as written
    from slo.openslo.read import read

    texts = read_texts([str(it) for it in files])
    found = read(texts.texts)
    faults = [*texts.faults, *found.faults]
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        raise typer.Exit(1)
    sys.stdout.write(written(found.documents))


@app.command(epilog="Example: midwatch slo backtest slos/shop.yaml --since 30d --target 99.95")
def backtest(
    files: Annotated[list[Path], typer.Argument(help="OpenSLO files, or folders of them.")],
    config: Annotated[
        Path | None, typer.Option("--config", envvar="MIDWATCH_CONFIG", help="midwatch.yaml; none is needed.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How long back: 30d, 12h.")] = "30d",
    target: Annotated[
        str | None, typer.Option("--target", help="In percent, in place of the files' targets: 99.95.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="OpenSLO to the letter.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Try objectives over stored history: budget, pages and tickets, beside the objective in force."""
    from cli.backtest import Asked
    from cli.backtest import backtest as tried
    from cli.config import load

    tried(load(config, os.environ).service, Asked(files, since, target, strict), json)


def findings_of(files: Sequence[Path], strict: bool) -> tuple[Finding, ...]:
    """Everything there is to say of OpenSLO files, together: documents, references, and what can't be computed."""
    from service.slo_files import read_texts
    from slo.openslo.plans import plan
    from slo.openslo.resolve import load

    texts = read_texts([str(it) for it in files])
    found = load(texts.texts, strict)
    findings = (*texts.faults, *found.findings, *plan(found.slos, strict).findings)
    return tuple(sorted(findings, key=lambda it: (it.at.file, it.at.line)))


def yaml_files(folder: Path) -> list[Path]:
    """The YAML files in a folder and in folders within, in order."""
    from service.slo_files import in_folder

    return in_folder(folder)

"""`midwatch slo …`: OpenSLO files, normalised."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from slo.openslo.faults import Finding

app = typer.Typer(no_args_is_help=True, help="Service level objectives as files.")


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

"""`midwatch slo export`: OpenSLO files normalised, and objectives as rules of Prometheus."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from cli.service_client import ask
from cli.terminal import plain
from service.settings import Settings
from service.slo_export import Rules, rules_of_files
from service.slo_files import read_texts
from slo.openslo.export import export as written
from slo.openslo.faults import Finding
from slo.openslo.read import read

LEFT_OUT: Final = 3
"""Ends with this where something could not be a rule; what could stands written."""
WAIT_SECONDS: Final = 60.0


def as_openslo(files: Sequence[Path]) -> None:
    """The files' documents as OpenSLO v1; ends with 1 where one is faulty."""
    texts = read_texts([str(it) for it in files])
    found = read(texts.texts)
    _refuse([*texts.faults, *found.faults])
    sys.stdout.write(written(found.documents))


def as_rules(settings: Settings, files: Sequence[Path]) -> None:
    """A rule file of the files' objectives; ends with 1 where a file is faulty."""
    texts = read_texts([str(it) for it in files])
    found, faults = rules_of_files(texts.texts, settings)
    _refuse([*texts.faults, *faults])
    _print(found)


def in_force(settings: Settings) -> None:
    """A rule file of what the running service judges."""
    told = ask(settings, "GET", "/api/slo/rules", wait_seconds=WAIT_SECONDS)
    _print(Rules(tuple(told["groups"]), tuple(told["left_out"])))


def _print(found: Rules) -> None:
    sys.stdout.write(found.text())
    for it in found.left_out:
        print(plain(it), file=sys.stderr)
    if found.left_out:
        raise typer.Exit(LEFT_OUT)


def _refuse(faults: Sequence[Finding]) -> None:
    if faults:
        print(*faults, sep="\n", file=sys.stderr)
        raise typer.Exit(1)

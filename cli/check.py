"""`midwatch check`: every fault of Compose files, midwatch.yaml files, Prometheus rule files and OpenSLO files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.config import SECTIONS, load
from cli.errors import ConfigFault
from cli.slo_commands import findings_of
from runtime import compose
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.compose_yaml import YamlFault, parse
from runtime.errors import ComposeFault


def check(files: Sequence[Path], environment: Mapping[str, str], strict: bool = False) -> int:
    """Print every fault of every file, and what OpenSLO files make one warn of; 1 where there is a fault, else 0.

    All OpenSLO files are checked together, for they name one another; `strict` is theirs alone.
    """
    objectives = [file for file in files if _is_openslo(file)]
    findings = findings_of(objectives, strict) if objectives else ()
    others = [fault for file in files if file not in objectives for fault in _faults(file, environment)]
    for it in (*findings, *others):
        print(it)
    if others or any(it.level == "error" for it in findings):
        return 1
    print(f"{len(files)} file(s), no fault")
    return 0


def _faults(file: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    try:
        if _is_rules(file):
            return _rule_faults((str(file),))
        if _is_configuration(file):
            told = load(file, {}).service
            named = findings_of([Path(it) for it in told.slos], told.slos_strict) if told.slos else ()
            return (*_rule_faults(told.rules), *(str(it) for it in named if it.level == "error"))
        compose.load(file, environment)
    except (ConfigFault, ComposeFault) as found:
        return found.faults
    return ()


def _rule_faults(globs: Sequence[str]) -> tuple[str, ...]:
    if not globs:
        return ()
    from service.rules import check  # the engine's parser is needed for rules alone

    return check(globs)


def _is_openslo(file: Path) -> bool:
    """By the key that no other file has; folders are of OpenSLO files."""
    if file.is_dir():
        return True
    try:
        return re.search(r"^(- )?apiVersion\s*:", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _is_rules(file: Path) -> bool:
    """By its one key; rules may use YAML that our own files may not."""
    try:
        return re.search(r"^groups\s*:", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _is_configuration(file: Path) -> bool:
    """By its keys; what can't be read or is no mapping is judged by its name."""
    try:
        root = parse(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YamlFault):
        root = None
    if isinstance(root, YamlMapping) and ("services" in root.entries or set(root.entries) & set(SECTIONS)):
        return "services" not in root.entries
    return file.stem.startswith("midwatch")

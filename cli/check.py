"""`midwatch check`: every fault of Compose files, midwatch.yaml files, Prometheus rule files and OpenSLO files."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.check_labels import label_faults, label_remarks
from cli.config import SECTIONS, load
from cli.errors import ConfigFault
from cli.slo_commands import findings_of, yaml_files
from cli.terminal import counted, plain
from runtime import compose
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.compose_yaml import YamlFault, parse
from runtime.errors import ComposeFault
from runtime.regular import read_regular
from slo.goal_lint import goal_lint

MOST_BYTES = 4 << 20
"""What a rule file may have; the others may have less."""


def check(files: Sequence[Path], environment: Mapping[str, str], strict: bool = False) -> int:
    """Print every fault of every file, and what OpenSLO files make one warn of; 1 where there is a fault, else 0.

    All OpenSLO files are checked together, for they name one another; `strict` is theirs alone. A folder stands for
    the YAML files in it, each of whatever kind it is.
    """
    each = [file for named in files for file in _within(named)]
    objectives = [file for file in each if _is_openslo(file)]
    findings = findings_of(objectives, strict) if objectives else ()
    others = [it for file in each if file not in objectives for it in _faults(file, environment)]
    remarks = [it for file in each if file not in objectives for it in _remarks(file, environment)]
    for it in (*findings, *others, *remarks):
        print(plain(str(it)))
    faults = len(others) + sum(it.level == "error" for it in findings)
    print(f"{counted(len(each), 'file')}, {counted(faults, 'fault') if faults else 'no fault'}")
    return 1 if faults else 0


def _faults(file: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    try:
        text = read_regular(file, MOST_BYTES).decode()
        if _is_rules(text):
            return _rule_faults((glob.escape(str(file)),))
        if _is_configuration(file, text):
            told = load(file, {}).service
            named = findings_of([Path(it) for it in told.slos], told.slos_strict) if told.slos else ()
            return (*_rule_faults(told.rules), *(str(it) for it in named if it.level == "error"))
        return label_faults(file, text, compose.load(file, environment))
    except (ConfigFault, ComposeFault) as found:
        return found.faults
    except UnicodeDecodeError as error:
        return (f"{file}:1: not UTF-8 at byte {error.start}; save it as plain UTF-8 text",)
    except OSError as error:
        return (f"{file}:1: can't be read: {error.strerror}; correct the path or its permissions",)
    return ()


def _remarks(file: Path, environment: Mapping[str, str]) -> list[str]:
    """What a file without fault makes one warn of: burn rows that can't work."""
    try:
        text = read_regular(file, MOST_BYTES).decode()
        if _is_rules(text):
            return []
        if not _is_configuration(file, text):
            return list(label_remarks(file, text, compose.load(file, environment)))
        told = load(file, {}).service
    except (ConfigFault, ComposeFault, OSError, UnicodeDecodeError):
        return []
    named = findings_of([Path(it) for it in told.slos], told.slos_strict, told.burn.policy()) if told.slos else ()
    own = goal_lint(policy=told.burn.policy()) if told.burn.model_fields_set else ()
    warned = (f"{file}: service.burn: warning: the built-in objective {it}" for it in own)
    return [*(str(it) for it in named if it.level == "warning"), *warned]


def _rule_faults(globs: Sequence[str]) -> tuple[str, ...]:
    if not globs:
        return ()
    from service.rules import check  # the engine's parser is needed for rules alone

    return check(globs)


def _within(named: Path) -> list[Path]:
    """Of a folder its YAML files, those of folders within too; where it has none, the folder itself, to be told of."""
    return (yaml_files(named) if named.is_dir() else []) or [named]


def _is_openslo(file: Path) -> bool:
    """By the keys that no other file begins with, in YAML or in JSON."""
    try:
        text = read_regular(file, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return False
    json = text.lstrip()[:1] in ("{", "[") and '"apiVersion"' in text
    return json or re.search(r"^(- )?(apiVersion|kind|metadata)\s*:", text, re.MULTILINE) is not None


def _is_rules(text: str) -> bool:
    """By its one key; rules may use YAML that our own files may not."""
    return re.search(r"^groups\s*:", text, re.MULTILINE) is not None


def _is_configuration(file: Path, text: str) -> bool:
    """By its keys; what is no mapping is judged by its name."""
    try:
        root = parse(text, [])
    except YamlFault:
        root = None
    if isinstance(root, YamlMapping) and ("services" in root.entries or set(root.entries) & set(SECTIONS)):
        return "services" not in root.entries
    return file.stem.startswith("midwatch")

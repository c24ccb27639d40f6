"""`midwatch check`: every fault of Compose files, midwatch.yaml files and Prometheus rule files."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.config import SECTIONS, load
from cli.errors import ConfigFault
from cli.terminal import counted, plain
from runtime import compose
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.compose_yaml import YamlFault, parse
from runtime.errors import ComposeFault
from runtime.regular import read_regular

MOST_BYTES = 4 << 20
"""What a rule file may have; the others may have less."""


def check(files: Sequence[Path], environment: Mapping[str, str]) -> int:
    """Print every fault of every file; 1 where there is any, else 0."""
    faults = [fault for file in files for fault in _faults(file, environment)]
    for fault in faults:
        print(plain(fault))
    print(f"{counted(len(files), 'file')}, {counted(len(faults), 'fault') if faults else 'no fault'}")
    return 1 if faults else 0


def _faults(file: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    try:
        text = read_regular(file, MOST_BYTES).decode()
        if _is_rules(text):
            return _rule_faults((glob.escape(str(file)),))
        if _is_configuration(file, text):
            return _rule_faults(load(file, {}).service.rules)
        compose.load(file, environment)
    except (ConfigFault, ComposeFault) as found:
        return found.faults
    except UnicodeDecodeError as error:
        return (f"{file}:1: not UTF-8 at byte {error.start}; save it as plain UTF-8 text",)
    except OSError as error:
        return (f"{file}:1: can't be read: {error.strerror}; correct the path or its permissions",)
    return ()


def _rule_faults(globs: Sequence[str]) -> tuple[str, ...]:
    if not globs:
        return ()
    from service.rules import check  # the engine's parser is needed for rules alone

    return check(globs)


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

"""Every eval of Prometheus's own test scripts holds; MIDWATCH_PROMQLTEST names another folder of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.promql import QueryFault
from tests.service.promql.script import cases, check

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("MIDWATCH_PROMQLTEST", ROOT.parent / "shared" / "peer" / "promqltest"))
EXCEPTIONS: dict[str, str] = {}
"""Evals that don't hold (`file:line`), each with its reason."""


def test_there_are_scripts() -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"no folder {FOLDER}: set MIDWATCH_PROMQLTEST to one with *.test")
    assert list(FOLDER.glob("*.test"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.test")), ids=lambda it: it.stem)
def test_every_eval_holds(path: Path, form: str) -> None:
    faults, count = [], 0
    for case in cases(path):
        count += 1
        try:
            check(case)
        except (AssertionError, QueryFault) as fault:
            if case.where not in EXCEPTIONS:
                faults.append(f"{form}: {case.where}: {case.line}: {type(fault).__name__}: {fault}")
    assert not faults, f"{len(faults)} of {count}\n" + "\n".join(faults)

"""What our engine answers where Prometheus's scripts at hand say nothing; in the same script language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.promql.script import Case, cases, check

SCRIPTS = Path(__file__).with_name("scripts")
EVERY = [case for path in sorted(SCRIPTS.glob("*.test")) for case in cases(path)]


@pytest.mark.parametrize("case", EVERY, ids=lambda it: it.where)
def test_it_holds(form: str, case: Case) -> None:
    check(case)

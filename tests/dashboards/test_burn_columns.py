"""Columns of the burn table are those of the rows that objectives are judged by, whichever table that is."""

from __future__ import annotations

import pytest

from dashboards.slo_rows import burn_columns
from slo.burn import Policy
from slo.judge import judge, windows
from slo.model import Judgement
from slo.rows import TABLES, RowTable
from tests.slo.support import NOW, counts, objective


def _judged(table: RowTable, days: int) -> Judgement:
    policy, of = Policy(table.rows, table.period_ms), objective(days=days)
    one = counts(0, 1000)
    return judge(of, dict.fromkeys(windows(of, policy), one), NOW, policy)


@pytest.mark.parametrize(("table", "last"), list(zip(TABLES, ("3 d", "3 d", "4 d"), strict=True)))
def test_every_row_of_a_table_has_its_column(table: RowTable, last: str) -> None:
    found = burn_columns([_judged(table, 7), _judged(table, 30)])
    assert [name for name, _ in found] == [it.name for it in table.rows]
    assert found[-1][1] == last


def test_without_a_judgement_they_are_the_workbooks() -> None:
    assert burn_columns([]) == (("fast", "1 h"), ("slow", "6 h"), ("ticket-1d", "1 d"), ("ticket-3d", "3 d"))

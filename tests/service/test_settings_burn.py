"""Burn rows as settings: a table by name, or rows of one's own that cite their source."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from service.api_slo import burn
from service.settings_burn import BurnSettings
from slo.burn import DEFAULT, table_rows
from slo.rows import DAY_MS, HOUR_MS, MINUTE_MS
from tests.slo.support import DAY

ROW = {"long": "1h", "short": "5m", "budget_share": 0.02, "road": "page", "source": "SRE Workbook"}


def _with(**changed: Any) -> dict[str, Any]:
    found = {**ROW, **changed}
    return {name: value for name, value in found.items() if value is not None}


def test_nothing_set_is_the_workbooks_table() -> None:
    assert BurnSettings.model_validate({}).policy() == DEFAULT


def test_rows_of_ones_own_stand_in_the_place_of_a_table_the_fastest_first() -> None:
    slow = {"long": "3d", "short": "6h", "factor": 1.1, "road": "ticket", "name": "leak", "source": "review"}
    policy = BurnSettings.model_validate({"rows": [slow, ROW]}).policy()
    assert [it.name for it in policy.rows] == ["page-1h", "leak"]
    assert [it.source for it in policy.rows] == ["SRE Workbook", "review"]
    fast, leak = table_rows(30 * DAY, policy)
    assert (fast.factor, fast.budget_share) == (Fraction("14.4"), Fraction(2, 100))
    assert (leak.factor, leak.budget_share) == (Fraction("1.1"), Fraction("0.11"))


def test_a_factor_stands_for_every_period_and_a_share_makes_its_own() -> None:
    both = [ROW, _with(budget_share=None, factor=14.4, name="fixed")]
    derived, fixed = table_rows(28 * DAY, BurnSettings.model_validate({"rows": both}).policy())
    assert (derived.factor, derived.budget_share) == (Fraction("13.44"), Fraction(2, 100))
    assert (fixed.factor, fixed.budget_share) == (Fraction("14.4"), Fraction("14.4") / 672)


def test_windows_scale_from_the_period_that_they_are_made_for() -> None:
    policy = BurnSettings.model_validate({"rows": [ROW], "made_for": "60d"}).policy()
    (row,) = table_rows(30 * DAY_MS, policy)
    assert (row.long_ms, row.short_ms) == (HOUR_MS // 2, 5 * MINUTE_MS // 2)
    assert row.factor == Fraction(2, 100) * 1440


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rows": [_with(factor=2)]}, "either budget_share or factor"),
        ({"rows": [_with(budget_share=None)]}, "either budget_share or factor"),
        ({"rows": [_with(short="2h")]}, "the short window 2h is longer than 1h"),
        ({"rows": [_with(long="0m")]}, "no window from 1m to 366d"),
        ({"rows": [_with(long="900d")]}, "no window from 1m to 366d"),
        ({"rows": [_with(source=None)]}, "source"),
        ({"rows": [_with(source="")]}, "source"),
        ({"rows": [_with(budget_share=1.5)]}, "budget_share"),
        ({"rows": [_with(name="A b")]}, "name"),
        ({"rows": [ROW, ROW]}, "two burn rows are called page-1h"),
        ({"rows": [ROW], "table": "pyrra"}, "remove table or rows"),
        ({"rows": [ROW], "made_for": "5m"}, "no period from 1h to 366d"),
        ({"rows": [_with(name=f"r{it}") for it in range(13)]}, "at most 12"),
    ],
)
def test_rows_that_say_nothing_are_refused_with_the_remedy(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BurnSettings.model_validate(given)


def test_the_api_tells_of_rows_of_ones_own_with_their_sources() -> None:
    settings = BurnSettings.model_validate({"rows": [ROW]})
    told = burn(settings, 30 * DAY)
    own = told.tables[-1]
    assert (told.table, own.name) == ("own", "own")
    assert [(it.name, it.factor_exact, it.source) for it in own.rows] == [("page-1h", "72/5", "SRE Workbook")]
    assert all(it.source.startswith("Google") for it in told.tables[0].rows)
    assert [it.name for it in burn(BurnSettings.model_validate({}), 30 * DAY).tables] == [
        "workbook",
        "sloth-7d",
        "pyrra",
    ]
    assert settings.with_table("pyrra").policy().rows != settings.policy().rows
    assert settings.with_table(None) == settings.with_table("own") == settings

"""Reports against a second, naive computation."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import pages
from dashboards.errors import RequestFault
from dashboards.page_views import ReportView
from dashboards.report import days_of, frame_of
from slo.model import Counts, Objective
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import DAY, FIRST, MINUTE, NOW, objectives

API = {"slo": "request-availability", "service": "shop/api"}
OBJECTIVE = next(it for it in objectives() if (it.slo, it.service) == ("request-availability", "shop/api"))
ALLOWANCE = next(it for it in objectives() if it.slo == "restart-rate")


def _page(source: FakeSource, **asked: str) -> ReportView:
    return pages.report(source, pages.parse("reports", asked, NOW), NOW)


def _rows(source: FakeSource, **asked: str) -> list[dict[str, str]]:
    text, _ = pages.csv(source, pages.parse("reports", asked, NOW), NOW)
    return list(csv.DictReader(io.StringIO(text)))


def _naive(source: FakeSource, objective: Objective) -> dict[str, tuple[int, int]]:
    """Bad and total by day, minute for minute."""
    found: dict[str, tuple[int, int]] = {}
    for index, counted in enumerate(source.objectives[objective].minutes):
        day = f"{datetime.fromtimestamp((FIRST + index * MINUTE) / 1000, UTC):%Y-%m-%d}"
        bad, total = found.get(day, (0, 0))
        found[day] = (bad + (counted or (0, 0))[0], total + (counted or (0, 0))[1])
    return found


def test_each_day_equals_a_count_minute_for_minute(source: FakeSource) -> None:
    naive = _naive(source, OBJECTIVE)
    rows = _rows(source, **API)
    assert {it["day"]: (int(it["bad"]), int(it["total"])) for it in rows} == naive
    allowed = OBJECTIVE.budget * sum(total for _, total in naive.values())
    for row in rows:
        bad, total = naive[row["day"]]
        assert float(row["sli"]) == pytest.approx(float(1 - Fraction(bad, total)), rel=1e-8)
        assert float(row["budget_spent"]) == pytest.approx(float(bad / allowed), rel=1e-8)


def test_what_is_left_on_the_last_day_is_what_the_judgement_says(source: FakeSource) -> None:
    judged = next(it for it in source.judgements() if it.objective == OBJECTIVE)
    assert judged.budget_remaining is not None
    assert float(_rows(source, **API)[-1]["budget_left"]) == pytest.approx(float(judged.budget_remaining), rel=1e-8)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10_000)), min_size=1, max_size=40))
def test_the_days_shares_of_the_budget_add_up_to_what_is_spent(pairs: list[tuple[int, int]]) -> None:
    counts = [
        Counts(i * DAY, (i + 1) * DAY, min(bad, total), total, DAY, DAY, 0, 0) for i, (bad, total) in enumerate(pairs)
    ]
    days = days_of(counts, OBJECTIVE)
    spent = sum((it.spent or Fraction(0) for it in days), Fraction(0))
    total = sum(it.total for it in counts)
    if total:
        assert spent == sum(it.bad for it in counts) / (OBJECTIVE.budget * total)
    assert all((it.sli is None) == (it.counts.total == 0) for it in days)


def test_a_day_without_traffic_is_empty_in_the_table_and_not_perfect() -> None:
    quiet = Counts(0, DAY, 0, 0, DAY, DAY, 0, 0)
    busy = Counts(DAY, 2 * DAY, 1, 2000, DAY, DAY, 0, 0)
    table = frame_of(days_of([quiet, busy], OBJECTIVE))
    assert table["sli"].isna().tolist() == [True, False]
    assert table["budget_left"].isna().tolist() == [True, False]
    assert table["total"].tolist() == [0, 2000]


def test_an_allowance_has_no_sli_but_a_rate() -> None:
    (day,) = days_of([Counts(0, DAY, 3, DAY, DAY, DAY, 0, 0)], ALLOWANCE)
    assert day.sli is None
    assert day.spent == Fraction(3) / (ALLOWANCE.budget * DAY)


def test_days_before_the_first_sample_are_left_out_and_it_is_said(source: FakeSource) -> None:
    view = _page(source, **API)
    assert len(view.rows) == 13
    assert "History begins at 2026-11-20 02:39 UTC" in view.note


def test_a_day_that_was_observed_in_part_is_hollow(source: FakeSource) -> None:
    bare = dict(source.objectives)
    tally = bare[OBJECTIVE]
    holes = tuple(None if index < 1000 else it for index, it in enumerate(tally.minutes))
    source.objectives = {**bare, OBJECTIVE: type(tally)(tally.first_ms, holes)}
    first = _page(source, **API).rows[0]
    assert (first.mark.level, first.mark.word) == ("unmeasured", "in part")


def test_an_objective_that_nothing_measures_says_why_and_has_no_table(source: FakeSource) -> None:
    view = _page(source, slo="cold-start", service="shop/worker")
    assert view.rows == ()
    assert "readiness probe" in view.note


def test_without_an_objective_it_asks_for_one_and_the_csv_refuses(source: FakeSource) -> None:
    view = _page(source)
    assert view.chosen is None
    assert len(view.objectives) == len(source.objectives)
    with pytest.raises(RequestFault):
        pages.csv(source, pages.parse("reports", {}, NOW), NOW)


def test_an_objective_that_was_removed_is_not_found(source: FakeSource) -> None:
    with pytest.raises(RequestFault) as caught:
        _page(source, slo="request-availability", service="gone")
    assert caught.value.status == 404


def test_every_choice_of_the_form_leads_to_its_report(source: FakeSource) -> None:
    for option in _page(source).objectives:
        view = _page(source, objective=option.value)
        assert [it.text for it in view.objectives if it.chosen] == [option.text]


def test_no_cell_of_the_csv_is_taken_for_a_formula(source: FakeSource) -> None:
    evil = "=cmd|' /C calc'!A0"
    objective = Objective(**{**OBJECTIVE.__dict__, "service": evil})
    source.objectives = {objective: source.objectives[OBJECTIVE]}
    rows = _rows(source, slo="request-availability", service=evil)
    assert rows[0]["service"] == f"'{evil}"
    _, name = pages.csv(source, pages.parse("reports", {"slo": objective.slo, "service": evil}, NOW), NOW)
    assert name == "midwatch-request-availability--cmd----C-calc--A0.csv"

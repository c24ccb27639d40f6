"""Reports against a second, naive computation; files that say what the pages say."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from dashboards import pages
from dashboards.errors import RequestFault
from dashboards.report_files import frame_of
from dashboards.report_views import ReportView
from slo.model import Counts, EventRatio, Objective, QueryIndicator, Selector
from tests.dashboards.fake import NOTHING, FakeSource, Minute, Tally
from tests.dashboards.rich import DAY, FIRST, HOSTILE, HOUR, MINUTE, NOW, objectives

API = {"slo": "request-availability", "service": "shop/api"}
OBJECTIVE = next(it for it in objectives() if (it.slo, it.service) == ("request-availability", "shop/api"))
ALLOWANCE = next(it for it in objectives() if (it.slo, it.service) == ("restart-rate", "shop/worker"))


def _page(source: FakeSource, **asked: str) -> ReportView:
    return pages.report(source, pages.parse("reports", asked, NOW), NOW)


def _rows(source: FakeSource, part: str | None = None, **asked: str) -> list[dict[str, str]]:
    text, _ = pages.csv(source, pages.parse("reports", asked, NOW), NOW, part)
    return list(csv.DictReader(io.StringIO(text)))


def _parquet(source: FakeSource, part: str | None = None, **asked: str) -> pd.DataFrame:
    data, _ = pages.parquet(source, pages.parse("reports", asked, NOW), NOW, part)
    return pd.read_parquet(io.BytesIO(data))


def _naive(source: FakeSource, objective: Objective, zone: str = "UTC") -> Mapping[str, tuple[int, int]]:
    """Bad and total by day, minute for minute."""
    found: dict[str, tuple[int, int]] = {}
    for index, counted in enumerate(source.objectives[objective].minutes):
        day = f"{datetime.fromtimestamp((FIRST + index * MINUTE) / 1000, ZoneInfo(zone)):%Y-%m-%d}"
        bad, total = found.get(day, (0, 0))
        found[day] = (bad + (counted or (0, 0))[0], total + (counted or (0, 0))[1])
    return found


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_each_day_of_a_zone_equals_a_count_minute_for_minute(source: FakeSource, zone: str) -> None:
    naive = _naive(source, OBJECTIVE, zone)
    rows = _rows(source, **API, range="30d", zone=zone)
    assert {it["day"]: (int(it["bad"]), int(it["total"])) for it in rows} == naive
    allowed = OBJECTIVE.budget * sum(total for _, total in naive.values())
    for row in rows:
        bad, total = naive[row["day"]]
        assert float(row["sli"]) == pytest.approx(float(1 - Fraction(bad, total)), rel=1e-8)
        assert float(row["budget_spent"]) == pytest.approx(float(bad / allowed), rel=1e-8)


def test_what_is_left_on_the_last_day_is_what_the_judgement_says(source: FakeSource) -> None:
    judged = next(it for it in source.judgements() if it.objective == OBJECTIVE)
    assert judged.budget_remaining is not None
    last = _rows(source, **API, range="30d")[-1]
    assert float(last["budget_left"]) == pytest.approx(float(judged.budget_remaining), rel=1e-8)


def test_a_named_week_holds_its_seven_days_and_no_more(source: FakeSource) -> None:
    rows = _rows(source, **API, period="2026-W48")
    assert [it["day"] for it in rows] == [f"2026-11-{day}" for day in range(23, 30)]
    view = _page(source, **API, period="last-week")
    assert view.period == "2026-W48: 2026-11-23 to 2026-11-29, UTC"
    assert len(view.rows) == 7


def test_a_day_without_traffic_is_empty_in_the_table_and_not_perfect(source: FakeSource) -> None:
    idle = Tally(NOW - 2 * DAY, tuple((0, 0) if at < 1440 else (1, 2000) for at in range(2880)))
    source.objectives = {OBJECTIVE: idle}
    first, *_, last = _rows(source, **API, range="7d")
    assert (first["total"], first["sli"], first["budget_spent"], first["budget_left"]) == ("0", "", "", "")
    assert last["sli"] == "0.9995"
    assert next(it.mark.level for it in _page(source, **API, range="7d").rows) == "quiet"


def test_an_allowance_has_no_sli_but_a_rate(source: FakeSource) -> None:
    view = _page(source, slo="restart-rate", service="shop/worker", range="7d")
    assert view.tiles[0].unit == "/ h"
    assert all(it["sli"] == "" for it in _rows(source, slo="restart-rate", service="shop/worker", range="7d"))
    assert {it.sli.split()[-1] for it in view.rows} == {"h"}


def test_what_can_not_be_asked_now_was_measured_all_the_same(source: FakeSource) -> None:
    asked = replace(
        OBJECTIVE, slo="asked", query=QueryIndicator("bad", "b", "t"), indicator=EventRatio((Selector("asked"),))
    )
    fails = replace(asked, unmeasurable="Its query can't be answered: too much.")
    both = replace(_composite(OBJECTIVE, fails), unmeasurable="Its member asked is not measured.")
    calm = Tally(NOW - 7 * DAY, ((1, 10_000),) * (7 * 1440))
    source.objectives = {OBJECTIVE: calm, fails: calm, both: NOTHING}
    view = _page(source, range="7d")
    assert {it.slo: it.kept for it in view.summary} == {
        "request-availability": "kept", "asked": "kept", "both": "kept",
    }  # fmt: skip
    single = _page(source, slo="asked", service="shop/api", range="7d")
    assert len(single.rows) == 8
    assert single.note == "Nothing measures this objective now: Its query can't be answered: too much."


def test_counts_of_the_files_have_their_units_beside_them(source: FakeSource) -> None:
    asked = replace(OBJECTIVE, slo="asked", query=QueryIndicator("bad", "b", "t"), indicator=EventRatio((), bad=()))
    source.objectives = {**source.objectives, asked: Tally(NOW - DAY, ((10**9, 5 * 10**9),) * 1440)}
    rows = {(it["slo"], it["service"]): it for it in _rows(source, range="7d")}
    told = {key: (it["bad_unit"], it["total_unit"], it["parts"]) for key, it in rows.items()}
    assert told["request-availability", "shop/api"] == ("events", "events", "1")
    assert told["container-up", "shop/api"] == ("milliseconds", "milliseconds", "1")
    assert told["restart-rate", "shop/api"] == ("events", "milliseconds", "1")
    assert told["asked", "shop/api"] == ("events", "events", str(10**9))
    assert int(rows["asked", "shop/api"]["bad"]) == 1440 * int(rows["asked", "shop/api"]["parts"])
    for part in ("days", "minutes", "incidents"):
        assert {it["bad_unit"] for it in _rows(source, part, **API, range="7d")} == {"events"}


def test_days_before_the_first_sample_are_left_out_and_it_is_said(source: FakeSource) -> None:
    view = _page(source, **API, range="30d")
    assert len(view.rows) == 13
    assert "History begins at 2026-11-20 02:39 UTC" in view.note


def test_a_day_that_was_observed_in_part_is_hollow_and_its_minutes_are_told(source: FakeSource) -> None:
    tally = source.objectives[OBJECTIVE]
    holes = tuple(None if index < 1000 else it for index, it in enumerate(tally.minutes))
    source.objectives = {**source.objectives, OBJECTIVE: Tally(tally.first_ms, holes)}
    first = _page(source, **API).rows[0]
    assert (first.mark.level, first.mark.word) == ("unmeasured", "in part")
    assert first.coverage == "16 h 40 min"
    assert _rows(source, **API)[0]["unmeasured_seconds"] == "60000"


def test_what_was_kept_of_a_period_that_was_observed_in_part_is_not_green(source: FakeSource) -> None:
    few = Tally(NOW - 7 * DAY, tuple((0, 100) if at < 1440 else None for at in range(7 * 1440)))
    source.objectives = {OBJECTIVE: few}
    view = _page(source, range="7d")
    assert [(it.mark.level, it.kept) for it in view.summary] == [("part", "kept, in part")]
    assert (view.tiles[0].mark.level, view.tiles[0].value, view.tiles[0].detail) == ("part", "1", "1 measured in part")
    assert _page(source, **API, range="7d").tiles[0].mark.level == "part"
    (row,) = _rows(source, range="7d")
    assert (row["attained"], row["in_part"]) == ("True", "True")


def _composite(*members: Objective) -> Objective:
    weights = tuple((it.slo, Fraction(1)) for it in members)
    return replace(OBJECTIVE, slo="both", budget=Fraction(1), members=weights, indicator=EventRatio(()))


def test_a_composite_is_not_known_to_be_kept_where_nothing_measured_a_member(source: FakeSource) -> None:
    hollow = replace(OBJECTIVE, slo="hollow", indicator=EventRatio((Selector("nowhere"),)))
    both = _composite(OBJECTIVE, hollow)
    calm = Tally(NOW - 7 * DAY, ((1, 10_000),) * (7 * 1440))
    source.objectives = {OBJECTIVE: calm, hollow: NOTHING, both: NOTHING}
    view = _page(source, range="7d")
    assert {it.slo: (it.kept, it.spent) for it in view.summary} == {
        "request-availability": ("kept", "10 %"), "hollow": ("no data", "no data"), "both": ("no data", "no data"),
    }  # fmt: skip
    assert (view.tiles[0].value, view.tiles[0].unit, view.tiles[2].value) == ("1", "of 1", "2")
    single = _page(source, slo="both", service="shop/api")
    assert single.tiles[0].mark.level == "unmeasured"
    assert single.note.startswith("Nothing measured one of its members")
    assert {it["slo"]: it["attained"] for it in _rows(source, range="7d")}["both"] == ""
    source.objectives = {OBJECTIVE: Tally(calm.first_ms, ((20, 10_000),) * (7 * 1440)), hollow: NOTHING, both: NOTHING}
    assert {it.slo: it.kept for it in _page(source, range="7d").summary}["both"] == "missed"


def test_a_composite_without_one_of_its_members_is_not_told_by_the_others(source: FakeSource) -> None:
    gone, blind = replace(OBJECTIVE, slo="gone"), replace(OBJECTIVE, slo="blind", unmeasurable="no probe")
    calm = Tally(NOW - 7 * DAY, ((1, 10_000),) * (7 * 1440))
    for other in (gone, blind):
        both = _composite(OBJECTIVE, other)
        source.objectives = {OBJECTIVE: calm, both: NOTHING, **({blind: NOTHING} if other is blind else {})}
        assert {it.slo: it.kept for it in _page(source, range="7d").summary}["both"] == "no data"
        assert _page(source, slo="both", service="shop/api", range="7d").tiles[1].value == "no data"


def test_what_an_incident_spent_is_what_was_bad_while_it_was_open(source: FakeSource) -> None:
    (row,) = _rows(source, "incidents", **API, range="30d")
    (incident,) = [it for it in source.open_incidents if it.subject.service == "shop/api"]
    minutes = source.objectives[OBJECTIVE].minutes
    inside = minutes[(incident.opened_ms - FIRST) // MINUTE :]
    assert int(row["bad"]) == sum(it[0] for it in inside if it)
    assert row["incident"] == incident.id


def test_the_worst_minutes_are_the_worst_there_are(source: FakeSource) -> None:
    rows = _rows(source, "minutes", **API, range="7d")
    counted = source.objectives[OBJECTIVE].minutes[-7 * 1440 :]
    assert [int(it["bad"]) for it in rows] == sorted((it[0] for it in counted if it), reverse=True)[:10]
    assert {it["seconds"] for it in rows} == {"60"}


def test_an_objective_that_nothing_measures_says_why_and_has_no_table(source: FakeSource) -> None:
    view = _page(source, slo="cold-start", service="shop/worker")
    assert view.rows == ()
    assert view.tiles[0].value == "no data"
    assert "readiness probe" in view.note


def test_without_an_objective_it_is_of_all_those_that_were_missed_first(source: FakeSource) -> None:
    view = _page(source, range="30d")
    assert len(view.summary) == len(source.objectives)
    kinds = [it.kept for it in view.summary]
    assert kinds[0] == "missed"
    assert kinds == sorted(kinds, key=lambda it: ["missed", "kept"].index(it) if it in ("missed", "kept") else 2)
    rows = _rows(source, range="30d")
    assert len(rows) == len(source.objectives)
    worker = _rows(source, service="shop/worker", range="30d")
    assert {it["service"] for it in worker} == {"shop/worker"}
    assert [it for it in rows if it["service"] == "shop/worker"] == worker


def test_the_summary_says_what_the_single_report_says(source: FakeSource) -> None:
    for row in _rows(source, period="2026-W48"):
        asked = {"slo": row["slo"], "service": row["service"], "where": row["scope"], "period": "2026-W48"}
        if row["service"].startswith("'"):
            continue
        (single,) = _rows(source, "summary", **asked)
        assert {**row, "changes": ""} == {**single, "changes": ""}


@pytest.mark.parametrize("asked", [{"service": "gone"}, {**API, "service": "gone"}, {**API, "where": "node=x"}])
def test_what_was_removed_is_not_found(source: FakeSource, asked: dict[str, str]) -> None:
    with pytest.raises(RequestFault) as caught:
        _page(source, **asked)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"period": "2026-W60"}, {"zone": "Mars/Base"}, {"period": "2031"}, {"from": "2026-11-01"},
        {"from": "2020-01-01", "to": "2026-01-01"},
    ],
)  # fmt: skip
def test_a_period_that_makes_no_sense_is_refused(source: FakeSource, asked: dict[str, str]) -> None:
    with pytest.raises(RequestFault):
        _page(source, **API, **asked)


def test_a_part_that_there_is_not_is_refused(source: FakeSource) -> None:
    for part, asked in [("hours", API), ("days", {}), ("minutes", {"service": "shop/api"})]:
        with pytest.raises(RequestFault):
            _rows(source, part, **asked)


def test_every_choice_of_the_form_leads_to_its_report(source: FakeSource) -> None:
    for option in _page(source).form.objectives:
        view = _page(source, period="today", **({"objective": option.value} if option.value else {}))
        assert [it.text for it in view.form.objectives if it.chosen] == [option.text]


def test_no_cell_of_the_csv_is_taken_for_a_formula_and_parquet_has_text_as_it_is(source: FakeSource) -> None:
    evil = "=cmd|' /C calc'!A0"
    objective = replace(OBJECTIVE, service=evil)
    source.objectives = {objective: source.objectives[OBJECTIVE]}
    asked = {"slo": "request-availability", "service": evil}
    assert _rows(source, **asked)[0]["service"] == f"'{evil}"
    assert _parquet(source, **asked)["service"][0] == evil
    _, name = pages.csv(source, pages.parse("reports", asked, NOW), NOW)
    assert name == "midwatch-request-availability--cmd----C-calc--A0.csv"
    assert "'=1+1" in {it["after"] for it in _rows(source, "changes") if it["slo"] == HOSTILE}


@pytest.mark.parametrize("part", ["days", "incidents", "minutes", "changes", "summary"])
def test_csv_and_parquet_say_the_same(source: FakeSource, part: str) -> None:
    table, rows = _parquet(source, part, **API, range="30d"), _rows(source, part, **API, range="30d")
    assert rows
    assert list(table.columns) == list(rows[0])
    assert len(table) == len(rows)
    for name in table.columns:
        for cell, text in zip(table[name], (it[name] for it in rows), strict=True):
            if pd.isna(cell):
                assert text == ""
            elif isinstance(cell, float):
                assert float(text) == pytest.approx(cell, rel=1e-8)
            else:
                assert str(cell) == text
    if part == "days":
        assert str(table["bad"].dtype) in ("Int64", "int64")


def test_counts_beyond_64_bits_stay_exact() -> None:
    table = frame_of({"bad": [2**70 + 1, 3]}, spreadsheet=False)
    assert table["bad"].tolist() == [str(2**70 + 1), "3"]


def test_a_report_as_a_file_needs_nothing_beside_it(source: FakeSource) -> None:
    source.objectives = {**source.objectives, replace(OBJECTIVE, slo=HOSTILE): source.objectives[OBJECTIVE]}
    for asked in (API, {**API, "slo": HOSTILE}, {}):
        text, name = pages.report_file(source, pages.parse("reports", asked, NOW), NOW, "https://watch.example")
        assert name.endswith(".html")
        assert "<script" not in text
        assert "<img" not in text
        assert "src=" not in text.replace("&lt;img src=", "")
        assert '<base href="https://watch.example/">' in text


def test_a_gap_in_the_middle_is_no_traffic_nor_good(source: FakeSource) -> None:
    minutes: list[Minute] = [(0, 10)] * 600
    minutes[100:160] = [None] * 60
    minutes[200:230] = [(0, 0)] * 30
    source.objectives = {OBJECTIVE: Tally(NOW - 600 * MINUTE, tuple(minutes))}
    tile = _page(source, **API, range="7d").tiles[3]
    assert (tile.value, tile.detail) == ("1 h", "30 min without traffic")


def test_the_budget_is_told_of_what_the_period_allows_alone(source: FakeSource) -> None:
    bad = [(0, 100)] * 1440 + [(10, 100)] * 60
    source.objectives = {OBJECTIVE: Tally(NOW - 1500 * MINUTE, tuple(bad))}
    whole = Counts(0, HOUR, 600, 150_000, HOUR, HOUR)
    view = _page(source, **API, range="7d")
    assert view.tiles[0].label == "Missed: SLI"
    spent = Fraction(whole.bad, whole.total) / OBJECTIVE.budget
    assert view.tiles[1].value == f"{float(spent) * 100:g}"

"""Reports, history and changes over a real store: the API, the pages and the files say the same, to the last digit."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from fastapi import FastAPI

from service import desk
from service.app import create_app
from service.main import running
from service.parts import Parts
from service.settings import Settings
from service.slo_fine import FIVE_MS, MINUTE_MS, MOST_STEPS, fine_edges
from service.slo_history import trim, write_history
from service.store_arrow import stream
from tests.service.asgi import ask
from tests.service.stores import Clock, Point, batch, series
from tests.service.test_outbox import _incident
from tests.service.test_slo_service import COMPOSITE, MEMBER
from tests.slo.openslo.support import GOOD, with_line

HOUR, DAY = 3_600_000, 86_400_000
NOW = 1_796_000_000_000 // DAY * DAY + 10 * HOUR
BEGIN = NOW - 2 * DAY
API = "slo=api&service=shop"


def _minute(at: int) -> tuple[int, int]:
    """(good, bad) requests of a minute."""
    return 9, 5 if 1000 <= at < 1010 else 3 if at == 2000 else 0


class World:
    """The service two days after its first sample, of which one hour is missing."""

    def __init__(self, parts: Parts, app: FastAPI, file: Path) -> None:
        self.parts, self.app, self.file = parts, app, file

    def get(self, path: str) -> dict[str, object]:
        answer = ask(self.app, "GET", path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def rows(self, path: str) -> list[dict[str, str]]:
        answer = ask(self.app, "GET", path)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    clock = Clock(NOW)
    with running(Settings(slos=(str(file),)), tmp_path, clock) as parts:
        good = bad = 0
        points = []
        for at in range(2 * 1440 + 1):
            if at:
                good, bad = good + _minute(at - 1)[0], bad + _minute(at - 1)[1]
            if not 1500 < at < 1560:
                moment = BEGIN + at * MINUTE_MS
                points += [
                    Point(series("http_requests_total", code="200"), moment, float(good), BEGIN),
                    Point(series("http_requests_total", code="500"), moment, float(bad), BEGIN),
                ]
        parts.store.append(batch(points))
        parts.evaluator.tick()
        yield World(parts, create_app(parts), file)


def test_counts_days_and_worst_minutes_equal_a_naive_sum(world: World) -> None:
    found = world.get(f"/api/slo/report?{API}&range=7d")["objective"]
    assert isinstance(found, dict)
    minutes = [_minute(at) for at in range(2880)]
    bad, total = sum(it[1] for it in minutes), sum(map(sum, minutes))
    whole = found["counted"]
    assert (whole["bad"], whole["total"]) == (bad, total)
    assert whole["sli_exact"] == str(1 - Fraction(bad, total))
    assert whole["budget_spent_exact"] == str(Fraction(bad, total) * 1000)
    assert found["attained"] is False
    days = {it["day"]: (it["bad"], it["total"]) for it in found["days"]}
    cuts = [0, 14 * 60, 38 * 60, 2880]
    assert list(days.values()) == [
        (sum(it[1] for it in minutes[a:b]), sum(map(sum, minutes[a:b]))) for a, b in itertools.pairwise(cuts)
    ]
    assert [it["bad"] for it in found["worst"]] == [5] * 10
    assert found["worst"][0]["since_ms"] == BEGIN + 1009 * MINUTE_MS
    assert whole["unmeasured_ms"] >= 59 * MINUTE_MS


def test_the_files_say_what_the_api_says(world: World) -> None:
    told = world.get(f"/api/slo/report?{API}&range=7d&zone=Europe/Berlin")["objective"]
    assert isinstance(told, dict)
    rows = world.rows(f"/reports.csv?{API}&range=7d&zone=Europe/Berlin")
    assert [(it["day"], int(it["bad"]), int(it["total"])) for it in rows] == [
        (it["day"], it["bad"], it["total"]) for it in told["days"]
    ]
    answer = ask(world.app, "GET", f"/reports.parquet?{API}&range=7d&zone=Europe/Berlin")
    table = pd.read_parquet(io.BytesIO(answer.content))
    assert table["bad"].tolist() == [it["bad"] for it in told["days"]]
    assert answer.headers["content-disposition"] == 'attachment; filename="midwatch-api-shop.parquet"'
    page = ask(world.app, "GET", f"/reports?{API}&range=7d").text
    file = ask(world.app, "GET", f"/reports.html?{API}&range=7d")
    assert "sandbox" in file.headers["content-security-policy"]
    for text in (page, file.text):
        assert f"{told['counted']['bad']}</b>" in text


def test_an_incident_is_charged_with_what_was_bad_while_it_was_open(world: World) -> None:
    incident = _incident()
    alerts = incident.alerts
    subject = incident.subject._replace(service="shop")
    begin, end = BEGIN + 1000 * MINUTE_MS, BEGIN + 1005 * MINUTE_MS
    told = incident.__class__("i-1", subject, "page", "resolved", begin, end, True, alerts)
    world.parts.store.database.write(lambda cursor: desk.write_incidents(cursor, [told]))
    found = world.get(f"/api/slo/report?{API}&range=7d")["objective"]
    assert isinstance(found, dict)
    (share,) = found["incidents"]
    assert (share["incident"], share["counted"]["bad"]) == ("i-1", 25)
    assert found["spent_outside_incidents"] == pytest.approx(found["counted"]["budget_spent"] * 28 / 53)
    assert "i-1" in ask(world.app, "GET", f"/slo/shop?{API.split('&')[0]}").text


def test_history_is_stored_each_minute_and_told_exactly(world: World) -> None:
    clock = world.parts.clock
    assert isinstance(clock, Clock)
    for _ in range(8):
        clock.now_ms += 15_000
        world.parts.evaluator.tick()
    told = world.get(f"/api/slo/history?{API}")
    points = told["points"]
    assert isinstance(points, list)
    assert [it["at_ms"] for it in points] == [NOW, NOW + MINUTE_MS, NOW + 2 * MINUTE_MS]
    assert {(it["bad"], it["target"], it["budget"]) for it in points[1:]} == {(53, "99.9 %", "1/1000")}
    runs = told["runs"]
    assert isinstance(runs, list)
    assert sum(it["until_ms"] - it["since_ms"] for it in runs) == 2 * MINUTE_MS


def test_a_target_that_is_raised_is_told_with_before_and_after(world: World) -> None:
    clock = world.parts.clock
    assert isinstance(clock, Clock)
    world.file.write_text(with_line("0.999", "0.9995"))
    clock.now_ms += MINUTE_MS
    world.parts.evaluator.tick()
    changes = world.get("/api/slo/changes?service=shop")["changes"]
    assert isinstance(changes, list)
    assert [it["kind"] for it in changes] == ["changed", "appeared"]
    assert changes[0]["differences"][0] == {"field": "target", "before": "99.9 %", "after": "99.95 %"}
    assert changes[0]["after"]["source"] == str(world.file)
    world.file.unlink()
    page = ask(world.app, "GET", "/slo/shop?slo=api").text
    assert "target 99.9 % → 99.95 %" in page
    (row,) = [it for it in world.rows(f"/reports.csv?{API}&part=changes") if it["field"] == "target"]
    assert (row["before"], row["after"]) == ("99.9 %", "99.95 %")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/slo/report?slo=gone", 404, "no objective 'gone'"),
        ("/api/slo/report?period=2026-W99", 400, "is no period"),
        ("/api/slo/report?zone=Nowhere", 400, "is no time zone"),
        ("/api/slo/report?from=2010-01-01&to=2026-01-01", 400, "to a year"),
        ("/api/slo/history", 400, "slo"),
        ("/api/slo/history?slo=api&service=shop&limit=100000000", 400, "limit"),
        ("/api/slo/history?slo=api&service=shop&since_ms=9&until_ms=3", 400, "before until_ms"),
        ("/reports.csv?part=x", 400, "no part"),
        ("/reports.parquet?slo=gone&service=shop", 404, "no objective"),
        ("/slo/gone/and/forgotten", 404, "no objective"),
        ("/slo?state=fine", 400, "no state"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(world: World, path: str, status: int, said: str) -> None:
    answer = ask(world.app, "GET", path)
    assert answer.status_code == status
    assert said in answer.text.replace("&#39;", "'")


def test_the_answers_are_in_the_openapi_document(world: World) -> None:
    found = world.get("/api/openapi.json")
    paths = found["paths"]
    assert isinstance(paths, dict)
    for path, model in [("report", "ReportAnswer"), ("history", "HistoryAnswer"), ("changes", "ChangesAnswer")]:
        schema = paths[f"/api/slo/{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith(f"/{model}")


def test_the_report_of_all_is_made_of_those_of_each(world: World) -> None:
    told = world.get("/api/slo/report?range=7d")["objectives"]
    assert isinstance(told, list)
    assert "api" in {it["slo"] for it in told}
    for it in told:
        where = ",".join(f"{name}={value}" for name, value in it["scope"].items())
        one = world.get(f"/api/slo/report?slo={it['slo']}&service={it['service']}&where={where}&range=7d")["objective"]
        assert isinstance(one, dict)
        assert one["counted"] == it["counted"]


def test_the_finest_steps_are_minutes_where_there_are_samples_and_bounded(world: World) -> None:
    (objective,) = [it.objective for it in world.parts.source.judgements() if it.objective.slo == "api"]
    five, single = fine_edges(objective, 7 * MINUTE_MS, 100 * MINUTE_MS, 31 * MINUTE_MS)
    assert five == list(range(10 * MINUTE_MS, 35 * MINUTE_MS + 1, FIVE_MS))
    assert single == list(range(35 * MINUTE_MS, 100 * MINUTE_MS + 1, MINUTE_MS))
    (only,) = fine_edges(objective, 0, 366 * DAY, 0)
    assert len(only) <= MOST_STEPS
    assert fine_edges(objective, 10, 20, None) == []


def test_a_composite_spends_what_its_members_spend(world: World) -> None:
    text = COMPOSITE + "".join(MEMBER % (name, weight, name, name, name) for name, weight in (("x", 1), ("y", 0.5)))
    rises = (("x", "0", 19), ("x", "1", 1), ("y", "0", 9), ("y", "1", 1))
    world.parts.store.append(
        batch(
            Point(series("both_total", of=of, bad=bad), NOW - HOUR + step * MINUTE_MS, float(step * rise), NOW - HOUR)
            for step in range(1, 61)
            for of, bad, rise in rises
        )
    )
    world.file.write_text(f"{GOOD}---\n{text}")
    world.parts.clock.now_ms += MINUTE_MS  # type: ignore[attr-defined]
    world.parts.evaluator.tick()
    found = world.get("/api/slo/report?slo=both&service=shop&period=today")["objective"]
    assert isinstance(found, dict)
    assert found["counted"]["budget_spent_exact"] == "1"  # 1/2 of x and half of all of y
    assert (found["attained"], found["counted"]["sli"], found["worst"]) == (True, None, [])
    every = world.get("/api/slo/report?service=shop&period=today")["objectives"]
    assert isinstance(every, list)
    assert {it["slo"]: it["counted"]["budget_spent_exact"] for it in every if it["slo"] != "api"} == {
        "both": "1", "both-x": "1/2", "both-y": "1",
    }  # fmt: skip
    page = ask(world.app, "GET", "/slo/shop?slo=both").text
    assert "a composite counts nothing itself" in page.lower()
    history = world.get("/api/slo/history?slo=both&service=shop")["points"]
    assert isinstance(history, list)
    assert [(it["bad"], it["remaining"]) for it in history] == [(None, 0.0)]


def test_a_composite_with_a_member_that_nobody_saw_is_not_told_to_be_kept(world: World) -> None:
    text = COMPOSITE + "".join(MEMBER % (name, 1, name, name, name) for name in ("x", "nobody"))
    slices = "      timeSliceTarget: 0.9\n      timeSliceWindow: 5m\n"
    for method, more in (("Occurrences", ""), ("Timeslices", slices)):
        sliced = text.replace("Occurrences", method).replace("      indicator:\n", f"{more}      indicator:\n")
        world.parts.store.append(
            batch(
                Point(series("both_total", of="x", bad=bad), NOW + step * MINUTE_MS, float(step * rise), NOW)
                for step in range(1, 31)
                for bad, rise in (("0", 999), ("1", 1))
            )
        )
        world.file.write_text(f"{GOOD}---\n{sliced}")
        world.parts.clock.now_ms = max(NOW + 30 * MINUTE_MS, world.parts.clock() + MINUTE_MS)  # type: ignore[attr-defined]
        world.parts.evaluator.tick()
        found = world.get("/api/slo/report?slo=both&service=shop&period=today")["objective"]
        every = world.get("/api/slo/report?service=shop&period=today")["objectives"]
        assert isinstance(found, dict)
        assert isinstance(every, list)
        assert (found["attained"], found["in_part"]) == (None, True)
        told = {it["slo"]: it["attained"] for it in every if it["slo"] != "api"}
        assert told == {"both": None, "both-x": True, "both-nobody": None}
        assert ">kept</span>" not in ask(world.app, "GET", "/reports?slo=both&service=shop&period=today").text


def test_an_export_holds_minutes_and_hours_of_history(world: World) -> None:
    store, day = world.parts.store, NOW // DAY * DAY
    (judged,) = [it for it in world.parts.source.judgements() if it.objective.slo == "api"]
    for at in range(day - 10 * DAY, day - 10 * DAY + HOUR, MINUTE_MS):
        store.database.write(lambda cursor, at=at: write_history(cursor, [judged], at))
    trim(store.database.write, NOW, 8 * DAY, 400 * DAY, 10**6)
    table = pa.ipc.open_stream(b"".join(stream(store, "judgements", 0, NOW + DAY))).read_all().to_pandas()
    mine = table[table["slo"] == "api"]
    assert sorted(mine["at_ms"] // DAY)[:2] == [day // DAY - 10] * 2
    assert (mine["at_ms"] > day).any()

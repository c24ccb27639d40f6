"""The page that tries an objective: from what it begins, what a form brings, what is hostile in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI

from cli.backtest import lines
from dashboards.text import percent
from service import adjustments
from service.app import create_app
from service.main import running, system_clock
from service.parts import Parts
from service.settings import Settings
from service.slo_backtest import objectives_in
from service.slo_prefill import EXAMPLE, text_of
from slo.adjust import Adjustment
from slo.builtin import builtin
from slo.indicators import Catalogue, NodeName, ServiceFacts
from slo.openslo.written import builtin_text
from tests.service.asgi import ask
from tests.service.stores import Point, batch, series
from tests.slo.openslo.support import GOOD, with_line

DAY = 86_400_000


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder: Path = tmp_path_factory.mktemp("page")
    (folder / "a.yaml").write_text(GOOD)
    with running(Settings(slos=(str(folder / "a.yaml"),)), folder / "data", system_clock) as found:
        start = found.clock() - 7_200_000
        found.store.append(
            batch(
                Point(series("http_requests_total", code=code), start + step * 15_000, float(step * rise), start)
                for step in range(1, 481)
                for code, rise in (("200", 9), ("500", 1))
            )
        )
        found.evaluator.tick()
        yield found


@pytest.fixture(scope="module")
def app(parts: Parts) -> FastAPI:
    return create_app(parts)


def _text(html: str) -> str:
    found = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", html, re.S)
    assert found is not None
    return unescape(found[1])


def _post(app: FastAPI, path: str = "/slo/backtest", **form: str) -> tuple[int, str]:
    answer = ask(app, "POST", path, {"content-type": "application/x-www-form-urlencoded"}, urlencode(form).encode())
    return answer.status_code, answer.text


def test_it_begins_from_the_objective_that_is_chosen(app: FastAPI, parts: Parts) -> None:
    page = ask(app, "GET", "/slo/backtest").text
    files, told = objectives_in([("x", _text(page))])
    assert [(it.slo, it.service, it.budget) for it in files.objectives] == [("api", "shop", Fraction(1, 1000))]
    assert not [it for it in told if it.level == "error"]
    assert _text(ask(app, "GET", "/slo/backtest?slo=api&service=shop").text) == _text(page)
    assert _text(ask(app, "GET", "/slo/backtest?objective=").text) == EXAMPLE
    chosen = ask(app, "GET", "/slo/backtest?objective=slo%3Dapi%26service%3Dshop%26where%3D").text
    assert re.search(r"<option [^>]*selected>shop · api</option>", chosen)


def test_the_example_is_without_fault() -> None:
    files, told = objectives_in([("x", EXAMPLE)], strict=True)
    assert [it.slo for it in files.objectives] == ["answers"]
    assert not [it for it in told if it.level != "note"]


def test_a_form_brings_the_numbers_of_the_api(app: FastAPI, parts: Parts) -> None:
    status, page = _post(app, text=GOOD, target="98", since="7d", table="workbook")
    body = {"files": {"a": GOOD}, "since_ms": parts.clock() - 7 * DAY, "target_percent": "98"}
    told = ask(app, "POST", "/api/slo/backtest", content=json.dumps(body).encode()).json()["objectives"][0]
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(page)))
    assert status == 200
    assert f"Budget left {percent(Fraction(told['asked']['budget_left_exact']), 1)} in force −9900 %" in shown
    assert f"Pages {told['asked']['pages']} in force {told['in_force']['pages']}" in shown
    assert told["in_force"]["pages"] > 0
    assert "gone" in shown
    part = _post(app, "/slo/backtest/part", text=GOOD, target="98", since="7d", table="workbook")[1]
    assert "<html" not in part
    assert part.strip() in page


def test_faults_stand_beside_the_text_with_their_lines(app: FastAPI) -> None:
    status, page = _post(app, text=with_line("0.999", "7").replace("\n", "\r\n"), since="30d", table="workbook")
    assert status == 200
    assert '<li data-line="28" data-level="crit">' in page
    assert "spec.objectives[0].target" in page
    assert _text(page) == with_line("0.999", "7")


@pytest.mark.parametrize("form", [{"target": "200"}, {"target": "<b>"}, {"table": "<i>"}])
def test_what_the_form_can_not_mean_is_told(app: FastAPI, form: dict[str, str]) -> None:
    status, page = _post(app, **{"text": GOOD, "since": "30d", "table": "workbook", **form})
    assert (status, "The target is no share in percent" in page) == (200, True)
    assert "<b>" not in page.partition("</form>")[2].partition('name="target"')[2].partition(">")[0]


def test_what_adjustments_take_out_is_said(app: FastAPI, parts: Parts) -> None:
    now = parts.clock()
    made = Adjustment("a1", "maintenance", ("api",), (), (), now - 3_600_000, now - 1_800_000, "disks", "me", now)
    parts.store.database.write(lambda cursor: adjustments.add(cursor, made))
    parts.evaluator.tick()
    page = _post(app, text=GOOD, since="7d", table="workbook")[1]
    assert "Without what 1 budget adjustment took out." in page
    body = json.dumps({"files": {"a": GOOD}, "since_ms": now - 7 * DAY}).encode()
    answer = ask(app, "POST", "/api/slo/backtest", content=body).json()
    assert answer["objectives"][0]["adjustments"] == 1
    assert any("without what 1 budget adjustment took out" in line for line in lines(answer))


def test_a_try_of_which_nothing_was_counted_has_nothing_green(app: FastAPI) -> None:
    text = with_line("name: api", "name: nowhere").replace("http_requests_total", "nowhere_total")
    page = _post(app, text=text, since="7d", table="workbook")[1]
    tried = page.partition('id="tried"')[2]
    assert "Nothing was counted: nobody knows what would have gone out." in tried
    assert ("s-ok" in tried, "st-ok" in tried, "No page and no ticket" in tried) == (False, False, False)
    assert "s-unmeasured" in tried


def test_hostile_texts_are_text(app: FastAPI) -> None:
    bad = "</textarea><script>alert(1)</script>"
    for text in (bad, with_line("service: shop", "service: '<img src=x onerror=alert(1)>'"), "\n\n&lt;"):
        page = _post(app, text=text, since="30d", table="workbook")[1]
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert _text(page) == text
    assert _post(app, text="x" * (1 << 20))[0] == 413


def test_every_built_in_objective_is_asked_for_by_its_text(parts: Parts) -> None:
    service = ServiceFacts("shop/api", 1, {"midwatch.slo.cold-start.target": "95 %"}, has_probe=True)
    bounds = {("shop/api", "midwatch_cold_start_seconds"): frozenset({"0.5", "1"})}
    known = Catalogue({("shop/api", "http_requests_total"): frozenset({"code"})}, bounds, (NodeName("n1", "id1"),))
    every = builtin([service], known)
    texts = [(it, builtin_text(it)) for it in every]
    assert {it.slo for it, text in texts if text} >= {"cold-start", "container-up", "restart-rate", "node-disk"}
    for it, text in texts:
        if text is None:
            continue
        files, told = objectives_in([("x", text)])
        assert not [one for one in told if one.level == "error"], (it.slo, told)
        again = {(one.slo, one.service, one.scope): one for one in builtin([service], known, files.asked)}
        same = again[it.slo, it.service, it.scope]
        assert (same.budget, same.window_ms, same.indicator) == (it.budget, it.window_ms, it.indicator)
    shelf = parts.evaluator.slos.shelf
    assert text_of(every[0], shelf) == builtin_text(every[0])

"""Pages of objectives: the judgement's own numbers, hostile names as text, nothing unmeasured that looks good."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import pages
from dashboards.errors import RequestFault
from dashboards.slo_rows import objective_href, service_href
from dashboards.slo_views import ObjectivesView, ObjectiveView
from dashboards.timeline import burn_down_plot, strip
from slo.burndown import BurnDownPoint
from slo.history import Run
from slo.model import Objective
from tests.dashboards.fake import FakeSource, Tally
from tests.dashboards.rich import HOSTILE, HOUR, MINUTE, NOW, objectives

API = {"slo": "request-availability", "service": "shop/api"}


def _list(source: FakeSource, **asked: str) -> ObjectivesView:
    view = pages.slo(source, pages.parse("slo", asked, NOW), NOW)
    assert isinstance(view, ObjectivesView)
    return view


def _one(source: FakeSource, **asked: str) -> ObjectiveView:
    view = pages.slo(source, pages.parse("slo", asked, NOW), NOW)
    assert isinstance(view, ObjectiveView)
    return view


def _follow(href: str) -> dict[str, str]:
    """What the service's routes make of an address."""
    parts = urlsplit(href)
    asked = dict(parse_qsl(parts.query))
    if parts.path != "/slo":
        asked["service"] = unquote(parts.path.removeprefix("/slo/"))
    return asked


def test_every_objective_is_listed_once_and_leads_to_its_own_page(source: FakeSource) -> None:
    rows = [it for group in _list(source).groups for it in group.rows]
    assert len(rows) == len({it.href for it in rows}) == len(source.objectives)
    for row in rows[::7]:
        view = _one(source, **_follow(row.href))
        assert (view.slo, view.mark) == (row.slo, row.mark)


def test_what_files_say_of_a_service_stands_beside_it(source: FakeSource) -> None:
    assert "Sells shoes" not in pages.render(_list(source))
    source.abouts = {"shop/worker": "The worker: Sells shoes & boots"}
    assert "The worker: Sells shoes &amp; boots" in pages.render(_list(source))


def test_a_burn_that_nobody_measured_is_no_quiet_one(source: FakeSource) -> None:
    for minute, told in ((None, "no data"), ((0, 0), "no traffic")):
        objective = next(it for it in objectives() if (it.slo, it.service) == ("request-availability", "shop/api"))
        source.objectives = {objective: Tally(NOW - 30 * 1440 * MINUTE, ((0, 0),) * 41_000 + (minute,) * 2_200)}
        burn = next(it for it in _one(source, **API).tiles if it.key == "burn")
        assert burn.value == told


def test_a_state_and_a_service_narrow_the_list(source: FakeSource) -> None:
    burning = [it for it in source.judgements() if it.state == "burning"]
    rows = [it for group in _list(source, state="burning").groups for it in group.rows]
    assert len(rows) == len(burning)
    worker = _list(source, service="shop/worker")
    assert [it.subject for it in worker.groups] == ["shop/worker"]
    assert [it.incident.subject for it in worker.incidents] == ["shop/worker"]
    tiles = {it.key: int(it.value) for it in _list(source).tiles}
    assert sum(tiles.values()) == len(source.objectives)
    assert tiles["burning"] == len(burning)


@pytest.mark.parametrize(
    "asked", [{"state": "bad"}, {"service": "gone"}, {**API, "slo": "gone"}, {**API, "where": "x=y"}]
)
def test_what_there_is_not_is_refused(source: FakeSource, asked: dict[str, str]) -> None:
    with pytest.raises(RequestFault):
        pages.slo(source, pages.parse("slo", asked, NOW), NOW)


def test_the_page_says_what_the_judgement_says(source: FakeSource) -> None:
    judged = next(it for it in source.judgements() if (it.objective.slo, it.objective.service) == tuple(API.values()))
    view = _one(source, **API)
    assert view.reason == judged.reason
    assert [(it.name, it.mark.word == "fires") for it in view.rows] == [(it.row.name, it.fired) for it in judged.rows]
    left = judged.budget_remaining
    assert left is not None
    assert view.tiles[1].value == f"{float(left) * 100:.1f}"
    assert view.tiles[5].value == f"{judged.counts.bad:,}".replace(",", " ")


def test_the_burn_down_ends_where_the_judgement_stands(source: FakeSource) -> None:
    judged = next(it for it in source.judgements() if (it.objective.slo, it.objective.service) == tuple(API.values()))
    plot = _one(source, **API).plot
    assert plot is not None
    assert judged.budget_remaining is not None
    x, y = map(float, plot.line.rsplit("L", 1)[1].split())
    assert (x, y) == (1000, round(200 * (1 - float(judged.budget_remaining)), 1))


def test_changes_incidents_and_worst_minutes_are_of_this_objective(source: FakeSource) -> None:
    view = _one(source, **API)
    assert [it.text for it in view.changes] == [
        "target 99.5 % → 99.9 %; source built in → slos/shop/checkout-and-payment.yaml",
        "99.9 %, 30 d, rolling, Occurrences, built in",
    ]
    assert [it.incident.id for it in view.incidents] == ["inc-2417"]
    assert [int(it.bad) for it in view.worst] == sorted((int(it.bad) for it in view.worst), reverse=True)


def test_what_nothing_measures_says_why_and_draws_nothing(source: FakeSource) -> None:
    view = _one(source, slo="cold-start", service="shop/worker")
    assert view.plot is None
    assert "readiness probe" in view.plot_note
    assert {it.state for it in view.strip.cells} == {"absent"}
    text = pages.render(view)
    assert 'class="z-ok"' not in text


def test_hostile_names_are_text_everywhere(source: FakeSource) -> None:
    evil = replace(objectives()[0], slo=f"{HOSTILE}\"'&", service=HOSTILE, title=HOSTILE, note=HOSTILE)
    source.objectives = {**source.objectives, evil: next(iter(source.objectives.values()))}
    source.abouts = {HOSTILE: HOSTILE}
    for view in (_list(source), _list(source, service=HOSTILE), _one(source, **_follow(objective_href(evil)))):
        text = pages.render(view)
        assert "<img" not in text
        assert "\u202e" not in re.sub(r'value="[^"]*"', "", text), "but for values, which come back as they were"


@given(
    st.text(min_size=1, max_size=40).filter(lambda it: it.isprintable() and it.encode("utf-8", "ignore").decode() == it)
)
def test_every_name_of_a_service_comes_back_from_its_address(name: str) -> None:
    found = replace(Objective(**objectives()[0].__dict__), service=name, slo=name)
    asked = _follow(objective_href(found))
    assert (asked["service"], asked["slo"]) == (name, name)
    assert "/../" not in service_href(name) and not service_href(name).endswith("/..")


def test_a_service_of_another_pages_name_has_an_address_of_its_own() -> None:
    assert service_href("backtest") == "/slo?service=backtest"
    assert service_href("backtests") == "/slo/backtests"


STATES = ["ok", "burning", "exhausted", "unmeasured", "learning", "no-traffic"]


@given(st.lists(st.tuples(st.sampled_from([*STATES, "-"]), st.integers(1, 200)), max_size=30))
def test_a_strip_never_shows_as_ok_what_was_not_all_ok(runs: list[tuple[str, int]]) -> None:
    since, at, found = NOW - 24 * HOUR, NOW - 24 * HOUR, []
    for state, length in runs:
        if state != "-":
            found.append(Run(state, at, at + length * MINUTE))
        at += length * MINUTE
    shown = strip(found, since, NOW, 96)
    assert sum(it.width for it in shown.cells) == pytest.approx(100, abs=0.2)
    for cell in shown.cells:
        begin, end = (since + (NOW - since) * at / 100 for at in (cell.x, cell.x + cell.width))
        if cell.state == "ok":
            good = sum(max(0, min(it.until_ms, end) - max(it.since_ms, begin)) for it in found if it.state == "ok")
            assert good >= (end - begin) - MINUTE


def test_a_burn_down_breaks_where_nothing_was_measured_and_is_cut_off_below() -> None:
    points = [
        BurnDownPoint(NOW + at * HOUR, None if at == 3 else Fraction(1) - Fraction(at * at, 10)) for at in range(1, 7)
    ]
    plot = burn_down_plot(points, NOW, NOW + 6 * HOUR)
    assert plot.line.count("M") == 2
    assert plot.gaps == ((33.333, 16.667),)
    assert plot.zero == 100.0
    assert plot.levels[-1].text == "−100 %"
    assert plot.line.endswith("L1000.0 200.0")

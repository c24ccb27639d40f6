"""The executive page's numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from dashboards import pages
from dashboards.desk import open_desk
from dashboards.executive import COLUMNS, pool
from dashboards.page_views import ExecutiveView
from dashboards.panels import PanelLine, TimePanel
from dashboards.request import Window
from slo.model import EventRatio
from tests.dashboards.fake import FakeSource, Tally
from tests.dashboards.rich import HOSTILE, NOW


def _page(source: FakeSource, **asked: str) -> ExecutiveView:
    return pages.executive(source, pages.parse("executive", asked, NOW), NOW)


def test_availability_adds_counts_up_and_never_averages_ratios(source: FakeSource) -> None:
    desk = open_desk(source, pages.parse("executive", {}, NOW), NOW)
    bad = total = 0
    for objective, tally in source.objectives.items():
        if objective.slo == "request-availability":
            inside = [it for it in tally.minutes if it is not None]
            bad, total = bad + sum(it[0] for it in inside), total + sum(it[1] for it in inside)
    assert pool(desk.judgements, "request-availability").ratio == 1 - Fraction(bad, total)


def test_a_burn_down_ends_at_what_the_judgement_says_is_left(source: FakeSource) -> None:
    view = _page(source)
    left = {f"{it.objective.service} {it.objective.slo}": it for it in source.judgements()}
    checked = 0
    for line in view.burn_down.lines:
        judged = left.get(line.key)
        if judged is None or judged.budget_remaining is None or not judged.rows[0].measured:
            continue
        known = [value for value in line.values if value is not None]
        assert known[-1] == float(judged.budget_remaining * 100)
        checked += 1
    assert checked >= 3


def test_what_is_unmeasured_now_has_no_budget_in_the_legend_and_no_green_pool(source: FakeSource) -> None:
    objective = next(it for it in source.objectives if (it.slo, it.service) == ("container-up", "shop/api"))
    other = replace(objective, service="shop/front")
    seen = Tally(NOW - 30 * 86_400_000, ((1, 10_000),) * (30 * 1440 - 10) + (None,) * 10)
    whole = Tally(seen.first_ms, ((0, 10_000),) * (30 * 1440))
    source.objectives = {objective: seen, replace(other, indicator=EventRatio(())): whole}
    for asked in ({}, {"range": "15m"}, {"range": "6h"}):
        panel = _page(source, **asked).burn_down
        assert dict(panel.latest) == {"shop/api container-up": "no data", "shop/front container-up": "100 %"}
        assert panel.json()["back"] == 0
        assert any(value is not None for value in panel.lines[0].values) or asked
    tile = next(it for it in _page(source).tiles if it.key == "containers")
    assert (tile.mark.level, tile.detail) == ("part", "1 of 2 services measured")


def test_a_column_of_hours_ago_is_not_now() -> None:
    line = PanelLine("a", "a", (1.0, 2.0, 3.0, None))
    for step, told in ((15, "3"), (600, "3"), (1800, "no data"), (21_600, "no data")):
        grid = Window(0, 4 * step * 1000, step * 1000)
        panel = TimePanel("k", "t", "", "count", grid, (line,), "")
        assert panel.latest == [("a", told)]


def test_a_burn_down_begins_with_the_first_sample_and_says_so(source: FakeSource) -> None:
    view = _page(source)
    assert view.burn_down.window.since_ms >= NOW - 13 * 86_400_000
    assert view.burn_down_note.startswith("History begins 12 d ago")


def test_time_that_was_not_measured_is_a_gap_in_the_burn_down(source: FakeSource) -> None:
    view = _page(source, range="24h")
    assert all(None in line.values for line in view.burn_down.lines if "api" in line.key)


def test_a_live_update_of_the_burn_down_asks_the_store_for_nothing(source: FakeSource) -> None:
    pages.tick(source, pages.parse("executive", {}, NOW), NOW)
    assert source.asked == []


def test_what_is_not_measured_is_hollow_in_the_budget_table(source: FakeSource) -> None:
    view = _page(source)
    row = next(it for it in view.budgets if it.subject == HOSTILE)
    cells = {slo: cell for (slo, _), cell in zip(COLUMNS, row.cells, strict=True)}
    cold = cells["cold-start"]
    assert cold is not None
    assert cold.meter.share is None
    assert (cold.mark.level, cold.text) == ("unmeasured", "unmeasured")
    assert cells["request-availability"] is None


def test_every_hollow_objective_is_listed_with_its_reason(source: FakeSource) -> None:
    listed = {(it.subject, it.slo): it for it in _page(source).unmeasured}
    hollow = [it for it in source.judgements() if it.state in ("unmeasured", "learning", "no-traffic")]
    assert len(listed) == len(hollow)
    assert "readiness probe" in listed["shop/worker", "cold-start"].reason


def test_a_node_narrows_it_to_what_runs_there(source: FakeSource) -> None:
    view = _page(source, node="fra1-n2")
    assert {it.subject for it in view.budgets} == {"shop/front", "search"}


def test_nothing_sent_yet_shows_no_data_everywhere_and_what_to_do(empty: FakeSource) -> None:
    view = _page(empty)
    assert all(not tile.mark.known and tile.value == "no data" for tile in view.tiles)
    (notice,) = view.frame.notices
    assert notice.mark.word == "no data yet"
    assert any("midwatch up" in step for step in notice.todo)

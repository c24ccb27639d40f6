"""The on-call page's numbers."""

from __future__ import annotations

import json
from dataclasses import replace

from dashboards import pages
from dashboards.marks import RANK
from dashboards.model import NodeRow, Status
from dashboards.page_views import OncallView
from slo.text import duration
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import HOSTILE, HOUR, MINUTE, NODES, NOW


def _page(source: FakeSource, **asked: str) -> OncallView:
    return pages.oncall(source, pages.parse("oncall", asked, NOW), NOW)


def test_the_worst_objectives_come_first_and_the_hollow_ones_last(source: FakeSource) -> None:
    ranks = [RANK[it.mark.level] for it in _page(source).slo]
    assert ranks == sorted(ranks)
    assert len(ranks) == len(source.objectives)


def test_error_rates_are_those_of_the_counts_that_objectives_are_judged_by(source: FakeSource) -> None:
    panel = _page(source).errors
    objective = next(it for it in source.objectives if (it.slo, it.service) == ("request-availability", "shop/api"))
    line = next(it for it in panel.lines if it.key == "shop/api")
    for index, (since, until) in enumerate(zip(panel.window.edges_ms, panel.window.edges_ms[1:], strict=False)):
        counts = source.objectives[objective].counts(since, until)
        assert line.values[index] == (100 * counts.bad / counts.total if counts.total else None)


def test_a_time_without_measurement_is_a_gap_and_not_a_zero(source: FakeSource) -> None:
    view = _page(source)
    begin = NOW - 5 * HOUR + 5 * MINUTE
    for panel in (view.errors, view.restarts):
        index = (begin - panel.window.since_ms) // panel.window.step_ms
        assert all(line.values[index] is None for line in panel.lines)


def test_a_service_without_request_metrics_has_no_error_line(source: FakeSource) -> None:
    assert {it.key for it in _page(source).errors.lines} == {"shop/api", "shop/front", "search", "media-proxy"}
    view = _page(source, service="shop/worker")
    assert view.errors.lines == ()
    assert "unmeasured, not zero" in view.errors.absent


def test_a_row_that_fires_is_marked_with_its_windows_in_words(source: FakeSource) -> None:
    row = next(it for it in _page(source).slo if (it.subject, it.slo) == ("shop/api", "request-availability"))
    assert row.burns[0].mark.level == "crit"
    assert duration(HOUR) in row.burns[0].title
    assert row.mark.level == "crit"


def test_incidents_that_nobody_has_come_before_those_that_somebody_has(source: FakeSource) -> None:
    rows = _page(source).incidents
    assert [it.road for it in rows] == ["page", "page", "ticket", "ticket"]
    assert [it.acknowledged for it in rows] == [None, None, None, "mira"]
    assert rows[3].silenced_until_ms == NOW + HOUR
    assert rows[0].silenced_until_ms is None


def test_a_failed_pull_is_among_the_changes_and_a_cached_one_is_not(source: FakeSource) -> None:
    pull = next(it for it in source.happenings if it.name == "image.pull")
    source.happenings = [*source.happenings, replace(pull, at_ms=NOW - 1, attributes={"outcome": "cached"})]
    changes = _page(source).deploys
    assert [it.mark.word for it in changes if it.what == "registry/media:1.9.1"] == ["pull failed"]
    assert changes[0].at_ms < NOW - 1
    assert [it.at_ms for it in changes] == sorted((it.at_ms for it in changes), reverse=True)


def test_a_node_that_stopped_reporting_is_critical_and_its_meters_are_hollow(source: FakeSource) -> None:
    node = next(it for it in _page(source).nodes if it.name == "ams1-n1")
    assert (node.mark.level, node.said) == ("crit", "silent for 3 min")
    assert node.meters[0][1:] == ("no data", node.meters[0][2])
    assert node.meters[0][2].share is None


def test_two_nodes_of_one_name_stay_two(source: FakeSource) -> None:
    twin = NodeRow("fra1-n1", "ffff0000-4444", NOW, None, None, None, ())
    source.node_rows = [*source.node_rows, twin]
    names = {it.name: it.href for it in _page(source).nodes}
    assert "fra1-n1 (ffff0000)" in names
    assert f"node={NODES[0].node_id}" in names[f"fra1-n1 ({NODES[0].node_id[:8]})"]
    shown = _page(source, node="ffff0000-4444").nodes
    assert [it.name for it in shown] == ["fra1-n1 (ffff0000)"]


def test_no_incident_is_no_data_until_something_was_judged(source: FakeSource, empty: FakeSource) -> None:
    source.open_incidents = []
    assert _page(source).tiles[0].mark.level == "ok"
    assert not _page(empty).tiles[0].mark.known


def test_nothing_restarted_is_ok_and_nothing_watched_is_no_data(source: FakeSource) -> None:
    tile = _page(source, service="shop/api").tiles[2]
    assert (tile.mark.level, tile.value) in (("ok", "0"), ("warn", tile.value))
    source.waves = {}
    tile = _page(source).tiles[2]
    assert (tile.mark.known, tile.value) == (False, "no data")


def test_a_service_whose_samples_stopped_is_told_on_top(source: FakeSource) -> None:
    source.told = Status(NOW - HOUR, NOW - 10 * MINUTE, NOW - 9 * MINUTE, 5000, False)
    titles = [it.title for it in _page(source).frame.notices]
    assert titles[0] == "No agent has reported for 10 min"
    assert titles[1].startswith("Objectives were last judged 9 min ago")
    assert titles[2].startswith("Pages go nowhere")


def test_a_tick_has_the_last_columns_and_only_what_changed_goes_out(source: FakeSource) -> None:
    request = pages.parse("oncall", {}, NOW)
    feed = pages.Feed()
    first = feed.fresh(pages.tick(source, request, NOW))
    assert {it.key for it in first} == {"panels", "tiles", "slo", "incidents", "deploys", "nodes", "beat"}
    columns = json.loads(next(it.data for it in first if it.key == "panels"))["panels"]
    whole = _page(source)
    for panel in whole.panels:
        part = columns[panel.key]
        assert part["t"]["n"] == 3
        assert part["t"]["start"] * 1000 + 3 * panel.window.step_ms == panel.window.until_ms
        assert part["keys"] == [it.key for it in panel.lines]
        assert [row[-3:] for row in part["v"]] == part["v"]
    assert feed.fresh(pages.tick(source, request, NOW)) == []


def test_a_page_whose_range_has_ended_is_told_nothing(source: FakeSource) -> None:
    request = pages.parse("oncall", {"from": str(NOW - HOUR), "to": str(NOW - MINUTE)}, NOW)
    assert pages.tick(source, request, NOW) == []


def test_a_hostile_event_cannot_break_the_lines_of_the_stream(source: FakeSource) -> None:
    source.happenings = [replace(source.happenings[0], body=f"a\n\ndata: x\r{HOSTILE}", attributes={})]
    for event in pages.tick(source, pages.parse("oncall", {}, NOW), NOW):
        assert event.wire().count("\n") == 3
        assert "\r" not in event.wire()

"""The debug page's numbers."""

from __future__ import annotations

import pytest

from dashboards import pages
from dashboards.page_views import DebugView
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import HOSTILE, NOW


def _page(source: FakeSource, **asked: str) -> DebugView:
    return pages.debug(source, pages.parse("debug", asked, NOW), NOW)


def test_a_rate_ends_with_the_last_column_that_is_over(source: FakeSource) -> None:
    now = NOW + 7_000
    view = pages.debug(source, pages.parse("debug", {}, now), now)
    assert view.cpu.window.until_ms <= now
    assert view.memory.window.until_ms >= now


def test_a_container_narrows_graphs_events_and_logs(source: FakeSource) -> None:
    view = _page(source, container="shop-worker-1")
    assert {it.key for it in view.memory.lines} == {"shop-worker-1 ams1-n1"}
    assert {it.container for it in view.ooms} == {"shop-worker-1"}
    assert {it.container for it in view.logs} == {"shop-worker-1"}


def test_the_chosen_container_stays_a_choice_when_it_is_gone(source: FakeSource) -> None:
    view = _page(source, container="long-gone")
    assert [it.value for it in view.container_options if it.chosen] == ["long-gone"]
    assert view.containers == ()


def test_logs_are_searched_and_the_newest_line_is_the_last(source: FakeSource) -> None:
    view = _page(source, contains="memoryerror")
    assert {it.text for it in view.logs} == {"MemoryError: cannot allocate"}
    assert [it.at_ms for it in view.logs] == sorted(it.at_ms for it in view.logs)


def test_kills_are_counted_by_the_counter_and_not_by_the_events(source: FakeSource) -> None:
    assert _page(source).oom_counted == "6 kills counted in 1 h"
    source.waves = {}
    assert _page(source).oom_counted == "kills: no data"


def test_a_container_without_a_limit_has_a_hollow_meter(source: FakeSource) -> None:
    row = next(it for it in _page(source).containers if it.limit == "no limit")
    assert row.meter.share is None


def test_builds_are_drawn_against_the_longest_and_a_failed_one_says_why(source: FakeSource) -> None:
    builds = _page(source).builds
    longest = max(builds, key=lambda it: it.meter.share or 0)
    assert longest.meter.share == pytest.approx(1.0)
    assert (longest.mark.level, longest.message) == ("crit", "exit code 1: pip install failed")


def test_registry_latency_is_a_percentile_by_registry_with_failures_as_marks(source: FakeSource) -> None:
    panel = _page(source).registry
    (line,) = panel.lines
    known = [it for it in line.values if it is not None]
    assert all(0.03 < it < 0.2 for it in known)
    assert [it.label for it in panel.moments] == ["127.0.0.1:5000: connection refused"]


def test_hostile_names_are_links_whose_address_is_encoded(source: FakeSource) -> None:
    row = next(it for it in _page(source).containers if it.name == HOSTILE)
    assert "<" not in row.href
    assert row.href.startswith("/debug?container=%3Cimg")

"""Addresses to requests and back."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.errors import RequestFault
from dashboards.model import Scope
from dashboards.request import DAY_MS, HOUR_MS, RANGES, parse
from tests.dashboards.rich import HOSTILE, NOW


def test_a_drill_down_keeps_range_service_node_and_container() -> None:
    asked = {"range": "1h", "service": "shop/api", "node": "n1", "container": HOSTILE}
    request = parse("executive", asked, NOW)
    link = urlsplit(request.link("oncall"))
    assert link.path == "/oncall"
    assert dict(parse_qsl(link.query)) == asked


def test_a_zoomed_range_goes_along_too() -> None:
    request = parse("oncall", {"from": str(NOW - HOUR_MS), "to": str(NOW)}, NOW)
    assert dict(parse_qsl(urlsplit(request.link("debug", service="a&b=c")).query)) == {
        "from": str(NOW - HOUR_MS),
        "to": str(NOW),
        "service": "a&b=c",
    }
    assert not request.live


def test_an_address_without_a_range_grows_with_the_history_up_to_the_pages_own() -> None:
    request = parse("oncall", {}, NOW)
    assert request.settled(None, NOW).range == "15m"
    assert request.settled(NOW - 20 * 60_000, NOW).range == "1h"
    assert request.settled(NOW - 90 * DAY_MS, NOW).range == "6h"
    assert request.link("oncall") == "/oncall"


@pytest.mark.parametrize(
    "given",
    [
        {"range": "2y"},
        {"range": "custom"},
        {"from": "1"},
        {"from": "x", "to": "5"},
        {"from": str(NOW), "to": str(NOW - HOUR_MS)},
        {"from": str(NOW + HOUR_MS), "to": str(NOW + 2 * HOUR_MS)},
        {"from": "-5", "to": str(NOW)},
        {"from": "9" * 40, "to": "9" * 40},
        {"from": "²", "to": str(NOW)},
        {"service": "x" * 600},
        {"from": str(NOW - 4000 * DAY_MS), "to": str(NOW)},
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_a_reason(given: dict[str, str]) -> None:
    with pytest.raises(RequestFault) as caught:
        parse("oncall", given, NOW)
    assert caught.value.status == 400
    assert len(str(caught.value)) > 20


def test_days_of_a_report_are_whole_days_in_utc_and_end_now_at_the_latest() -> None:
    request = parse("reports", {"from": "2026-11-01", "to": "2026-11-02"}, NOW)
    assert request.to_ms is not None
    assert request.from_ms is not None
    assert request.to_ms - request.from_ms == 2 * DAY_MS
    assert parse("reports", {"from": "2026-11-01", "to": "2027-01-01"}, NOW).to_ms == NOW


def test_the_reports_form_sends_its_objective_as_one_field() -> None:
    request = parse("reports", {"objective": "slo=node-disk&service=platform&where=node%3Dn1"}, NOW)
    assert (request.slo, request.scope, request.where) == ("node-disk", Scope("platform"), "node=n1")


@given(st.sampled_from(sorted(RANGES)), st.integers(1, 400), st.integers(10**12, 2 * 10**12))
def test_columns_stand_still_cover_the_range_and_are_about_as_many_as_asked(name: str, most: int, now: int) -> None:
    request = parse("oncall", {"range": name}, now)
    window = request.window(now, most)
    since, until = request.span(now)
    assert window.since_ms % window.step_ms == 0
    assert window.until_ms % window.step_ms == 0
    assert window.since_ms <= since
    assert window.until_ms >= until
    assert len(window.edges_ms) == window.steps + 1
    assert window.steps <= most + 2 or window.step_ms == 86_400_000


@pytest.mark.parametrize("period", ["0001-01", "1969-W02", "1969", "1970-W01"])
def test_a_report_begins_no_earlier_than_time_does(period: str) -> None:
    with pytest.raises(RequestFault, match="before 1970"):
        parse("reports", {"period": period}, NOW)

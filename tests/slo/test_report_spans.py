"""Periods by name are those of the wall clock of their zone, also where the clock changes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.report_spans import MOST_DAYS, Span, day_edges_ms, day_name, local_day, span_named, zone_named

BERLIN = "Europe/Berlin"
HOUR = 3_600_000


def ms(text: str, zone: str = BERLIN) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


NOW = ms("2026-11-25T10:30")


@pytest.mark.parametrize(
    ("name", "spelt", "since", "until"),
    [
        ("last-week", "2026-W47", "2026-11-16", "2026-11-23"),
        ("2026-W47", "2026-W47", "2026-11-16", "2026-11-23"),
        ("2026W47", "2026-W47", "2026-11-16", "2026-11-23"),
        ("last-month", "2026-10", "2026-10-01", "2026-11-01"),
        ("2026-02", "2026-02", "2026-02-01", "2026-03-01"),
        ("2025-12", "2025-12", "2025-12-01", "2026-01-01"),
        ("2026-Q3", "2026-Q3", "2026-07-01", "2026-10-01"),
        ("2025", "2025", "2025-01-01", "2026-01-01"),
        ("yesterday", "2026-11-24", "2026-11-24", "2026-11-25"),
        ("2026-11-01", "2026-11-01", "2026-11-01", "2026-11-02"),
        ("2020-W53", "2020-W53", "2020-12-28", "2021-01-04"),
    ],
)
def test_a_period_by_its_name(name: str, spelt: str, since: str, until: str) -> None:
    assert span_named(name, BERLIN, NOW) == Span(spelt, ms(since), ms(until), BERLIN)


@pytest.mark.parametrize("name", ["this-week", "this-month", "today", "7d", "2026-W48", "2026-11", "2026-Q4", "2026"])
def test_one_that_is_under_way_ends_now(name: str) -> None:
    assert span_named(name, BERLIN, NOW).until_ms == NOW


@pytest.mark.parametrize(
    "name", ["", "2026-W54", "2026-13", "2026-02-30", "week", "0d", "400d", "2027-01", "-1", "9999"]
)
def test_what_is_no_period_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no period; write today|has not begun yet"):
        span_named(name, BERLIN, NOW)


@pytest.mark.parametrize("name", ["Mars/Base", "../etc/passwd", "/etc/passwd", "x" * 100, "\x00", "Europe"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone; write one such as"):
        zone_named(name)


def test_a_day_of_the_clocks_change_has_25_or_23_hours() -> None:
    edges = day_edges_ms(ms("2026-10-24"), ms("2026-10-27"), BERLIN)
    assert [(end - begin) // HOUR for begin, end in itertools.pairwise(edges)] == [24, 25, 24]
    spring = day_edges_ms(ms("2026-03-29"), ms("2026-03-30"), BERLIN)
    assert spring[1] - spring[0] == 23 * HOUR
    assert span_named("2026-W43", BERLIN, NOW).until_ms - span_named("2026-W43", BERLIN, NOW).since_ms == 169 * HOUR


@given(st.integers(0, 4 * 10**12), st.integers(1, 100 * 24), st.sampled_from([BERLIN, "UTC", "Asia/Kathmandu"]))
def test_the_days_make_up_the_period(since: int, hours: int, zone: str) -> None:
    edges = day_edges_ms(since, since + hours * HOUR, zone)
    assert edges == sorted(set(edges))
    assert (edges[0], edges[-1]) == (since, since + hours * HOUR)
    for inner in edges[1:-1]:
        assert local_day(inner - 1, zone) < local_day(inner, zone)
    assert day_name(edges[0], zone) == local_day(since, zone).isoformat()


def test_more_days_than_a_year_has_are_refused() -> None:
    begin = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
    with pytest.raises(ValueError, match=f"more than {MOST_DAYS} days"):
        day_edges_ms(begin, begin + 500 * 24 * HOUR, "UTC")

"""Periods in wall time, across changes of the clock, and computed a second time the naive way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.periods import Bounds, CalendarPeriods, Rolling, Unit, slices_in
from tests.slo.support import DAY, HOUR, MINUTE, NOW

NEW_YORK = CalendarPeriods(datetime(2022, 1, 1, 12), "America/New_York", 1, "w")


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


def _bounds(period: CalendarPeriods, at: str) -> tuple[str, str]:
    found = period.bounds(_ms(at))
    assert found is not None
    zone = ZoneInfo(period.zone)
    since, until = (datetime.fromtimestamp(ms / 1000, zone).isoformat(" ", "minutes") for ms in found)
    return since, until


def test_a_rolling_window_ends_now() -> None:
    assert Rolling(7 * DAY).bounds(NOW) == Bounds(NOW - 7 * DAY, NOW)


def test_a_week_that_loses_an_hour_has_167_and_one_that_gains_one_169() -> None:
    spring = NEW_YORK.bounds(_ms("2022-03-14T00:00-04:00"))
    autumn = NEW_YORK.bounds(_ms("2022-11-08T00:00-05:00"))
    assert spring is not None
    assert autumn is not None
    assert (spring.until_ms - spring.since_ms, slices_in(spring, MINUTE)) == (167 * HOUR, 10_020)
    assert (autumn.until_ms - autumn.since_ms, slices_in(autumn, MINUTE)) == (169 * HOUR, 10_140)
    assert _bounds(NEW_YORK, "2022-03-14T00:00-04:00") == ("2022-03-12 12:00-05:00", "2022-03-19 12:00-04:00")


def test_a_weekly_period_has_all_its_slices_from_minute_0_on() -> None:
    """kibana #143980: a week of 5 min slices is of 2,016 from minute 0."""
    first = NEW_YORK.bounds(_ms("2022-01-01T12:01-05:00"))
    assert first is not None
    assert slices_in(first, 5 * MINUTE) == 2016


def test_a_boundary_belongs_to_the_period_that_it_ends() -> None:
    assert _bounds(NEW_YORK, "2022-01-08T12:00-05:00") == ("2022-01-01 12:00-05:00", "2022-01-08 12:00-05:00")
    assert NEW_YORK.bounds(_ms("2022-01-08T12:00-05:00") + 1) == NEW_YORK.bounds(_ms("2022-01-15T12:00-05:00"))


def test_before_the_first_period_there_is_none() -> None:
    assert NEW_YORK.bounds(_ms("2022-01-01T12:00-05:00")) is None
    assert NEW_YORK.bounds(0) is None


@pytest.mark.parametrize(
    ("number", "unit", "at", "since", "until"),
    [
        (1, "M", "2026-02-10T00:00Z", "2026-01-31 00:00+00:00", "2026-02-28 00:00+00:00"),
        (1, "M", "2026-03-10T00:00Z", "2026-02-28 00:00+00:00", "2026-03-31 00:00+00:00"),
        (1, "Q", "2026-06-01T00:00Z", "2026-04-30 00:00+00:00", "2026-07-31 00:00+00:00"),
        (1, "Y", "2028-02-01T00:00Z", "2028-01-31 00:00+00:00", "2029-01-31 00:00+00:00"),
        (2, "d", "2026-02-02T12:00Z", "2026-02-02 00:00+00:00", "2026-02-04 00:00+00:00"),
        (36, "h", "2026-02-02T00:00Z", "2026-02-01 12:00+00:00", "2026-02-03 00:00+00:00"),
    ],
)
def test_months_count_from_the_day_of_the_start(number: int, unit: Unit, at: str, since: str, until: str) -> None:
    assert _bounds(CalendarPeriods(datetime(2026, 1, 31), "UTC", number, unit), at) == (since, until)


def test_a_wall_time_that_is_skipped_is_taken_with_the_offset_before() -> None:
    daily = CalendarPeriods(datetime(2026, 3, 1, 2, 30), "Europe/Berlin", 1, "d")
    assert _bounds(daily, "2026-03-29T12:00Z") == ("2026-03-29 03:30+02:00", "2026-03-30 02:30+02:00")


def test_a_wall_time_that_comes_twice_is_its_first() -> None:
    daily = CalendarPeriods(datetime(2026, 10, 1, 2, 30), "Europe/Berlin", 1, "d")
    assert _bounds(daily, "2026-10-25T12:00Z") == ("2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00")


def test_hours_are_elapsed_time() -> None:
    hourly = CalendarPeriods(datetime(2026, 10, 25, 0, 0), "Europe/Berlin", 1, "h")
    for at in range(_ms("2026-10-24T22:00Z") + 1, _ms("2026-10-25T06:00Z"), 7 * MINUTE):
        found = hourly.bounds(at)
        assert found is not None
        assert found.until_ms - found.since_ms == HOUR


ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"])


@given(
    st.datetimes(datetime(2008, 1, 1), datetime(2012, 1, 1)),
    ZONES,
    st.integers(1, 40),
    st.sampled_from(["h", "d", "w", "M", "Q", "Y"]),
    st.integers(0, 20_000),
)
def test_periods_follow_one_another_without_gap_and_hold_their_moment(
    start: datetime, zone: str, number: int, unit: Unit, hours: int
) -> None:
    period = CalendarPeriods(start.replace(microsecond=0), zone, number, unit)
    first = int(start.replace(microsecond=0, tzinfo=ZoneInfo(zone)).timestamp()) * 1000
    at = first + 1 + hours * HOUR
    found = period.bounds(at)
    assert found is not None
    assert found.since_ms < at <= found.until_ms
    following = period.bounds(found.until_ms + 1)
    assert following is not None
    assert following.since_ms == found.until_ms


@given(ZONES, st.integers(1, 3), st.integers(0, 40_000))
def test_days_agree_with_walking_from_the_start(zone: str, number: int, hours: int) -> None:
    start = datetime(2010, 5, 1, 1, 30)
    period = CalendarPeriods(start, zone, number, "d")
    at = int(start.replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000 + 1 + hours * HOUR
    begins = []
    day = start
    while not begins or begins[-1] < at:
        begins.append(int(day.replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000)
        day += timedelta(days=number)
    assert period.bounds(at) == Bounds(begins[-2], begins[-1])

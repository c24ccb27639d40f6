"""Times of adjustments: on the clock of a zone across its changes, whom they cover, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.adjust import Adjustment, Every, Interval, Recurrence, Revoked, faults, merged, occurrences, standing, when
from slo.taken import Piece, begin_of, clipped, owned, widened
from tests.slo.support import DAY, HOUR, MINUTE, objective


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def adjustment(
    since: str = "2026-03-01 00:00", until: str | None = None, again: Recurrence | None = None, **more: object
) -> Adjustment:
    fields: dict[str, object] = {
        "id": "a1", "kind": "maintenance", "slos": (), "services": ("shop/*",), "nodes": (), "since_ms": ms(since),
        "until_ms": None if until is None else ms(until), "reason": "new disks", "created_by": "ann",
        "created_ms": 0, "recurrence": again, **more,
    }  # fmt: skip
    return Adjustment(**fields)  # type: ignore[arg-type]


def nightly(at: str = "02:30", hours: int = 2, every: Every = "day", *on: str, interval: int = 1) -> Recurrence:
    return Recurrence(every, on, time.fromisoformat(at), "Europe/Berlin", hours * HOUR, interval)


def begins(again: Recurrence, since: str, until: str, first: str = "2026-01-01 00:00") -> list[str]:
    found = adjustment(first, None, again).within(ms(since), ms(until))
    assert all(it.until_ms - it.since_ms == again.length_ms for it in found)
    return [f"{datetime.fromtimestamp(it.since_ms / 1000, UTC):%m-%d %H:%M}" for it in found]


def test_a_wall_time_that_the_clock_skips_is_taken_with_the_offset_before_the_change() -> None:
    assert begins(nightly(), "2026-03-28 00:00", "2026-03-30 12:00") == ["03-28 01:30", "03-29 01:30", "03-30 00:30"]
    local = datetime.fromtimestamp(ms("2026-03-29 01:30") / 1000, ZoneInfo("Europe/Berlin"))
    assert f"{local:%H:%M}" == "03:30"


def test_a_wall_time_that_comes_twice_is_its_first() -> None:
    assert begins(nightly(), "2026-10-24 00:00", "2026-10-26 12:00") == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]


def test_days_of_weeks_and_months() -> None:
    week = nightly("02:00", 2, "week", "sat", "sun")
    assert begins(week, "2026-03-01 12:00", "2026-03-09 00:00") == ["03-07 01:00", "03-08 01:00"]
    second = nightly("02:00", 2, "week", "mon", interval=2)
    assert begins(second, "2026-01-01 00:00", "2026-02-03 00:00") == ["01-12 01:00", "01-26 01:00"]
    month = nightly("02:00", 2, "month", "31", "last", "1-sun", "last-fri")
    assert begins(month, "2026-02-01 12:00", "2026-03-31 12:00") == [
        "02-27 01:00", "02-28 01:00", "03-01 01:00", "03-27 01:00", "03-31 00:00",
    ]  # fmt: skip


def test_what_touches_the_window_is_told_whole_and_nothing_from_before_its_first_or_after_its_last() -> None:
    assert begins(nightly(), "2026-02-01 02:00", "2026-02-01 03:00") == ["02-01 01:30"]
    assert begins(nightly(), "2026-02-01 03:30", "2026-02-02 01:30") == [], "windows are half open"
    assert begins(nightly(), "2025-12-30 00:00", "2026-01-02 12:00") == ["01-01 01:30", "01-02 01:30"]
    ending = adjustment("2026-01-01 00:00", "2026-01-03 00:00", nightly())
    assert len(ending.within(ms("2025-12-01 00:00"), ms("2026-12-01 00:00"))) == 2
    once = adjustment("2026-01-01 00:00", "2026-01-01 02:00")
    assert once.within(ms("2026-01-01 02:00"), ms("2026-01-02 00:00")) == []
    assert once.within(ms("2026-01-01 01:00"), ms("2026-01-02 00:00")) == [
        Interval(ms("2026-01-01 00:00"), ms("2026-01-01 02:00"))
    ]


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Pacific/Apia")


@given(
    st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 365 * 3), st.integers(1, 72), st.integers(1, 5),
)  # fmt: skip
def test_every_day_is_there_once_on_the_clock(zone: str, hour: int, day: int, length: int, interval: int) -> None:
    again = Recurrence("day", (), time(hour, 30), zone, length * HOUR, interval)
    begin = ms("2025-01-01 00:00")
    since, until = begin + day * DAY, begin + (day + 40) * DAY
    found = [it for it in occurrences(again, begin, since, until) if it.since_ms < until and it.until_ms > since]
    assert found == sorted(set(found))
    local, expected = datetime.fromtimestamp(begin / 1000, ZoneInfo(zone)).date(), list[int]()
    for at in range(0, 365 * 4, interval):  # every day since the first, the slow way
        wall = datetime.combine(local + timedelta(days=at), again.at, ZoneInfo(zone))
        moment = int(wall.timestamp() * 1000)
        if moment >= begin and moment < until and moment + again.length_ms > since:
            expected.append(moment)
    assert [it.since_ms for it in found] == expected


def test_it_covers_by_patterns_and_a_composites_members_with_it() -> None:
    shop, node = objective(), replace(objective(), service="platform", scope=(("node", "n1"), ("node_id", "u-1")))
    assert adjustment().covers(shop)
    assert not adjustment(services=("shop",)).covers(shop)
    assert not adjustment(slos=("other*",)).covers(shop)
    assert adjustment(services=(), slos=("te*",)).covers(node)
    assert not adjustment(services=(), nodes=("n1",)).covers(shop), "a node's adjustment is for the node's objectives"
    assert adjustment(services=(), nodes=("n1",)).covers(node)
    assert adjustment(services=(), nodes=("u-*",)).covers(node)
    member = replace(shop, slo="both-first", part_of="both")
    assert adjustment(slos=("both",)).covers(member)
    assert not adjustment(slos=("both",)).covers(replace(member, part_of=None))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (adjustment(until="2026-03-01 02:00", services=()), "names no objective"),
        (adjustment(until="2026-03-01 02:00", services=("x",) * 51), "more than 50 patterns"),
        (adjustment(until="2026-03-01 02:00", services=("",)), "is no pattern"),
        (adjustment(until="2026-03-01 02:00", reason="  "), "reason is empty"),
        (adjustment(until="2026-03-01 02:00", created_by="x" * 501), "created_by has more than 500"),
        (adjustment(), "it has no end"),
        (adjustment(until="2026-03-01 00:00"), "ends before it begins"),
        (adjustment(until="2026-04-01 00:01"), "longer than 31 d"),
        (replace(adjustment(until="2026-03-01 00:01"), since_ms=2**52), "1970 to 2099"),
        (adjustment(again=nightly("02:00", 200)), "from 1 min to 7 d"),
        (adjustment(again=nightly("02:00", 2, "day", interval=0)), "interval is not"),
        (adjustment(again=nightly("02:00", 2, "day", "sat")), "on is not for every day"),
        (adjustment(again=nightly("02:00", 2, "week")), "on is empty"),
        (adjustment(again=nightly("02:00", 2, "week", "1-sun")), "'1-sun' is no day of a week"),
        (adjustment(again=nightly("02:00", 2, "month", "32", "6-sun", "<b>")), "'<b>' is no day of a month"),
        (adjustment(until="2025-01-01 00:00", again=nightly()), "ends before it begins"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(wrong: Adjustment, said: str) -> None:
    assert said in "; ".join(faults(wrong))


def test_what_is_right_has_no_faults_and_words() -> None:
    once, again = adjustment(until="2026-03-01 02:00"), adjustment(again=nightly("02:00", 2, "week", "sat"))
    assert faults(once) == faults(again) == []
    assert when(once) == "2026-03-01 00:00:00 UTC for 2 h"
    assert when(again) == "every week on sat at 02:00 for 2 h, Europe/Berlin"
    gone = replace(again, id="a2", revoked=Revoked(1, "bob", "was wrong"))
    assert standing([gone, replace(again, id="b"), once]) == (once, replace(again, id="b"))


spans = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda it: Interval(it[0], it[0] + it[1]))


@given(st.lists(st.lists(spans, max_size=5), max_size=4), st.integers(0, 80), st.integers(0, 60))
def test_pieces_are_those_of_a_timeline(times: list[list[Interval]], until: int, length: int) -> None:
    line: list[int | None] = [None] * 100  # moment at is that of (at, at + 1]
    for owner, mine in reversed(list(enumerate(times))):
        for it in mine:
            line[it.since_ms : it.until_ms] = [owner] * (it.until_ms - it.since_ms)
    pieces = owned(times)
    drawn: list[int | None] = [None] * 100
    for since, end, owner in pieces:
        assert drawn[since:end] == [None] * (end - since), "disjoint"
        drawn[since:end] = [owner] * (end - since)
    assert drawn == line
    assert list(pieces) == sorted(pieces)
    inside = clipped(pieces, until - length, until)
    assert sum(it.until_ms - it.since_ms for it in inside) == sum(
        it is not None for it in line[max(0, until - length) : until]
    )
    free = merged(it for mine in times for it in mine)
    begin = begin_of(until, length, free, -1000)
    assert sum(not 0 <= at < 100 or line[at] is None for at in range(begin, until)) == length
    assert not length or not 0 <= begin < 100 or line[begin] is None, "it begins with time that counts"


def test_slices_that_are_touched_are_taken_out_whole() -> None:
    assert widened(Interval(MINUTE + 1, 2 * MINUTE), MINUTE) == (MINUTE, 2 * MINUTE)
    assert widened(Interval(MINUTE, 2 * MINUTE + 1), MINUTE) == (MINUTE, 3 * MINUTE)
    assert owned([[Interval(0, 5)], [Interval(2, 9)]]) == (Piece(0, 5, 0), Piece(5, 9, 1))

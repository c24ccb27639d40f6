"""Digests are due by the wall clock, posted once whatever happens, and say what the report says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dashboards import pages
from service import main
from service.desk import Receiver
from service.digest import Digest, Digests
from service.digest_times import last_due, schedule
from service.outbox import Courier
from service.ports import rows_of
from service.settings import Settings
from service.store_db import Database
from tests.dashboards.fake import FakeSource
from tests.dashboards.rich import HOSTILE, NOW, rich
from tests.service.stores import Clock
from tests.support.waiting import until
from tests.support.webhook import receiver

BERLIN = "Europe/Berlin"
WEEK = Digest("chat", schedule("week", None, BERLIN))
MONTH = Digest("chat", schedule("month", "3 07:30", "UTC"))
HOUR, DAY = 3_600_000, 86_400_000


def ms(text: str, zone: str = BERLIN) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "every", "at", "due", "period"),
    [
        ("2026-11-23T08:00", "week", "Mon 08:00", "2026-11-23T08:00", "2026-W47"),
        ("2026-11-23T07:59", "week", "Mon 08:00", "2026-11-16T08:00", "2026-W46"),
        ("2026-11-25T12:00", "week", "fri 17:15", "2026-11-20T17:15", "2026-W46"),
        ("2026-03-29T12:00", "week", "Sun 02:30", "2026-03-29T03:30", "2026-W12"),
        ("2026-11-01T08:00", "month", "1 08:00", "2026-11-01T08:00", "2026-10"),
        ("2026-01-15T08:00", "month", "28 08:00", "2025-12-28T08:00", "2025-11"),
    ],
)
def test_what_was_due_last(now: str, every: Any, at: str, due: str, period: str) -> None:
    found = last_due(schedule(every, at, BERLIN), ms(now))
    assert (found.at_ms, found.span.name) == (ms(due), period)


@given(st.integers(10**12, 2 * 10**12), st.integers(0, 6), st.integers(0, 23), st.sampled_from([BERLIN, "UTC"]))
def test_a_due_moment_is_past_and_less_than_a_week_old_and_its_week_is_over(
    now: int, day: int, hour: int, zone: str
) -> None:
    found = last_due(
        schedule("week", f"{('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')[day]} {hour:02d}:00", zone), now
    )
    assert now - 7 * DAY - HOUR < found.at_ms <= now
    assert found.span.until_ms <= found.at_ms


def test_a_second_digest_of_a_week_to_one_receiver_is_refused_for_it_would_never_be_sent() -> None:
    receivers = [{"name": "chat", "url": "http://x"}]
    week, month = {"receiver": "chat", "every": "week"}, {"receiver": "chat", "every": "month"}
    Settings.model_validate({"receivers": receivers, "digests": [week, month]})
    with pytest.raises(ValidationError, match="two digests of each week go to 'chat'"):
        Settings.model_validate({"receivers": receivers, "digests": [week, {**week, "zone": BERLIN}]})


@pytest.mark.parametrize(
    "digest",
    [
        {"receiver": "gone"}, {"receiver": "chat", "at": "Monday 8"}, {"receiver": "chat", "at": "Mon 24:00"},
        {"receiver": "chat", "every": "month", "at": "31 08:00"},
        {"receiver": "chat", "every": "month", "at": "Mon 08:00"},
        {"receiver": "chat", "zone": "Mars/Base"}, {"receiver": "chat", "every": "day"},
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(digest: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"receivers": [{"name": "chat", "url": "http://x"}], "digests": [digest]})
    Settings.model_validate(
        {"receivers": [{"name": "chat", "url": "http://x", "roads": []}], "digests": [{"receiver": "chat"}]}
    )


class World:
    """A fleet, a database and a clock; `begin` is a new process over them."""

    def __init__(self, database: Database, source: FakeSource) -> None:
        self.database, self.source = database, source
        self.clock = Clock(NOW)
        self.woken = 0
        self.digests = self.begin(WEEK)

    def begin(self, *digests: Digest) -> Digests:
        return Digests(digests, self.database, self.source, "https://watch.example", self.clock, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def at(self, text: str) -> None:
        self.clock.now_ms = ms(text)

    def periods(self) -> list[str]:
        return [
            json.loads(text)["period"]
            for (text,) in rows_of(self.database, "SELECT payload FROM outbox ORDER BY position")
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(tmp_path / "x.duckdb")
    yield World(database, replace(rich(), asked=[]))
    database.close()


def test_the_first_digest_is_of_the_first_week_that_ends_after_it_was_asked_for(world: World) -> None:
    world.at("2026-11-25T10:00")
    assert world.digests.look() == []
    world.at("2026-11-30T07:59")
    assert world.digests.look() == []
    world.at("2026-11-30T08:00")
    assert world.digests.look() == [WEEK]
    assert world.digests.look() == []
    assert (world.periods(), world.woken) == (["2026-W48"], 1)


def test_one_that_was_missed_while_the_service_was_down_is_sent_once_at_the_start(world: World) -> None:
    world.at("2026-11-10T10:00")
    world.digests.look()
    world.at("2026-12-01T23:00")
    for _ in range(3):
        world.begin(WEEK).look()
    assert world.periods() == ["2026-W48"], "of several that were missed the last"


def test_two_that_look_at_once_post_once(world: World) -> None:
    world.at("2026-11-25T10:00")
    world.digests.look()
    world.at("2026-11-30T09:00")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.begin(WEEK).look(), range(4)))
    assert world.periods() == ["2026-W48"]


def test_weeks_and_months_are_apart(world: World) -> None:
    world.at("2026-11-25T10:00")
    world.begin(WEEK, MONTH).look()
    world.at("2026-12-03T12:00")
    assert world.begin(WEEK, MONTH).look() == [WEEK, MONTH]
    assert world.periods() == ["2026-W48", "2026-11"]


def test_while_nothing_was_judged_it_waits(world: World) -> None:
    world.at("2026-11-25T10:00")
    world.digests.look()
    world.at("2026-11-30T09:00")
    known, world.source.objectives = world.source.objectives, {}
    assert world.digests.look() == []
    world.source.objectives = known
    assert world.digests.look() == [WEEK]


def _message(world: World) -> dict[str, Any]:
    world.at("2026-11-25T10:00")
    world.digests.look()
    world.clock.now_ms = NOW
    world.digests.look()
    ((text,),) = rows_of(world.database, "SELECT payload FROM outbox")
    assert text.isascii()
    return dict(json.loads(text))


def test_it_says_what_the_report_says(world: World) -> None:
    message = _message(world)
    view = pages.report(world.source, pages.parse("reports", {"period": "2026-W48", "zone": BERLIN}, NOW), NOW)
    kept = [it.kept for it in view.summary]
    assert message["summary"]["kept"] == kept.count("kept")
    assert message["summary"]["missed"] == kept.count("missed")
    assert sum(message["summary"][it] for it in ("kept", "missed", "unknown")) == len(view.summary)
    assert [it["slo"] for it in message["objectives"]] == [it.slo for it in view.summary]
    assert message["report_url"] == "https://watch.example/reports?period=2026-W48&zone=Europe%2FBerlin"
    assert message["text"].splitlines()[0].startswith("Midwatch, 2026-W48: 2026-11-23 to 2026-11-29, Europe/Berlin: ")
    assert message["text"].splitlines()[-1] == message["report_url"]


def test_what_was_kept_by_the_little_that_was_observed_is_said_to_be_so(world: World) -> None:
    objective, tally = next(
        (it, tally) for it, tally in world.source.objectives.items() if it.slo == "request-availability"
    )
    few = tuple(
        (6 * (at % 100 == 0), 100) if at < len(tally.minutes) // 2 else None for at in range(len(tally.minutes))
    )
    world.source.objectives = {replace(objective, budget=Fraction(1, 1000)): replace(tally, minutes=few)}
    message = _message(world)
    assert (message["summary"]["kept"], message["summary"]["in_part"]) == (1, 1)
    (told,) = message["objectives"]
    assert (told["attained"], told["in_part"], told["bad_unit"], told["parts"]) == (True, True, "events", 1)
    first, second, *_ = message["text"].splitlines()
    assert ": 1 objective kept (1 measured in part), 0 missed, " in first
    assert second.startswith("kept in part: ")


def test_a_hostile_name_mentions_nobody_in_a_chat(world: World) -> None:
    objective, tally = next(
        (it, tally) for it, tally in world.source.objectives.items() if it.slo == "request-availability"
    )
    evil = replace(objective, service="<!channel>\n@here\u202e" + "x" * 9000, slo=HOSTILE)
    bad = replace(tally, minutes=tuple((it[1], it[1]) if it else it for it in tally.minutes))
    world.source.objectives = {evil: bad}
    message = _message(world)
    assert "<" not in message["text"]
    assert "\u202e" not in message["text"]
    assert len(message["text"]) < 4000
    assert len(message["objectives"][0]["service"]) == 512


def test_it_is_delivered_signed_and_once(world: World) -> None:
    _message(world)
    with receiver() as hook:
        receivers = [Receiver("chat", hook.url, (), "bWlkd2F0Y2gtbWlkd2F0Y2gtbWlkd2F0Y2g=")]
        with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(2) as pool:
            courier = Courier(world.database, receivers, client, world.clock, lambda: 0.5)
            assert courier.round(pool) == 1
            assert courier.round(pool) == 0
        (got,) = hook.received
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert headers["webhook-id"] == "digest-week-2026-W48-chat"
    assert headers["webhook-signature"].startswith("v1,")
    assert got.json["kind"] == "digest"


def test_the_service_sends_what_was_missed_while_it_was_down_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "DIGEST_SECONDS", 0.1)
    clock = Clock(ms("2026-11-25T10:00"))
    with receiver() as hook:
        settings = Settings.model_validate(
            {"receivers": [{"name": "chat", "url": hook.url, "roads": []}], "digests": [{"receiver": "chat"}]}
        )
        with main.running(settings, tmp_path, clock) as parts:
            until(lambda: rows_of(parts.store.database, "SELECT period FROM digests") == [("2026-W47",)], 30)
        clock.now_ms = ms("2026-12-01T12:00")
        for _ in range(2):
            with main.running(settings, tmp_path, clock) as parts:
                until(lambda: hook.received, 30)
                until(lambda: rows_of(parts.store.database, "SELECT delivered_ms FROM outbox")[0][0] is not None, 30)
    (got,) = hook.received
    assert (got.json["kind"], got.json["period"]) == ("digest", "2026-W48")

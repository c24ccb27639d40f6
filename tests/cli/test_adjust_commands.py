"""What `midwatch slo adjust` makes of its options, and how adjustments are shown."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from cli.adjust_commands import Said, line, times

NOW = 1_800_000_000.0
NOW_MS = 1_800_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("said", "since_ms", "until_ms"),
    [
        (Said("-2h", "now"), NOW_MS - 2 * HOUR, NOW_MS),
        (Said(length="2h"), NOW_MS, NOW_MS + 2 * HOUR),
        (Said("-1h", length="2h"), NOW_MS - HOUR, NOW_MS + HOUR),
        (Said("2027-01-15T08:00:00Z", "2027-01-15T09:00:00+01:00"), NOW_MS, NOW_MS),
        (Said("2027-01-15 09:00", "2027-01-15T11:00", zone="Europe/Berlin"), NOW_MS, NOW_MS + 2 * HOUR),
        (Said("2027-01-15 13:45", length="2h", zone="Asia/Kathmandu"), NOW_MS, NOW_MS + 2 * HOUR),
        (Said("2027-01-15T08:00:00Z", length="2h", zone="Asia/Tokyo"), NOW_MS, NOW_MS + 2 * HOUR),
        (Said("-2h", "now", zone="Asia/Tokyo"), NOW_MS - 2 * HOUR, NOW_MS),
        (Said("2027-03-28 02:30", "2027-03-28 04:30", zone="Europe/Berlin"), 1_806_197_400_000, 1_806_201_000_000),
        (Said("2027-10-31 02:30", "2027-10-31 03:30", zone="Europe/Berlin"), 1_824_942_600_000, 1_824_949_800_000),
    ],
)
def test_a_time_once(said: Said, since_ms: int | None, until_ms: int) -> None:
    assert times(said, NOW, of_incident=False) == {"since_ms": since_ms, "until_ms": until_ms}


def test_an_incident_has_its_own_time() -> None:
    assert times(Said(), NOW, of_incident=True) == {"since_ms": None, "until_ms": None}


def test_times_that_come_again() -> None:
    said = Said(every="week", on=("sat", "sun"), at="02:00", length="2h", zone="Europe/Berlin")
    assert times(said, NOW, of_incident=False) == {
        "since_ms": None, "until_ms": None,
        "recurrence": {
            "every": "week", "on": ["sat", "sun"], "at": "02:00", "zone": "Europe/Berlin", "interval": 1,
            "length_ms": 2 * HOUR,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(), "its end is missing"),
        (Said(until="now", length="1h"), "say one of them"),
        (Said(length="1h", on=("sat",)), "need --every"),
        (Said(every="day", length="1h"), "needs --at and --for"),
        (Said(every="day", at="02:00"), "needs --at and --for"),
        (Said(until="soon"), "is no moment"),
        (Said(length="long"), "is no duration"),
        (Said(length="1h", zone="Mars/Base"), "is no time zone"),
        (Said(every="day", at="02:00", length="1h", zone="../x"), "is no time zone"),
    ],
)
def test_what_can_not_be_meant_is_a_usage_error(said: Said, why: str) -> None:
    with pytest.raises(typer.BadParameter, match=why):
        times(said, NOW, of_incident=False)


def test_one_adjustment_is_one_line_and_hostile_text_stays_on_it() -> None:
    one: dict[str, Any] = {
        "id": "4f1c", "state": "active", "slos": ["api"], "services": ["shop/*"], "nodes": [], "silence": True,
        "when": "every day at 02:00 for 2 h, UTC", "created_by": "ann", "reason": "new\n\x1b[31mdisks", "covers": 1,
        "revoked": None,
    }  # fmt: skip
    text = line(one)
    assert text.startswith(
        "4f1c  active  slo=api,service=shop/* (1 objective)  every day at 02:00 for 2 h, UTC, silenced"
    )
    assert "silenced  ann: new" in text
    assert "\n" not in text
    assert "\x1b" not in text
    assert "service=shop/* (0 objectives)  every" in line({**one, "covers": 0})
    gone = {**one, "state": "revoked", "covers": None, "revoked": {"at_ms": NOW_MS, "by": "bob", "why": "ours"}}
    assert line(gone).endswith("revoked 2027-01-15 08:00 UTC by bob: ours")

"""Rules over nodes, agents and the service itself."""

from __future__ import annotations

from fractions import Fraction

import pytest

from alerts.disk import seconds_to_full, slope
from alerts.facts import DiskPoint, DiskState, Facts, Tally
from alerts.model import Subject
from alerts.rules import findings
from alerts.thresholds import Thresholds
from tests.alerts.support import GIB, HOUR, MINUTE, NOW, disk, node, of_node, rule, server, service

LIMITS = Thresholds()


def test_nothing_of_a_healthy_node_and_service_fires() -> None:
    found = findings(Facts((), (node(),), server()), (), LIMITS, NOW)
    assert {it.firing for it in found} == {False}
    assert {it.subject.service for it in found} == {"platform"}


def test_five_kills_on_one_node_are_a_storm_even_where_no_service_has_three() -> None:
    kills = (Tally("a", 2), Tally("b", 2), Tally("", 1))
    found = of_node("oom-storm", "page", oom_kills=kills)
    assert found.firing is True
    assert found.subject == Subject("platform", (("node", "n1"),))
    assert ("no container", "1 kill") in [(it.label, it.text) for it in found.evidence]
    assert of_node("oom-storm", "page", oom_kills=kills[:2]).firing is False


def test_a_storm_of_one_service_pages_once_and_not_for_its_node_too() -> None:
    facts = Facts((service(oom_kills=9),), (node(oom_kills=(Tally("shop/api", 9), Tally("b", 1))),), server())
    fired = [it.subject.service for it in findings(facts, (), LIMITS, NOW) if it.firing and it.road == "page"]
    assert fired == ["shop/api"]


def test_a_node_whose_containers_restart_pages_and_those_of_a_service_that_pages_itself_are_left_out() -> None:
    single = tuple(Tally(f"s{index}", 1) for index in range(3))
    assert of_node("mass-restarts", "page", restarted=single).firing is True
    assert of_node("mass-restarts", "page", restarted=single, containers=11).firing is False
    facts = Facts(
        (service(restarted=3, desired=3),), (node(restarted=(Tally("shop/api", 3),), containers=4),), server()
    )
    fired = [it.subject.service for it in findings(facts, (), LIMITS, NOW) if it.firing and it.alert == "mass-restarts"]
    assert fired == ["shop/api"]


@pytest.mark.parametrize(
    ("used", "ticket", "page"),
    [("0.69", False, False), ("0.7", True, False), ("0.899", True, False), ("0.9", True, True)],
)
def test_a_disk_is_a_ticket_from_seventy_percent_and_a_page_from_ninety(used: str, ticket: bool, page: bool) -> None:
    assert of_node("node-disk", "ticket", disks=(disk(), disk(used, mountpoint="/data"))).firing is ticket
    assert of_node("node-disk", "page", disks=(disk(), disk(used, mountpoint="/data"))).firing is page


def test_a_disk_that_will_be_full_within_four_hours_pages_while_it_is_half_empty() -> None:
    fast = disk("0.5", falling_bytes_per_minute=50 * GIB // 200)
    found = of_node("node-disk", "page", disks=(fast,))
    assert found.firing is True
    assert found.evidence[0].text == "50 % used, 50.0 GiB of 100.0 GiB free, full in 3 h 20 min at the present trend"
    assert of_node("node-disk", "page", disks=(disk("0.5", falling_bytes_per_minute=50 * GIB // 250),)).firing is False


def test_what_was_written_at_once_is_no_trend() -> None:
    jump = tuple(DiskPoint(NOW - age * MINUTE, (90 if age > 30 else 50) * GIB) for age in range(60, -1, -1))
    assert slope(jump) is not None
    assert seconds_to_full(DiskState("/", 100 * GIB, 50 * GIB, jump), LIMITS) is None


def test_a_trend_of_less_than_half_an_hour_is_not_believed() -> None:
    assert seconds_to_full(disk("0.5", GIB, minutes=29), LIMITS) is None
    assert seconds_to_full(disk("0.5", GIB, minutes=30), LIMITS) == 50 * 60


@pytest.mark.parametrize(("used", "firing"), [(None, None), (0, False), (899, False), (900, True), (1001, True)])
def test_a_database_pages_before_its_bound_takes_the_oldest_days(used: int | None, firing: bool | None) -> None:
    found = rule(Facts((), (), server(store_bytes=used, store_most_bytes=1000)), "store-full", "page")
    assert found.firing is firing


def test_a_disk_that_empties_is_never_full() -> None:
    assert seconds_to_full(disk("0.5", -GIB), LIMITS) is None


def test_the_slope_is_that_of_least_squares() -> None:
    points = [DiskPoint(0, 10), DiskPoint(1, 7), DiskPoint(3, 2)]
    assert slope(points) == Fraction(-37, 14)
    assert slope(points[:1]) is None
    assert slope([]) is None


def test_the_disks_of_a_silent_node_are_unknown() -> None:
    silent = {"last_seen_ms": NOW - HOUR}
    assert of_node("node-disk", "page", disks=(disk("0.99"),), **silent).firing is None
    assert of_node("spool-dropping", "page", **silent).firing is None
    assert of_node("oom-storm", "page", **silent).firing is None


@pytest.mark.parametrize(("seconds", "fires"), [(45, False), (45.001, True)])
def test_an_agent_is_silent_after_three_rounds_and_thirty_seconds(seconds: float, fires: bool) -> None:
    found = of_node("agent-silent", "page", last_seen_ms=NOW - int(seconds * 1000))
    assert found.firing is fires
    assert found.evidence[1].text == "45 s (3 rounds of 5 s and 30 s)"


def test_silence_that_began_before_this_service_listened_is_unknown_until_it_has_listened_long_enough() -> None:
    quiet = node(last_seen_ms=NOW - HOUR)
    fresh = Facts((), (quiet,), server(up_since_ms=NOW - 45_000))
    assert rule(fresh, "agent-silent", "page").firing is None
    settled = Facts((), (quiet,), server(up_since_ms=NOW - 45_001))
    assert rule(settled, "agent-silent", "page").firing is True


def test_two_nodes_of_one_name_are_two_subjects() -> None:
    facts = Facts((), (node(), node(node_id="uuid-2")), server())
    subjects = {it.subject for it in findings(facts, (), LIMITS, NOW) if it.alert == "agent-silent"}
    assert len(subjects) == 2


def test_a_dropped_batch_pages() -> None:
    assert of_node("spool-dropping", "page", spool_dropped=1).firing is True


@pytest.mark.parametrize(("age", "fires"), [(None, None), (120_000, False), (120_001, True)])
def test_an_evaluation_that_is_late_pages_and_the_first_one_is_unknown(age: int | None, fires: bool | None) -> None:
    assert rule(Facts((), (), server(evaluation_age_ms=age)), "evaluation-late", "page").firing is fires


@pytest.mark.parametrize(("minutes", "fires"), [(None, False), (4, False), (5, True)])
def test_an_outbox_that_waits_for_five_minutes_is_stuck_and_says_what_the_receiver_said(
    minutes: int | None, fires: bool
) -> None:
    oldest = None if minutes is None else NOW - minutes * MINUTE
    state = server(outbox_oldest_ms=oldest, outbox_waiting=3, outbox_error="answered 503")
    found = rule(Facts((), (), state), "outbox-stuck", "page")
    assert found.firing is fires
    assert ("receiver said", "answered 503") in [(it.label, it.text) for it in found.evidence]


def test_without_facts_of_the_service_nothing_is_said_of_it() -> None:
    assert findings(Facts((), (), None), (), LIMITS, NOW) == []

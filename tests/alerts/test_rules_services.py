"""Rules over one service: what fires, on which road, and what can't be known."""

from __future__ import annotations

import pytest

from alerts.facts import ContainerRestarts, Facts
from alerts.model import Road
from alerts.rules import findings
from alerts.thresholds import Thresholds
from tests.alerts.support import MINUTE, NOW, of_service, rule, service


def test_nothing_of_a_healthy_service_fires_and_all_of_it_is_known() -> None:
    assert {it.firing for it in findings(Facts((service(),), (), None), (), Thresholds(), NOW)} == {False}


@pytest.mark.parametrize(("kills", "ticket", "page"), [(0, False, False), (1, True, False), (3, True, True)])
def test_one_oom_kill_is_a_ticket_and_three_are_a_page(kills: int, ticket: bool, page: bool) -> None:
    assert of_service("oom-kill", "ticket", oom_kills=kills).firing is ticket
    assert of_service("oom-storm", "page", oom_kills=kills).firing is page


def test_a_storm_says_how_many_and_where_the_limit_is() -> None:
    found = of_service("oom-storm", "page", oom_kills=4)
    assert found.summary == "shop/api: 4 OOM kills in 5 min"
    assert [(it.label, it.text) for it in found.evidence] == [
        ("OOM kills", "4 in 5 min"),
        ("limit", "3 kills of one service in 5 min"),
    ]


def test_a_limit_that_is_reached_fires_even_where_not_all_is_measured_and_below_it_nothing_is_known() -> None:
    assert of_service("oom-storm", "page", oom_kills=3, measured=False).firing is True
    assert of_service("oom-storm", "page", oom_kills=2, measured=False).firing is None
    unmeasured = findings(Facts((service(measured=False),), (), None), (), Thresholds(), NOW)
    assert {it.firing for it in unmeasured} == {None}


@pytest.mark.parametrize(
    ("desired", "restarted", "fires"), [(2, 2, False), (10, 3, True), (11, 3, False), (3, 3, True), (2, 4, True)]
)
def test_mass_restarts_are_thirty_percent_and_at_least_three(desired: int, restarted: int, fires: bool) -> None:
    found = of_service("mass-restarts", "page", desired=desired, healthy=desired, restarted=restarted)
    assert found.firing is fires


def _loop(restarts: int) -> tuple[ContainerRestarts, ...]:
    return (ContainerRestarts("shop-api-1", restarts, "exit code 1"), ContainerRestarts("shop-api-2", 1))


@pytest.mark.parametrize(
    ("restarts", "none_for", "ticket", "page"),
    [(2, 10, False, False), (3, 0, True, False), (3, 1, True, False), (3, 2, True, True), (9, None, True, False)],
)
def test_a_crash_loop_is_a_ticket_and_a_page_where_none_is_healthy_for_two_minutes(
    restarts: int, none_for: int | None, ticket: bool, page: bool
) -> None:
    since = None if none_for is None else NOW - none_for * MINUTE
    roads: tuple[tuple[Road, bool], ...] = (("ticket", ticket), ("page", page))
    for road, fires in roads:
        assert of_service("crash-loop", road, restarts=_loop(restarts), none_since_ms=since).firing is fires


def test_a_crash_loop_names_its_container_and_how_it_ended() -> None:
    found = of_service("crash-loop", "ticket", restarts=_loop(5))
    assert (found.evidence[0].label, found.evidence[0].text) == (
        "container shop-api-1", "5 restarts in 10 min, last ended with exit code 1"
    )  # fmt: skip


@pytest.mark.parametrize(("pulls", "fires"), [(1, False), (2, True)])
def test_two_unauthorized_pulls_page(pulls: int, fires: bool) -> None:
    assert of_service("pulls-unauthorized", "page", pulls_unauthorized=pulls).firing is fires


def test_failing_pulls_are_a_ticket_and_a_page_where_a_declared_service_waits_for_them() -> None:
    short = {"healthy": 1, "short_since_ms": NOW - MINUTE}
    assert of_service("pulls-failing", "ticket", pulls_failed=2).firing is False
    assert of_service("pulls-failing", "ticket", pulls_failed=3).firing is True
    assert of_service("pulls-failing", "page", pulls_failed=3).firing is False
    assert of_service("pulls-failing", "page", pulls_failed=3, **short).firing is True
    assert of_service("pulls-failing", "page", pulls_failed=3, declared=False, **short).firing is False


def test_the_reason_of_a_failing_pull_may_change_without_it_being_another_failure() -> None:
    """kubernetes-mixin #645, PR #674, kube-state-metrics #468: the alert's key has no reason in it."""
    first = of_service("pulls-failing", "ticket", pulls_failed=3, pull_message="ErrImagePull")
    second = of_service("pulls-failing", "ticket", pulls_failed=3, pull_message="ImagePullBackOff")
    assert (first.key, first.firing) == (second.key, second.firing)


@pytest.mark.parametrize(("minutes", "fires"), [(None, False), (4, False), (5, True)])
def test_a_container_down_for_five_minutes_is_a_ticket(minutes: int | None, fires: bool) -> None:
    since = None if minutes is None else NOW - minutes * MINUTE
    found = of_service("container-down", "ticket", healthy=1, short_since_ms=since)
    assert found.firing is fires
    assert found.since_ms == since
    assert found.summary == "shop/api: a container is down"


def test_every_threshold_can_be_set() -> None:
    strict = Thresholds(oom_storm_service_kills=1, container_down_after_ms=0, hold_ms=7)
    facts = Facts((service(oom_kills=1, short_since_ms=NOW),), (), None)
    assert rule(facts, "oom-storm", "page", strict).firing is True
    assert rule(facts, "container-down", "ticket", strict).firing is True
    assert rule(facts, "oom-storm", "page", strict).hold_ms == 7

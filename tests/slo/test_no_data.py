"""Policies that ask to be told where there is no data, and what survives a restart."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from alerts.model import Finding
from alerts.rules_slo import alerts_of, of_judgement
from alerts.thresholds import DEFAULT as LIMITS
from slo.held import NO_DATA_MS, HeldConditions
from slo.judge import judge
from slo.model import BurnRow, Counts, Judgement, Objective, Telling
from tests.slo.support import HOUR, MINUTE, NOW, objective, steady

ASKS = Telling(("team",), breaching=False, no_data=True, resolved=False)


def asking(telling: Telling = ASKS, after_ms: int = 0, road: str = "page") -> Objective:
    row = BurnRow("mine", HOUR, HOUR, Fraction(0), Fraction(2), road, "gt", after_ms, telling)  # type: ignore[arg-type]
    return replace(objective(), conditions=(row,))


def quiet(of: Objective) -> dict[int, Counts]:
    return {ms: replace(it, bad=0, total=0) for ms, it in steady(of).items()}


def blind(of: Objective) -> dict[int, Counts]:
    return {ms: replace(it, observed_ms=it.observed_ms // 2) for ms, it in steady(of).items()}


def none(of: Objective) -> dict[int, Counts]:
    return {ms: replace(it, observed_ms=0, expected_ms=0, first_ms=None, total=0) for ms, it in steady(of).items()}


def told(found: Judgement) -> list[Finding]:
    return [it for it in of_judgement(found, LIMITS, found.at_ms) if it.alert == "slo-no-data"]


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        (quiet, "no traffic in the last 1 h, though it was measured."),
        (blind, "unmeasured: 50 % of the last 1 h was observed."),
        (none, "unmeasured: no sample has been seen yet."),
        (steady, None),
    ],
)
def test_no_traffic_and_unmeasured_are_told_apart(counts: object, why: str | None) -> None:
    of, held = asking(), HeldConditions()
    for now in (NOW, NOW + NO_DATA_MS):
        found = held.of(judge(of, counts(of), now))  # type: ignore[operator]
        held.settle()
    (finding,) = told(found)
    assert (finding.road, finding.firing, finding.receivers, finding.end_told) == (
        "page", why is not None, ("team",), False,
    )  # fmt: skip
    assert [it.text for it in finding.evidence] == ([] if why is None else [why])
    assert finding.summary == f"shop/api: test has no data{'' if why is None else f', {why}'}"


def test_what_nothing_can_measure_has_no_data_either() -> None:
    of, held = replace(asking(), unmeasurable="Its query fails."), HeldConditions()
    found = [held.of(judge(of, {}, NOW + at)) for at in (0, NO_DATA_MS - 1, NO_DATA_MS)]
    assert [told(it)[0].firing for it in found] == [False, False, True]
    assert found[-1].no_data == (("mine", "unmeasured: Its query fails."),)


def test_while_the_present_is_taken_out_of_the_budget_no_one_can_tell() -> None:
    of = asking()
    held = HeldConditions()
    for counts in (steady, blind, quiet):
        found = [held.of(judge(of, counts(of), NOW + at, paused="Maintenance.")) for at in (0, NO_DATA_MS)]
        assert [told(it)[0].firing for it in found] == [None, None]


def test_a_policy_that_does_not_ask_is_not_told_and_one_that_breaches_in_vain_is_silent() -> None:
    of = asking(Telling(no_data=False))
    found = HeldConditions().of(judge(of, quiet(of), NOW))
    assert told(found) == []
    silent = asking()
    findings = of_judgement(judge(silent, steady(silent, 50_000), NOW), LIMITS, NOW)
    assert [it.labels for it in findings if ("condition", "mine") in it.labels and it.alert == "slo-burn"] == []


def test_a_conditions_alert_is_its_own_and_goes_to_its_receivers() -> None:
    of = asking(Telling(("team",)))
    judged = judge(of, steady(of, 50_000), NOW)
    found = [it for it in of_judgement(judged, LIMITS, NOW) if ("condition", "mine") in it.labels]
    assert [(it.road, it.firing, it.receivers) for it in found] == [
        ("page", True, ("team",)),
        ("ticket", False, ("team",)),
    ]
    assert {(it.alert, it.subject, it.labels) for it in of_judgement(judged, LIMITS, NOW)} == alerts_of(of)
    few = {ms: replace(it, bad=2, total=10) for ms, it in steady(of).items()}
    found = [it for it in of_judgement(judge(of, few, NOW), LIMITS, NOW) if ("condition", "mine") in it.labels]
    assert [(it.road, it.firing) for it in found] == [("page", False), ("ticket", True)]


@pytest.mark.parametrize("missing", [False, True])
def test_how_long_something_holds_is_known_after_a_restart(missing: bool) -> None:
    of = asking(Telling(no_data=missing), after_ms=10 * MINUTE)
    counts = quiet(of) if missing else steady(of, 50_000)

    def fires(held: HeldConditions, minute: int) -> bool:
        found = held.of(judge(of, counts, NOW + minute * MINUTE))
        held.settle()
        return bool(found.no_data) if missing else found.rows[-1].fired

    first = HeldConditions()
    assert [fires(first, minute) for minute in (0, 6)] == [False, False]
    assert [fires(HeldConditions(since_ms=first.since_ms), minute) for minute in (9, 10)] == [False, True]
    assert not fires(HeldConditions(), 10)


@pytest.mark.parametrize("restart", [False, True])
def test_a_clock_that_is_set_back_takes_nothing_from_what_holds(restart: bool) -> None:
    of = replace(asking(Telling()), conditions=(replace(asking().conditions[0], after_ms=MINUTE, telling=Telling()),))
    held = HeldConditions()

    def fires(now: int) -> bool:
        found = held.of(judge(of, steady(of, 3_000), now))
        held.settle()
        return next(it.fired for it in found.rows if it.row.name == "mine")

    assert [fires(NOW + at) for at in (0, MINUTE)] == [False, True]
    held = HeldConditions(since_ms=held.since_ms) if restart else held
    # a start knows nothing of how the clock was: it holds from then on
    assert [fires(NOW - HOUR + at) for at in (0, MINUTE)] == [not restart, True]


def test_what_is_judged_no_more_is_forgotten() -> None:
    of, held = asking(Telling(), after_ms=MINUTE), HeldConditions()
    held.of(judge(of, steady(of, 50_000), NOW))
    held.settle()
    assert len(held.since_ms) == 1
    held.settle()
    assert held.since_ms == {}

"""Rules over judgements: roads, evidence, freezing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from alerts.facts import Facts
from alerts.model import AlertBook, Finding, Road, Subject
from alerts.rules import findings, vanished
from alerts.step import step
from alerts.thresholds import Thresholds
from slo.burn import Policy
from slo.judge import judge
from slo.model import Allowance, Counts, Judgement, Objective, Selector
from slo.rows import RowShare
from tests.alerts.support import finding
from tests.slo.support import DAY, HOUR, MINUTE, NOW, counts, objective, steady

GOOD = objective()


def _judged(changes: dict[int, Counts] | None = None, of: Objective = GOOD, bad: int = 0) -> Judgement:
    return judge(of, {**steady(of, bad), **(changes or {})}, NOW)


def _found(judgement: Judgement, road: Road = "page", alert: str = "slo-burn") -> Finding:
    (found,) = [
        it
        for it in findings(Facts((), (), None), [judgement], Thresholds(), NOW)
        if (it.alert, it.road) == (alert, road)
    ]
    return found


FAST = {HOUR: counts(500, 10_000), 5 * MINUTE: counts(60, 1000, 5 * MINUTE)}


def test_a_fast_burn_pages_and_says_which_row_both_burns_the_limit_and_what_is_left() -> None:
    found = _found(_judged(FAST, bad=100))
    assert found.firing is True
    assert found.subject.key == 'service="shop/api"'
    assert found.labels == (("slo", "test"),)
    assert [(it.label, it.text) for it in found.evidence] == [
        ("fast row fired", "50x over 1 h and 60x over 5 min (limit 14.4x)"),
        ("objective", "Test: 99.9 % over 30 d"),
        ("counted in 1 h", "500 bad of 10000 events"),
        ("budget left", "90 %"),
        ("budget runs out", "2027-01-15 20:57:36 UTC, in 12 h 57 min"),
    ]


def test_a_calendars_objective_is_over_its_whole_period() -> None:
    of = replace(GOOD, window_ms=2 * DAY, whole_ms=31 * DAY)
    burning = judge(of, {**steady(of), **FAST}, NOW)
    assert [it.text for it in _found(burning).evidence if it.label == "objective"] == ["Test: 99.9 % over 31 d"]


def test_an_allowances_events_are_called_what_they_are() -> None:
    for metric, what in (("midwatch_oom_kills_total", "OOM kills"), ("midwatch_container_restarts_total", "restarts")):
        kind = Allowance((Selector(metric),), (Selector("midwatch_container_instance_seconds_total"),))
        of = replace(GOOD, indicator=kind, budget=Fraction(1, 10 * HOUR))
        burning = {ms: counts(9, ms, ms) for ms in steady(of)}
        (line,) = [it.text for it in _found(judge(of, burning, NOW)).evidence if it.label == "counted in 1 h"]
        assert line == f"9 {what} in 1 h of instance time"


def test_what_runs_out_is_the_share_left_of_the_window_over_the_present_burn() -> None:
    assert _judged(FAST, bad=100).exhausted_at_ms == NOW + int(Fraction(9, 10) * 30 * DAY / 50)


def test_a_slow_burn_is_a_ticket_alone() -> None:
    daily = {DAY: counts(40, 10_000, DAY), 2 * HOUR: counts(40, 10_000, 2 * HOUR)}
    assert _found(_judged(daily), "page").firing is False
    found = _found(_judged(daily), "ticket")
    assert found.firing is True
    assert found.evidence[0].label == "ticket-1d row fired"


def test_too_few_bad_events_make_a_ticket_of_a_page_and_never_silence() -> None:
    few = {HOUR: counts(2, 20), 5 * MINUTE: counts(2, 2, 5 * MINUTE)}
    assert _found(_judged(few), "page").firing is False
    found = _found(_judged(few), "ticket")
    assert found.firing is True
    assert "only 2 bad events, too few for a page" in found.evidence[0].text


def test_a_gap_freezes_both_roads() -> None:
    blind = {5 * MINUTE: counts(60, 1000, 5 * MINUTE, observed_ms=MINUTE), HOUR: counts(500, 10_000)}
    assert _found(_judged(blind), "page").firing is None
    assert _found(_judged(blind), "ticket").firing is None
    assert _found(_judged(blind), "page", "budget-projected-gone").firing is None


def test_after_a_gap_an_outage_pages_by_what_was_seen_of_it_and_says_so() -> None:
    """The projection's own window was not seen whole: what it said before the gap stands."""
    gap = {HOUR: counts(500, 1000, observed_ms=HOUR // 10), 5 * MINUTE: counts(500, 1000, 5 * MINUTE)}
    judged = _judged(gap)
    found = _found(judged)
    assert (found.firing, judged.state) == (True, "burning")
    assert found.evidence[0].text == (
        "500x over 1 h and 500x over 5 min (limit 14.4x), though only 10 % of the longer window was observed and the "
        "rest is taken for good"
    )
    assert judged.reason.endswith("above 14.4x, though only 10 % of the longer window was observed and the rest is "
                                  "taken for good.")  # fmt: skip
    assert _found(judged, "page", "budget-projected-gone").firing is None


def test_where_the_rows_in_force_have_none_that_pages_a_page_of_other_rows_ends() -> None:
    """`service.burn.rows` of tickets alone, set while a page was open."""
    tickets = Policy(rows=(RowShare("daily", DAY, 2 * HOUR, Fraction(1, 10), "ticket"),))
    judged = judge(GOOD, {**steady(GOOD), DAY: counts(500, 10_000, DAY)}, NOW, tickets)
    assert (_found(judged, "page").firing, _found(judged, "ticket").firing) == (False, False)
    assert _found(judge(objective(unmeasurable="No probe."), {}, NOW, tickets), "page").firing is None


def test_what_can_not_be_measured_at_all_is_unknown() -> None:
    nothing = judge(objective(unmeasurable="No probe."), {}, NOW)
    assert {it.firing for it in findings(Facts((), (), None), [nothing], Thresholds(), NOW)} == {None}


def test_a_projection_that_came_true_is_frozen_and_no_recovery() -> None:
    spent = {30 * DAY: counts(100_000, 100_000_000, 30 * DAY)}
    burning = {**spent, HOUR: counts(4, 1000), 5 * MINUTE: counts(4, 1000, 5 * MINUTE)}
    assert _found(_judged(burning), "page", "budget-projected-gone").firing is None
    assert _found(_judged(spent), "page", "budget-projected-gone").firing is False


def test_a_projection_pages() -> None:
    nearly = {30 * DAY: counts(99_000, 100_000_000, 30 * DAY)}
    burning = {**nearly, HOUR: counts(4, 1000), 5 * MINUTE: counts(4, 1000, 5 * MINUTE)}
    found = _found(_judged(burning), "page", "budget-projected-gone")
    assert found.firing is True
    assert ("budget left", "1 %") in [(it.label, it.text) for it in found.evidence]


def test_the_alert_of_an_objective_that_no_longer_exists_resolves() -> None:
    judgement = _judged(FAST)
    book, _ = step(AlertBook(), [_found(judgement)], [], NOW)
    assert vanished(book, [judgement]) == frozenset()
    gone = vanished(book, [])
    book, changes = step(book, [], [], NOW + 1, gone)
    assert [it.kind for it in changes] == ["resolved"]
    assert book == AlertBook()


def test_the_alert_of_an_objective_that_becomes_a_composites_member_resolves() -> None:
    """The composite alerts in its place, so that nothing is told of it any more."""
    judgement = _judged(FAST)
    book, _ = step(AlertBook(), [_found(judgement)], [], NOW)
    member = replace(judgement, objective=replace(GOOD, part_of="whole"))
    assert findings(Facts((), (), None), [member], Thresholds(), NOW) == []
    assert [it.kind for it in step(book, [], [], NOW + 1, vanished(book, [member]))[1]] == ["resolved"]


def test_the_alert_of_a_node_that_left_the_list_resolves_and_that_of_the_service_itself_stays() -> None:
    node = Subject("platform", (("node", "n1"),))
    silent = finding(alert="agent-silent", subject=node)
    stuck = finding(alert="outbox-stuck", subject=Subject("platform"))
    book, _ = step(AlertBook(), [silent, stuck], [], NOW)
    known = judge(replace(objective(unmeasurable="-"), service="platform", scope=node.scope), {}, NOW)
    assert vanished(book, [known]) == frozenset()
    assert vanished(book, []) == {silent.key}


def test_the_burn_of_what_has_an_alert_of_its_own_is_a_ticket() -> None:
    judged = _judged(FAST, replace(GOOD, slo="node-disk"), bad=100)
    assert _found(judged, "page").firing is False
    found = _found(judged, "ticket")
    assert found.firing is True
    assert found.evidence[0].label == "fast row fired"
    soon = [
        it for it in findings(Facts((), (), None), [judged], Thresholds(), NOW) if it.alert == "budget-projected-gone"
    ]
    assert [it.road for it in soon] == ["ticket"]

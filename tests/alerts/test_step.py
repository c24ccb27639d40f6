"""The state machine: cases told one by one, then its properties under hypothesis."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.codec import decode, encode
from alerts.model import AlertBook, Change, Finding, Road, Silence, SilenceMatcher, Subject
from alerts.step import acknowledge, step
from tests.alerts.support import API, MINUTE, NOW, finding

MUTE = Silence("s1", (SilenceMatcher("service", "shop/api"),), NOW, NOW + 10 * MINUTE, "ann", "deploy")


def _run(*rounds: list[Finding], silences: tuple[Silence, ...] = (), every_ms: int = 1000) -> list[list[Change]]:
    """The changes of each round, one round a second."""
    book, made = AlertBook(), []
    for index, findings in enumerate(rounds):
        book, changes = step(book, findings, silences, NOW + index * every_ms)
        made.append(changes)
    return made


def _said(rounds: list[list[Change]]) -> list[tuple[str, str, bool]]:
    return [(it.kind, it.reason, it.notify) for changes in rounds for it in changes]


def test_one_page_and_one_resolve() -> None:
    assert _said(_run([finding()], [finding()], [finding(False)], [finding(False)])) == [
        ("opened", "first notification", True),
        ("resolved", "all alerts resolved", True),
    ]


def test_what_does_not_fire_opens_nothing() -> None:
    assert _said(_run([finding(False)], [finding(None)], [])) == []


def test_a_second_alert_of_the_subject_joins_without_another_page_and_the_last_one_resolves() -> None:
    loop = finding(alert="crash-loop")
    assert _said(
        _run([finding()], [finding(), loop], [finding(False), loop], [finding(False), finding(False, "crash-loop")])
    ) == [
        ("opened", "first notification", True),
        ("joined", "new alerts added", False),
        ("resolved", "all alerts resolved", True),
    ]


def test_a_ticket_that_becomes_a_page_sends_the_page() -> None:
    rounds = _run([finding(road="ticket")], [finding(road="ticket"), finding(road="page")])
    assert [(it.incident.road, it.notify) for changes in rounds for it in changes] == [("ticket", True), ("page", True)]


def test_a_finding_that_moves_to_the_other_road_leaves_the_first() -> None:
    rounds = _run([finding(road="ticket")], [finding(road="page")])
    assert {(it.incident.road, it.kind) for it in rounds[1]} == {("ticket", "resolved"), ("page", "opened")}


def test_what_moves_to_the_other_road_while_nothing_is_known_leaves_the_first_once_it_is_known() -> None:
    """A policy whose severity is lowered in its file while its page is frozen: the page's resolve comes."""
    unknown, quiet = finding(None, road="ticket", hold_ms=2000), finding(False, road="ticket", hold_ms=2000)
    rounds = _run([finding()], [unknown], [quiet], [quiet], [quiet])
    assert [len(it) for it in rounds] == [1, 0, 0, 0, 1]
    assert [(it.incident.road, it.kind, it.notify) for it in rounds[4]] == [("page", "resolved", True)]


def test_a_clock_that_is_set_back_makes_no_resolve_wait_until_it_is_as_late_again() -> None:
    gone, day = finding(False, hold_ms=2000), 86_400_000
    book, _ = step(AlertBook(), [finding()], [], NOW)
    for now in (NOW + 1000, NOW - day, NOW - day + 1000):
        book, changes = step(book, [gone], [], now)
        assert changes == []
    assert [it.kind for it in step(book, [gone], [], NOW - day + 2000)[1]] == ["resolved"]


def _sent(rounds: list[list[Change]]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(it.incident.status, it.to, it.but) for changes in rounds for it in changes if it.notify]


def test_who_is_to_know_of_what_joins_is_told_once_and_all_of_them_of_the_end() -> None:
    team = replace(finding(alert="slo-burn"), receivers=("team",))
    gone = [finding(False), replace(finding(False, "slo-burn"), receivers=("team",))]
    rounds = _run([finding()], [finding(), team], [finding(), team], gone)
    assert _sent(rounds) == [
        ("open", ("*",), ()),
        ("open", ("team",), ("*",)),
        ("resolved", ("*", "team"), ()),
    ]
    assert [it.reason for it in rounds[1]] == ["new alerts added"]


@pytest.mark.parametrize(("road", "told"), [("page", True), ("ticket", False)])
def test_a_rule_may_keep_the_end_of_a_ticket_to_itself_and_never_that_of_a_page(road: Road, told: bool) -> None:
    fires, gone = (replace(finding(it, road=road), end_told=False) for it in (True, False))
    assert [it.notify for it in _run([fires], [gone])[1]] == [told]
    both = [finding(False, alert="other", road=road), gone]
    assert _run([fires, finding(alert="other", road=road)], both)[1][0].notify


def test_what_is_unknown_or_missing_freezes() -> None:
    book, _ = step(AlertBook(), [finding()], [], NOW)
    for told in ([finding(None)], []):
        frozen, changes = step(book, told, [], NOW + 86_400_000)
        assert changes == []
        (alert,) = frozen.incidents[0].alerts
        assert (alert.status, alert.frozen, alert.last_true_ms) == ("firing", True, NOW)


def test_it_resolves_after_the_condition_was_gone_for_the_hold() -> None:
    gone = finding(False, hold_ms=2000)
    rounds = _run([finding()], [gone], [gone], [gone], [gone])
    assert [len(it) for it in rounds] == [1, 0, 0, 1, 0]


def test_a_flap_within_the_hold_is_one_incident() -> None:
    gone = finding(False, hold_ms=60_000)
    assert _said(_run([finding()], [gone], [finding()], [gone], [finding()])) == [
        ("opened", "first notification", True)
    ]


def test_time_that_could_not_be_seen_does_not_count_as_gone() -> None:
    gone = finding(False, hold_ms=2000)
    rounds = _run([finding()], [gone], [finding(None)], [finding(None)], [finding(None)], [gone], [gone], [gone])
    assert [len(it) for it in rounds] == [1, 0, 0, 0, 0, 0, 0, 1]


def test_firing_again_after_the_resolve_is_a_new_incident() -> None:
    rounds = _run([finding()], [finding(False)], [finding()])
    ids = [it.incident.id for changes in rounds for it in changes]
    assert ids[0] == ids[1] != ids[2]


def test_the_resolve_carries_the_incident_of_the_page_whatever_the_evidence_says_then() -> None:
    """oncall #4421: the resolve follows the incident's id."""
    rounds = _run([finding()], [finding(summary="7 OOM kills")], [finding(False, summary="0 OOM kills")])
    opened, resolved = rounds[0][0].incident, rounds[2][0].incident
    assert opened.id == resolved.id
    assert resolved.alerts[0].summary == "7 OOM kills"
    assert (resolved.resolved_ms, resolved.alerts[0].ended_ms) == (NOW + 2000, NOW + 2000)


def test_a_subject_that_is_gone_resolves_at_once() -> None:
    book, _ = step(AlertBook(), [finding()], [], NOW)
    book, changes = step(book, [], [], NOW + 1, frozenset({API.key}))
    assert [(it.kind, it.notify) for it in changes] == [("resolved", True)]
    assert book == AlertBook()


def test_what_is_silenced_sends_nothing_and_has_no_resolve_to_send() -> None:
    assert _said(_run([finding()], [finding()], [finding(False)], silences=(MUTE,))) == [
        ("suppressed", "silenced", False),
        ("resolved", "all alerts resolved", False),
    ]


def test_a_page_that_was_sent_is_resolved_though_a_silence_began() -> None:
    """alertmanager #226, #2754: page, mute, recover: the resolve is sent."""
    book, _ = step(AlertBook(), [finding()], [], NOW)
    _, changes = step(book, [finding(False)], [MUTE], NOW + 1)
    assert [(it.kind, it.notify) for it in changes] == [("resolved", True)]


def test_what_still_fires_when_its_silence_ends_pages_once() -> None:
    """kibana #215634, gatus #1551, #1815: what fires at the end of a silence is one page."""
    rounds = _run(*[[finding()]] * 13, silences=(MUTE,), every_ms=MINUTE)
    assert _said(rounds) == [("suppressed", "silenced", False), ("opened", "silence ended", True)]
    assert rounds[10]  # at the end of the silence, not after it


def test_what_recovers_within_its_silence_says_nothing() -> None:
    """tacticalrmm #1849: no storm of resolves."""
    rounds = _run([finding()], *[[finding(False)]] * 12, silences=(MUTE,), every_ms=MINUTE)
    assert [it.notify for changes in rounds for it in changes] == [False, False]


def test_what_is_frozen_when_its_silence_ends_waits_until_it_is_known() -> None:
    rounds = _run([finding()], *[[finding(None)]] * 11, [finding()], silences=(MUTE,), every_ms=MINUTE)
    assert _said(rounds) == [("suppressed", "silenced", False), ("opened", "silence ended", True)]
    assert rounds[12]


def test_a_silence_of_one_alert_does_not_mute_another_of_the_subject() -> None:
    storm = replace(MUTE, matchers=(SilenceMatcher("alertname", "oom-storm"),))
    rounds = _run([finding()], [finding(), finding(alert="mass-restarts")], silences=(storm,))
    assert _said(rounds) == [("suppressed", "silenced", False), ("opened", "first notification", True)]


def test_of_two_findings_of_one_alert_the_one_that_fires_counts() -> None:
    assert _said(_run([finding(False), finding(True)])) == [("opened", "first notification", True)]


def test_the_first_acknowledgement_stands() -> None:
    book, _ = step(AlertBook(), [finding()], [], NOW)
    ident = book.incidents[0].id
    book = acknowledge(acknowledge(book, ident, "ann", NOW + 1), ident, "bob", NOW + 2)
    assert (book.incidents[0].acknowledged_by, book.incidents[0].acknowledged_ms) == ("ann", NOW + 1)
    with pytest.raises(KeyError):
        acknowledge(book, "page-0-none", "ann", NOW)


SUBJECTS = (API, Subject("shop/web"), Subject("platform", (("node", "n1"),)))
FINDINGS = st.builds(
    finding,
    firing=st.sampled_from([True, False, None]),
    alert=st.sampled_from(["oom-storm", "crash-loop"]),
    road=st.sampled_from(["page", "ticket"]),
    subject=st.sampled_from(SUBJECTS),
    hold_ms=st.sampled_from([0, 1500]),
)
SILENCES = st.builds(
    Silence,
    st.sampled_from(["a", "b"]),
    st.builds(lambda it: (SilenceMatcher("service", it.service),), st.sampled_from(SUBJECTS)),
    st.integers(NOW, NOW + 20_000),
    st.integers(NOW, NOW + 20_000),
    st.just("ann"),
    st.just("why"),
)
ROUNDS = st.lists(st.lists(FINDINGS, max_size=6), max_size=20)
SEVERAL_SILENCES = st.lists(SILENCES, max_size=3)


def _told(findings: list[Finding], road: Road, key: str) -> set[bool | None]:
    return {it.firing for it in findings if (it.road, it.key) == (road, key)}


@settings(max_examples=300)
@given(ROUNDS, SEVERAL_SILENCES)
def test_the_machine_keeps_its_promises(rounds: list[list[Finding]], silences: list[Silence]) -> None:
    book = AlertBook()
    notified: dict[str, int] = {}
    resolved: dict[str, int] = {}
    for index, findings in enumerate(rounds):
        now = NOW + index * 1000
        before = book
        book, changes = step(book, findings, silences, now)
        assert step(before, list(reversed(findings)), silences, now) == (book, changes)
        assert decode(encode(book)) == book
        open_now = [(it.subject, it.road) for it in book.incidents]
        assert len(open_now) == len(set(open_now))
        for change in changes:
            if change.kind == "opened":
                assert change.notify
                notified[change.incident.id] = notified.get(change.incident.id, 0) + 1
            if change.kind == "resolved":
                assert change.notify == (change.incident.id in notified)
                resolved[change.incident.id] = resolved.get(change.incident.id, 0) + 1
            assert change.kind in ("opened", "resolved") or not change.notify
        _nothing_ended_on_what_is_unknown(before, book, findings)
        assert all(any(alert.status == "firing" for alert in it.alerts) for it in book.incidents)
    still_open = {it.id for it in book.incidents}
    assert all(count == 1 for count in (*notified.values(), *resolved.values()))
    assert set(notified) - still_open <= set(resolved)
    assert not still_open & set(resolved)


def _nothing_ended_on_what_is_unknown(before: AlertBook, after: AlertBook, findings: list[Finding]) -> None:
    firing = {(it.road, it.key) for it in after.firing()}
    for alert in before.firing():
        told = _told(findings, alert.road, alert.key)
        other: Road = "ticket" if alert.road == "page" else "page"
        moved = not told and bool({True, False} & _told(findings, other, alert.key))
        if told != {False} and not moved:
            assert (alert.road, alert.key) in firing

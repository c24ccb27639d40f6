"""Cases from public trackers about alerts: literal input, right answer. Others stand beside what they are about."""

from __future__ import annotations

from alerts.message import Links, payload
from alerts.model import AlertBook, Change, Subject
from alerts.rules_slo import of_judgement
from alerts.step import step
from alerts.thresholds import DEFAULT as LIMITS
from slo.judge import judge, windows
from slo.model import Counts, Judgement, Objective
from tests.alerts.support import HOUR, MINUTE, NOW, finding
from tests.slo.support import DAY, objective


def _outage(of: Objective, at: int, begun: int, over: int, per_minute: int = 1000) -> Judgement:
    """All requests fail from minute `begun` to `over`, none else, of a steady traffic; judged at minute `at`."""
    found = {}
    for ms in windows(of):
        since = at - ms // MINUTE
        bad = max(0, min(at, over) - max(since, begun)) * per_minute
        found[ms] = Counts(
            NOW + since * MINUTE, NOW + at * MINUTE, bad, (at - since) * per_minute, ms, ms, 0, NOW - 90 * DAY
        )
    return judge(of, found, NOW + at * MINUTE)


def test_a_page_clears_half_an_hour_after_recovery_at_the_latest_and_is_one_incident() -> None:
    """OpenSLO/slogen #47: the row of 6 h and 30 min cleared after 6 h, with three mails."""
    of, book, told = objective(), AlertBook(), list[tuple[int, Change]]()
    for at in range(8 * 60):
        findings = [it for it in of_judgement(_outage(of, at, 10, 40), LIMITS, NOW + at * MINUTE) if it.road == "page"]
        book, changes = step(book, findings, [], NOW + at * MINUTE)
        told += [(at, it) for it in changes]
    assert [it.kind for _, it in told if it.notify] == ["opened", "resolved"]
    assert len({it.incident.id for _, it in told}) == 1
    resolved = told[-1][0]
    assert 40 < resolved <= 40 + 30 + LIMITS.hold_ms // MINUTE


def test_what_goes_on_firing_is_not_repeated() -> None:
    """alertmanager #917, #2647: an interval of 7 min came out as 10; ours repeats nothing that was delivered."""
    book, sent = AlertBook(), 0
    for at in range(24 * 60):
        book, changes = step(book, [finding(at_ms=NOW + at * MINUTE)], [], NOW + at * MINUTE)
        sent += sum(it.notify for it in changes)
    assert sent == 1


def test_what_both_lack_makes_no_two_alerts_alike() -> None:
    """alertmanager #507, #1727, #666: a missing label equalled another's missing one, and an alert muted itself."""
    platform = [Subject("platform", (("node", "n1"),)), Subject("platform", (("registry", "r"),)), Subject("platform")]
    _, changes = step(AlertBook(), [finding(subject=it) for it in platform], [], NOW)
    assert {it.incident.subject for it in changes if it.notify} == set(platform)
    _, changes = step(AlertBook(), [finding(), finding(road="ticket")], [], NOW)
    assert [(it.incident.road, it.notify) for it in changes] == [("page", True), ("ticket", True)]


def test_a_recovery_goes_to_the_incident_that_was_paged_whatever_its_severity_has_become() -> None:
    """oncall #4421: the recovery took another route, and made a second incident there."""
    book, first = step(AlertBook(), [finding(road="page")], [], NOW)
    book, second = step(book, [finding(road="ticket")], [], NOW + HOUR)
    book, third = step(book, [finding(False, road="ticket")], [], NOW + 2 * HOUR)
    changes = [*first, *second, *third]
    by_id: dict[str, list[str]] = {}
    for it in changes:
        said = payload(it, Links("http://x"), NOW)
        by_id.setdefault(said["groupKey"], []).append(said["status"])
    assert by_id == {
        '{}/{road="page"}:{service="shop/api"}': ["firing", "resolved"],
        '{}/{road="ticket"}:{service="shop/api"}': ["firing", "resolved"],
    }
    assert book == AlertBook()


def test_a_disputed_severity_never_leaves_an_incident_without_its_end() -> None:
    """oncall #4421, the kind: whichever road a finding takes last, each page that went out has its resolve."""
    book, sent = AlertBook(), list[tuple[str, str]]()
    rounds = ["page", "ticket", "page", "page", "ticket"]
    for at, road in enumerate([*rounds, None]):
        told = [finding(road=road)] if road else [finding(False), finding(False, road="ticket")]  # type: ignore[arg-type]
        book, changes = step(book, told, [], NOW + at)
        sent += [(it.incident.id, it.incident.status) for it in changes if it.notify]
    opened = [it for it, status in sent if status == "open"]
    assert sorted(opened) == sorted(it for it, status in sent if status == "resolved")
    assert book == AlertBook()

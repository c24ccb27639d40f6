"""Matchers mean what Alertmanager's mean, and a silence that makes no sense is refused with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.labels import labels_of
from alerts.model import AlertBook, Silence, SilenceMatcher
from alerts.silence import MAX_VALUE, active, faults, matches, pattern_fault
from alerts.step import step
from tests.alerts.support import NOW, finding

LABELS = (("alertname", "oom-storm"), ("service", "shop/api"))
GOOD = Silence("s", (SilenceMatcher("service", "shop/api"),), NOW, NOW + 1000, "ann", "deploy")


@pytest.mark.parametrize(
    ("matcher", "holds"),
    [
        (SilenceMatcher("service", "shop/api"), True),
        (SilenceMatcher("service", "shop"), False),
        (SilenceMatcher("service", "shop/.*", is_regex=True), True),
        (SilenceMatcher("service", "shop", is_regex=True), False),
        (SilenceMatcher("service", "api", is_regex=True), False),
        (SilenceMatcher("service", "shop/api", is_equal=False), False),
        (SilenceMatcher("service", "shop/web", is_equal=False), True),
        (SilenceMatcher("service", "shop/w.*", is_regex=True, is_equal=False), True),
        (SilenceMatcher("node", ""), True),
        (SilenceMatcher("node", "", is_equal=False), False),
        (SilenceMatcher("node", "n1"), False),
        (SilenceMatcher("node", "n1", is_equal=False), True),
        (SilenceMatcher("alertname", "oom-storm|crash-loop", is_regex=True), True),
    ],
)
def test_a_matcher_is_anchored_and_a_missing_label_is_empty(matcher: SilenceMatcher, holds: bool) -> None:
    assert matches(LABELS, (matcher,)) is holds


def test_all_matchers_must_hold() -> None:
    assert not matches(LABELS, (SilenceMatcher("service", "shop/api"), SilenceMatcher("alertname", "crash-loop")))


def test_a_silence_is_active_from_its_start_to_before_its_end() -> None:
    assert [active(GOOD, NOW + ms) for ms in (-1, 0, 999, 1000)] == [False, True, True, False]


def test_an_alert_carries_name_service_road_and_severity_and_ours_win_over_hostile_scopes() -> None:
    hostile = finding(labels=(("slo", "x"), ("service", "other"), ("severity", "none")))
    book, _ = step(AlertBook(), [hostile], [], NOW)
    assert dict(labels_of(book.incidents[0].alerts[0])) == {
        "alertname": "oom-storm", "service": "shop/api", "road": "page", "severity": "critical", "slo": "x"
    }  # fmt: skip


def test_a_sound_silence_has_no_faults() -> None:
    assert faults(GOOD, NOW) == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (replace(GOOD, matchers=()), "no matcher"),
        (replace(GOOD, matchers=(SilenceMatcher("service", ".*", is_regex=True),)), "would match everything"),
        (replace(GOOD, matchers=(SilenceMatcher("service", ""),)), "would match everything"),
        (replace(GOOD, matchers=(SilenceMatcher("ser vice", "x"),)), "is not a label name"),
        (replace(GOOD, matchers=(SilenceMatcher("service", "(", is_regex=True),)), "is not a regular expression"),
        (replace(GOOD, matchers=(SilenceMatcher("service", "x" * 2000),)), "more than 1000 characters"),
        (replace(GOOD, matchers=(SilenceMatcher("service", "x"),) * 21), "more than 20 matchers"),
        (replace(GOOD, ends_ms=NOW), "ended already"),
        (replace(GOOD, starts_ms=NOW + 2000), "ends before it starts"),
        (replace(GOOD, created_by=" "), "say who"),
        (replace(GOOD, comment=""), "say why"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(bad: Silence, says: str) -> None:
    assert says in "; ".join(faults(bad, NOW))


def test_all_faults_are_told_at_once() -> None:
    assert len(faults(replace(GOOD, matchers=(), created_by="", comment="", ends_ms=NOW), NOW)) == 5


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+", "(a|a)*", "((a*)b)*", "(?:a+){2,}", "(a?)*b", "((a|b))+",
        ".*.*.*.*x", "(?=a)", r"(a)\1", "(?i)a", "a" * 300,
    ],
)  # fmt: skip
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    assert pattern_fault(pattern) is not None


@pytest.mark.parametrize(
    "pattern", ["shop/.*", "shop/(api|web)", "a|b|c", "[a-z]+-[0-9]+", r"n\d+", "(api)?", "(a|b)?", r"\(+", "[(+)]*"]
)
def test_ordinary_patterns_are_fine(pattern: str) -> None:
    assert pattern_fault(pattern) is None


def test_the_worst_pattern_that_is_let_through_ends() -> None:
    worst = ".*.*.*x"
    assert pattern_fault(worst) is None
    assert not matches((("service", "a" * 10 * MAX_VALUE),), (SilenceMatcher("service", worst, is_regex=True),))

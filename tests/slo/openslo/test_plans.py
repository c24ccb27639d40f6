"""From documents to what is computed."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

import pytest

from slo.model import BurnRow, EventRatio, Matcher, Selector, Telling
from slo.openslo.measures import OWN, Foreign, Own, RatioOf, RawOf, ThresholdOf
from slo.openslo.plans import Plan, Planned, plan
from slo.openslo.queries import Query
from slo.overrides import DEFAULTS
from slo.periods import CalendarPeriods, Rolling
from slo.slices import Occurrences, RatioTimeslices, Timeslices
from tests.slo.openslo.support import GOOD, loaded, with_line
from tests.slo.openslo.test_read import CALENDAR, THRESHOLD
from tests.slo.support import DAY, HOUR, MINUTE
from tests.support.prometheus import peer_file

OWN_SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: up}
spec:
  service: shop
  budgetingMethod: Occurrences
  indicator:
    metadata: {name: up}
    spec:
      ratioMetric:
        rawType: success
        raw: {metricSource: {type: midwatch, spec: {indicator: container-up}}}
  objectives:
    - target: 0.99
"""


def _planned(text: str) -> Planned:
    found = loaded(text)
    assert found.faults == ()
    return plan(found.slos)


def _plan(text: str) -> Plan:
    found = _planned(text)
    (one,) = found.plans
    return one


def test_a_ratio_of_declared_counters_is_counted_exactly() -> None:
    found = _plan(GOOD)
    total = Selector("http_requests_total")
    assert found.measure == EventRatio(
        (total,), good=(Selector("http_requests_total", (Matcher("code", "!~", "5.."),)),)
    )
    assert (found.budget, found.method, found.period) == (Fraction(1, 1000), Occurrences(), Rolling(30 * DAY))


def test_a_ratio_of_other_queries_stays_text() -> None:
    found = _plan(with_line("counter: true", "counter: false"))
    assert found.measure == RatioOf(Query("http_requests_total"), Query('http_requests_total{code!~"5.."}'), None)


def test_slices_and_calendars() -> None:
    text = with_line("isRolling: true", CALENDAR).replace("30d", "1M").replace("Occurrences", "Timeslices")
    found = _plan(text + "      timeSliceTarget: 0.95\n      timeSliceWindow: 1m\n")
    assert found.method == Timeslices(Fraction(95, 100), MINUTE)
    assert found.period == CalendarPeriods(datetime(2022, 1, 1, 12), "America/New_York", 1, "M")
    assert found.window_ms == 30 * DAY
    ratio = _plan(with_line("Occurrences", "RatioTimeslices") + "      timeSliceWindow: 5\n")
    assert ratio.method == RatioTimeslices(5 * MINUTE)


def test_without_a_window_it_is_thirty_days() -> None:
    found = _plan(GOOD[: GOOD.index("  timeWindow")] + GOOD[GOOD.index("  budgetingMethod") :])
    assert found.period == Rolling(30 * DAY)


def test_a_threshold_and_a_raw_ratio() -> None:
    assert _plan(THRESHOLD + "      op: lte\n      value: 0.1\n").measure == ThresholdOf(
        Query("lag"), "lte", Fraction(1, 10)
    )
    raw = (
        OWN_SLO.replace("midwatch", "Prometheus")
        .replace("indicator: container-up", "query: x")
        .replace("success", "failure")
    )
    assert _plan(raw).measure == RawOf(Query("x"), False)


def test_what_midwatch_does_not_read_is_told() -> None:
    found = _planned(GOOD.replace("type: Prometheus", "type: Datadog"))
    assert found.plans[0].measure == Foreign("Datadog")
    assert {it.level for it in found.findings} <= {"warning", "note"}
    assert "is no source that Midwatch reads" in found.findings[0].what
    assert found.findings[0].remedy.startswith("write Prometheus or midwatch;")


def test_a_source_that_is_misspelt_is_guessed() -> None:
    found = _planned(GOOD.replace("type: Prometheus", "type: Promethues"))
    assert found.findings[0].remedy == "did you mean Prometheus? until then the objective is not measured"


@pytest.mark.parametrize("name", OWN)
def test_every_indicator_of_midwatch_can_be_named(name: str) -> None:
    found = _plan(with_line("container-up", name, OWN_SLO)).measure
    assert isinstance(found, Own)
    platform = name in DEFAULTS and DEFAULTS[name].of == "platform" and name != "vulnerabilities"
    assert (found.indicator, found.of) == (name, "*" if platform else "shop")


def test_an_indicator_of_midwatch_takes_selector_threshold_and_exposure() -> None:
    cold = _plan(with_line("indicator: container-up", "indicator: cold-start, service: shop/*, threshold: 2s", OWN_SLO))
    assert isinstance(cold.measure, Own)
    assert (cold.measure.of, cold.measure.threshold, cold.measure.per_ms) == ("shop/*", "2s", None)
    kills = _plan(with_line("indicator: container-up", "indicator: oom-kills, per: 7d", OWN_SLO)).measure
    assert isinstance(kills, Own)
    assert kills.per_ms == 7 * DAY
    restarts = _plan(with_line("indicator: container-up", "indicator: restart-rate", OWN_SLO)).measure
    assert isinstance(restarts, Own)
    assert restarts.per_ms == HOUR


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("indicator: container-upp", "spec.indicator: 'container-upp' is none of"),
        ("service: shop", "spec.indicator: is missing"),
        ("indicator: container-up, node: n1", "spec.node: container-up is not of a node; remove it or write service"),
        ("indicator: node-disk, service: shop", "spec.service: node-disk is not of a service; remove it or write node"),
        ("indicator: container-up, threshold: 5s", "spec.threshold: container-up has no threshold; remove it"),
        ("indicator: cold-start, threshold: fast", "spec.threshold: 'fast' is not a duration above 0"),
        ("indicator: node-disk, threshold: 5s", "spec.threshold: '5s' is not a share between 0 and 100 %"),
        ("indicator: container-up, per: 1h", "spec.per: container-up is no allowance; remove it"),
        ("indicator: oom-kills, per: 0h", "spec.per: is 0"),
        ("indicator: container-up, colour: red", "spec.colour: the field is not known"),
    ],
)
def test_faults_of_midwatchs_own_indicators_name_their_path(new: str, told: str) -> None:
    found = _planned(with_line("indicator: container-up", new, OWN_SLO))
    assert found.plans == ()
    assert any(told in str(it) and it.level == "error" and it.at.line == 12 for it in found.findings), found.findings


def test_midwatchs_indicators_are_ratios_already() -> None:
    found = _planned(GOOD.replace("type: Prometheus", "type: midwatch"))
    assert [it.at.path for it in found.findings] == [
        f"spec.indicator.spec.ratioMetric.{it}.metricSource.type" for it in ("total", "good")
    ]
    assert "give the good share" in _planned(OWN_SLO.replace("success", "failure")).findings[0].what


def test_a_query_is_needed_and_its_placeholders_are_known() -> None:
    missing = _planned(GOOD.replace("query:", "metric:"))
    assert "spec.query: is missing" in str(missing.findings[0])
    strange = _planned(with_line("http_requests_total{code", "http_requests_total{job='{{.job}}',code"))
    assert "nothing fills {{.job}}" in str(strange.findings[0])


def test_several_objectives_have_names_of_their_own() -> None:
    two = GOOD + "    - target: 0.99\n"
    assert [it.name for it in _planned(two).plans] == ["api-0", "api-1"]
    named = two.replace("- target: 0.999", "- displayName: Our Goal\n      target: 0.999") + "      displayName: SLA\n"
    assert [(it.name, it.title) for it in _planned(named).plans] == [("api-our-goal", "Our Goal"), ("api-sla", "SLA")]


def test_objectives_of_a_composite_carry_their_weights() -> None:
    sli = GOOD[GOOD.index("  indicator:") : GOOD.index("  timeWindow")]
    inner = "".join(f"    {line}\n" for line in sli.splitlines())
    base = GOOD.replace(sli, "")
    text = base + inner + "      compositeWeight: 0.5\n    - target: 0.9\n" + inner
    assert [it.weight for it in _planned(text).plans] == [Fraction(1, 2), 1]
    assert _plan(GOOD).weight is None


def test_a_page_that_can_not_be_reached_is_told_with_its_row() -> None:
    """sloth #341: at a target of 0.10, 14.4 x 0.9 = 12.96 of all events."""
    found = [str(it) for it in _planned(with_line("0.999", "0.10")).findings if it.level == "warning"]
    assert found[0].startswith(
        "f0:28: spec.objectives[0].target: warning: row fast can never fire: 14.4x of a budget of 90 % is 1296 %"
    )
    assert len(found) == 3


@pytest.mark.parametrize(("target", "noted"), [("0.999", False), ("0.9973", False), ("0.9972", True), ("0.99", True)])
def test_a_projection_of_two_hours_needs_a_strict_target(target: str, noted: bool) -> None:
    found = _planned(with_line("0.999", target)).findings
    assert [it.level for it in found] == (["note"] if noted else [])


def test_rows_below_one_and_windows_shorter_than_two_slices_are_told() -> None:
    month = _planned(with_line("30d", "28d"))
    assert ["row ticket-3d fires at 0.933x" in it.what for it in month.findings] == [True]
    sliced = with_line("Occurrences", "RatioTimeslices") + "      timeSliceWindow: 3m\n"
    told = [it.what for it in _planned(sliced).findings]
    assert told == ["row fast has a short window of 5 min, less than two slices"]


POLICY = """\
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: loud}
      spec:
        alertWhenBreaching: true
        conditions:
          - kind: AlertCondition
            metadata: {name: burns-twice}
            spec:
              severity: page
              condition: {kind: burnrate, op: gte, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}
        notificationTargets:
          - targetRef: me
"""


def test_conditions_of_policies_are_rows_with_one_window() -> None:
    (found,) = _planned(GOOD + POLICY).plans
    hour = 3_600_000
    row = BurnRow("burns-twice", hour, hour, Fraction(0), Fraction(2), "page", "gte", 300_000, Telling(("me",)))
    assert found.conditions == (row,)
    (quiet,) = _planned(GOOD + POLICY.replace("severity: page", "severity: low")).plans
    assert quiet.conditions[0].road == "ticket"


def _policies(text: str, *receivers: str) -> Planned:
    return plan(loaded(text).slos, receivers=receivers)


TARGET = """\
          - kind: AlertNotificationTarget
            metadata: {name: on-call}
            spec: {target: pager}
"""
LAST = "          - targetRef: me\n"


@pytest.mark.parametrize(("receivers", "told"), [(("on-call", "pager"), "on-call"), (("pager",), "pager")])
def test_a_target_is_the_receiver_of_its_name_or_of_what_it_says(receivers: tuple[str, ...], told: str) -> None:
    found = _policies(GOOD + POLICY.replace(LAST, TARGET), *receivers)
    assert found.plans[0].conditions[0].telling.receivers == (told,)
    assert found.findings == ()


def test_a_target_that_is_no_receiver_is_warned_of() -> None:
    (warning,) = _policies(GOOD + POLICY.replace(LAST, TARGET), "other").findings
    assert (warning.level, warning.what) == ("warning", "no receiver of midwatch.yaml is called on-call")


@pytest.mark.parametrize(
    ("flags", "telling"),
    [
        ("alertWhenBreaching: true", Telling(("me",))),
        ("alertWhenNoData: true", Telling(("me",), no_data=True)),
        ("alertWhenBreaching: false, alertWhenNoData: true", Telling(("me",), breaching=False, no_data=True)),
        ("alertWhenResolved: false", Telling(("me",), resolved=False)),
    ],
)
def test_flags_say_of_what_is_told(flags: str, telling: Telling) -> None:
    more = "".join(f"        {it.strip()}\n" for it in flags.split(","))
    (found,) = _policies(GOOD + POLICY.replace("        alertWhenBreaching: true\n", more), "me").plans
    assert found.conditions[0].telling == telling


def test_what_a_policy_asks_for_in_vain_is_told() -> None:
    text = GOOD + POLICY.replace("alertWhenBreaching: true", "alertWhenResolved: false")
    assert [(it.level, it.at.path[-17:]) for it in _policies(text, "me").findings] == [("note", "alertWhenResolved")]
    text = GOOD + POLICY.replace("alertWhenBreaching: true", "alertWhenBreaching: false")
    assert [(it.level, it.at.path[-18:]) for it in _policies(text).findings] == [("warning", "alertWhenBreaching")]


def test_of_one_condition_in_two_policies_all_are_told() -> None:
    other = POLICY.replace("  alertPolicies:\n", "").replace("name: loud", "name: other").replace(": me", ": you")
    for text, names in (
        (other, {"burns-twice": ("me", "you")}),
        (other.replace("threshold: 2", "threshold: 3"), {"burns-twice": ("me",), "other/burns-twice": ("you",)}),
    ):
        (found,) = _policies(GOOD + POLICY + text).plans
        assert {it.name: it.telling.receivers for it in found.conditions} == names


def test_what_is_read_and_not_done_is_told() -> None:
    (warning,) = _planned(with_line("30d", "2Y")).findings[:1]
    assert (warning.level, warning.at.path) == ("warning", "spec.objectives[0]")
    assert "Windows from 1 h to 366 d are judged" in warning.what


def test_the_minute_that_was_meant_as_a_month_is_shorter_than_two_slices() -> None:
    found = _planned(peer_file("openslo/budgeting-method--timeslices-slo.yaml").read_text())
    assert "the window is shorter than two slices" in [it.what for it in found.findings]


def test_what_is_wrong_with_the_indicator_of_all_is_told_once() -> None:
    found = _planned(GOOD.replace("type: Prometheus", "type: Datadog") + "    - target: 0.9999\n").findings
    assert sorted(it.at.line for it in found) == [14, 19]


def test_every_slo_of_the_peers_has_a_plan() -> None:
    for path in peer_file("openslo").glob("*.yaml"):
        found = loaded(path.read_text())
        planned = plan(found.slos)
        assert len(planned.plans) == sum(len(it.objectives) for it in found.slos)


def test_an_objective_that_would_take_anothers_place_is_a_fault() -> None:
    """Objectives of an SLO with several are called by both names: `api-fast` may be an SLO's own name."""
    several = with_line(
        "    - target: 0.999\n", "    - {displayName: fast, target: 0.9}\n    - {displayName: b, target: 0.8}\n"
    )
    other = with_line("name: api", "name: api-fast")
    found = plan(loaded(several, other).slos)
    assert [it.name for it in found.plans] == ["api-fast", "api-b"]
    assert [str(it) for it in found.findings if it.level == "error"] == [
        "f1:28: spec.objectives[0]: an objective of shop is called api-fast already, by SLO api in f0:1; "
        "rename the SLO or the displayName of its objective"
    ]
    elsewhere = other.replace("service: shop", "service: web")
    assert [it.name for it in plan(loaded(several, elsewhere).slos).plans] == ["api-fast", "api-b", "api-fast"]


@pytest.mark.parametrize(
    ("window", "slices", "rows"),
    [("30d", "", []), ("1d", "", ["fast"]), ("1h", "", ["fast", "slow"]), ("30d", "1h", ["fast"])],
)
def test_rows_of_queries_that_hold_too_few_slices_to_page_are_warned_of(
    window: str, slices: str, rows: list[str]
) -> None:
    """A page needs three of them that are bad: fewer are a ticket, whatever burns."""
    text = with_line("counter: true", "counter: false").replace("30d", window)
    if slices:
        text = text.replace("Occurrences", "RatioTimeslices") + f"      timeSliceWindow: {slices}\n"
    told = [it.what for it in _planned(text).findings if "can't page" in it.what]
    assert [it.split()[1] for it in told] == rows
    assert [
        it for it in _planned(text.replace("counter: false", "counter: true")).findings if "page and" in it.what
    ] == []
    if window == "1h":
        assert told[0] == (
            "row fast can't page and is a ticket: its 2 min hold fewer than 3 slices of 1 min, and a page needs as "
            "many that are bad"
        )

"""Which objectives come to be, from which series, and what labels change of them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from agent.names import COLD_START_BOUNDS, OWN, REGISTRY_BOUNDS
from slo.builtin import builtin, node_scope, override_faults
from slo.indicators import (
    BUILD,
    COLD_START,
    OWN_HISTOGRAMS,
    REGISTRY,
    Catalogue,
    NodeName,
    ServiceFacts,
)
from slo.model import Allowance, EventRatio, Matcher, MinuteSlices, Objective, Selector
from slo.overrides import DEFAULTS
from tests.slo.support import DAY

NODE = NodeName("n1", "uuid-1")
KNOWN = Catalogue(
    status_labels={("shop/api", "http_requests_total"): frozenset({"code"})},
    bounds={
        ("shop/api", "http_request_duration_seconds"): frozenset({"0.1", "0.3", "1", "+Inf"}),
        ("shop/api", COLD_START): frozenset({f"{it:g}" for it in COLD_START_BOUNDS} | {"+Inf"}),
        ("shop/api", BUILD): frozenset({"60", "300", "600", "+Inf"}),
        ("platform", REGISTRY): frozenset({f"{it:g}" for it in REGISTRY_BOUNDS} | {"+Inf"}),
    },
    nodes=(NODE,),
    registries=("127.0.0.1:5000",),
)


def _api(labels: dict[str, str] | None = None, has_probe: bool = True) -> ServiceFacts:
    return ServiceFacts("shop/api", 2, labels or {}, has_probe, ("n1",))


def _one(slo: str, labels: dict[str, str] | None = None, known: Catalogue = KNOWN, has_probe: bool = True) -> Objective:
    found = [it for it in builtin([_api(labels, has_probe)], known) if it.slo == slo]
    assert len(found) == 1
    return found[0]


def test_a_service_with_everything_gets_every_objective_and_the_platform_its_own() -> None:
    found = builtin([_api()], KNOWN)
    assert {it.slo for it in found} == set(DEFAULTS)
    assert [it.slo for it in found if it.service == "shop/api"] == [
        "build-time", "cold-start", "container-up", "image-pull-success",
        "request-availability", "request-latency", "restart-rate",
    ]  # fmt: skip
    assert {it.scope for it in found if it.service == "platform"} == {
        (("node", "n1"),), (("registry", "127.0.0.1:5000"),), ()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("slo", "budget", "days"),
    [
        ("container-up", Fraction(1, 100), 30),
        ("image-pull-success", Fraction(1, 1000), 30),
        ("restart-rate", Fraction(1, 36_000_000), 7),
        ("cold-start", Fraction(1, 100), 30),
        ("node-disk", Fraction(1, 100), 7),
        ("cpu-steal", Fraction(1, 100), 7),
        ("registry-latency", Fraction(1, 100), 7),
        ("request-availability", Fraction(1, 1000), 30),
        ("request-latency", Fraction(1, 100), 30),
        ("build-time", Fraction(1, 10), 30),
    ],
)
def test_budgets_and_windows_are_those_of_the_table(slo: str, budget: Fraction, days: int) -> None:
    assert (_one(slo).budget, _one(slo).window_ms) == (budget, days * DAY)


def test_every_own_series_that_an_objective_reads_is_one_that_the_agent_emits() -> None:
    for objective in builtin([_api()], KNOWN):
        for metric in _metrics(objective):
            base = metric.removesuffix("_bucket").removesuffix("_count")
            if metric.startswith("midwatch_") and objective.unmeasurable is None:
                assert metric in OWN or base in OWN
    assert all(OWN[name].kind == "histogram" for name in OWN_HISTOGRAMS)


def _metrics(objective: Objective) -> set[str]:
    found: set[Selector] = set()
    match objective.indicator:
        case EventRatio(total, good, bad):
            found = {*total, *good, *bad}
        case Allowance(bad, exposure):
            found = {*bad, *exposure}
        case MinuteSlices():
            found = {objective.indicator.numerator, objective.indicator.denominator}
    return {it.metric for it in found}


def test_containers_up_are_healthy_over_desired_milliseconds_of_the_service() -> None:
    indicator = _one("container-up").indicator
    assert isinstance(indicator, EventRatio)
    assert indicator.scale == 1000
    assert [(it.metric, it.matchers) for it in indicator.good] == [
        ("midwatch_container_healthy_seconds_total", (("service", "=", "shop/api"),))
    ]


def test_pulls_that_never_reached_for_the_network_count_in_neither() -> None:
    indicator = _one("image-pull-success").indicator
    assert isinstance(indicator, EventRatio)
    assert ("outcome", "!~", "cached|cancelled|bad_reference") in indicator.total[0].matchers
    assert ("outcome", "=", "ok") in indicator.good[0].matchers


def test_only_restarts_by_policy_count_against_the_allowance() -> None:
    indicator = _one("restart-rate").indicator
    assert isinstance(indicator, Allowance)
    assert ("by", "=", "policy") in indicator.bad[0].matchers


def test_restarts_are_held_against_the_time_of_what_ran_so_that_what_never_did_is_no_success() -> None:
    indicator = _one("restart-rate").indicator
    assert isinstance(indicator, Allowance)
    assert [it.metric for it in indicator.exposure] == ["midwatch_container_instance_seconds_total"]


def test_a_cold_start_is_good_in_the_bucket_of_its_threshold() -> None:
    indicator = _one("cold-start").indicator
    assert isinstance(indicator, EventRatio)
    assert indicator.total[0].metric == "midwatch_cold_start_seconds_count"
    assert {("segment", "=", "ready"), ("le", "=", "0.5")} <= set(indicator.good[0].matchers)


def test_without_a_probe_a_cold_start_can_not_be_measured_and_says_how_to_change_that() -> None:
    assert "midwatch.readiness" in str(_one("cold-start", has_probe=False).unmeasurable)


def test_no_start_seen_yet_is_unmeasured_and_not_all_bad() -> None:
    assert "has been seen yet" in str(_one("cold-start", known=Catalogue()).unmeasurable)


def test_a_service_without_metrics_of_its_own_has_no_request_objectives() -> None:
    assert {it.slo for it in builtin([_api()], Catalogue()) if it.service == "shop/api"} == {
        "cold-start", "container-up", "image-pull-success", "restart-rate"
    }  # fmt: skip


def test_a_service_that_only_sends_metrics_has_request_objectives_and_no_containers() -> None:
    assert {it.slo for it in builtin([], KNOWN) if it.service == "shop/api"} == {
        "build-time", "request-availability", "request-latency"
    }  # fmt: skip


def test_the_status_may_have_another_name_or_stand_on_a_histogram() -> None:
    semconv = Catalogue({("a", "http_server_request_duration_seconds_count"): frozenset({"http_response_status_code"})})
    (found,) = [it for it in builtin([], semconv) if it.slo == "request-availability"]
    assert isinstance(found.indicator, EventRatio)
    assert found.indicator.bad[0].matchers[-1] == ("http_response_status_code", "=~", "5..")


def test_responses_without_a_status_are_unmeasured_and_not_all_good() -> None:
    (found,) = [it for it in builtin([], Catalogue({("a", "http_requests_total"): frozenset()})) if it.service == "a"]
    assert "none of the labels code" in str(found.unmeasurable)


@pytest.mark.parametrize(
    ("label", "value", "budget"),
    [
        ("midwatch.slo.container-up.target", "99.95%", Fraction(1, 2000)),
        ("midwatch.slo.container-up.target", " 99.95 % ", Fraction(1, 2000)),
        ("midwatch.slo.container-up.target", "99.999999999 %", Fraction(1, 10**11)),
        ("midwatch.slo.restart-rate.target", "0.25/h", Fraction(1, 14_400_000)),
    ],
)
def test_a_target_is_read_to_the_last_digit(label: str, value: str, budget: Fraction) -> None:
    assert _one(label.split(".")[2], {label: value}).budget == budget
    assert override_faults([_api({label: value})]) == []


def test_a_threshold_picks_its_bucket_and_a_window_its_length() -> None:
    labels = {"midwatch.slo.cold-start.threshold": "2s", "midwatch.slo.cold-start.window": "2w"}
    found = _one("cold-start", labels)
    assert isinstance(found.indicator, EventRatio)
    assert ("le", "=", "2") in found.indicator.good[0].matchers
    assert (found.title, found.window_ms, found.note) == ("Ready within 2s", 14 * DAY, None)


def test_replicas_that_tell_the_status_by_other_labels_are_all_heard() -> None:
    """As while a deploy renames the label; no series counts twice."""
    mixed = Catalogue(status_labels={("shop/api", "http_requests_total"): frozenset({"status", "code", "route"})})
    found = _one("request-availability", known=mixed)
    assert isinstance(found.indicator, EventRatio)
    service = Matcher("service", "=", "shop/api")
    assert found.indicator.bad == (
        Selector("http_requests_total", (service, Matcher("code", "=~", "5.."))),
        Selector("http_requests_total", (service, Matcher("status", "=~", "5.."), Matcher("code", "!~", "5.."))),
    )


def test_a_threshold_between_bounds_takes_the_largest_below_and_says_so() -> None:
    found = _one("request-latency", {"midwatch.slo.request-latency.threshold": "999ms"})
    assert isinstance(found.indicator, EventRatio)
    assert ("le", "=", "0.3") in found.indicator.good[0].matchers
    assert found.note == ("http_request_duration_seconds has no bucket at 999ms: the next one below, 0.3 s, is used")


def test_a_threshold_below_all_bounds_is_unmeasured() -> None:
    found = _one("request-latency", {"midwatch.slo.request-latency.threshold": "50ms"})
    assert found.unmeasurable == "http_request_duration_seconds has no bucket at or below 50ms."


def test_bounds_are_compared_as_numbers_and_hostile_ones_are_left_out() -> None:
    bounds = frozenset({"1e-1", "0.25", "0.3.1", "1e999999999", "1/3", "NaN", "+Inf", "9" * 5000, "0x1"})
    known = Catalogue(bounds={("a", "http_request_duration_seconds"): bounds})
    (found,) = [it for it in builtin([], known) if it.service == "a"]
    assert isinstance(found.indicator, EventRatio)
    assert ("le", "=", "0.25") in found.indicator.good[0].matchers


@pytest.mark.parametrize(
    ("label", "value", "says"),
    [
        ("midwatch.slo.container-up.target", "100 %", "leaves no budget"),
        ("midwatch.slo.container-up.target", "100.5%", "leaves no budget"),
        ("midwatch.slo.container-up.target", "0 %", "asks for nothing"),
        ("midwatch.slo.container-up.target", "0.999", "not a target in percent"),
        ("midwatch.slo.container-up.target", "NaN%", "not a target in percent"),
        ("midwatch.slo.container-up.target", "٩٩%", "not a target in percent"),
        ("midwatch.slo.container-up.threshold", "2s", "has no threshold"),
        ("midwatch.slo.container-up.goal", "99 %", "not one of target, threshold, window"),
        ("midwatch.slo.container-up.windw", "7d", "did you mean window?"),
        ("midwatch.slo.cold-start.threshold", "0s", "not a duration"),
        ("midwatch.slo.cold-start.threshold", "-1s", "not a duration"),
        ("midwatch.slo.cold-start.threshold", "2 parsecs", "not a duration"),
        ("midwatch.slo.cold-start.window", "0d", "not a window"),
        ("midwatch.slo.cold-start.window", "10m", "not a window"),
        ("midwatch.slo.cold-start.window", "9999d", "not a window"),
        ("midwatch.slo.restart-rate.target", "0/h", "not an allowed rate"),
        ("midwatch.slo.restart-rate.target", "99 %", "not an allowed rate"),
        ("midwatch.slo.cold-strat.target", "99 %", "did you mean cold-start?"),
        ("midwatch.slo.node-disk.target", "99 %", "belongs to nodes and registries"),
    ],
)
def test_a_faulty_override_is_told_and_changes_nothing(label: str, value: str, says: str) -> None:
    (fault,) = override_faults([_api({label: value})])
    assert says in fault.problem
    assert (fault.service, fault.label, fault.value) == ("shop/api", label, value)
    plain, with_label = builtin([_api()], KNOWN), builtin([_api({label: value})], KNOWN)
    for before, after in zip(plain, with_label, strict=True):
        assert (before.budget, before.window_ms, before.indicator) == (after.budget, after.window_ms, after.indicator)
        concerned = label.startswith(f"midwatch.slo.{after.slo}.") and after.service == "shop/api"
        assert (after.note is not None and says in after.note) == concerned


def test_all_faults_are_told_at_once_and_the_good_labels_still_count() -> None:
    labels = {
        "midwatch.slo.container-up.target": "lots",
        "midwatch.slo.container-up.window": "7d",
        "midwatch.slo.nothing": "x",
        "midwatch.readiness": "tcp://:80",
    }
    assert len(override_faults([_api(labels)])) == 2
    assert _one("container-up", labels).window_ms == 7 * DAY


def test_a_row_that_can_never_fire_is_told_beside_the_objective() -> None:
    note = str(_one("build-time").note)
    assert note.startswith("row fast can never fire: 14.4x of a budget of 10 % is 144 % of all events")


def test_the_platforms_own_labels_override_nodes_and_registries() -> None:
    platform = ServiceFacts("platform", 0, {"midwatch.slo.node-disk.threshold": "80 %"}, False)
    (disk,) = [it for it in builtin([platform], KNOWN) if it.slo == "node-disk"]
    assert isinstance(disk.indicator, MinuteSlices)
    assert (disk.indicator.bound, disk.indicator.complement) == (Fraction(4, 5), True)
    assert override_faults([platform]) == []


def test_two_nodes_of_one_name_stay_two() -> None:
    twins = (NODE, NodeName("n1", "uuid-2"), NodeName("n2", "uuid-3"))
    assert node_scope(NODE, twins) == (("node", "n1"), ("node_id", "uuid-1"))
    assert node_scope(twins[2], twins) == (("node", "n2"),)
    assert len({it.scope for it in builtin([], Catalogue(nodes=twins)) if it.slo == "node-disk"}) == 3


def test_vulnerabilities_are_unmeasured_and_say_so() -> None:
    (found,) = [it for it in builtin([], Catalogue()) if it.slo == "vulnerabilities"]
    assert found.unmeasurable == "No scanner reports to Midwatch."


def test_no_two_objectives_share_an_identity() -> None:
    found = [(it.slo, it.service, it.scope) for it in builtin([_api()], KNOWN)]
    assert len(found) == len(set(found))

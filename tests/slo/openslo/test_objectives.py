"""Objectives of files: those that are judged, those that say why not, and what they take the place of."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.builtin import builtin
from slo.indicators import ServiceFacts
from slo.model import Allowance, EventRatio, Objective, QueryIndicator
from slo.openslo.faults import At, Finding
from slo.openslo.objectives import FromFiles, objectives_of, refused, replaced
from slo.openslo.plans import plan
from slo.overrides import DEFAULTS, Asked
from slo.periods import CalendarPeriods
from slo.slices import RatioTimeslices, Timeslices
from tests.slo.openslo.support import GOOD, loaded, with_line
from tests.slo.openslo.test_plans import OWN_SLO
from tests.slo.openslo.test_read import CALENDAR, THRESHOLD
from tests.slo.support import DAY
from tests.slo.test_builtin import KNOWN, NODE

API = ServiceFacts("shop/api", 2, {}, True, ("n1",))
WEB = ServiceFacts("shop/web", 1, {"midwatch.slo.container-up.target": "90 %"}, True, ("n1",))


def test_a_title_has_room_on_a_page_and_a_long_one_names_no_objective() -> None:
    long = "a" * 8000
    text = GOOD.replace("  objectives:\n", f"  objectives:\n    - {{displayName: {long}, target: 0.9}}\n")
    assert text != GOOD
    found = {it.slo: it.title for it in _files(text).objectives}
    assert list(found) == ["api-0", "api-1"]
    assert found["api-0"] == "a" * 159 + "…"


def _files(*texts: str) -> FromFiles:
    found = loaded(*texts)
    assert found.faults == ()
    planned = plan(found.slos)
    assert not [it for it in planned.findings if it.level == "error"]
    return objectives_of(planned.plans)


def _own(spec: str, name: str = "up", target: str = "0.95", more: str = "") -> str:
    text = OWN_SLO.replace("indicator: container-up", spec).replace("{name: up}", f"{{name: {name}}}", 1)
    return text.replace("0.99", target) + more


def _all(*texts: str, services: tuple[ServiceFacts, ...] = (API, WEB)) -> dict[tuple[str, str], Objective]:
    found = builtin(services, KNOWN, _files(*texts).asked)
    assert len({(it.slo, it.service, it.scope) for it in found}) == len(found)
    return {(it.slo, it.service): it for it in found}


def test_counters_are_judged_as_they_stand() -> None:
    (found,) = _files(GOOD).objectives
    assert isinstance(found.indicator, EventRatio)
    assert (found.slo, found.service, found.scope) == ("api", "shop", ())
    assert (found.budget, found.window_ms, found.unmeasurable) == (Fraction(1, 1000), 30 * DAY, None)
    assert found.note == "asked for by f0:28"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GOOD.replace("Prometheus", "Datadog"), "does not read sources of type Datadog"),
        (with_line("30d", "30m"), "Windows from 1 h to 366 d are judged"),
        (with_line("30d", "2Y"), "Windows from 1 h to 366 d are judged"),
    ],
)
def test_what_is_not_judged_says_why(text: str, why: str) -> None:
    (found,) = _files(text).objectives
    assert found.unmeasurable is not None
    assert why in found.unmeasurable


def test_a_file_takes_the_place_of_the_built_in_objective_under_its_name() -> None:
    plain, found = _all(), _all(_own("indicator: container-up, service: shop/api"))
    assert found.keys() == plain.keys()
    api = found["container-up", "shop/api"]
    assert (api.budget, api.target_text) == (Fraction(5, 100), "95 %")
    assert api.indicator == plain["container-up", "shop/api"].indicator
    assert "asked for by f0:14" in (api.note or "")
    rest = {key: it for key, it in found.items() if key != ("container-up", "shop/api")}
    assert rest == {key: it for key, it in plain.items() if key != ("container-up", "shop/api")}


def test_without_files_nothing_changes() -> None:
    assert builtin([API, WEB], KNOWN, ()) == builtin([API, WEB], KNOWN)


def test_a_name_goes_before_a_label_and_a_label_before_a_pattern() -> None:
    pattern = _own("indicator: container-up, service: shop/*", "all")
    named = _own("indicator: container-up, service: shop/web", "web", "0.5")
    found = _all(pattern)
    assert found["container-up", "shop/api"].target_text == "95 %"
    assert found["container-up", "shop/web"].target_text == "90 %"
    for texts in ((pattern, named), (named, pattern)):
        found = _all(*texts)
        assert found["container-up", "shop/api"].target_text == "95 %"
        assert found["container-up", "shop/web"].target_text == "50 %"


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_pattern_covers_what_the_same_regular_expression_matches(pattern: str, name: str) -> None:
    asked = Asked("container-up", pattern, "x", DEFAULTS["container-up"], "f:1")
    assert asked.covers(name) == (re.fullmatch(pattern.replace("*", ".*"), name) is not None)


def test_a_hostile_pattern_is_quick() -> None:
    asked = Asked("container-up", "*a" * 4000 + "b", "x", DEFAULTS["container-up"], "f:1")
    assert not asked.covers("a" * 100_000)


def test_a_second_objective_stands_beside_the_first() -> None:
    found = _all(_own("indicator: container-up, service: shop/api", more="    - target: 0.9\n"))
    assert found["container-up", "shop/api"].target_text == "95 %"
    assert found["up-1", "shop/api"].target_text == "90 %"


def test_one_beside_never_takes_the_name_of_another_indicator() -> None:
    found = _all(
        _own("indicator: container-up, service: shop/api", "first"),
        _own("indicator: container-up, service: shop/api", "cold-start", "0.9"),
    )
    assert found["container-up-cold-start", "shop/api"].target_text == "90 %"
    assert found["cold-start", "shop/api"] == _all()["cold-start", "shop/api"]


def test_counters_of_a_file_take_the_place_of_what_has_their_name_and_service() -> None:
    built = builtin([replace(API, service="shop")], KNOWN)
    (mine,) = _files(GOOD.replace("name: api", "name: container-up")).objectives
    (other,) = _files(GOOD).objectives
    found = replaced(built, [mine, other])
    assert len({(it.slo, it.service, it.scope) for it in found}) == len(found) == len(built) + 1
    assert [it for it in found if (it.slo, it.service) == ("container-up", "shop")] == [mine]


def test_threshold_and_window_are_those_of_the_file() -> None:
    window = "  timeWindow: [{duration: 7d, isRolling: true}]\n"
    found = _all(_own("indicator: request-latency, service: shop/api, threshold: 1s", more=window))
    objective = found["request-latency", "shop/api"]
    assert (objective.window_ms, objective.title) == (7 * DAY, "Responses within 1s")


def test_a_service_that_is_not_known_yet_has_its_objective() -> None:
    for name in ("container-up", "request-availability", "build-time", "cold-start"):
        found = _all(_own(f"indicator: {name}, service: new"))
        assert found[name, "new"].service == "new"
        assert (found[name, "new"].unmeasurable is None) == (name == "container-up")


def test_nodes_and_registries_are_chosen_by_name_or_pattern() -> None:
    for of, target in ((NODE.node, "95 %"), ("n*", "95 %"), ("other", "99 %")):
        assert _all(_own(f"indicator: node-disk, node: '{of}'"))["node-disk", "platform"].target_text == target
    assert _all(_own("indicator: registry-latency"))["registry-latency", "platform"].target_text == "95 %"
    assert _all(_own("indicator: vulnerabilities"))["vulnerabilities", "platform"].unmeasurable


def test_kills_and_restarts_have_an_allowance() -> None:
    found = _all(
        _own("indicator: oom-kills, service: shop/api", "kills", "0.9"),
        _own("indicator: restart-rate, service: shop/api, per: 10h", "restarts", "0.5"),
    )
    kills, restarts = found["oom-kills", "shop/api"], found["restart-rate", "shop/api"]
    assert isinstance(kills.indicator, Allowance)
    assert (kills.budget, kills.target_text) == (Fraction(1, 10) / DAY, "0.1 kills per instance and 1 d")
    assert restarts.budget == Fraction(5, 100) / 3_600_000
    assert ("oom-kills", "shop/web") not in found


def _sliced(spec: str, method: str, target: str = "0.95") -> str:
    more = "      timeSliceWindow: 5m\n" + ("      timeSliceTarget: 0.9\n" if method == "Timeslices" else "")
    return _own(spec, target=target).replace("Occurrences", method) + more


@pytest.mark.parametrize("method", [Timeslices(Fraction(9, 10), 300_000), RatioTimeslices(300_000)])
@pytest.mark.parametrize("name", ["container-up", "image-pull-success", "request-latency, threshold: 1s", "node-disk"])
def test_built_in_indicators_are_judged_in_slices(name: str, method: Timeslices | RatioTimeslices) -> None:
    found = _all(
        _sliced(f"indicator: {name}" + ("" if name == "node-disk" else ", service: shop/api"), type(method).__name__)
    )
    of = found[name.split(",", maxsplit=1)[0], "platform" if name == "node-disk" else "shop/api"]
    assert (of.slices, of.budget, of.unmeasurable) == (method, Fraction(5, 100), None)


def test_slices_of_an_allowance_keep_within_it_or_do_not() -> None:
    of = _all(_sliced("indicator: restart-rate, service: shop/api, per: 10h", "Timeslices"))["restart-rate", "shop/api"]
    assert isinstance(of.indicator, Allowance)
    assert (of.indicator.per_ms, of.slices) == (36_000_000, Timeslices(Fraction(9, 10), 300_000))
    assert (of.budget, of.target_text, of.allowance) == (Fraction(5, 100), "95 %", False)
    assert of.note == "row fast has a short window of 5 min, less than two slices; asked for by f0:14"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_sliced("indicator: restart-rate", "RatioTimeslices"), "f0:14: spec.objectives[0]: RatioTimeslices is a mean"),
        (
            _sliced("indicator: container-up", "Timeslices").replace("5m", "31d"),
            "f0:14: spec.objectives[0].timeSliceWindow: a slice of 31 d is longer than the window of 30 d",
        ),
        (
            with_line("Occurrences", "RatioTimeslices") + "      timeSliceWindow: 31d\n",
            "f0:28: spec.objectives[0].timeSliceWindow: a slice of 31 d is longer than the window of 30 d",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(text: str, said: str) -> None:
    found = plan(loaded(text).slos)
    assert found.plans == ()
    assert [str(it)[: len(said)] for it in found.findings if it.level == "error"] == [said]


def test_a_calendar_goes_with_its_objective() -> None:
    (found,) = _files(with_line("isRolling: true", CALENDAR).replace("30d", "1w")).objectives
    assert found.unmeasurable is None
    assert found.calendar == CalendarPeriods(datetime(2022, 1, 1, 12), "America/New_York", 1, "w")
    window = f"  timeWindow:\n    - duration: 1M\n      {CALENDAR}\n"
    own = _all(_own("indicator: container-up, service: shop/api", more=window))["container-up", "shop/api"]
    assert own.calendar is not None
    assert (own.calendar.unit, own.calendar.zone) == ("M", "America/New_York")


def test_faults_are_an_objective_that_nothing_can_measure() -> None:
    fault = Finding(At("a.yaml", 3, "spec"), "is wrong", "correct it")
    assert refused([]) == []
    (one,), (two,) = refused([fault]), refused([fault, fault])
    assert one.unmeasurable == "a.yaml:3: spec: is wrong; correct it. What was good before goes on."
    assert two == replace(
        one, unmeasurable="a.yaml:3: spec: is wrong; correct it. And 1 more. What was good before goes on."
    )


def test_slices_of_counters_are_judged() -> None:
    text = with_line("Occurrences", "Timeslices") + "      timeSliceTarget: 0.95\n      timeSliceWindow: 5m\n"
    (found,) = _files(text).objectives
    assert found.unmeasurable is None
    assert found.slices == Timeslices(Fraction(95, 100), 300_000)


def test_queries_that_are_more_than_counters_are_asked() -> None:
    (found,) = _files(f"{THRESHOLD}      op: lt\n      value: 2\n").objectives
    assert found.query == QueryIndicator("threshold", "lag", op="lt", value=Fraction(2))
    (found,) = _files(with_line("counter: true", "counter: false")).objectives
    assert found.query == QueryIndicator("good", 'http_requests_total{code!~"5.."}', "http_requests_total")
    assert found.unmeasurable is None

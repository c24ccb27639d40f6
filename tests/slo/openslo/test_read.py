"""Documents read: every rule of the specification, its fault with line, path and remedy."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.openslo.faults import MAX_FINDINGS
from slo.openslo.model import Slo
from tests.slo.openslo.support import GOOD, one, said, with_line


def _slo(text: str) -> Slo:
    found = one(text)
    assert found.faults == ()
    (document,) = found.documents
    assert isinstance(document, Slo)
    return document


def test_a_good_slo_says_nothing_and_its_target_is_exact() -> None:
    found = _slo(GOOD)
    assert said(GOOD, strict=True) == []
    assert (found.objectives[0].target, found.objectives[0].target_text) == (Fraction(999, 1000), "99.9 %")


@pytest.mark.parametrize(
    ("text", "share", "shown"),
    [
        ("target: 0.99999999999999999", Fraction(10**17 - 1, 10**17), "99.999999999999999 %"),
        ("target: 999e-3", Fraction(999, 1000), "99.9 %"),
        ("target: 0", Fraction(0), "0 %"),
        ("targetPercent: 99.95", Fraction(9995, 10000), "99.95 %"),
    ],
)
def test_targets_are_the_decimals_of_their_text(text: str, share: Fraction, shown: str) -> None:
    objective = _slo(with_line("target: 0.999", text)).objectives[0]
    assert objective.target == share
    if len(shown) < 15:
        assert objective.target_text == shown


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("target: 0.999", "target: 1", "28: spec.objectives[0].target: is not from 0 to below 1;"),
        ("target: 0.999", "target: 100", "28: spec.objectives[0].target: is not from 0 to below 1;"),
        ("target: 0.999", "targetPercent: 100", "28: spec.objectives[0].targetPercent: is not from 0 to below 100;"),
        ("target: 0.999", "target: -0.1", "28: spec.objectives[0].target: is not from 0 to below 1;"),
        ("target: 0.999", "target: .nan", "28: spec.objectives[0].target: '.nan' is no decimal number;"),
        ("target: 0.999", "target: .inf", "28: spec.objectives[0].target: '.inf' is no decimal number;"),
        ("target: 0.999", "target: 1e-999999999", "28: spec.objectives[0].target: '1e-999999999' is no decimal"),
        ("target: 0.999", "target: " + "9" * 5000, "28: spec.objectives[0].target: '" + "9" * 40 + "' is no decimal"),
        ("target: 0.999", "target: '0.999'", "28: spec.objectives[0].target: '0.999' is text, not a number;"),
        ("target: 0.999", "target: [1]", "28: spec.objectives[0].target: a list stands where a number is due;"),
        ("target: 0.999", "tarket: 0.9", "28: spec.objectives[0].tarket: the field is not known; did you mean target?"),
        ("- target: 0.999", "- 0.999", "28: spec.objectives[0]: '0.999' stands where a mapping is due;"),
        ("    - target: 0.999\n", "    []\n", "27: spec.objectives: is empty;"),
        ("duration: 30d", "duration: 30s", "24: spec.timeWindow[0].duration: '30s' is no duration;"),
        ("duration: 30d", "duration: Week", "24: spec.timeWindow[0].duration: 'Week' is no duration;"),
        ("duration: 30d", "duration: -1h", "24: spec.timeWindow[0].duration: '-1h' is no duration;"),
        ("duration: 30d", "duration: 0d", "24: spec.timeWindow[0].duration: is 0;"),
        ("duration: 30d", "duration: 9999999Y", "24: spec.timeWindow[0].duration: '9999999Y' is longer than ten"),
        ("isRolling: true", "isRolling: false", "25: spec.timeWindow[0].isRolling: is false, and there is no"),
        ("isRolling: true", "isRolling: perhaps", "25: spec.timeWindow[0].isRolling: 'perhaps' is neither true nor"),
        ("budgetingMethod: Occurrences", "budgetingMethod: occurrences", "26: spec.budgetingMethod: 'occurrences' is"),
        ("service: shop", "service: [-]", "6: spec.service: a list stands where a text is due;"),
        ("service: shop", "service: 5", "6: spec.service: 5 is no text; put it into quotes"),
        ("service: shop", "service: the shop", "6: spec.service: 'the shop' is no name as RFC 1123 has it;"),
        ("service: shop", "service: " + "a" * 64, "6: spec.service: 'aaa"),
        ("  service: shop\n", "", "5: spec.service: is missing;"),
        ("  name: api\n", "  label: api\n", "3: metadata.name: is missing;"),
        ("kind: SLO", "kind: Slo", "2: kind: 'Slo' is no kind; did you mean SLO?"),
        ("apiVersion: openslo/v1\n", "", "1: apiVersion: is missing;"),
        ("openslo/v1", "openslo/v2alpha", "1: apiVersion: 'openslo/v2alpha' is not known; write openslo/v1"),
        ("good:", "bed:", "13: spec.indicator.spec.ratioMetric.bed: the field is not known; did"),
        ("        good:", "        rawType: success\n        good:", "13: spec.indicator.spec.ratioMetric.rawType: s"),
    ],
)  # fmt: skip
def test_each_fault_names_line_path_and_remedy(old: str, new: str, told: str) -> None:
    found = said(with_line(old, new))
    assert any(it.startswith(told) for it in found), found
    assert one(with_line(old, new)).documents == ()


def test_a_service_of_a_compose_file_is_named_as_it_is_here() -> None:
    text = with_line("service: shop", "service: shop/api")
    (slo,) = [it for it in one(text).documents if isinstance(it, Slo)]
    assert slo.service == "shop/api"
    (warning,) = [it for it in said(text) if "spec.service" in it]
    assert warning.startswith("6: spec.service: warning: 'shop/api' is a Compose service's name here")
    assert one(text, strict=True).documents == ()
    for wrong in ("/api", "shop/", "shop/api/x", "../shop", "shop//api", f"{'a' * 64}/api"):
        assert one(with_line("service: shop", f"service: {wrong}")).documents == (), wrong


def test_all_faults_are_told_at_once() -> None:
    text = with_line("target: 0.999", "target: 1.5").replace("duration: 30d", "duration: 1x").replace("shop", "")
    assert {it.split(": ")[1] for it in said(text)} == {
        "spec.service",
        "spec.timeWindow[0].duration",
        "spec.objectives[0].target",
    }


def test_a_faulty_document_does_not_take_the_good_ones_with_it() -> None:
    found = one(GOOD + "---\n" + with_line("target: 0.999", "target: 2") + "---\n" + GOOD)
    assert (len(found.documents), [it.at.line for it in found.faults]) == (2, [57])


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("  budgetingMethod: Occurrences\n", "", "spec.budgetingMethod"),
        ("name: api", "name: Api_Slo", "metadata.name"),
        ("target: 0.999", "target: 0.999\n      op: lt", "spec.objectives[0].op"),
        ("  service: shop", "  description: " + "x" * 1051 + "\n  service: shop", "spec.description"),
        ("  name: api\n", "  name: api\n  displayName: " + "x" * 64 + "\n", "metadata.displayName"),
    ],
)
def test_what_examples_of_the_specification_do_is_a_warning_and_strictly_a_fault(old: str, new: str, path: str) -> None:
    text = with_line(old, new)
    assert [(it.at.path, it.level) for it in one(text).findings] == [(path, "warning")]
    assert [(it.at.path, it.level) for it in one(text, strict=True).findings] == [(path, "error")]
    assert len(one(text).documents) == 1


CALENDAR = (
    "isRolling: false\n      calendar:\n        startTime: 2022-01-01 12:00:00\n        timeZone: America/New_York"
)


def test_a_calendar_window_has_a_start_in_wall_time_and_a_zone() -> None:
    window = _slo(with_line("isRolling: true", CALENDAR)).window
    assert window is not None
    assert window.calendar is not None
    assert (window.calendar.start.isoformat(), window.calendar.zone) == ("2022-01-01T12:00:00", "America/New_York")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("America/New_York", "America/Atlantis", "is no time zone that is known here"),
        ("America/New_York", "../../../etc/passwd", "is no time zone that is known here"),
        ("America/New_York", "America", "is no time zone that is known here"),
        ("2022-01-01 12:00:00", "2022-02-30 12:00:00", "is no time of the form YYYY-MM-DD HH:MM:SS"),
        ("2022-01-01 12:00:00", "Monday", "is no time of the form YYYY-MM-DD HH:MM:SS"),
        ("isRolling: false", "isRolling: true", "stands beside isRolling: true"),
    ],
)
def test_a_calendar_that_cannot_be_kept_is_refused(old: str, new: str, told: str) -> None:
    (found,) = said(with_line("isRolling: true", CALENDAR).replace(old, new))
    assert told in found


def _sliced(method: str, fields: str) -> str:
    return with_line("Occurrences", method).replace("target: 0.999", f"target: 0.999{fields}")


def test_slices_need_their_window_and_timeslices_a_target() -> None:
    assert [it.split(": ")[1] for it in said(_sliced("Timeslices", ""))] == [
        "spec.objectives[0].timeSliceTarget",
        "spec.objectives[0].timeSliceWindow",
    ]
    assert [it.split(": ")[1] for it in said(_sliced("RatioTimeslices", ""))] == ["spec.objectives[0].timeSliceWindow"]


@pytest.mark.parametrize(("text", "ms"), [("5", 300_000), ("5m", 300_000), ("1h", 3_600_000)])
def test_a_bare_number_is_minutes_of_a_slice(text: str, ms: int) -> None:
    objective = _slo(_sliced("RatioTimeslices", f"\n      timeSliceWindow: {text}")).objectives[0]
    assert objective.slice_window is not None
    assert objective.slice_window.ms == ms


@pytest.mark.parametrize("text", ["0", "1.5", "-1", "1s", "[1]"])
def test_a_slice_of_no_length_is_refused(text: str) -> None:
    (found,) = said(_sliced("RatioTimeslices", f"\n      timeSliceWindow: {text}"))
    assert "timeSliceWindow" in found


@pytest.mark.parametrize("text", ["0", "1.01", "-1"])
def test_a_slice_target_is_above_0_and_at_most_1(text: str) -> None:
    (found,) = said(_sliced("Timeslices", f"\n      timeSliceWindow: 1m\n      timeSliceTarget: {text}"))
    assert found.split(": ")[1] == "spec.objectives[0].timeSliceTarget"


THRESHOLD = (
    GOOD[: GOOD.index("      ratioMetric")]
    + """\
      thresholdMetric:
        metricSource:
          type: Prometheus
          spec:
            query: lag
"""
    + GOOD[GOOD.index("  timeWindow") :]
)


def test_a_threshold_needs_an_operator_and_a_value() -> None:
    assert [it.split(": ")[1] for it in said(THRESHOLD)] == ["spec.objectives[0].op", "spec.objectives[0].value"]
    assert said(THRESHOLD + "      op: lte\n      value: 2.5\n") == []


def test_an_indicator_stands_once() -> None:
    both = with_line("  timeWindow:", "  indicatorRef: other\n  timeWindow:")
    assert "stands beside indicator" in said(both)[0]
    two = with_line("- target: 0.999", "- target: 0.999\n      indicatorRef: other")
    assert "has an indicator beside another one" in said(two)[0]
    neither = GOOD[: GOOD.index("  indicator:")] + GOOD[GOOD.index("  timeWindow") :]
    assert "spec.indicator: is missing" in said(neither)[0]


def test_a_composite_has_an_indicator_and_a_weight_in_each_objective() -> None:
    base = GOOD[: GOOD.index("  indicator:")] + GOOD[GOOD.index("  timeWindow") :]
    good = base + "      indicatorRef: a\n      compositeWeight: 0.5\n    - target: 0.9\n      indicatorRef: b\n"
    assert [it.weight for it in _slo(good).objectives] == [Fraction(1, 2), None]
    assert "is not above 0" in said(good.replace("0.5", "0"))[0]
    assert "has no indicator while others" in said(good.replace("      indicatorRef: b\n", ""))[0]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("{type: Prometheus}", "spec.connectionDetails"),
        ("{connectionDetails: {url: x}}", "spec.type"),
    ],
)
def test_a_data_source_needs_its_type_and_how_to_reach_it(spec: str, path: str) -> None:
    text = f"apiVersion: openslo/v1\nkind: DataSource\nmetadata: {{name: a}}\nspec: {spec}\n"
    assert [it.at.path for it in one(text).findings] == [path]


def test_secrets_of_a_data_source_are_not_shown() -> None:
    text = (
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: a}\n"
        "spec: {type: X, connectionDetails: {apiKey: hunter2}}\n"
    )
    assert "hunter2" not in repr(one(text))


POLICY = """\
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: a}
spec:
  conditions: [{conditionRef: c}]
  notificationTargets: [{targetRef: t}]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[{conditionRef: c}]", "[]", "0 conditions stand; write exactly one"),
        ("[{conditionRef: c}]", "[{conditionRef: c}, {conditionRef: d}]", "2 conditions stand; write exactly one"),
        ("[{targetRef: t}]", "[]", "names nobody"),
        ("[{targetRef: t}]", "[t]", "is no mapping"),
        ("{targetRef: t}", "{targetRef: t, spec: {target: x}}", "a document stands beside it"),
        ("{targetRef: t}", "{kind: SLO, metadata: {name: t}, spec: {target: x}}", "'SLO' where AlertNotification"),
        ("{conditionRef: c}", "{metadata: {name: c}, spec: {severity: page}}", "condition: is missing"),
    ],
)
def test_a_policy_has_one_condition_and_somebody_to_tell(old: str, new: str, told: str) -> None:
    assert said(POLICY) == []
    found = said(with_line(old, new, POLICY))
    assert any(told in it for it in found), found


def test_a_file_that_is_wrong_throughout_does_not_fill_a_log() -> None:
    found = one("".join(f"a{i}: 1\n" for i in range(1000)))
    assert len(found.findings) == MAX_FINDINGS + 1
    assert "more faults" in str(found.findings[-1])


def test_what_a_terminal_would_obey_is_shown_escaped() -> None:
    found = said(with_line("service: shop", 'service: shop\n  "a\\e[2J\u202e": "\\e[0m"'))
    assert found[0].startswith(r"7: spec.a\x1b[2J\u202e: the field is not known")
    assert said('"\\eb": 1\n"\\eb": 2\n')[0].startswith(r"2: \x1bb: the key stands twice")
    assert all(it.isprintable() for it in found)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "~"])
def test_an_empty_file_is_a_warning(text: str) -> None:
    assert said(text) == ["1: warning: holds no document; write one with apiVersion, kind, metadata and spec"]


WORDS = st.sampled_from(
    [
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "spec",
        "openslo/v1",
        "openslo/v1alpha",
        "SLO",
        "SLI",
        "AlertPolicy",
        "service",
        "indicator",
        "objectives",
        "target",
        "timeWindow",
        "duration",
        "30d",
        "0.99",
        "conditions",
        "labels",
        "-",
        ":",
        "[",
        "]",
        "{",
        "}",
        "~",
        "null",
        "true",
        "&",
        "*",
        "<<",
    ]
)


@given(st.lists(st.tuples(st.integers(0, 4), WORDS, WORDS), max_size=30))
def test_no_document_makes_it_fall(lines: list[tuple[int, str, str]]) -> None:
    found = one("\n".join(f"{'  ' * depth}{key}: {value}" for depth, key, value in lines))
    assert all(it.remedy and it.at.line >= 1 for it in found.findings)
    assert found.documents or found.findings


@given(
    st.recursive(
        st.sampled_from(["1", "x", "true", "''", "~", "30d", "0.5"]),
        lambda inner: st.lists(inner, max_size=3).map(lambda it: f"[{', '.join(it)}]"),
        max_leaves=6,
    ),
    st.sampled_from(["metadata", "spec", "indicator", "timeWindow", "objectives", "service", "ratioMetric", "name"]),
)
def test_any_value_in_any_field_is_a_document_or_a_fault(value: str, field: str) -> None:
    lines = GOOD.splitlines()
    found = next(it for it in lines if it.strip().startswith(f"{field}:"))
    indent = len(found) - len(found.lstrip())
    start = lines.index(found)
    end = next(
        (i for i in range(start + 1, len(lines)) if len(lines[i]) - len(lines[i].lstrip()) <= indent), len(lines)
    )
    text = "\n".join([*lines[:start], f"{' ' * indent}{field}: {value}", *lines[end:]])
    read = one(text)
    assert len(read.documents) == (0 if read.faults else 1)

"""References over files: what is named is put in, what is nowhere or twice is told."""

from __future__ import annotations

import pytest

from slo.openslo.model import AlertCondition, AlertPolicy
from tests.slo.openslo.support import GOOD, loaded, with_line

SLI_START, SLI_END = GOOD.index("  indicator:"), GOOD.index("  timeWindow")
NAMED = GOOD[:SLI_START] + "  indicatorRef: good-answers\n" + GOOD[SLI_END:]
SLI = (
    "apiVersion: openslo/v1\nkind: SLI\n"
    + "\n".join(line[4:] for line in GOOD[SLI_START:SLI_END].splitlines()[1:])
    + "\n"
)
POLICY = """\
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: loud}
spec:
  conditions: [{conditionRef: fast}]
  notificationTargets: [{targetRef: night}]
"""
CONDITION = """\
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec:
  severity: page
  condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h, alertAfter: 0m}
"""
TARGET = "apiVersion: openslo/v1\nkind: AlertNotificationTarget\nmetadata: {name: night}\nspec: {target: pager}\n"
WITH_POLICY = GOOD + "  alertPolicies:\n    - alertPolicyRef: loud\n"


def test_an_indicator_in_another_file_is_the_same_as_one_inline() -> None:
    (inline,), (named,) = loaded(GOOD).slos, loaded(NAMED, SLI).slos
    assert inline == named


def test_the_order_of_files_does_not_matter() -> None:
    assert loaded(NAMED, SLI).slos == loaded(SLI, NAMED).slos


def test_a_missing_indicator_is_a_fault_at_the_line_that_names_it() -> None:
    found = loaded(NAMED)
    assert found.slos == ()
    assert [str(it) for it in found.findings] == [
        "f0:7: spec.indicatorRef: no SLI is called good-answers; add it, or the file that holds it"
    ]


def test_policies_conditions_and_targets_are_put_in() -> None:
    found = loaded(WITH_POLICY, POLICY, CONDITION, TARGET, strict=True)
    assert found.findings == ()
    (policy,) = found.slos[0].policies
    assert isinstance(policy, AlertPolicy)
    assert isinstance(policy.conditions[0], AlertCondition)


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ((WITH_POLICY,), "spec.alertPolicies[0].alertPolicyRef"),
        ((WITH_POLICY, POLICY, TARGET), "spec.conditions[0].conditionRef"),
        ((WITH_POLICY, POLICY, CONDITION), "spec.notificationTargets[0].targetRef"),
    ],
)
def test_a_missing_policy_is_a_warning_and_strictly_a_fault(files: tuple[str, ...], path: str) -> None:
    lenient, strict = loaded(*files), loaded(*files, strict=True)
    assert [(it.level, it.at.path) for it in lenient.findings] == [("warning", path)]
    assert [(it.level, it.at.path) for it in strict.findings] == [("error", path)]
    assert (len(lenient.slos), len(strict.slos)) == (1, 0)


def test_an_slo_that_stands_twice_is_a_fault_that_names_the_first() -> None:
    found = loaded(GOOD, with_line("target: 0.999", "target: 0.99"))
    assert [str(it) for it in found.faults] == [
        "f1:1: metadata.name: SLO api stands twice, first in f0:1; rename or remove one"
    ]


def test_an_indicator_that_stands_twice_and_says_the_same_is_a_warning() -> None:
    assert [it.level for it in loaded(SLI, SLI).findings] == ["warning"]
    assert [it.level for it in loaded(SLI, with_line("counter: true", "counter: false", SLI)).findings] == ["error"]


def test_a_source_without_a_type_takes_that_of_its_data_source() -> None:
    text = GOOD.replace("type: Prometheus", "metricSourceRef: prom")
    source = (
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: prom}\n"
        "spec: {type: Prometheus, connectionDetails: {url: http://127.0.0.1:8640}}\n"
    )
    found = loaded(text, source)
    assert found.findings == ()
    ratio = found.slos[0].indicator.spec.ratio  # type: ignore[union-attr]
    assert ratio is not None
    assert ratio.total is not None
    assert (ratio.total.type, ratio.total.ref) == ("Prometheus", "prom")
    assert [it.at.path for it in loaded(text).faults] == [
        f"spec.indicator.spec.ratioMetric.{it}.metricSource.metricSourceRef" for it in ("good", "total")
    ]


def test_a_threshold_named_elsewhere_needs_operator_and_value_too() -> None:
    sli = (
        "apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: good-answers}\n"
        "spec: {thresholdMetric: {metricSource: {type: Prometheus, spec: {query: lag}}}}\n"
    )
    assert [it.at.path for it in loaded(NAMED, sli).faults] == ["spec.objectives[0].op", "spec.objectives[0].value"]
    assert loaded(NAMED + "      op: lt\n      value: 5\n", sli).findings == ()


def test_a_fault_is_told_however_many_warnings_came_before() -> None:
    many = "---\n".join(POLICY.replace("loud", f"p{i}") for i in range(600))
    late = NAMED + "  alertPolicies:\n" + "    - alertPolicyRef: nowhere\n" * 1100
    found = loaded(many, late)
    assert [it.at.path for it in found.faults] == ["spec.indicatorRef"]
    assert found.slos == ()
    other = loaded(*(text.replace("name: api", f"name: a{i}") for i, text in enumerate([late, late])))
    assert len(other.faults) == 2

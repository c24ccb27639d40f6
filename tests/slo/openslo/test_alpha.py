"""The shim for v1alpha: one model, the old paths."""

from __future__ import annotations

from fractions import Fraction

import pytest

from slo.openslo.model import Service, Slo
from slo.openslo.tree import Mapping, Scalar
from tests.slo.openslo.support import GOOD, one, said, with_line

OLD = """\
apiVersion: openslo/v1alpha
kind: SLO
metadata:
  name: api
spec:
  service: shop
  description: Answers
  budgetingMethod: Occurrences
  objectives:
    - ratioMetrics:
        good:
          source: prometheus
          queryType: promql
          query: http_requests_total{code!~"5.."}
        total:
          source: prometheus
          queryType: promql
          query: http_requests_total
        counter: true
      target: 0.999
  timeWindows:
    - count: 30
      unit: Day
"""


def _slos(text: str) -> list[Slo]:
    found = one(text)
    assert found.faults == ()
    return [it for it in found.documents if isinstance(it, Slo)]


def test_a_ratio_is_what_it_is_in_v1() -> None:
    (old,), (new,) = _slos(OLD), _slos(GOOD)
    assert old.indicator is not None
    assert new.indicator is not None
    assert old.indicator.spec.ratio is not None
    assert old.indicator.spec.ratio.counter
    assert (old.method, old.service) == (new.method, new.service)
    assert old.indicator.spec.ratio.good is not None
    assert old.indicator.spec.ratio.good.type == "Prometheus"
    assert old.indicator.spec.ratio.good.spec == Mapping({"query": Scalar('http_requests_total{code!~"5.."}', 1)}, 1)
    assert old.objectives == new.objectives
    assert old.window == new.window


def test_objectives_with_ratios_of_their_own_are_slos_of_their_own() -> None:
    part = OLD[OLD.index("    - ratioMetrics") : OLD.index("  timeWindows")]
    other = part.replace("5..", "4..").replace("0.999", "0.9")
    split = _slos(with_line(part, part + other, OLD))
    assert [(it.meta.name, it.objectives[0].target) for it in split] == [
        ("api-0", Fraction("0.999")),
        ("api-1", Fraction("0.9")),
    ]
    tiers = _slos(with_line(part, part + part.replace("0.999", "0.9"), OLD))
    assert [(it.meta.name, len(it.objectives)) for it in tiers] == [("api", 2)]


def test_a_threshold_of_all_objectives() -> None:
    text = (
        OLD[: OLD.index("  objectives")]
        + """\
  indicator:
    thresholdMetric: {source: prometheus, queryType: promql, query: latency}
  objectives:
    - {op: lte, value: 0.3, target: 0.9}
"""
    )
    (found,) = _slos(text)
    assert found.indicator is not None
    assert found.indicator.spec.threshold is not None
    assert (found.objectives[0].op, found.objectives[0].value) == ("lte", Fraction("0.3"))
    assert ".value: is missing" in said(text.replace("value: 0.3, ", ""))[0]


@pytest.mark.parametrize(("unit", "text"), [("Day", "3d"), ("Week", "3w"), ("Month", "3M"), ("Quarter", "3Q")])
def test_units_of_windows(unit: str, text: str) -> None:
    (found,) = _slos(OLD.replace("count: 30", "count: 3").replace("unit: Day", f"unit: {unit}"))
    assert found.window is not None
    assert str(found.window.duration) == text


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("unit: Day", "unit: day", "23: spec.timeWindows[0].unit: 'day' is none of Day, Week"),
        ("count: 30", "count: 1.5", "22: spec.timeWindows[0].count: is no whole number"),
        ("count: 30", "count: 99999999", "22: spec.timeWindows[0].count: is no whole number"),
        ("target: 0.999", "target: 1", "20: spec.objectives[0].target: is not from 0 to below 1"),
        ("timeWindows:", "timeWindow:", "21: spec.timeWindow: the field is not known; did you mean timeWindows?"),
        ("total:", "totel:", "15: spec.objectives[0].ratioMetrics.totel: the field is not known"),
        ("Occurrences", "RatioTimeslices", "8: spec.budgetingMethod: 'RatioTimeslices' is none of"),
        ("kind: SLO", "kind: SLI", "2: kind: 'SLI' is no kind; did you mean SLO?"),
    ],
)
def test_faults_name_the_old_paths(old: str, new: str, told: str) -> None:
    found = said(with_line(old, new, OLD))
    assert any(it.startswith(told) for it in found), found


def test_a_service() -> None:
    found = one("apiVersion: openslo/v1alpha\nkind: Service\nmetadata: {name: shop}\nspec: {description: All of it}\n")
    assert found.findings == ()
    assert isinstance(found.documents[0], Service)

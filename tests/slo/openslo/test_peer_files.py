"""The specification's own files, and those of its SDK: which load strictly, which with warnings, which are refused."""

from __future__ import annotations

import pytest

from slo.openslo.read import read
from slo.openslo.resolve import load
from tests.support.prometheus import peer_file

STRICT = {
    "budgeting-method--occurences-slo.yaml": 1,
    "go-sdk--alert_conditions.yaml": 2,
    "go-sdk--alert_notification_targets.yaml": 2,
    "go-sdk--alert_policies.yaml": 3,
    "go-sdk--data_sources.yaml": 2,
    "go-sdk--encode-v1_slo.yaml": 1,
    "go-sdk--export-inputs-v1_slo.yaml": 2,
    "go-sdk--inline-inputs-v1_slo.yaml": 5,
    "go-sdk--inline-inputs-v1_slo_invalid_sli.yaml": 2,
    "go-sdk--services.yaml": 2,
    "go-sdk--slis.yaml": 4,
}
"""Files that load in strict mode, with their number of documents."""
LENIENT = {
    "budgeting-method--ratio-timeslices.yaml": 31,
    "budgeting-method--timeslices-slo.yaml": 34,
    "go-sdk--slos.yaml": 39,
    "treat-low-traffic-as-equally-important--timeslices-slo.yaml": 32,
}
"""Files that carry `op` on a ratio, with the line where."""


def _text(name: str) -> list[tuple[str, str]]:
    return [(name, peer_file(f"openslo/{name}").read_text())]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("name", "documents"), STRICT.items())
def test_what_the_sdk_accepts_loads_in_either_mode(name: str, documents: int, strict: bool) -> None:
    found = read(_text(name), strict)
    assert (len(found.documents), found.faults) == (documents, ())


@pytest.mark.parametrize(("name", "line"), LENIENT.items())
def test_an_operator_on_a_ratio_is_a_warning_and_in_strict_mode_a_fault(name: str, line: int) -> None:
    lenient, strict = read(_text(name)), read(_text(name), strict=True)
    assert (len(lenient.documents), lenient.faults) == (1, ())
    assert strict.documents == ()
    (fault,) = strict.faults
    assert (fault.at.file, fault.at.line) == (name, line)
    assert fault.at.path.endswith("spec.objectives[0].op")
    assert fault._replace(level="warning") in lenient.findings


def test_every_file_is_told_of() -> None:
    names = {path.name for path in peer_file("openslo").glob("*.yaml")}
    assert names == STRICT.keys() | LENIENT.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("oslo--invalid-apiversion.yaml", {"apiVersion": "'foo' is not known"}),
        ("oslo--mix-1.yaml", {"[0].metadata.name": "'example service' is no name as RFC 1123 has it"}),
        (
            "oslo--unknown-field.yaml",
            {"metadata.name": "'my-rad service' is no name as RFC 1123 has it", "spec.markdown": "not known"},
        ),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_oslo_refuses_is_refused_with_its_paths(name: str, said: dict[str, str], strict: bool) -> None:
    found = read(_text(f"refused/{name}"), strict)
    assert found.documents == ()
    assert {it.at.path for it in found.faults} == said.keys()
    assert all(said[it.at.path] in it.what for it in found.faults)


def test_the_month_that_is_a_minute_is_told() -> None:
    found = read(_text("budgeting-method--timeslices-slo.yaml")).findings
    assert any(it.at.path == "spec.timeWindow[0].duration" and "write 1M" in it.remedy for it in found)


def test_a_condition_that_says_exceeds_and_writes_lte_is_obeyed_and_warned_of() -> None:
    found = read(_text("go-sdk--alert_conditions.yaml"), strict=True).findings
    assert [(it.level, it.at.path) for it in found] == [("warning", "[0].spec.condition.op")]


def test_two_services_of_one_name_that_say_the_same_are_a_warning() -> None:
    found = load(_text("go-sdk--services.yaml"), strict=True)
    assert [(it.level, it.at.path) for it in found.findings] == [("warning", "[1].metadata.name")]


def test_an_indicator_that_is_nowhere_is_a_fault_of_the_reference() -> None:
    found = load(_text("go-sdk--inline-inputs-v1_slo_invalid_sli.yaml"))
    assert found.slos == ()
    assert [(it.at.line, it.at.path) for it in found.faults] == [(7, "[0].spec.indicatorRef")]
    assert "did you mean my-sli?" in found.faults[0].remedy


def test_references_are_put_into_the_slo() -> None:
    found = load(_text("go-sdk--inline-inputs-v1_slo.yaml"), strict=True)
    inline, named = found.slos
    assert found.faults == ()
    assert inline.indicator == named.indicator
    assert not any(hasattr(it, "name") for policy in named.policies for it in policy.conditions)  # type: ignore[union-attr]
